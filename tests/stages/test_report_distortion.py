"""Reports of distortion corrections: figures drawn whole, and what they show is what is there."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from catalogs.distortion import DistortionCube, LookUpTable, PixelMap, Polynomial
from compute.stages.report.distortion import (
    camera_figures,
    distortion_figures,
    distortion_numbers,
    distortion_page,
    distortion_sections,
)
from compute.stages.report.distortion_maps import shifts, vectors_figure
from compute.stages.report.distortion_rows import (
    brightest,
    cell_medians,
    chosen,
    extent_of,
    kind_of,
    star_scatter,
    without_map,
)
from compute.stages.report.distortion_scales import scale_figure, scale_sections
from compute.stages.report.distortion_tests import features, trends
from compute.stages.report.distortion_trends import gaussian
from compute.stages.report.numbers import plain
from compute.stages.report.style import png
from compute.stages.scale_means import summary
from tests.stages.test_scales_stage import table

SIZE, MAS = 512, 65.56
CHIPS = np.array([[0, SIZE]])


def cube(tilt: float = 1.0, layers: int = 3) -> DistortionCube:
    """A quadratic, a table that waves along y, and a map that waves along x."""
    terms = np.zeros((1, 2, 3, 3))
    terms[0, 0, 2, 0], terms[0, 1, 1, 1] = 3.0 * tilt, -2.0
    nodes, pixels = np.linspace(0, SIZE - 1, 9), np.arange(SIZE)
    steps = np.broadcast_to(0.05 * np.sin(nodes / 50)[:, None], (2, 9, 9))
    fine = np.zeros((2, SIZE, SIZE), np.float32)
    fine[0] = 0.03 * np.sin(pixels / 15)
    found = (
        Polynomial(terms, (255.5, 255.5), 256.0),
        LookUpTable(np.array(steps), nodes, nodes),
        PixelMap(fine, CHIPS),
    )
    return DistortionCube(found[:layers], CHIPS, SIZE, "NIRISS", "NIS", "F090W")


def residuals(n=600, exposures=6, noise=0.005, wave=0.0, reference=0.02, seed=0) -> pd.DataFrame:
    """RESIDUALS about averages and, unless `reference` [pix] is zero, about a catalog with such errors."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, SIZE - 1, (2, exposures, n))
    star, mag = np.broadcast_to(np.arange(n), x.shape), -10 + 4 * np.arange(n) / n
    error = noise * 10 ** (0.2 * (np.broadcast_to(mag, x.shape) + 8))
    dx, dy = error * rng.normal(0, 1, (2, *x.shape))
    dx = dx + wave * np.sin(x / 40)
    kinds = [(False, dx - dx.mean(0), dy - dy.mean(0))]
    if reference:
        far = reference * rng.normal(0, 1, (2, n))
        kinds.append((True, dx + far[0], dy + far[1]))
    rows = [{
        "exposure": np.repeat([f"e{k}" for k in range(exposures)], n), "filter": "F090W", "star_id": star.ravel(),
        "x": x.ravel(), "y": y.ravel(), "dx": a.ravel(), "dy": b.ravel(), "dx_before": a.ravel() + x.ravel() / 200,
        "dy_before": b.ravel(), "x_error": error.ravel(), "y_error": error.ravel(),
        "mag": np.broadcast_to(mag, x.shape).ravel(), "reserved": star.ravel() % 10 == 0, "reference": kind,
    } for kind, a, b in kinds]  # fmt: skip
    return pd.concat([pd.DataFrame(one) for one in rows], ignore_index=True)


ROWS = residuals()
NONE = ROWS[:0]
FLAT = np.ones((SIZE, SIZE)) + np.arange(SIZE) / 1e4


def of_one(kind: str, rows: pd.DataFrame):
    return distortion_figures(rows, cube(), MAS, "NIRISS NIS F090W")[kind]


def of_all(kind: str, rows: pd.DataFrame, flat=None):
    names = ("F090W", "F150W")
    cubes = {name: cube(1.0 + k) for k, name in enumerate(names)}
    return camera_figures(dict.fromkeys(names, rows), cubes, dict.fromkeys(names, MAS), flat, "NIRISS NIS")[kind]


@pytest.mark.parametrize(
    "draw",
    [
        *(of_one(kind, ROWS) for kind in ("vectors", "bands", "scatter", "correction")),
        *(of_one(kind, NONE) for kind in ("vectors", "scatter")),
        *(of_all(kind, ROWS) for kind in ("precision", "filters")),
        of_all("maps", ROWS, FLAT),
        of_all("maps", NONE),
        of_all("precision", NONE),
        lambda: distortion_figures(ROWS, cube(layers=1), MAS, "smooth")["correction"](),
        lambda: scale_figure([table(MAS + 1e-4 * np.arange(5)), table([MAS] * 4)], "NIRISS NIS"),
    ],
    ids=[
        "vectors", "bands", "scatter", "correction", "no-vectors", "no-scatter", "precision",
        "filters", "flat", "no-maps", "no-precision", "one-layer", "scales",
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_figure__is_drawn_whole_whatever_there_is(draw, tmp_path):
    (tmp_path / "figure.png").write_bytes(png(draw()))
    pixels = imread(tmp_path / "figure.png")[..., :3]
    # Wide enough for a page, and white at its rim: whatever was cut off would have left ink there.
    assert pixels.shape[1] > 1200
    assert all((edge == 1).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


def test_vectors_figure__arrows_are_as_long_as_the_magnification_told_makes_them():
    rows = residuals(noise=1e-4, reference=0.0).assign(dx_before=lambda f: f["x"] / 100 - 2.55)
    axis = vectors_figure(rows, (SIZE, SIZE), "").axes[0]
    (arrows,) = (one for one in axis.collections if hasattr(one, "U"))
    times = float(axis.get_title(loc="left").split("magnified ")[1].split("×")[0].replace(",", ""))
    assert arrows.scale == pytest.approx(1 / times)
    assert np.abs(arrows.U).max() == pytest.approx(2.4, abs=0.2)  # at the middles of the outermost cells
    assert 1 / 3 < times * np.abs(arrows.U).max() / (SIZE / np.sqrt(len(arrows.U))) <= 1.3


def test_chosen__takes_the_kind_asked_for_or_what_there_is():
    assert kind_of(chosen(ROWS, True)) == "the reference catalog"
    assert kind_of(chosen(ROWS, False)) == "averages of the exposures"
    assert kind_of(chosen(residuals(reference=0.0), True)) == "averages of the exposures"
    far = ROWS.assign(dx=ROWS["dx"].where(ROWS["star_id"] != 7, 3.0))
    assert 7 in set(chosen(ROWS, True)["star_id"])
    assert 7 not in set(chosen(far, True)["star_id"])
    assert (chosen(ROWS, True)["error"] <= 0.02).all()


def test_brightest__reaches_two_magnitudes_below_the_fifth():
    mags = brightest(chosen(ROWS, False))["mag"]
    assert (mags.min(), mags.max()) == pytest.approx((-10.0, -8.0), abs=0.01)


def test_cell_medians__lie_where_the_residuals_do():
    rows = pd.DataFrame({"x": np.repeat([10.0, 500.0], 4), "y": np.repeat([300.0, 10.0], 4), "dx": 1.0, "dy": -2.0})
    rows.loc[3, "dx"] = 100.0
    found = cell_medians(rows, extent_of((SIZE, SIZE)), 4)
    assert found[:, 2, 0].tolist() == [1.0, -2.0]
    assert found[:, 0, 3].tolist() == [1.0, -2.0]
    assert np.isfinite(found).sum() == 4


def test_without_map__adds_what_the_map_corrects():
    rows = ROWS.assign(dx=0.0, dy=0.0)
    found = without_map(rows, cube())
    # The map is bilinear between pixels: a sine of 15 pix is off by 1e-3 of its size at most.
    assert found["dx"].to_numpy() == pytest.approx(0.03 * np.sin(rows["x"] / 15), abs=3e-5)
    assert without_map(rows, cube(layers=2)) is rows


def test_shifts__of_all_layers_are_the_correction():
    whole = shifts(cube(), n=8)
    middle = (np.arange(8) + 0.5) * SIZE / 8 - 0.5
    x, y = np.meshgrid(middle, middle)
    assert whole == pytest.approx(cube().forward(x, y) - (x, y), abs=1e-12)
    parts = [shifts(cube(), [kind], 8) for kind in (Polynomial, LookUpTable, PixelMap)]
    assert sum(parts) == pytest.approx(whole, abs=1e-12)


def test_gaussian__is_that_of_the_values_whatever_the_outliers():
    values = np.random.default_rng(1).normal(0.3, 2.0, 40_000)
    _, mean, sigma = gaussian(np.concatenate([values, np.full(400, 9.9)]))
    assert mean == pytest.approx(0.3, abs=0.06)  # five times 2 / sqrt(40000), and a little for the outliers
    assert sigma == pytest.approx(2.0, rel=0.02)  # five times 1 / sqrt(80000)
    assert np.isnan(gaussian(np.zeros(100))).all()


def test_star_scatter__is_the_noise_with_the_average_made_good():
    found = star_scatter(residuals(n=2000, exposures=4))
    ratio = np.sqrt((found["rms_x"] ** 2 / found["x_error"] ** 2).mean())
    assert ratio == pytest.approx(1.0, abs=0.04)  # four times 1 / sqrt(2 * 3 * 2000)
    assert (found["n_used"] == 4).all()
    assert star_scatter(residuals(n=50, exposures=2)).empty


def test_trends__noise_alone_passes_and_a_wave_does_not():
    quiet = pd.DataFrame(trends(residuals(n=3000), (SIZE, SIZE)))
    assert set(quiet["against"]) == {"the reference catalog", "averages of the exposures"}
    assert quiet["p"].min() > 1e-3 / len(quiet)
    loud = pd.DataFrame(trends(residuals(n=3000, wave=0.003), (SIZE, SIZE))).set_index(
        ["against", "residual", "coordinate"]
    )
    wave = loud.loc["averages of the exposures", "dx", "x"]
    assert wave["p"] < 1e-6
    assert wave["largest"] == pytest.approx(3.0, abs=1.0)  # mpix; a bin averages over 32 of 251 pix
    assert loud.loc["averages of the exposures", "dy", "x"]["p"] > 1e-5


def test_features__a_spot_is_found_where_it_is():
    rows = residuals(n=4000, reference=0.0)
    spot = (np.abs(rows["x"] - 300) < 30) & (np.abs(rows["y"] - 205) < 10)
    found = features(rows.assign(dy=rows["dy"] + np.where(spot, 0.02, 0.0)))
    assert not features(rows)
    best = found[0]
    assert best["axis"] == "y"
    place = {best["along"]: best["extent"], {"x": "y", "y": "x"}[best["along"]]: best["band"]}
    assert place["x"][0] < 300 < place["x"][1]
    assert place["y"][0] < 215
    assert place["y"][1] > 195


def test_numbers__tell_spreads_layers_and_what_was_kept_out():
    record = plain(distortion_numbers(ROWS, cube(), MAS))
    assert json.loads(json.dumps(record)) == record
    assert record["camera"] == ["NIRISS", "NIS", "F090W"]
    assert record["pairs"] == {"reference": 3600, "averages": 3600}
    assert record["after"]["x"] == pytest.approx(0.0206, rel=0.15)  # of 540 stars of a catalog, 20 mpix each
    assert record["before"]["x"] > 0.5
    assert list(record["layers"]) == ["polynomial", "table", "map"]
    assert record["layers"]["map"]["rms_x"] == pytest.approx(0.03 / np.sqrt(2), rel=0.05)
    assert record["best"] == pytest.approx(record["noise"], rel=0.1)


def test_sections__show_every_picture_and_every_table():
    record = plain(distortion_numbers(residuals(wave=0.01), cube(), MAS)) | {"pictures": ["a-vectors", "a-scatter"]}
    sections = distortion_sections(record)
    assert [one.picture for one in sections if one.picture] == ["a-vectors.png", "a-scatter.png"]
    text = distortion_page("Distortion", record)
    assert "pixel phase in x" in text
    assert "nan" not in text
    whole = distortion_sections({"pictures": ["all-maps", "all-filters", "all-precision"]})
    assert len(whole) == 3


def test_scale_sections__put_the_most_significant_difference_first():
    cameras = {"F090W": 0.0, "F150W": 1e-4, "F480M": 1e-3}
    rows = pd.concat([table(MAS + step + 1e-5 * np.cos(range(5)), camera=name) for name, step in cameras.items()],
                     ignore_index=True)  # fmt: skip
    sections = scale_sections("scales.png", *summary(rows, np.zeros((15, 15))))
    assert [bool(one.picture) for one in sections] == [True, False, False]
    first = sections[2].body.split("<tr>")[2]
    assert "F090W" in first
    assert "F480M" in first
