"""The median of the residuals nearest to each pixel, for what no smooth distortion follows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels._jit import jit
from compute.kernels.clipping import clipped_median
from compute.kernels.geometry.nearby import Sample, distances_squared, near_point, near_tile, nearest
from compute.kernels.match.cells import sort
from compute.kernels.match.grid import Grid, box, power_of_two
from compute.kernels.match.points import plane
from compute.kernels.threads import each

_TILE, _BLOCK = 32, 5  # pixels on a side that share one copy of the residuals near them
_FINEST = 1024.0  # cells along the field, at most
_FARTHEST = 1e100  # [pix] squares of distances are finite


def nearest_medians(
    x: ArrayLike, y: ArrayLike, residual: ArrayLike, star: ArrayLike, rows: tuple[int, int], columns: tuple[int, int],
    *, count: int = 50, clip: float = 2.5, least_stars: int = 10, threads: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.int16]]:  # fmt: skip
    """Clipped medians of the `count` residuals nearest to each pixel (Libralato et al. 2023, section 4.3).

    The two axes share their residuals and are clipped each by itself: residuals beyond `clip` standard deviations of
    the median are left out, until none is. Of residuals equally far the first in the order of y, x, residual and star
    counts as the nearer: results depend neither on the rectangle, nor on threads, nor on the order of the rows.
    Residuals of one star repeat that star's own error, so that stars are counted, and not residuals.

    Parameters
    ----------
    x, y
        (n,) where residuals were measured [detector pix].
    residual
        (n, 2) in x and y, of any unit; a row where a residual or a position is not finite is left out.
    star
        (n,) numbers that tell stars apart.
    rows, columns
        First pixel of the rectangle and the one after its last.
    count
        Residuals to each pixel; all there are where they are fewer.
    least_stars
        Pixels with fewer stars have no value.

    Returns
    -------
    values, stars
        (rows, columns, 2) medians in x and y, NaN where there are too few stars, and (rows, columns) how many stars
        have residuals that were left out on neither axis.

    Raises
    ------
    ValueError
        Where shapes do not fit, or a number is out of range.
    """
    points, residual, star = plane(x, y), np.asarray(residual, float), np.asarray(star, np.int64)
    _check(len(points), residual, star, rows, columns, count, clip)
    usable = (abs(points) < _FARTHEST).all(1) & np.isfinite(residual).all(1)
    points[~usable] = np.nan  # cells leave out what has no position
    edges, known = box(points), int(np.count_nonzero(usable))
    shape, count = (rows[1] - rows[0], columns[1] - columns[0]), min(count, known)
    values, stars = np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.int16)
    if count == 0:
        return values, stars
    grid = _grid(*edges, count / known)
    cells = sort(points, edges, grid, threads)
    sample = Sample(cells, grid, residual[cells.order], star[cells.order])
    search = int(count), float(clip), int(least_stars)

    def tiles(k: int) -> None:
        part = slice(k * _TILE, (k + 1) * _TILE)
        _tiles(sample, int(rows[0]) + k * _TILE, int(columns[0]), search, values[part], stars[part])

    each(tiles, -(-shape[0] // _TILE), threads)
    return values, stars


def _check(n, residual, star, rows, columns, count, clip):
    if residual.shape != (n, 2) or star.shape != (n,):
        raise ValueError(
            f"residual and star have shapes {residual.shape} and {star.shape}, expected ({n}, 2) and ({n},)"
        )
    if not (rows[0] <= rows[1] and columns[0] <= columns[1]):
        raise ValueError(f"rows and columns are {rows} and {columns}, expected the first before the last")
    if not 1 <= count <= np.iinfo(np.int16).max:
        raise ValueError(f"count is {count}, expected 1 to {np.iinfo(np.int16).max}")
    if not clip >= 1.5:  # below the root of 2 nothing may be left
        raise ValueError(f"clip is {clip}, expected 1.5 or more")


def _grid(low: NDArray, high: NDArray, share: float) -> Grid:
    """Cells half as wide as a circle's radius in which a `share` of all residuals lie; none is folded on another."""
    extent = high - low
    side = max(float(np.sqrt(extent.prod() * share / np.pi)) / 2.0, float(extent.max()) / _FINEST) or 1.0
    columns, rows = (power_of_two(length / side + 2.0) for length in extent)
    return Grid(1.0 / side, columns, rows, 0.0)


@jit
def _tiles(sample, row, column, search, values, stars):
    """Tiles side by side. The margin about a tile changes no result: a tile tells where it is too small."""
    margin = 3.0 / sample.grid.per_unit
    for first in range(0, stars.shape[1], _TILE):
        part = slice(first, min(first + _TILE, stars.shape[1]))
        farthest = -1.0
        while farthest < 0.0:
            near = near_tile(sample, row, column + first, stars[:, part].shape, margin)
            farthest = _tile(near, row, column + first, margin, search, values[:, part], stars[:, part])
            margin *= 1.5
        margin = farthest + min(farthest / 4.0, 1.0 * _TILE) + 1e-6


@jit
def _tile(near, row, column, margin, search, values, stars):
    """Blocks of a tile; returns the largest distance that was used, -1 where more than `margin` is needed."""
    reach, square, farthest = 0.8 * margin + 0.5 * _BLOCK, 0.6 * margin * margin, 0.0
    seen = np.full(near.x.size + 1, -1)
    for j in range(0, stars.shape[0], _BLOCK):
        for i in range(0, stars.shape[1], _BLOCK):
            some, needed = (slice(j, j + _BLOCK), slice(i, i + _BLOCK)), np.inf
            while needed > reach:
                if reach > margin + _BLOCK:
                    return -1.0
                reach *= 1.1
                needed, most, square = _block(
                    near, row + j, column + i, reach, square, search, seen, values[some], stars[some]
                )
            farthest = max(farthest, most)
            if farthest > margin:
                return -1.0
            reach = (needed + min(needed / 16.0, 1.0 * _BLOCK)) / 1.1
    return farthest


@jit
def _block(tile, row, column, reach, square, search, seen, values, stars):
    """Pixels of a block, from what is at most `reach` from its middle.

    Returns the reach that is needed, infinite as soon as it is more, the largest distance that was used, and the square
    of the last, which is a guess at the next: `square`.
    """
    count, clip, least_stars = search
    x, y = column + 0.5 * (stars.shape[1] - 1), row + 0.5 * (stars.shape[0] - 1)
    near, needed, most = near_point(tile, x, y, reach), 0.0, 0.0
    if near.x.size < count:
        return np.inf, 0.0, square
    distance, which, used = np.empty(near.x.size), np.empty(count + 1, np.int64), np.empty(count + 1)
    for j in range(stars.shape[0]):
        for i in range(stars.shape[1]):
            distances_squared(near, column + i, row + j, distance)
            square = nearest(near, distance, square, which)
            radius = np.sqrt(square)
            most, needed = max(most, radius), max(needed, radius + np.hypot(column + i - x, row + j - y))
            if needed > reach:
                return np.inf, 0.0, square
            stars[j, i] = _medians(near, distance, square, which[:-1], clip, used, seen, values[j, i])
            if stars[j, i] < least_stars:
                values[j, i] = np.nan
    return needed, most, square


@jit
def _medians(near, distance, square, which, clip, used, seen, values):
    """Medians of both axes; returns how many stars have residuals that were left out on neither.

    `seen` tells for each star the last pixel that counted it, and at its end which pixel that is.
    """
    for k in range(which.size):
        used[k] = near.value[0, which[k]]
    values[0], first, last = clipped_median(used[:-1], clip)
    n = 0
    for k in near.second:
        used[n] = near.value[1, k]
        n += distance[k] <= square
    values[1], low, high = clipped_median(used[:-1], clip)
    lowest, highest, n = used[low], used[high - 1], 0
    seen[-1] += 1
    for k in which[first:last]:
        if lowest <= near.value[1, k] <= highest:
            n += seen[near.star[k]] != seen[-1]
            seen[near.star[k]] = seen[-1]
    return n
