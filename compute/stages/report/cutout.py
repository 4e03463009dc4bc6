"""A part of the sky as frames show it: each put on one grid by the stars it holds, then a median in every filter."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from catalogs.exposure import Exposure
from compute.stages.report.finding import View, shades

__all__ = ["Sighting", "seen_view"]

_NEAR, _LEAST = 40, 6  # stars that place a frame
_CORE = 8  # pixels of the view from the rim of a saturated core to its middle


class Sighting(NamedTuple):
    """A frame, its filter, and stars on it: `x`, `y` [pix], `east`, `north` [arcsec]."""

    filter: str
    exposure: Exposure
    stars: pd.DataFrame


def seen_view(
    sightings: Sequence[Sighting], filters: Sequence[str], centre: tuple[float, float], half: float, side: int = 420
) -> View | None:
    """The view that frames in one to three `filters`, short waves first, give of a place; None where none covers it.

    The longest wave is red and the shortest blue; of two the mean is green.
    """
    layers: dict[str, NDArray] = {}
    for name in filters:
        mine = [one for one in sightings if one.filter == name]
        if (layer := _stacked(mine, centre, half, side)) is not None:
            layers[name] = layer
    if not layers:
        return None
    blue, red = (layers[name] for name in (next(iter(layers)), next(reversed(layers))))
    green = layers[list(layers)[1]] if len(layers) > 2 else (blue + red) / 2
    names = ", ".join(reversed(layers))
    title = f"frames, red to blue {names}" if len(layers) > 1 else f"frames in {names}"
    return View(shades(np.stack([red, green, blue], axis=-1)), centre, half, title)


def _stacked(sightings: Sequence[Sighting], centre: tuple[float, float], half: float, side: int) -> NDArray | None:
    """Median of the frames of one filter, (side, side), south and east first."""
    planes = [plane for one in sightings if (plane := _resampled(one, centre, half, side)) is not None]
    if not planes:
        return None
    stack = np.array(planes)
    empty = np.isnan(stack).all(axis=0)
    stack[:, empty] = 0.0
    return _filled(np.where(empty, np.nan, np.nanmedian(stack, axis=0)))


def _filled(plane: NDArray) -> NDArray:
    """Holes in the middle of saturated stars take the light of their rims; what no frame covers stays empty."""
    far, (line, column) = distance_transform_edt(np.isnan(plane), return_indices=True)
    return np.where(far <= _CORE, plane[line, column], plane)


def _resampled(one: Sighting, centre: tuple[float, float], half: float, side: int) -> NDArray | None:
    """A frame above its sky, linear between pixels; None where too few stars place it or little of it is covered."""
    off = one.stars[["east", "north"]].to_numpy() - centre
    near = np.argsort(np.hypot(*off.T), kind="stable")[:_NEAR]
    if near.size < _LEAST:
        return None
    terms = np.column_stack([np.ones(near.size), off[near]])
    to_pixel, *_ = np.linalg.lstsq(terms, one.stars[["x", "y"]].to_numpy()[near], rcond=None)
    steps = (np.arange(side) + 0.5) / side * 2 * half - half
    north, east = np.meshgrid(steps, -steps, indexing="ij")
    at = np.einsum("kyx,ki->iyx", np.stack([np.ones_like(east), east, north]), to_pixel)
    header, known = one.exposure.header, one.exposure.good | one.exposure.saturated
    data = np.where(known, one.exposure.data, np.nan)
    place = [at[1] - header.y_start, at[0] - header.x_start]
    seen = map_coordinates(data, place, order=1, cval=np.nan) - np.nanmedian(data)
    return seen if np.isfinite(seen).mean() > 0.5 else None
