"""Means of many detections of each star, weighted and clipped, and how far the detections scatter."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit

_ROUNDS = 8
_LEAST = 4  # detections from which on their own scatter may widen the limit
_USUAL = 1.17  # median of the larger of two normal deviates, sizes only


class Means(NamedTuple):
    """Of each star (n_stars,): means, their variances and covariance, scatter about them, detections used.

    Scatters are standard deviations of the detections used, NaN where there is but one.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    var_x: NDArray[np.float64]
    var_y: NDArray[np.float64]
    cov_xy: NDArray[np.float64]
    rms_x: NDArray[np.float64]
    rms_y: NDArray[np.float64]
    n_used: NDArray[np.int64]


class Common(NamedTuple):
    """By row (n,): an error that is part of the row's, and the number from 0 of the group that it is the same in."""

    group: NDArray[np.int64]
    error: NDArray[np.float64]


def mean_positions(
    start: NDArray,
    x: NDArray,
    y: NDArray,
    var_x: NDArray,
    var_y: NDArray,
    cov_xy: NDArray,
    clip: float,
    common: Common | None = None,
) -> tuple[Means, NDArray[np.bool_]]:
    """Weighted mean positions, detections far from the others left out.

    A detection is left out where x or y is beyond `clip` standard errors of the median, errors widened to the scatter
    the star's detections really have where they are four or more. Weights are 1 / variance per axis.

    Parameters
    ----------
    start
        (n_stars + 1,) where each star's rows begin; the last is the number of rows.
    x, y, var_x, var_y, cov_xy
        (n,) rows in order of star; a row with NaN or without positive variance is never used.
    clip
        Limit in standard errors.
    common
        Which part of the variances is one and the same error in several rows of a star; none unless given.

    Returns
    -------
    means, used
        Per star, and per row whether it is part of its star's mean. Stars without a usable row have NaN.
    """
    n = start.size - 1
    out = np.full((7, n), np.nan)
    n_used, used = np.zeros(n, np.int64), np.zeros(x.size, np.bool_)
    _positions(start.astype(np.int64), x, y, var_x, var_y, cov_xy, clip, out, n_used, used)
    if common is not None:
        _share(start.astype(np.int64), var_x, var_y, common.group.astype(np.int64), common.error, used, out)
    return Means(out[0], out[1], out[2], out[3], out[4], out[5], out[6], n_used), used


def mean_values(
    start: NDArray, value: NDArray, variance: NDArray, clip: float, common: Common | None = None
) -> tuple[NDArray, NDArray, NDArray]:
    """Weighted, clipped means of one quantity, its variance and scatter, each (n_stars,); as :func:`mean_positions`."""
    means, _ = mean_positions(start, value, value, variance, variance, np.zeros_like(value), clip, common)
    return means.x, means.var_x, means.rms_x


def medians(start: NDArray, value: NDArray, used: NDArray) -> NDArray[np.float64]:
    """Median of each star's rows that are used and not NaN, (n_stars,)."""
    out = np.full(start.size - 1, np.nan)
    _medians(start.astype(np.int64), value.astype(np.float64), used, out)
    return out


@jit
def _positions(start, x, y, var_x, var_y, cov_xy, clip, out, n_used, used):
    longest = 1
    for s in range(n_used.size):
        longest = max(longest, start[s + 1] - start[s])
    work, far = np.empty(longest), np.empty(longest)
    for s in range(n_used.size):
        first, last = start[s], start[s + 1]
        for k in range(first, last):
            finite = abs(x[k]) < np.inf and abs(y[k]) < np.inf
            used[k] = finite and 0.0 < var_x[k] < np.inf and 0.0 < var_y[k] < np.inf
        _clip(first, last, x, y, var_x, var_y, clip, used, work, far)
        _mean(first, last, x, y, var_x, var_y, cov_xy, used, out[:, s])
        n = 0
        for k in range(first, last):
            n += used[k]
        n_used[s] = n


@jit
def _clip(first, last, x, y, var_x, var_y, clip, used, work, far):
    """Unset `used` of rows far from the star's median, until it stays as it is."""
    for _ in range(_ROUNDS):
        n = 0
        for k in range(first, last):
            n += used[k]
        if n < 3:  # of two that disagree neither is known to be wrong
            return
        xm, vx = _median(first, last, x, var_x, used, work)
        ym, vy = _median(first, last, y, var_y, used, work)
        n = 0
        for k in range(first, last):
            if used[k]:
                far[n] = _away(x[k] - xm, var_x[k] + vx, y[k] - ym, var_y[k] + vy)
                n += 1
        scale = max(1.0, np.median(far[:n]) / _USUAL) if n >= _LEAST else 1.0
        changed = False
        for k in range(first, last):
            if used[k] and _away(x[k] - xm, var_x[k] + vx, y[k] - ym, var_y[k] + vy) > clip * scale:
                used[k] = False
                changed = True
        if not changed:
            return


@jit(inline="always")
def _away(dx, var_x, dy, var_y):
    """The larger of two deviations, in standard errors."""
    return max(abs(dx) / np.sqrt(var_x), abs(dy) / np.sqrt(var_y))


@jit
def _median(first, last, value, variance, used, work):
    """Median of the rows used, and its variance for normal deviates of unlike widths: pi/2 n / (sum 1/sigma)^2.

    It is not weighted: a row that is wrong and sure of itself would be its own judge.
    """
    n, total = 0, 0.0
    for k in range(first, last):
        if used[k]:
            work[n] = value[k]
            n += 1
            total += 1.0 / np.sqrt(variance[k])
    return np.median(work[:n]), 0.5 * np.pi * n / total**2


@jit
def _mean(first, last, x, y, var_x, var_y, cov_xy, used, out):
    """Weighted means, their covariance matrix and the scatter of the rows used."""
    n, k0 = 0, -1
    wx = wy = sx = sy = cross = 0.0
    for k in range(first, last):
        if used[k]:
            if k0 < 0:
                k0 = k
            n += 1
            a, b = 1.0 / var_x[k], 1.0 / var_y[k]
            wx += a
            wy += b
            sx += a * (x[k] - x[k0])  # from the first row: sums of small numbers lose nothing
            sy += b * (y[k] - y[k0])
            cross += a * b * cov_xy[k]
    if n == 0:
        return
    xm, ym = x[k0] + sx / wx, y[k0] + sy / wy
    out[0], out[1], out[2], out[3], out[4] = xm, ym, 1.0 / wx, 1.0 / wy, cross / (wx * wy)
    if n > 1:
        sx = sy = 0.0
        for k in range(first, last):
            if used[k]:
                sx += (x[k] - xm) ** 2
                sy += (y[k] - ym) ** 2
        out[5], out[6] = np.sqrt(sx / (n - 1)), np.sqrt(sy / (n - 1))


@jit
def _share(start, var_x, var_y, group, error, used, out):
    """Add to variances of means, of errors that rows of a group have in common, what is more than in rows apart."""
    longest = 0
    for k in range(group.size):
        longest = max(longest, group[k] + 1)
    in_x, in_y = np.zeros(longest), np.zeros(longest)
    for s in range(out.shape[1]):
        more_x = more_y = 0.0
        for k in range(start[s], start[s + 1]):
            if used[k]:
                a, b, g = out[2, s] / var_x[k] * error[k], out[3, s] / var_y[k] * error[k], group[k]
                more_x += 2 * a * in_x[g]
                more_y += 2 * b * in_y[g]
                in_x[g] += a
                in_y[g] += b
        for k in range(start[s], start[s + 1]):
            in_x[group[k]] = in_y[group[k]] = 0.0
        out[2, s] += more_x
        out[3, s] += more_y


@jit
def _medians(start, value, used, out):
    for s in range(out.size):
        n = 0
        for k in range(start[s], start[s + 1]):
            n += used[k] and abs(value[k]) < np.inf
        if n == 0:
            continue
        kept, n = np.empty(n), 0
        for k in range(start[s], start[s + 1]):
            if used[k] and abs(value[k]) < np.inf:
                kept[n] = value[k]
                n += 1
        out[s] = np.median(kept)
