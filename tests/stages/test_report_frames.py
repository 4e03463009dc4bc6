"""Reports of master frames: known residuals in, the same numbers out; figures drawn whole."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from compute.stages.report.binned import PHASES, amplitude, cells, curve, spread
from compute.stages.report.catalog import index_page
from compute.stages.report.frames import Single, detector_figure, phases_figure, vectors_figure
from compute.stages.report.page import row_table
from compute.stages.report.panels import round_down
from compute.stages.report.precision import precision, precision_figure, well_measured
from compute.stages.report.referred import reference_figure, reference_numbers
from compute.stages.report.residuals import bright, exposure_numbers, on_detector, phase_amplitude
from compute.stages.report.style import png
from compute.stages.report.ties import QUALITY, TIES, ties, time_figure
from tests.stages import framed

EXTENT = (-0.5, framed.SIZE - 0.5, -0.5, framed.SIZE - 0.5)
BACK = np.linalg.inv([framed.matrix(k) for k in range(6)])
NOISE = 0.004


def turned(**known) -> pd.DataFrame:
    return on_detector(framed.residuals(framed.detections(noise=NOISE, **known), NOISE), BACK)


def matched(n=400) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    columns = {"dx": rng.normal(0.02, 0.04, n), "dy": rng.normal(0, 0.04, n), "mag": rng.uniform(15, 22, n)}
    return pd.DataFrame(columns | {"x_frame": rng.uniform(9e3, 1e4, n), "y_frame": rng.uniform(9e3, 1e4, n),
                                   "reserved": rng.random(n) < 0.1})  # fmt: skip


def shown(data: bytes, tmp_path) -> np.ndarray:
    (tmp_path / "figure.png").write_bytes(data)
    return imread(tmp_path / "figure.png")


# Bins


def test_curve__is_medians_and_what_they_scatter_by():
    rng = np.random.default_rng(2)
    place, edges = rng.uniform(0, 3, 300), np.arange(4.0)
    found = curve(place, place**2, edges)
    expected = [np.median(place[(place >= k) & (place < k + 1)] ** 2) for k in range(3)]
    np.testing.assert_array_equal(found.median, expected)
    many = np.array([curve(place, rng.normal(size=300), edges)[1:3] for _ in range(400)])
    # 400 draws know a standard deviation to 3.5 %; the error itself, of 100 values, has a bias of 1 % or so.
    np.testing.assert_allclose(many[:, 0].std(axis=0), np.median(many[:, 1], axis=0), rtol=0.12)


def test_curve__bins_of_few_values_are_empty():
    found = curve([0.5] * 4 + [1.5] * 5 + [7.0], np.ones(10), np.arange(3.0))
    assert np.isnan(found.median[0])
    assert found.median[1] == 1.0
    assert found.n.tolist() == [4, 5]


def test_cells__are_medians_at_their_middles():
    rows = pd.DataFrame({"x": [1.0] * 5 + [9.0] * 5, "y": 1.0, "dx": [3.0] * 5 + [4.0] * 5, "dy": -1.0})
    found = cells(rows, (0.0, 10.0, 0.0, 10.0), 2)
    assert found[["x", "y", "dx", "dy"]].to_numpy().tolist() == [[2.5, 2.5, 3.0, -1.0], [7.5, 2.5, 4.0, -1.0]]


def test_spread__of_nothing_is_unknown():
    assert np.isnan(spread([]))
    assert np.isnan(spread([np.nan]))
    assert np.isnan(amplitude(np.full(10, np.nan)))


@given(st.floats(1e-8, 1e8))
def test_round_down__is_a_round_number_just_below(value):
    found = round_down(value)
    assert found <= value * (1 + 1e-9)
    assert value < 2.5 * found * (1 + 1e-9)
    assert f"{found:.0e}"[0] in "125"


# Residuals


def test_on_detector__an_error_along_x_comes_back_along_x():
    rows = turned(wave=0.03)
    # A sine has 0.976 of its amplitude in the middle of a tenth of its period, a star's mean holds a sixth of it, and
    # medians of 240 values with 4 mpix noise and 20 mpix of other exposures' waves are good to 1.5 mpix.
    assert phase_amplitude(rows, "x") == pytest.approx(0.03 * 0.976 * 5 / 6, abs=0.004)
    quiet = turned()
    # Frame axes are turned by 90 to 150 degrees: the wave of other exposures leaks into y with random phases only.
    assert phase_amplitude(rows, "y") < 0.004
    assert phase_amplitude(quiet, "x") < 0.001


def test_on_detector__noise_and_pulls_are_those_put_in():
    rows = turned()
    # 2400 residuals know a robust width to 2.5 %; each holds a sixth of its own noise.
    assert spread(rows["dx"]) == pytest.approx(NOISE * np.sqrt(5 / 6), rel=0.06)
    assert spread(rows["pull_x"]) == pytest.approx(1.0, rel=0.06)
    assert spread(rows["pull_y"]) == pytest.approx(1.0, rel=0.06)
    np.testing.assert_allclose(rows["error"], NOISE)


def test_on_detector__a_detection_that_is_its_mean_is_left_out():
    rows = framed.residuals(framed.detections(n_stars=20))
    rows.loc[3, "mean_x_error"] = 0.98 * rows.loc[3, "x_error"]
    assert on_detector(rows, BACK).index.tolist() == [k for k in range(120) if k != 3]


def test_bright__takes_the_best_tenth_where_nothing_is_bright():
    rows = pd.DataFrame({"error": np.linspace(0.03, 1.0, 101)})
    assert len(bright(rows)) == 11
    assert len(bright(rows.assign(error=rows["error"] / 2))) == 11
    assert len(bright(rows.assign(error=0.01))) == 101


def test_exposure_numbers__tell_reserved_stars_apart():
    rows = turned()
    rows.loc[rows["reserved"] & (rows["number"] == 2), ["dx", "dy"]] *= 5.0
    found = exposure_numbers(rows)
    assert found.index.tolist() == list(range(6))
    assert (found["bright"] == 400).all()
    ratio = found["rms_reserved"] / found["rms"]
    # 80 residuals of reserved stars know their width to 13 %.
    assert ratio[2] == pytest.approx(5.0, rel=0.4)
    assert ratio.drop(2).between(0.6, 1.5).all()


def test_precision__is_the_median_of_the_brightest_clean_stars():
    master = framed.masters(framed.detections(noise=NOISE), NOISE)
    stars = well_measured(master)
    assert len(stars) == 380
    assert (stars["flags"] == 0).all()
    assert len(well_measured(master.assign(n_used=2))) == 380
    assert len(well_measured(master.assign(n_used=np.where(master["star_id"] == 7, 3, 2)))) == 1
    assert len(well_measured(master.assign(n_used=1))) == 0
    found = precision(stars, framed.MAS)
    best = stars[stars["mag"].between(found.bright, found.faint)]
    assert (found.stars, found.faint - found.bright) == (len(best), pytest.approx(2.0))
    # The median of 190 sample deviations of six is 0.93 sigma, give or take 2 %.
    assert found.x == pytest.approx(0.933 * NOISE * framed.SCALE, rel=0.08)


def test_precision__without_stars_is_unknown():
    found = precision(well_measured(framed.masters(framed.detections()).iloc[:0]), framed.MAS)
    assert found.stars == 0
    assert np.isnan(found.x)


def test_ties__rotation_is_that_less_the_headers():
    rows = ties(framed.transforms(3), framed.exposures(3))
    assert rows["exposure"].tolist() == [framed.name_of(k) for k in range(3)]
    np.testing.assert_allclose(rows["turn"], 3.6, atol=1e-6)
    wrapped = framed.transforms(3).assign(rotation=0.5)
    assert ties(wrapped, framed.exposures(3).assign(position_angle=359.5))["turn"].tolist() == [3600.0] * 3


def test_ties__meridians_that_converge_are_no_error_of_headers():
    """North at 0.01 deg farther east, and 30 deg north of the equator, is turned by half of that to the west."""
    names = [framed.name_of(k) for k in range(3)]
    exposures, turned = framed.exposures(3).set_index("exposure"), framed.transforms(3).set_index("exposure")
    exposures["dec"] = 30.0
    exposures.loc[names, "ra"] = [359.99, 0.0, 0.01]
    turned.loc[names, "rotation"] = 94.001 - 0.005 * np.array([-1.0, 0.0, 1.0])
    turned, exposures = turned.reset_index(), exposures.reset_index()
    np.testing.assert_allclose(ties(turned, exposures)["turn"], 3.6, atol=1e-6)


def test_reference_numbers__are_in_mas():
    found = reference_numbers(matched(), 50.0)
    # 400 sources with 2 mas scatter know their median to 0.125 mas.
    assert found["median_x"] == pytest.approx(1.0, abs=0.5)
    assert found["sigma_y"] == pytest.approx(2.0, rel=0.15)


# Figures


def of_detector(rows):
    return detector_figure(rows, EXTENT, "NIRISS")


def of_vectors(rows):
    return vectors_figure([Single(f"exposure {k}", part, EXTENT) for k, part in rows.groupby("number")], "NIRISS")


def of_phases(rows):
    return phases_figure([Single(f"exposure {k}", part, EXTENT) for k, part in rows.groupby("number")], "NIRISS")


def of_precision(rows):
    stars = well_measured(framed.masters(framed.detections()))
    stars = stars.iloc[: len(rows)]
    return precision_figure(stars, np.full((2, len(stars)), 0.005), rows, (50.0, 65.0), "NIRISS")


@pytest.mark.parametrize(
    ("draw", "few"), [(of_detector, 2400), (of_detector, 3), (of_vectors, 2400), (of_phases, 2400), (of_precision, 30)]
)
def test_figure__is_drawn_whatever_there_is(draw, few, tmp_path):
    image = shown(png(draw(turned().iloc[:few])), tmp_path)
    assert image.shape[1] > 1000
    assert image[..., :3].min() < 0.5


@pytest.mark.parametrize("few", [400, 0])
def test_reference_figure__is_drawn_whatever_there_is(few, tmp_path):
    image = shown(png(reference_figure(matched().iloc[:few], 50.0, "NIRISS and gaia")), tmp_path)
    assert image.shape[1] > 1000
    assert image[..., :3].min() < 0.5


def test_detector_figure__medians_are_those_of_the_rows():
    rows = turned(wave=0.03)
    axis = detector_figure(rows, EXTENT, "NIRISS").axes[1]
    drawn = axis.containers[0].lines[0].get_xydata()
    phase = rows["x"] - np.round(rows["x"])
    np.testing.assert_allclose(drawn[:, 1], 1e3 * curve(phase, rows["dx"], PHASES).median)


def test_time_figure__long_gaps_are_cut_out():
    rows = ties(framed.transforms(4), framed.exposures(4))
    assert len(time_figure(rows, TIES, "NIRISS").axes) == 3
    rows.loc[2:, "mjd_mid"] += 1000.0
    assert len(time_figure(rows, TIES, "NIRISS").axes) == 6
    assert len(time_figure(rows.assign(mjd_mid=59700.0 + 1e3 * np.arange(4)), TIES, "NIRISS").axes) == 12


def test_time_figure__leaves_out_what_no_row_has():
    figure = time_figure(framed.exposures(4).iloc[:4].assign(qfit_median=0.1, core_fraction=np.nan), QUALITY, "NIRISS")
    assert [axis.get_ylabel() for axis in figure.axes] == ["stars", "median QFIT"]


def test_figure__is_the_same_from_any_thread():
    rows = ties(framed.transforms(4), framed.exposures(4))
    with ThreadPoolExecutor(3) as pool:
        drawn = list(pool.map(lambda _: png(time_figure(rows, TIES, "NIRISS")), range(3)))
    assert len(set(drawn)) == 1


# Pages


def test_row_table__numbers_stand_right_and_text_is_escaped():
    table = row_table([{"name": "<b>", "n": 1234, "rms": "-0.5", "none": None}], {"<b>": "a.html"})
    assert "<td class=text><a href='a.html'>&lt;b&gt;</a></td><td>1,234</td><td>-0.5</td><td></td>" in table
    assert row_table([]) == ""


def test_index_page__tells_holdings_and_reasons():
    rows = framed.exposures(3).assign(n_saturated=0, qfit_median=0.1, core_fraction=0.4)
    html = index_page(rows, {}, "x", {"ties": [], "quality": [], "cameras": []})
    assert "3 exposures, 1,200 measured stars" in html
    assert "SCI: found &lt;all NaN&gt;, expected stars" in html
    assert "Master frames" not in html
