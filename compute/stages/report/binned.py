"""Medians in bins, and how well they are known."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

_SIGMA = 1.4826  # standard deviation of normal deviates over their median size
_MEDIAN = 1.2533  # standard error of their median over that of their mean
_LEAST = 5  # values that make a median worth showing
PHASES = np.linspace(-0.5, 0.5, 11)


class Curve(NamedTuple):
    """Medians of what lies in each bin, their standard errors, and how many values there were."""

    place: NDArray[np.float64]
    median: NDArray[np.float64]
    error: NDArray[np.float64]
    n: NDArray[np.int64]


def spread(values: ArrayLike) -> float:
    """Standard deviation about the median, from the median deviation; NaN without values."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return float(_SIGMA * np.median(np.abs(known - np.median(known)))) if known.size else np.nan


def curve(place: ArrayLike, values: ArrayLike, edges: NDArray) -> Curve:
    """Medians of `values` by bins of `place`; NaN in bins with fewer than five."""
    place, values = np.asarray(place, float), np.asarray(values, float)
    inside = np.isfinite(values) & (place >= edges[0]) & (place <= edges[-1])
    bins = np.minimum(np.searchsorted(edges, place[inside], side="right") - 1, edges.size - 2)
    median, error = np.full((2, edges.size - 1), np.nan)
    n = np.bincount(bins, minlength=edges.size - 1)
    parts = np.split(values[inside][np.argsort(bins, kind="stable")], np.cumsum(n)[:-1])
    for k, part in enumerate(parts):
        if part.size >= _LEAST:
            median[k], error[k] = np.median(part), _MEDIAN * spread(part) / np.sqrt(part.size)
    return Curve((edges[1:] + edges[:-1]) / 2, median, error, n)


def slope(found: Curve) -> tuple[float, float]:
    """Slope of the straight line through the medians of a curve, weighted by their errors, and its standard error."""
    known = np.isfinite(found.median) & (found.error > 0)
    if known.sum() < 2:
        return np.nan, np.nan
    place, median, weight = found.place[known], found.median[known], found.error[known] ** -2.0
    off = place - np.average(place, weights=weight)
    total = float((weight * off**2).sum())
    return float((weight * off * median).sum()) / total, total**-0.5


def phase(position: pd.Series) -> pd.Series:
    """Where on its pixel a position is [pix], -0.5 to 0.5."""
    return position - np.round(position)


def amplitude(medians: NDArray) -> float:
    """Pixel-phase amplitude: the largest departure of the medians of phase bins from their mean."""
    known = medians[np.isfinite(medians)]
    return float(np.abs(known - known.mean()).max()) if known.size else np.nan


def cells(rows: pd.DataFrame, extent: tuple[float, float, float, float], n: int, least: int = _LEAST) -> pd.DataFrame:
    """Median `dx`, `dy` of the rows in each of n x n cells of a detector, at the cell's middle `x`, `y`.

    `extent` is left, right, bottom, top [pix]. Cells with fewer than `least` rows are left out.
    """
    left, right, bottom, top = extent
    column = np.clip(((rows["x"] - left) / (right - left) * n).astype(int), 0, n - 1)
    line = np.clip(((rows["y"] - bottom) / (top - bottom) * n).astype(int), 0, n - 1)
    groups = rows[["dx", "dy"]].groupby((line * n + column).rename("cell"))
    found = groups.median()[groups.size() >= least].reset_index()
    middle = (np.arange(n) + 0.5) / n
    return found.assign(
        x=left + (right - left) * middle[found["cell"] % n], y=bottom + (top - bottom) * middle[found["cell"] // n]
    )
