"""Straight lines through the positions of each star: place, proper motion and parallax by weighted least squares."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels._jit import jit
from compute.kernels.threads import each, shares

_BLOCK = 1 << 15  # stars at a time
_SINGULAR = 1e-9  # of a pivot's own size: below, nothing determines the parameter


class Motions(NamedTuple):
    """Of each star (n,): what was solved for, in Gaia's order: x, y, parallax, motion in x, motion in y.

    `parameters` (n, 5) and `covariance` (n, 5, 5), NaN in the rows of parallaxes that were not fitted, and wherever a
    star has not two positions at different times; `chi2` of the residuals, `n_used` the number of positions, and
    `baseline` [yr] from the first of them to the last.
    """

    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    chi2: NDArray[np.float64]
    n_used: NDArray[np.int64]
    baseline: NDArray[np.float64]


def fit_motions(
    start: NDArray,
    time: NDArray,
    x: NDArray,
    y: NDArray,
    var_x: NDArray,
    var_y: NDArray,
    cov_xy: NDArray,
    epoch: float,
    factors: tuple[ArrayLike, ArrayLike] | None = None,
    threads: int = 1,
) -> Motions:
    """Uniform motion of each star in the plane.

    A star that moves uniformly through space runs along a straight line of any tangent plane, at a speed that changes
    little: for 100 mas/yr, 5 arcmin from the tangent point, by less than 0.001 uas/yr in 30 years.

    Parameters
    ----------
    start : (n_stars + 1,)
        Where each star's rows begin; the last is the number of rows.
    time : (n,) [yr]
    x, y, var_x, var_y, cov_xy : (n,) [mas, mas2]
        Positions in the plane and their covariances; rows with NaN or without positive variances are not used.
    epoch : [yr]
        Time of the places that are returned.
    factors : two of (n,)
        Offsets in x and y of a star of unit parallax. Parallaxes are fitted with them where positions determine all
        five parameters; without them none is.
    """
    start, parallax = np.asarray(start, np.int64), factors is not None
    columns = (time, x, y, var_x, var_y, cov_xy, *((x, y) if factors is None else factors))
    rows, n = tuple(np.ascontiguousarray(one, np.float64) for one in columns), start.size - 1
    out = Motions(
        np.full((n, 5), np.nan), np.full((n, 5, 5), np.nan), np.full(n, np.nan), np.zeros(n, np.int64), np.zeros(n)
    )
    parts = shares(n, n // _BLOCK + 1)
    each(lambda b: _fit(start, *rows, parallax, epoch, *parts[b], *out), len(parts), threads)
    return out


@jit
def _fit(start, time, x, y, var_x, var_y, cov_xy, fx, fy, parallax, epoch, first, last, parameters, covariance, chi2,
         n_used, baseline):  # fmt: skip
    # The parallax comes last: without it the problem is the first four rows of the one with it.
    normal, right, factor, inverse = np.empty((5, 5)), np.empty(5), np.empty((5, 5)), np.empty((5, 5))
    row_x, row_y, solved = np.empty(5), np.empty(5), np.empty(5)
    for s in range(first, last):
        middle, n, early, late, k0 = 0.0, 0, np.inf, -np.inf, -1
        for k in range(start[s], start[s + 1]):
            if _usable(time[k], x[k], y[k], var_x[k], var_y[k], cov_xy[k]):
                k0 = k if k0 < 0 else k0
                middle, n = middle + (time[k] - time[k0]), n + 1
                early, late = min(early, time[k]), max(late, time[k])
        n_used[s], baseline[s] = n, late - early if n else 0.0
        if not late > early:
            continue
        middle = time[k0] + middle / n
        normal[:], right[:], square = 0.0, 0.0, 0.0
        for k in range(start[s], start[s + 1]):
            if _usable(time[k], x[k], y[k], var_x[k], var_y[k], cov_xy[k]):
                _rows(time[k] - middle, fx[k], fy[k], parallax, row_x, row_y)
                square += _add(x[k] - x[k0], y[k] - y[k0], var_x[k], var_y[k], cov_xy[k], row_x, row_y, normal, right)
        size = 5 if parallax and _factored(normal, 5, factor) else 4
        if size == 4 and not _factored(normal, 4, factor):
            continue
        _invert(factor, size, inverse)
        for i in range(size):
            solved[i] = 0.0
            for j in range(size):
                solved[i] += inverse[i, j] * right[j]
            square -= right[i] * solved[i]
        chi2[s] = max(square, 0.0) if 2 * n > size else 0.0
        _move(solved, inverse, size, epoch - middle)
        solved[0], solved[1] = solved[0] + x[k0], solved[1] + y[k0]
        for i in range(size):
            parameters[s, _order(i)] = solved[i]
            for j in range(size):
                covariance[s, _order(i), _order(j)] = inverse[i, j]


@jit(inline="always")
def _usable(time, x, y, var_x, var_y, cov_xy):
    finite = abs(time) < np.inf and abs(x) < np.inf and abs(y) < np.inf
    return finite and 0.0 < var_x < np.inf and 0.0 < var_y < np.inf and cov_xy * cov_xy < var_x * var_y


@jit(inline="always")
def _rows(years, fx, fy, parallax, row_x, row_y):
    """What x and y of one position are made of: x, y, their motions, parallax."""
    row_x[:], row_y[:] = 0.0, 0.0
    row_x[0], row_y[1] = 1.0, 1.0
    row_x[2], row_y[3] = years, years
    if parallax:
        row_x[4], row_y[4] = fx, fy


@jit(inline="always")
def _add(x, y, var_x, var_y, cov_xy, row_x, row_y, normal, right):
    """Add one position to the normal equations; its weighted square."""
    determinant = var_x * var_y - cov_xy * cov_xy
    xx, xy, yy = var_y / determinant, -cov_xy / determinant, var_x / determinant
    for i in range(5):
        a, b = xx * row_x[i] + xy * row_y[i], xy * row_x[i] + yy * row_y[i]
        right[i] += a * x + b * y
        for j in range(5):
            normal[i, j] += a * row_x[j] + b * row_y[j]
    return xx * x * x + 2.0 * xy * x * y + yy * y * y


@jit
def _factored(normal, size, factor):
    """Cholesky factor of the first rows; False where they determine nothing, or are NaN."""
    for i in range(size):
        for j in range(i + 1):
            value = normal[i, j]
            for k in range(j):
                value -= factor[i, k] * factor[j, k]
            if i == j:
                if not value > _SINGULAR * normal[i, i]:
                    return False
                factor[i, i] = np.sqrt(value)
            else:
                factor[i, j] = value / factor[j, j]
    return True


@jit
def _invert(factor, size, inverse):
    """Inverse of the matrix with that Cholesky factor, column by column."""
    for c in range(size):
        for i in range(size):
            value = 1.0 if i == c else 0.0
            for k in range(i):
                value -= factor[i, k] * inverse[k, c]
            inverse[i, c] = value / factor[i, i]
        for i in range(size - 1, -1, -1):
            value = inverse[i, c]
            for k in range(i + 1, size):
                value -= factor[k, i] * inverse[k, c]
            inverse[i, c] = value / factor[i, i]


@jit(inline="always")
def _move(solved, inverse, size, years):
    """Places as they are `years` later, with their covariances."""
    for i in range(2):
        solved[i] += years * solved[i + 2]
        for j in range(size):
            inverse[i, j] += years * inverse[i + 2, j]
    for i in range(size):
        for j in range(2):
            inverse[i, j] += years * inverse[i, j + 2]


@jit(inline="always")
def _order(i):
    """Where a parameter stands in Gaia's order."""
    return i if i < 2 else 2 if i == 4 else i + 1
