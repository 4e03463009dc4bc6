"""Matching in tiles: catalogues that do not fit into memory at once give the same matches piece by piece.

A tile owns the rows inside its box, and sees those within its margin besides. It decides the matches of the rows of the
first catalogue that it owns: such a row's nearest star is at most a radius away, and so is the star nearest to that,
which may be two radii from the row. The margin must therefore be two radii wide; then the matches of all tiles are
those of the whole catalogues, to the last bit.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.match.crossmatch import Matches, match_points

_SAMPLE = 1 << 16  # rows that tell where to cut


class Tile(NamedTuple):
    """A box of coordinates (dim,), `low` included, `high` not, and how far it sees beyond."""

    low: NDArray
    high: NDArray
    margin: float

    def owns(self, points: NDArray) -> NDArray:
        """Which of the points (n, dim) are inside."""
        return np.all((self.low <= points) & (points < self.high), axis=1)

    def sees(self, points: NDArray) -> NDArray:
        """Which are inside or within the margin."""
        inside = np.empty(len(points), np.bool_)
        _within(points, self.low, self.high, self.margin * (1.0 + 1e-14), inside)  # as distances are rounded
        return inside


def tiles(points: NDArray, rows: int, margin: float) -> list[Tile]:
    """Tiles that together own all space, with about `rows` points (n, 2) or (n, 3) each, cut where points are dense.

    Points are those of `crossmatch.plane` or `crossmatch.sphere`; the margin is in their unit (`crossmatch.chord`).
    """
    dim = points.shape[1]
    sample = points[:: max(len(points) // _SAMPLE, 1)]
    sample = sample[np.isfinite(sample).all(1)]
    most = max(rows * len(sample) / max(len(points), 1), 1.0)
    return _cut(sample, most, Tile(np.full(dim, -np.inf), np.full(dim, np.inf), margin))


def match_tile(tile: Tile, first: NDArray, second: NDArray, radius: float, threads: int = 1) -> Matches:
    """Matches of the points of `first` that the tile owns; rows are those of the arrays given.

    The arrays may be whole catalogues or any part of them with all that the tile sees.

    Raises
    ------
    ValueError
        Where two radii exceed the tile's margin.
    """
    if not 2.0 * radius <= tile.margin:
        raise ValueError(f"radius is {radius}, expected at most half the tile's margin of {tile.margin}")
    seen, others = (np.flatnonzero(tile.sees(points)) for points in (first, second))
    found = match_points(first[seen], second[others], radius, threads)
    own = tile.owns(first[seen[found.first]])
    return Matches(seen[found.first[own]], others[found.second[own]], found.distance[own])


def _cut(sample: NDArray, most: float, tile: Tile) -> list[Tile]:
    """The tile, or its parts on either side of the median of its longest side."""
    if len(sample) <= most:
        return [tile]
    axis = int(np.argmax(np.ptp(sample, axis=0)))
    edge = np.median(sample[:, axis])
    left = sample[:, axis] < edge
    if not left.any():  # half of them or more are at the lowest position
        return [tile]
    low, high = tile.low.copy(), tile.high.copy()
    low[axis] = high[axis] = edge
    return _cut(sample[left], most, tile._replace(high=high)) + _cut(sample[~left], most, tile._replace(low=low))


@jit
def _within(points, low, high, margin, inside):
    for k in range(inside.size):
        inside[k] = True
        for a in range(low.size):
            inside[k] &= low[a] - points[k, a] <= margin and points[k, a] - high[a] <= margin
