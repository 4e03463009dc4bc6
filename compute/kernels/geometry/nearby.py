"""The residuals nearest to a pixel, found by narrowing: near a tile of pixels, near a block of it, near the pixel.

Each step filters what the one before it left, which keeps its order. Residuals near a tile are sorted by their values
once, and so the values nearest to every pixel come sorted.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.match.cells import Cells
from compute.kernels.match.grid import Grid

_GUESSES = 12  # counts after which equal distances are the likely cause
_WIDER = 1.0 + 1e-9  # makes up for any rounding of a radius


class Sample(NamedTuple):
    """Residuals `value` (n, 2) of stars `star` (n,) in the order of the cells that their positions are sorted into."""

    cells: Cells
    grid: Grid
    value: NDArray[np.float64]
    star: NDArray[np.int64]


class Near(NamedTuple):
    """Some residuals, in ascending order of those in x.

    `x`, `y` (n,) are positions, `value` (2, n) residuals, `star` (n,) numbers of stars from zero on, within
    the tile, and `second` (n,) the rows in ascending order of residuals in y.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    value: NDArray[np.float64]
    star: NDArray[np.int64]
    second: NDArray[np.int64]


@jit
def near_tile(sample, row, column, shape, margin):
    """What is at most `margin` from a tile whose first pixel is at (row, column); stars are numbered from zero on."""
    cells, grid, value, star = sample
    margin, top, right = margin * _WIDER, row + shape[0] - 1, column + shape[1] - 1
    left, width = _span(column - margin, right + margin, cells.low[0], cells.high[0], grid.per_unit)
    bottom, height = _span(row - margin, top + margin, cells.low[1], cells.high[1], grid.per_unit)
    which, n = np.empty(64, np.int64), 0
    for c in range(width * height):
        k = ((bottom + c // width) & (grid.rows - 1)) * grid.columns + ((left + c % width) & (grid.columns - 1))
        if n + cells.start[k + 1] - cells.start[k] > which.size:
            which = np.append(which, np.empty(n + cells.start[k + 1] - cells.start[k], np.int64))
        for j in range(cells.start[k], cells.start[k + 1]):
            x, y = cells.points[j, 0], cells.points[j, 1]
            dx, dy = max(column - x, x - right, 0.0), max(row - y, y - top, 0.0)
            which[n] = j
            n += dx * dx + dy * dy <= margin * margin
    which = which[:n]
    which = which[np.argsort(value[which, 0])]
    values = np.empty((2, n))
    values[0], values[1] = value[which, 0], value[which, 1]
    x_near, y_near = cells.points[which, 0], cells.points[which, 1]
    return Near(x_near, y_near, values, _numbers(star[which]), np.argsort(values[1]))


@jit(inline="always")
def _span(first, last, low, high, per_unit):
    """First cell and number of cells that an interval has in common with the box of all residuals."""
    begin, end = int(np.floor(max(first, low) * per_unit)), int(np.floor(min(last, high) * per_unit))
    return begin, max(end - begin + 1, 0)


@jit
def _numbers(star):
    """The numbers of stars replaced by those from zero on."""
    order, number, n = np.argsort(star), np.empty(star.size, np.int64), 0
    for k in range(order.size):
        n += k > 0 and star[order[k]] != star[order[k - 1]]
        number[order[k]] = n
    return number


@jit
def near_point(near, x, y, radius):
    """What is at most `radius` from a point."""
    limit, n = (radius * _WIDER) ** 2, 0
    which, place = np.empty(near.x.size, np.int64), np.empty(near.x.size + 1, np.int64)
    for k in range(near.x.size):
        dx, dy = near.x[k] - x, near.y[k] - y
        which[n], place[k] = k, n
        n += dx * dx + dy * dy <= limit
    place[near.x.size] = n
    which, second, n = which[:n], np.empty(n + 1, np.int64), 0
    for k in near.second:  # one that was left out has the place of the next
        second[n] = place[k]
        n += place[k + 1] - place[k]
    values = np.empty((2, n))
    for k in range(n):
        values[0, k], values[1, k] = near.value[0, which[k]], near.value[1, which[k]]
    return Near(near.x[which], near.y[which], values, near.star[which], second[:n])


# Contracted, distances would depend on the compiler, and so would which of two is the shorter.
@jit(exact=True)
def distances_squared(near, x, y, square):
    """From a point, to `square` (n,)."""
    x_near, y_near = near.x, near.y
    for k in range(x_near.size):
        dx, dy = x_near[k] - x, y_near[k] - y
        square[k] = dx * dx + dy * dy


@jit
def nearest(near, square, guess, which):
    """Write the rows of the residuals nearest to a point to all but the last of `which`, and that as scratch.

    `square` are distances squared, of which those that are not among the nearest may become infinite. Returns the
    largest that is, which is sought from `guess` on. Of residuals equally far the first in the order of y, x, value and
    star is taken for the nearer, whatever order they came in.
    """
    limit = _limit(square, which.size - 1, guess)
    if limit < 0.0:
        limit = np.partition(square, which.size - 2)[which.size - 2]
        _settle(near, square, which.size - 1, limit)
    n, largest = 0, 0.0
    for k in range(square.size):
        which[n] = k
        n += square[k] <= limit
        largest = max(largest, square[k] if square[k] <= limit else 0.0)
    return largest


@jit
def _limit(square, count, guess):
    """A number that just `count` do not exceed, -1 where none was found; no sorting comes near to counting."""
    low, high, n_low, n_high = 0.0, np.inf, 0, square.size
    for _ in range(_GUESSES if n_high > count else 0):
        n = 0
        for k in range(square.size):
            n += square[k] <= guess
        if n == count:
            return guess
        if n < count:
            low, n_low = guess, n
        else:
            high, n_high = guess, n
        share = (count + 0.5 - n_low) / (n_high - n_low + 1.0)
        guess = low + (high - low) * share if high < np.inf else low * (count + 1.0) / (n_low + 1.0) + 1e-9
    return high if n_high == count else -1.0


@jit
def _settle(near, square, count, limit):
    """Of the distances at the limit, set to infinity those that do not belong to the nearest."""
    n = 0
    for k in range(square.size):
        n += square[k] < limit
    for _ in range(count - n):
        best = -1
        for k in range(square.size):
            if square[k] == limit and (best < 0 or _before(near, k, best)):
                best = k
        square[best] = -1.0
    for k in range(square.size):
        square[k] = np.inf if square[k] == limit else limit if square[k] < 0.0 else square[k]


@jit
def _before(near, i, j):
    """Whether residual `i` comes before `j`; two that are alike in everything are the same to all that follows."""
    if near.y[i] != near.y[j]:
        return near.y[i] < near.y[j]
    if near.x[i] != near.x[j]:
        return near.x[i] < near.x[j]
    for a in range(2):
        if near.value[a, i] != near.value[a, j]:
            return near.value[a, i] < near.value[a, j]
    return near.star[i] < near.star[j]
