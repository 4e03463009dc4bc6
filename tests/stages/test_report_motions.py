"""Figures and pages of motions: known populations in, what the figures tell of them out."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from compute.stages.report.finding import drawn_view, finding_figure
from compute.stages.report.members import member_figure
from compute.stages.report.motion_errors import error_figure, gaia_figure
from compute.stages.report.motion_page import motion_numbers, motion_page, motions_section
from compute.stages.report.motion_rows import Filters, best_range, choose_filters, clean, moving_rows, wavelength
from compute.stages.report.motion_trends import motion_trends, trend_figure
from compute.stages.report.populations import population_figure
from compute.stages.report.projected import direction, projection_figure
from compute.stages.report.style import png
from compute.stages.report.vpd import Component
from tests.stages import moving

EXTENT = (-0.5, 2047.5, -0.5, 2047.5)
YOUNG = [Component(share / 0.4, np.array(mean), sigma**2 * np.eye(2))
         for share, mean, sigma, *_ in list(moving.GROUPS.values())[1:]]  # fmt: skip


def rows_of(motions: pd.DataFrame) -> tuple[pd.DataFrame, Filters]:
    filters = choose_filters(motions, moving.WAVES)
    return moving_rows(motions, filters, moving.CENTRE), filters


@pytest.fixture(scope="module")
def motions():
    return moving.motions()


@pytest.fixture(scope="module")
def rows(motions):
    return rows_of(motions)[0]


def on_detector(n=4000, slope=0.0, seed=3) -> pd.DataFrame:
    """Stars with motions that grow along y by `slope` [mas/yr from edge to edge]."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, 2047, (2, n))
    moved = 0.1 * rng.normal(size=(2, n))
    known = {"x": x, "y": y, "mag": rng.uniform(-8, -3, n), "pmra": moved[0], "pmdec": moved[1] + slope * y / 2047}
    return pd.DataFrame(known | {"pmra_error": 0.01, "pmdec_error": 0.01})


# Stars


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        (("NIRISS", "NIS", "F090W"), 0.90), (("NIRCAM", "NRCA1", "F480M"), 4.80), (("ACS", "WFC", "F606W"), 0.606),
        (("WFC3", "UVIS", "F275W"), 0.275), (("WFC3", "IR", "F160W"), 1.60),
    ],
)  # fmt: skip
def test_wavelength__is_what_the_name_of_a_filter_tells(camera, expected):
    assert wavelength(*camera) == pytest.approx(expected)


def test_wavelength__of_a_name_without_digits_is_unknown():
    assert np.isnan(wavelength("WFC3", "UVIS", "CLEAR"))


def test_filters__are_the_deepest_and_the_one_farthest_in_wavelength(motions):
    assert choose_filters(motions, moving.WAVES) == Filters("F090W", "F090W", "F150W")
    few = motions.assign(mag_F150W=motions["mag_F150W"].where(motions.index < 40))
    assert choose_filters(few, moving.WAVES) == Filters("F090W", "F090W", "F115W")
    deep = motions.assign(mag_F090W=motions["mag_F090W"].where(motions.index < 3000))
    assert choose_filters(deep, moving.WAVES).mag == "F115W"


def test_filters__of_a_reference_catalog_give_colours_and_no_magnitudes(motions):
    one = motions.drop(columns=["mag_F115W", "mag_F150W"]).assign(mag_reference=motions["mag_F090W"] + 26)
    found = choose_filters(one, moving.WAVES)
    assert found == Filters("F090W", "reference", "F090W")
    assert found.colour == "reference − F090W"


def test_filters__of_stars_without_magnitudes_are_refused(motions):
    with pytest.raises(ValueError, match="found no magnitudes"):
        choose_filters(motions.drop(columns=[f"mag_{name}" for name in moving.FILTERS]), moving.WAVES)


def test_rows__have_places_colours_and_errors(motions):
    shuffled = motions.sample(frac=1.0, random_state=1)
    shuffled["pmra"] = shuffled["pmra"].where(shuffled["star_id"] != 2**53 + 3)
    rows, _ = rows_of(shuffled)
    assert len(rows) == len(motions) - 1
    assert rows["star_id"].is_monotonic_increasing
    same = motions.set_index("star_id").loc[rows["star_id"]]
    np.testing.assert_allclose(rows["colour"], same["mag_F090W"] - same["mag_F150W"])
    np.testing.assert_allclose(rows["error"], same["pmra_error"])
    # An arcminute from the middle the plane leaves the sphere by 1e-8 of that, but meridians converge: 0.05 arcsec.
    np.testing.assert_allclose(rows["north"], 3600 * (same["dec"] - moving.CENTRE[1]), atol=0.06)
    assert np.corrcoef(rows["east"], same["ra"])[0, 1] > 0.9999


def test_rows__that_are_clean_carry_no_flag_that_tells_of_trouble(rows):
    assert (clean(rows)["flags"] == 0).all()
    assert len(clean(rows)) == (rows["flags"] == 0).sum()
    assert len(clean(rows.assign(flags=1))) == len(rows)  # better all than none


def test_best_range__has_the_least_median_error():
    rng = np.random.default_rng(0)
    mag = rng.uniform(-10, 0, 5000)
    error = 0.01 * np.exp(0.3 * np.abs(mag + 6.3) + 0.2 * rng.normal(size=mag.size))
    first, last, median = best_range(mag, error)
    assert last - first == 1.5
    assert first < -6.3 < last
    every = [np.median(error[(mag >= start) & (mag < start + 1.5)]) for start in np.arange(-10, -1.5, 0.25)]
    assert median == min(every)
    assert np.isnan(best_range(mag[:20], error[:20])).all()


# Trends


def test_trends__of_motions_without_any_are_by_chance():
    p = [one["p"] for seed in range(4) for one in motion_trends(on_detector(seed=seed), EXTENT)]
    assert min(p) > 1e-3  # of 24
    assert 0.2 < np.mean(p) < 0.8


def test_trends__along_y_are_found_there_alone():
    found = {(one["motion"], one["against"]): one for one in motion_trends(on_detector(slope=0.1), EXTENT)}
    assert found["pmdec", "y"]["p"] < 1e-20
    assert found["pmdec", "y"]["largest"] == pytest.approx(0.047, abs=0.02)  # at the ends; the mean of 250 stars: 0.006
    assert min(one["p"] for key, one in found.items() if key != ("pmdec", "y")) > 1e-3


# Populations


def test_direction__is_that_of_the_longest_axis_of_a_mixture(rows):
    pair = [Component(0.5, np.array([sign * 0.3, -sign * 0.4]), 0.01 * np.eye(2)) for sign in (1, -1)]
    np.testing.assert_allclose(direction(pair, rows), [0.6, -0.8], atol=1e-12)
    rng = np.random.default_rng(1)
    line = rng.normal(size=2000)
    alone = pd.DataFrame({"pmra": 0.6 * line, "pmdec": 0.8 * line})
    np.testing.assert_allclose(direction([], alone), [0.6, 0.8], atol=1e-9)


def test_projection__gaussians_hold_as_many_stars_as_their_shares(motions, rows):
    mine = rows[(motions["group"] != "old").to_numpy() & (rows["mag"] < -5).to_numpy()]
    axis = projection_figure(mine, YOUNG, None, "young").axes[1]
    bars = axis.patches[0].get_data()
    width = bars.edges[1] - bars.edges[0]
    *each, everything = [np.trapezoid(line.get_ydata(), line.get_xdata()) / width for line in axis.lines]
    np.testing.assert_allclose(each, [one.fraction * len(mine) for one in YOUNG], rtol=0.01)  # what the ends cut off
    assert everything == pytest.approx(sum(each))
    # The histogram is of the same stars: bins scatter about the sum by the square root of their counts.
    curve = np.interp((bars.edges[1:] + bars.edges[:-1]) / 2, *axis.lines[-1].get_data())
    deviation = (bars.values - curve) / np.sqrt(np.maximum(curve, 1.0))
    assert np.sqrt(np.mean(deviation[curve > 5] ** 2)) < 1.8


def test_projection__is_widened_by_the_errors_of_the_stars(rows):
    one = [Component(1.0, np.array([1.9, 0.4]), 1e-8 * np.eye(2))]
    spoilt = rows.assign(pmra_error=0.05, pmdec_error=0.05, pmra_pmdec_corr=0.5)
    line = projection_figure(spoilt, one, np.array([1.0, 1.0]), "one").axes[1].lines[0]
    x, y = line.get_data()
    middle = np.average(x, weights=y)
    assert np.sqrt(np.average((x - middle) ** 2, weights=y)) == pytest.approx(0.05 * np.sqrt(1.5), rel=0.01)


# Against another catalog


def test_gaia__dispersions_are_those_of_the_stars_of_a_bin():
    rng = np.random.default_rng(2)
    mag = rng.uniform(17, 20, 3000)
    noise = np.where(mag < 18, 0.1, 0.3)
    known = {f"{name}{suffix}": 2.0 + size * rng.normal(size=mag.size)
             for name in ("pmra", "pmdec") for suffix, size in (("", 0.05), ("_other", noise))}  # fmt: skip
    figure = gaia_figure(pd.DataFrame(known | {"mag_other": mag, "colour": 0.0}), (17.0, 18.0, 20.0), "lmc")
    told = [axis.texts[0].get_text() for axis in figure.axes[:-1]]
    sigmas = [[float(part) for part in text.removeprefix("σ = ").split(", ")] for text in told]
    np.testing.assert_allclose(sigmas, [[0.05] * 2, [0.1] * 2, [0.05] * 2, [0.3] * 2], rtol=0.12)  # 1000 stars: 4 %


# All of them drawn


def drawn(motions: pd.DataFrame) -> dict:
    rows, filters = rows_of(motions)
    young = (motions["group"] != "old").to_numpy() & (rows["mag"] < -5).to_numpy()
    near = np.hypot(rows["east"] - moving.CLUSTER[0], rows["north"] - moving.CLUSTER[1]).to_numpy() < 25
    motion, circles = YOUNG[1].mean, [(-7.0, -5.0, 0.05), (-5.0, -3.0, 0.07)]
    members = near & (np.hypot(rows["pmra"] - motion[0], rows["pmdec"] - motion[1]) < 0.05).to_numpy()
    pairs = rows.assign(pmra_other=rows["pmra"], pmdec_other=rows["pmdec"], mag_other=rows["mag"] + 25)
    view = drawn_view(rows, np.ones((len(rows), 3)), moving.CLUSTER, 6.0)
    placed = rows.assign(x=1024 + 15 * rows["east"], y=1024 + 15 * rows["north"])
    return {
        "errors": error_figure(rows, filters, "lmc"),
        "gaia": gaia_figure(pairs, (17.0, 18.0, 19.0, 20.0), "lmc"),
        "populations": population_figure(rows, {"old": ~young, "young": young}, {"young": YOUNG}, filters, "lmc"),
        "projection": projection_figure(rows[young], YOUNG, None, "young"),
        "members": member_figure(rows, near, members, motion, circles, filters, "cluster"),
        "finding": finding_figure(rows, view, 25.0, "lmc"),
        "trends": trend_figure(placed, EXTENT, "lmc NIS"),
    }


def test_figures__are_drawn_whole(motions, tmp_path):
    for name, figure in drawn(motions).items():
        data = png(figure)
        (tmp_path / f"{name}.png").write_bytes(data)
        picture = imread(tmp_path / f"{name}.png")
        assert picture.shape[1] > 1500, name
        assert picture[..., :3].std() > 0.05, name


@pytest.mark.parametrize("known", [{"n": 30}, {"n": 200, "filters": ("F090W",)}], ids=["few stars", "one filter"])
@pytest.mark.filterwarnings("error")
def test_figures__of_little_are_drawn(known):
    for figure in drawn(moving.motions(**known)).values():
        figure.draw_without_rendering()


def test_figure__of_the_same_stars_is_the_same_file(motions):
    one, other = (png(error_figure(*rows_of(motions), "lmc")) for _ in range(2))
    assert one == other


# Pages


def record(rows, motions, filters) -> dict:
    moved = {"population": "young", "method": "mixture", "component": 1, "n": 600, "fraction": 0.12,
             "fraction_error": 0.01, "pmra": 1.7, "pmra_error": 0.003, "pmdec": 0.05, "pmdec_error": 0.003,
             "sigma": 0.04, "sigma_error": 0.002, "sigma_v": None, "sigma_v_error": None}  # fmt: skip
    zero = {"against": "gaia", "how": "catalog", "n": 300, "pmra": 1.9, "pmra_error": 0.002, "pmdec": 0.4,
            "pmdec_error": None, "used": True}  # fmt: skip
    return motion_numbers(rows, motions, filters) | {
        "field": "lmc", "linked": "motions-lmc-linked.html", "trends": {"NIS": motion_trends(on_detector(), EXTENT)},
        "zero_points": [zero], "kinematics": [moved],
        "notes": {"motions-lmc-members-the-cluster": "A note."},
        "pictures": ["motions-lmc-errors", "motions-lmc-members-the-cluster", "motions-lmc-trends-NIS"],
    }  # fmt: skip


def test_page__tells_numbers_pictures_and_the_linked_view(rows, motions):
    text = motion_page("motions-lmc", record(rows, motions, Filters("F090W", "F090W", "F150W")))
    assert "<a href='motions-lmc-linked.html'>" in text
    assert "Members of the-cluster" in text
    assert "grows with magnitude. A note." in text
    assert "0.120 ± 0.010" in text
    assert "1.9000 ± 0.0020" in text
    assert "km/s" not in text  # a column of nothing
    assert text.count("<img") == 3
    assert "None" not in text
    assert f"{(rows['flags'] == 0).sum():,}" in text


def test_section__leads_to_every_page_and_is_empty_without_any(rows, motions):
    of = {"motions-lmc": record(rows, motions, Filters("F090W"))}
    first, errors = motions_section(of, "0123")
    assert "<a href='0123/motions-lmc.html'>lmc</a>" in first.body
    assert errors.picture == "0123/motions-lmc-errors.png"
    assert motions_section({}, "0123") == []
