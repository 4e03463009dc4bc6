"""Nearest neighbours of one catalogue's stars in another, in a plane and on the sphere.

Both catalogues are sorted into the cells of one grid, so that searches stay within the processor's cache. A search
begins in the star's own cell and goes outwards ring by ring, no farther than the nearest star yet. Distances are exact
to rounding: on the sphere, those of the differences of unit vectors, 0.05 uas. Of stars equally far the first in its
catalogue is the nearest; stars without a position, NaN or infinite, have no neighbours.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels._jit import jit
from compute.kernels.match.cells import sort, unsort
from compute.kernels.match.grid import across, grid_of
from compute.kernels.match.points import angle, chord, plane, sphere
from compute.kernels.threads import each, shares

_BLOCK = 1 << 16  # rows that are searched for at a time


class Matches(NamedTuple):
    """Rows (n,) of either catalogue that are the same star, in the order of the first, and their distances (n,)."""

    first: NDArray
    second: NDArray
    distance: NDArray


def match(x1: ArrayLike, y1: ArrayLike, x2: ArrayLike, y2: ArrayLike, radius: float, threads: int = 1) -> Matches:
    """Pairs of stars each of which is the other's nearest, at most `radius` apart, in a plane of any unit.

    Raises
    ------
    ValueError
        Where coordinates differ in length, or the radius is negative or NaN.
    """
    return match_points(plane(x1, y1), plane(x2, y2), radius, threads)


def match_sky(
    ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike, radius: float, threads: int = 1
) -> Matches:
    """The same on the sphere: positions in degrees, `radius` and distances in mas."""
    found = match_points(sphere(ra1, dec1, threads), sphere(ra2, dec2, threads), chord(radius), threads)
    return found._replace(distance=angle(found.distance))


def nearest(
    x1: ArrayLike, y1: ArrayLike, x2: ArrayLike, y2: ArrayLike, radius: float, threads: int = 1
) -> tuple[NDArray, NDArray]:
    """For each star of the first catalogue the row of its nearest in the second, and the distance.

    Where there is none within `radius` the row is -1 and the distance NaN. Raises what `match` does.
    """
    return nearest_points(plane(x1, y1), plane(x2, y2), radius, threads)


def nearest_sky(
    ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike, radius: float, threads: int = 1
) -> tuple[NDArray, NDArray]:
    """The same on the sphere: positions in degrees, `radius` and distances in mas."""
    row, distance = nearest_points(sphere(ra1, dec1, threads), sphere(ra2, dec2, threads), chord(radius), threads)
    return row, angle(distance)


def match_points(first: NDArray, second: NDArray, radius: float, threads: int = 1) -> Matches:
    """`match` of points (n, 2) of a plane or (n, 3) of the sphere, there by the chord."""
    row, distance = _search(_match, first, second, radius, threads)
    matched = np.flatnonzero(row >= 0)
    return Matches(matched, row[matched], distance[matched])


def nearest_points(first: NDArray, second: NDArray, radius: float, threads: int = 1) -> tuple[NDArray, NDArray]:
    """`nearest` of points (n, 2) of a plane or (n, 3) of the sphere, there by the chord."""
    return _search(_nearest, first, second, radius, threads)


def _search(kernel, first, second, radius, threads):
    if not radius >= 0.0:
        raise ValueError(f"radius is {radius}, expected 0 or more")
    grid, boxes = grid_of(first, second, radius, threads)
    ours, theirs = (sort(points, box, grid, threads) for points, box in zip((first, second), boxes, strict=True))
    if not (len(ours.points) and len(theirs.points)):
        return np.full(len(first), -1), np.full(len(first), np.nan)
    row, distance = np.empty(len(ours.points), np.int64), np.empty(len(ours.points))
    parts = shares(len(row), len(row) // _BLOCK + 1)
    each(lambda b: kernel(ours, theirs, grid, radius, *parts[b], row, distance), len(parts), threads)
    return unsort(ours.order, row, distance, len(first), threads)


@jit
def _nearest(ours, theirs, grid, radius, first, last, row, distance):
    order, found, square = theirs.order, row[first:last], distance[first:last]
    square[:] = radius * radius
    _nearest_of(ours.points, np.arange(first, last), theirs, grid, found, square)
    for i in range(found.size):
        found[i], square[i] = order[found[i]] if found[i] >= 0 else -1, np.sqrt(square[i])


@jit
def _match(ours, theirs, grid, radius, first, last, row, distance):
    order, found, square = theirs.order, row[first:last], distance[first:last]
    square[:] = radius * radius
    _nearest_of(ours.points, np.arange(first, last), theirs, grid, found, square)
    some = np.flatnonzero(found >= 0)
    others, back = found[some], np.empty(some.size, np.int64)
    _nearest_of(theirs.points, others, ours, grid, back, square[some])
    for i in range(some.size):
        k = some[i]
        found[k], square[k] = order[others[i]] if back[i] == first + k else -1, np.sqrt(square[k])


@jit
def _nearest_of(points, which, cells, grid, found, square):
    """Where in `cells` the star nearest to each of some points is, at most the root of `square` away, or -1.

    `square` becomes the distance squared. Most searches end in the point's own cell, where the star found is nearer
    than any other cell; the others are left to a second loop, so that the first one runs undisturbed.
    """
    others, order, start, low, high = cells
    left, n_left = np.empty(which.size, np.int64), 0
    for i in range(which.size):
        u, v, lead = across(points, which[i])
        u, v = u * grid.per_unit, v * grid.per_unit
        column, row = np.floor(u), np.floor(v)
        found[i], square[i] = _scan(
            points, which[i], int(column), int(row), others, order, start, grid, -1, square[i]
        )  # fmt: skip
        u, v = u - column, v - row
        safe = min(min(min(u, 1.0 - u), min(v, 1.0 - v)) / grid.per_unit, lead / 2.0) - grid.slack
        if not (safe > 0.0 and safe * safe >= square[i]):
            left[n_left] = i
            n_left += 1
    for i in left[:n_left]:
        found[i], square[i] = _rings(points, which[i], others, order, start, low, high, grid, found[i], square[i])


@jit
def _rings(points, k, others, order, start, low, high, grid, found, square):
    """Search square rings of cells about the point's own, as far as `square` reaches.

    Unit vectors whose longest coordinate is another one than the point's lie in the cells across that one.
    """
    for w in range(2 if points.shape[1] == 2 else 0, 3):
        a, b, reach = (w + 1) % 3, (w + 2) % 3, _reach(square, grid)
        u, v = points[k, a], points[k, b]
        if points.shape[1] == 3 and abs(points[k, w]) + 2.0 * reach < max(abs(u), abs(v)):
            continue
        column, row, ring = int(np.floor(u * grid.per_unit)), int(np.floor(v * grid.per_unit)), 0
        while True:
            reach = _reach(square, grid)
            left = int(np.floor(max(u - reach, low[a]) * grid.per_unit))
            right = int(np.floor(min(u + reach, high[a]) * grid.per_unit))
            bottom = int(np.floor(max(v - reach, low[b]) * grid.per_unit))
            top = int(np.floor(min(v + reach, high[b]) * grid.per_unit))
            if column - ring < left and column + ring > right and row - ring < bottom and row + ring > top:
                break
            for j in range(max(row - ring, bottom), min(row + ring, top) + 1):
                first, last, step = max(column - ring, left), min(column + ring, right), 1
                if j != row - ring and j != row + ring:
                    first, last, step = column - ring, column + ring, 2 * ring
                for i in range(first, last + 1, step):
                    if left <= i <= right:
                        found, square = _scan(points, k, i, j, others, order, start, grid, found, square)
            ring += 1
    return found, square


@jit(inline="always")
def _reach(square, grid):
    return np.sqrt(square) * (1.0 + 1e-15) + grid.slack


@jit(inline="always")
def _scan(points, k, column, row, others, order, start, grid, found, square):
    """The nearest of point `k` among the one found and those in a cell."""
    c = (row & (grid.rows - 1)) * grid.columns + (column & (grid.columns - 1))
    for j in range(start[c], start[c + 1]):
        d = _distance_squared(points, k, others, j)
        if d <= square:
            if d < square or found < 0 or order[j] < order[found]:
                found, square = j, d
            if d == 0.0:  # nothing is nearer, and what follows in the cell comes later in the catalogue
                break
    return found, square


# Contracted or reassociated, the distance from one star to another would not always be that of the other to the one.
@jit(exact=True)
def _distance_squared(points, k, others, j):
    x, y = points[k, 0] - others[j, 0], points[k, 1] - others[j, 1]
    square = x * x + y * y
    if points.shape[1] == 3:
        z = points[k, 2] - others[j, 2]
        square += z * z
    return square
