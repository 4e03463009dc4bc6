"""A grid of square cells that suits the density of stars.

A unit vector lies in the cell of its two coordinates across the longest one, so that no cell is drawn out anywhere on
the sphere. The grid is folded: columns and rows are counted modulo powers of two. Cells therefore fit the density where
the stars are, however empty the rest of the field is; stars far away that share a cell are told apart by distance.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.match.points import shares
from compute.kernels.threads import each

_ROUNDING = 2e-15  # several roundings, relative to the largest coordinate
_SAMPLE = 1 << 14  # rows that tell the crowding
_CROWDED = 8.0  # stars that share the cell of a star, on average, before cells become smaller
_FINEST = 8.0  # cells per radius that this may lead to
_RINGS = 1024.0  # cells per radius, or per field where that is smaller, in any case


class Grid(NamedTuple):
    """A folded grid; `slack` is more than the rounding of any coordinate."""

    per_unit: float
    columns: int
    rows: int
    slack: float


def grid_of(first: NDArray, second: NDArray, radius: float, threads: int = 1) -> tuple[Grid, list[tuple]]:
    """The grid that suits the larger of two sets of points, about a star per cell, and the boxes of both."""
    boxes = [box(points, threads) for points in (first, second)]
    low, high = np.min([low for low, _ in boxes], axis=0), np.max([high for _, high in boxes], axis=0)
    if not (low <= high).all():  # no point has a position
        return Grid(1.0, 1, 1, 0.0), boxes
    largest = max(float(abs(low).max()), float(abs(high).max()))
    reach = min(radius, float(np.hypot.reduce(high - low)))
    least = max(2.0 * _ROUNDING * largest, reach / _RINGS, 1e-290)
    points, edges = max(zip((first, second), boxes, strict=True), key=lambda one: len(one[0]))
    n = len(points)
    height, width = np.sort(np.maximum(edges[1] - edges[0], 0.0))[-2:]
    side = max(float(np.sqrt(width * height / n)), width / n, least)
    crowding, least = _crowding(points, side), max(reach / _FINEST, least)
    while crowding > _CROWDED and side > least:
        finer = max(side / np.sqrt(crowding), least)
        left = _crowding(points, finer)
        if left > crowding / 2.0:  # the same position many times, which no grid takes apart
            break
        side, crowding = finer, left
    columns, rows = (power_of_two(min(extent / side, n)) for extent in (width, height))
    while columns * rows > 2 * power_of_two(n):
        columns, rows = (columns // 2, rows) if columns > rows else (columns, rows // 2)
    return Grid(1.0 / side, columns, rows, _ROUNDING * largest), boxes


def box(points: NDArray, threads: int = 1) -> tuple[NDArray, NDArray]:
    """Lowest and highest coordinates (dim,) of the points that have a position; infinite where there is none."""
    parts, dim = shares(len(points), threads), points.shape[1]
    low, high = np.full((threads, dim), np.inf), np.full((threads, dim), -np.inf)
    each(lambda t: _extend(points, *parts[t], low[t], high[t]), threads, threads)
    return low.min(0), high.max(0)


def power_of_two(x: float) -> int:
    """The least that is not below `x`."""
    return 1 << max(int(np.ceil(np.log2(x))), 0) if x > 1.0 else 1


def _crowding(points: NDArray, side: float) -> float:
    """Mean number of other stars in the cell of a star, from a sample."""
    sample = np.ascontiguousarray(points[:: max(len(points) // _SAMPLE, 1)])
    key = np.empty(len(sample), np.int64)
    key = np.sort(key[: _keys(sample, 1.0 / side, key)])
    count = np.diff(np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1], [True]))))
    return float((count * (count - 1.0)).sum()) * len(points) / max(len(sample), 1) ** 2


@jit(inline="always")
def known(points, k):
    """Whether a point has a position."""
    return abs(points[k, 0]) < np.inf and abs(points[k, 1]) < np.inf


@jit(inline="always")
def across(points, k):
    """The two coordinates that tell a point's cell, and by how much the third one is longer."""
    u, v, lead = points[k, 0], points[k, 1], np.inf
    if points.shape[1] == 3:
        w = points[k, 2]
        if abs(u) > abs(v) and abs(u) > abs(w):
            u, v, w = v, w, u
        elif abs(v) > abs(w):
            u, v, w = w, u, v
        lead = abs(w) - max(abs(u), abs(v))
    return u, v, lead


@jit(inline="always")
def cell(points, k, per_unit):
    """Column and row, not folded."""
    u, v, _ = across(points, k)
    return int(np.floor(u * per_unit)), int(np.floor(v * per_unit))


@jit
def _extend(points, first, last, low, high):
    for k in range(first, last):
        if known(points, k):
            for a in range(points.shape[1]):
                low[a], high[a] = min(low[a], points[k, a]), max(high[a], points[k, a])


@jit
def _keys(points, per_unit, key):
    """Numbers that are equal where the cells of two points are; returns how many there are."""
    n = 0
    for k in range(points.shape[0]):
        if known(points, k):
            column, row = cell(points, k, per_unit)
            key[n] = column * 0x1F3D5B79 + row
            n += 1
    return n
