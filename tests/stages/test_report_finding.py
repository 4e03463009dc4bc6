"""Closer views of finding charts: stars of known places and colours in, the same out."""

import numpy as np
import pandas as pd

from compute.stages.report.cutout import Sighting, seen_view
from compute.stages.report.finding import drawn_view, shades
from tests.stages import synthetic


def star_at(column, line, size=200, peak=4000.0) -> np.ndarray:
    y, x = np.indices((size, size))
    return peak * np.exp(-((x - column) ** 2 + (y - line) ** 2) / 4)


def sighting(filter, angle, stars, hit=None) -> Sighting:
    """A frame turned by `angle` [deg], 15 pixels to an arcsec, with the stars of its filter: (east, north)."""
    turn = np.radians(angle)
    to_pixel = 15.0 * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    rng = np.random.default_rng(4)
    sky = rng.uniform(-5, 5, (30, 2))
    places = sky @ to_pixel.T + 100.0
    image = 100.0 + sum(star_at(*(to_pixel @ star + 100.0)) for star in stars)
    if hit:
        image[hit[1] - 2 : hit[1] + 3, hit[0] - 2 : hit[0] + 3] = 5e4
    known = {"x": places[:, 0] + synthetic.X_START, "y": places[:, 1] + synthetic.Y_START}
    known |= {"east": sky[:, 0], "north": sky[:, 1]}
    return Sighting(filter, synthetic.exposure(image), pd.DataFrame(known))


def brightest(layer: np.ndarray, half: float) -> tuple[float, float]:
    """East and north of the middle of the brightest pixels of a view around the middle."""
    side = layer.shape[0]
    line, column = np.argwhere(layer > 0.9 * layer.max()).mean(axis=0)
    return half - (column + 0.5) * 2 * half / side, (line + 0.5) * 2 * half / side - half


def test_view__of_frames_has_stars_where_they_are_and_in_their_colours():
    blue, red = (1.5, 0.9), (-1.2, -2.0)
    frames = [sighting("F090W", angle, [blue]) for angle in (0.0, 30.0, 94.0)]
    frames += [sighting("F200W", angle, [red]) for angle in (94.0, 184.0)]
    view = seen_view(frames, ("F090W", "F200W"), (0.0, 0.0), 3.0)
    np.testing.assert_allclose(brightest(view.picture[..., 2], 3.0), blue, atol=0.07)  # a pixel of the frames
    np.testing.assert_allclose(brightest(view.picture[..., 0], 3.0), red, atol=0.07)
    assert view.picture.min() >= 0
    assert view.picture.max() <= 1
    assert view.title == "frames, red to blue F200W, F090W"


def test_view__of_three_frames_shows_nothing_that_one_alone_has():
    frames = [sighting("F090W", angle, [(1.5, 0.9)]) for angle in (0.0, 0.0)]
    frames.append(sighting("F090W", 0.0, [(1.5, 0.9)], hit=(120, 80)))
    view = seen_view(frames, ("F090W",), (0.0, 0.0), 3.0)
    np.testing.assert_allclose(brightest(view.picture[..., 1], 3.0), (1.5, 0.9), atol=0.07)
    assert (view.picture[..., 0] == view.picture[..., 2]).all()  # one filter has no colours


def test_view__of_a_place_no_frame_covers_is_none():
    frames = [sighting("F090W", 0.0, [(1.5, 0.9)])]
    assert seen_view(frames, ("F090W",), (40.0, 0.0), 3.0) is None
    assert seen_view(frames, ("F150W",), (0.0, 0.0), 3.0) is None
    few = frames[0]._replace(stars=frames[0].stars.head(3))
    assert seen_view([few], ("F090W",), (0.0, 0.0), 3.0) is None


def test_view__drawn_has_stars_where_they_are():
    rows = pd.DataFrame({"east": [11.0, 9.0, 50.0], "north": [-19.5, -21.0, 0.0]})
    view = drawn_view(rows, np.array([[0.1, 0.1, 1.0], [1.0, 0.1, 0.1], [9.0, 9.0, 9.0]]), (10.0, -20.0), 3.0)
    np.testing.assert_allclose(brightest(view.picture[..., 2], 3.0), (1.0, 0.5), atol=0.02)
    np.testing.assert_allclose(brightest(view.picture[..., 0], 3.0), (-1.0, -1.0), atol=0.02)


def test_shades__keep_hues_and_order():
    rng = np.random.default_rng(0)
    layers = 10.0 ** rng.uniform(0, 3, (60, 60, 1)) * np.ones(3)
    layers[:40] = 0.0
    layers[50, 50] = np.nan
    found = shades(layers)
    np.testing.assert_allclose(found[..., 0], found[..., 2], atol=1e-12)
    light, shown = layers[..., 0], found[..., 0]
    order = np.argsort(light[np.isfinite(light)])
    assert (np.diff(shown[np.isfinite(light)][order]) >= -1e-12).all()
    assert found[50, 50].max() == 0.0
