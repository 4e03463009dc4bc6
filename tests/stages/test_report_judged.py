"""Figures of the stars that judge an ePSF: what was put in is what is drawn, with many stars or few."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from compute.stages.report.judged import density_figure, phase_figure, region_figure, samplings_figure, shown_passes
from compute.stages.report.style import png
from tests.stages.judging import judged, samplings
from tests.stages.test_report_calibration import cube

WAVES = {0: 0.1, 1: 0.03, 2: 0.0}


def amplitudes(figure) -> list[float]:
    """What titles tell [mpix], panel by panel."""
    return [float(axis.get_title("left").split()[-2]) for axis in figure.axes]


@pytest.mark.parametrize("n", [3000, 1])
@pytest.mark.parametrize(
    "draw",
    [
        lambda n: density_figure(shown_passes(judged(n, WAVES)), "NIRISS"),
        lambda n: phase_figure(shown_passes(judged(n, WAVES), judged(n, {0: 0.1, 2: 0.09})), "NIRISS"),
        lambda n: region_figure(judged(n, {2: 0.0}), "NIRISS"),
        lambda n: samplings_figure(samplings(n, cube(3, 3)), cube(3, 3), "NIRISS"),
    ],
    ids=["density", "phase", "regions", "samplings"],
)
def test_figure__is_drawn_whole_however_few_stars_there_are(draw, n, tmp_path):
    figure = draw(n)
    (tmp_path / "figure.png").write_bytes(png(figure))
    pixels = imread(tmp_path / "figure.png")[..., :3]
    assert pixels.shape[1] > 1200
    rim = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]  # white, or something was cut off
    assert all((edge == 1).all() for edge in rim)


def test_figures__fits_that_failed_are_left_out():
    stars = judged(2000, WAVES)
    lost = stars.index[::7]
    holed = stars.assign(**{name: stars[name].mask(stars.index.isin(lost)) for name in ("x", "y", "dx", "dy", "qfit")})
    whole, left = shown_passes(stars.drop(lost)), shown_passes(holed)
    assert amplitudes(phase_figure(left, "")) == amplitudes(phase_figure(whole, ""))
    maps = [density_figure(parts, "").axes[0].images[0].get_array() for parts in (left, whole)]
    np.testing.assert_allclose(maps[0], maps[1])


def test_shown_passes__are_the_first_the_control_and_the_last():
    found = shown_passes(judged(10, WAVES), judged(10, {0: 0.1, 2: 0.09}, seed=1))
    assert list(found) == ["light centres", "never averaged", "pass 2"]
    assert [part["pass"].unique().tolist() for part in found.values()] == [[0], [2], [2]]
    assert not found["never averaged"]["x"].isin(found["pass 2"]["x"]).any()
    assert list(shown_passes(judged(10, {1: 0.0}))) == ["pass 1"]


def test_phase_figure__amplitudes_are_those_put_in():
    found = amplitudes(phase_figure(shown_passes(judged(20_000, WAVES)), "NIRISS"))
    # Averaged over a tenth of its period, a sine of 100 mpix is 98.4 high; medians of 2000 are good to 0.1 mpix.
    tall = [found[0], found[2]]
    assert tall == pytest.approx([98.4, 98.4], abs=1.0)
    assert max(found[1], found[3]) < 0.4


def test_phase_figure__a_control_that_fails_stands_beside_the_last_pass():
    found = amplitudes(phase_figure(shown_passes(judged(5000, WAVES), judged(5000, {2: 0.09})), "NIRISS"))
    before, control, after = found[:3]
    assert before > control > 80 > 1.0 > after


def test_region_figure__an_error_of_one_corner_is_in_its_panel_and_of_bright_stars_in_theirs():
    stars = judged(60_000, {2: 0.0})
    corner = (stars["x"] > 1400) & (stars["y"] > 1400) & (stars["flux"] > stars["flux"].median())
    stars.loc[corner, "dx"] += 0.05 * np.sin(2 * np.pi * (stars["x"] - stars["dx"]))
    found = [axis.get_title("left").split(": ")[1].removesuffix(" mpix").split(", ") for axis in
             region_figure(stars, "NIRISS").axes]  # fmt: skip
    told = np.array(found, float)  # panel by panel from the upper left: bright x, faint x, bright y, faint y
    assert told[2, 0] == pytest.approx(49, abs=5)
    told[2, 0] = 0.0
    assert told.max() < 2.0  # medians of 300 stars are good to 0.3 mpix


def test_samplings_figure__medians_are_what_pixels_are_off_by():
    known = cube(3, 3)
    rows = samplings(4000, known)
    rows.loc[rows["axis"] == "x", "value"] += 0.02 * known.values[1, 1].max()
    figure = samplings_figure(rows, known, "NIRISS")
    for axis, wanted in zip(figure.axes[2:], (2.0, 0.0), strict=True):
        medians = axis.containers[0].lines[0].get_ydata()
        # 160 pixels, each good to 1 %, in a bin.
        np.testing.assert_allclose(medians[np.isfinite(medians)], wanted, atol=0.45)
        assert float(axis.get_title("left").split()[1]) == pytest.approx(1.0, abs=0.05)


def test_density_figure__stars_that_gather_in_x_do_so_on_the_map():
    stars = pd.DataFrame(np.random.default_rng(3).uniform(0, 500, (30_000, 2)), columns=["x", "y"])
    stars.loc[:14_999, "x"] = np.round(stars["x"][:15_000]) + 0.32
    figure = density_figure({"measured": stars}, "NIRISS")
    counts = figure.axes[0].images[0].get_array()  # rows are y
    assert counts[:, 20].mean() == pytest.approx(13.0, rel=0.02)  # half of all in one of 25, and its share of the rest
    assert counts[:, 5].mean() == pytest.approx(0.5, rel=0.15)
