"""Figures: that they are drawn whole, and that what they show is what there is."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.image import imread

from catalogs.cubes import EpsfCube
from compute.kernels.simulate.distortion import Distortion
from compute.stages.report.compared import truth_figure
from compute.stages.report.measured import frame_figure, quality_figure, stretch
from compute.stages.report.optics import distortion_figure, epsf_figure, true_epsf
from compute.stages.report.page import Section, number_table, page
from compute.stages.report.sky import field_figure, population_figure
from compute.stages.report.style import png
from tests.stages.synthetic import exposure

RNG = np.random.default_rng(1)
N = 500
STARS = pd.DataFrame(
    {
        "x": RNG.uniform(0, 100, N), "y": RNG.uniform(0, 100, N), "x_error": 0.01, "flux": 10 ** RNG.uniform(1, 4, N),
        "flux_error": 1.0, "qfit": 0.05, "radxs": 0.0, "chi2": 1.0, "flags": np.where(RNG.random(N) < 0.2, 4, 0),
        "exposure": "a", "detector": "NIS", "kind": "star",
    }
).assign(mag=lambda f: -2.5 * np.log10(f["flux"]), flags=lambda f: f["flags"].astype("uint32"))  # fmt: skip
TRUE_SKY = pd.DataFrame(
    {
        "population": np.repeat(["old", "young"], [400, 100]), "mag_ref": RNG.uniform(16, 25, N),
        "teff": RNG.uniform(4000, 9000, N), "pmra": RNG.normal(2, 0.1, N), "pmdec": RNG.normal(0, 0.1, N),
    }
)  # fmt: skip
FRAME = exposure(RNG.normal(100, 5, (100, 90)) + 500 * (RNG.random((100, 90)) > 0.99))


def matched() -> pd.DataFrame:
    shift = RNG.normal(0, 0.01, (2, N))
    return STARS.assign(true_x=STARS["x"] + shift[0], true_y=STARS["y"] + shift[1], true_flux=STARS["flux"] * 1.01)


def distortion(fine: float) -> Distortion:
    polynomial = np.zeros((1, 2, 3, 3))
    polynomial[0, 0, 2, 0] = 2.0
    shifts = fine * RNG.normal(size=(2, 64, 64)).astype(np.float32)
    return Distortion(polynomial, shifts, np.array([[0, 64]]), (31.5, 31.5), 32.0)


def bump(oversampling: int, x: float = 0.0) -> np.ndarray:
    offsets = np.arange(-5 * oversampling, 5 * oversampling + 1) / oversampling
    return 0.3 * np.exp(-0.5 * ((offsets - x) ** 2 + offsets[:, None] ** 2))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: quality_figure(STARS, "NIRISS"),
        lambda: frame_figure(FRAME, STARS),
        lambda: field_figure([FRAME]),
        lambda: field_figure([FRAME, FRAME]),
        lambda: population_figure(TRUE_SKY),
        lambda: population_figure(TRUE_SKY[:1]),
        lambda: epsf_figure(bump(4), bump(4, 0.01), 4),
        lambda: distortion_figure(distortion(0.01)),
        lambda: distortion_figure(distortion(0.0)),
        lambda: truth_figure(matched()),
        lambda: truth_figure(matched().assign(flux_error=1e9)),
    ],
    ids=["quality", "frame", "one", "two", "stars", "star", "epsf", "distortion", "smooth", "truth", "faint"],
)
def test_figure__every_panel_is_drawn_and_nothing_is_cut_off(draw, tmp_path):
    figure = draw()
    (tmp_path / "figure.png").write_bytes(png(figure))
    pixels = imread(tmp_path / "figure.png")[..., :3]
    # Wide enough for a page, and white at its rim: whatever was cut off would have left ink there.
    assert pixels.shape[1] > 1200
    rim = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((edge == 1).all() for edge in rim)
    for axis in figure.axes:
        box = axis.get_window_extent()
        assert min(box.width, box.height) > 10
    assert (pixels < 0.9).any(axis=-1).mean() > 0.01


def test_png__same_bytes_twice():
    assert png(population_figure(TRUE_SKY)) == png(population_figure(TRUE_SKY))


def test_stretch__sky_is_dark_and_saturated_pixels_are_brightest():
    image = np.full((50, 50), 100.0) + RNG.normal(0, 5, (50, 50))
    image[10, 10], image[20, 18:21], image[20, 21], image[30, 30] = 300.0, 5000.0, np.nan, np.nan
    saturated = np.zeros(image.shape, bool)
    saturated[20, 21] = True
    shades = stretch(exposure(image, saturated=saturated))
    assert 0 < np.median(shades) < shades[10, 10] < shades[20, 20] == shades[20, 21] == 1
    assert shades[30, 30] == pytest.approx(np.median(shades), abs=0.02)


@pytest.mark.parametrize("focus", [0.0, 0.05])
def test_true_epsf__falls_on_the_samples_and_the_fiducial_of_the_measured_one(focus):
    corners = np.array([0.0, 2047.0])
    scale = np.array([[1.0, 2.0], [3.0, 4.0]])[..., None, None]
    axes = ("fy", "fx", "v", "u")
    truth = xr.Dataset(
        {"epsf": (axes, scale * bump(12)), "focus": (axes[2:], bump(12))},
        {"fy": corners, "fx": corners},
        {"oversampling": 12},
    )
    cube = EpsfCube(
        (scale * bump(4))[:, :1, 4:-4, 4:-4], [1900.0], [300.0, 1100.0], 4, 5.0, np.ones((2, 1), int)
    )  # fmt: skip
    # The fiducial nearest the middle is (1900, 1100), nearest to the true one at both far ends.
    true, mine = true_epsf(truth, focus, cube)
    np.testing.assert_allclose(true, (4.0 + focus) * bump(4)[4:-4, 4:-4])
    np.testing.assert_allclose(mine, 3.0 * bump(4)[4:-4, 4:-4])


def test_true_epsf__samples_that_do_not_meet_are_refused():
    truth = xr.Dataset(
        {"epsf": (("fy", "fx", "v", "u"), bump(12)[None, None]), "focus": (("v", "u"), bump(12))},
        {"fy": [0.0], "fx": [0.0]},
        {"oversampling": 12},
    )
    cube = EpsfCube(bump(5)[None, None], [0.0], [0.0], 5, 5.0, np.ones((1, 1), int))
    with pytest.raises(ValueError, match="oversampling is 5, expected a divisor of 12"):
        true_epsf(truth, 0.0, cube)


def test_number_table__tells_what_is_met():
    table = number_table({"stars": 12_345, "scatter": 7.51, "ratio": 1.0}, {"scatter": (0, 5), "ratio": (0.9, 1.1)})
    rows = [row for row in table.split("<tr>") if "<td>" in row]
    assert "12,345" in rows[0]
    assert "expected" not in rows[0]
    assert "expected 0 to 5: not met" in rows[1]
    assert rows[2].count("expected 0.9 to 1.1: met") == 1


def test_page__escapes_its_text():
    html = page("a < b", [Section("One & two", "x > y", "one.png"), Section("Numbers", "", body="<table></table>")])
    assert "<h1>a &lt; b</h1>" in html
    assert "<h2>One &amp; two</h2><p>x &gt; y</p>" in html
    assert html.count("<img src='one.png'") == 1
    assert "<table></table>" in html
