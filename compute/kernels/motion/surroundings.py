"""Mean motion of the stars around a star: what it shares with them is no motion of its own."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.match.cells import sort
from compute.kernels.match.grid import Grid, box, power_of_two
from compute.kernels.match.points import plane


class Stars(NamedTuple):
    """Stars that surround others: places, magnitudes, and motions with their variances, each (m,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    mag: NDArray[np.float64]
    pm_x: NDArray[np.float64]
    pm_y: NDArray[np.float64]
    var_x: NDArray[np.float64]
    var_y: NDArray[np.float64]


class LocalMeans(NamedTuple):
    """Of each star (n,): weighted means of its surroundings, their variances, and of how many stars.

    Means are 0 with variance 0 where there are too few.
    """

    pm_x: NDArray[np.float64]
    pm_y: NDArray[np.float64]
    var_x: NDArray[np.float64]
    var_y: NDArray[np.float64]
    n: NDArray[np.int64]


def local_means(
    x: NDArray, y: NDArray, mag: NDArray, own: NDArray, around: Stars, *,
    radius: float, magnitudes: float, most: int, least: int,
) -> LocalMeans:  # fmt: skip
    """Mean motions of the stars nearest to each star and as bright (Sohn et al. 2012, section 3.8).

    Parameters
    ----------
    x, y, mag : (n,)
    own : (n,)
        Where the star itself is among those `around`, or -1: it is left out of its mean.
    radius
        Farthest that they may be, in units of x and y.
    magnitudes
        Largest difference of magnitude; stars without one have no surroundings.
    most, least
        Stars of a mean: no more than the nearest ones (of equally far ones all), no mean of fewer.
    """
    points = plane(around.x, around.y)
    low, high = box(points)
    # Three by three cells hold what is within the radius; four or more of them never fold onto each other.
    extent = np.where(high > low, high - low, 0.0) / radius
    columns, rows = (max(4, min(power_of_two(float(one)), 1 << 11)) for one in extent)
    grid = Grid(1.0 / radius, columns, rows, 0.0)
    cells = sort(points, (low, high), grid)
    pm_x, pm_y, var_x, var_y = np.zeros((4, x.size))
    out = LocalMeans(pm_x, pm_y, var_x, var_y, np.zeros(x.size, np.int64))
    stars = Stars(*(np.ascontiguousarray(column, np.float64) for column in around))
    places = [np.ascontiguousarray(column, np.float64) for column in (x, y, mag)]
    _means(*places, np.asarray(own, np.int64), stars, cells, grid, radius, magnitudes, most, least, *out)
    return out


@jit
def _means(x, y, mag, own, around, cells, grid, radius, magnitudes, most, least, pm_x, pm_y, var_x, var_y, n_used):
    which, square = np.empty(around.x.size, np.int64), np.empty(around.x.size)
    for s in range(x.size):
        if not (abs(x[s]) < np.inf and abs(y[s]) < np.inf):
            continue
        n = _near(x[s], y[s], mag[s], own[s], around, cells, grid, radius, magnitudes, which, square)
        limit = np.partition(square[:n], most - 1)[most - 1] if n > most else np.inf
        count, wx, wy, sx, sy = 0, 0.0, 0.0, 0.0, 0.0
        for k in range(n):
            if square[k] <= limit:
                j, count = which[k], count + 1
                a, b = 1.0 / around.var_x[j], 1.0 / around.var_y[j]
                wx, wy, sx, sy = wx + a, wy + b, sx + a * around.pm_x[j], sy + b * around.pm_y[j]
        n_used[s] = count
        if count >= max(least, 1):
            pm_x[s], pm_y[s], var_x[s], var_y[s] = sx / wx, sy / wy, 1.0 / wx, 1.0 / wy


@jit
def _near(x, y, mag, own, around, cells, grid, radius, magnitudes, which, square):
    """Write who is near, and how far squared; returns how many."""
    column, row, n = int(np.floor(x * grid.per_unit)), int(np.floor(y * grid.per_unit)), 0
    for i in range(row - 1, row + 2):
        for j in range(column - 1, column + 2):
            c = (i & (grid.rows - 1)) * grid.columns + (j & (grid.columns - 1))
            for k in range(cells.start[c], cells.start[c + 1]):
                star, dx, dy = cells.order[k], cells.points[k, 0] - x, cells.points[k, 1] - y
                near = dx * dx + dy * dy <= radius * radius and abs(around.mag[star] - mag) <= magnitudes
                if near and star != own:
                    which[n], square[n] = star, dx * dx + dy * dy
                    n += 1
    return n
