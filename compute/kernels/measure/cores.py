"""Saturated stars: where their cores stand among the pixels that they filled."""

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit

_PROMINENT = 6  # saturated pixels of a 7x7 box that a core has more than the bleed to the next one


@jit
def _fullness(saturated, x, y):
    """Number of saturated pixels in the 7x7 box about each pixel."""
    ny, nx = saturated.shape
    out = np.zeros(x.size, np.int64)
    for k in range(x.size):
        for j in range(max(y[k] - 3, 0), min(y[k] + 4, ny)):
            for i in range(max(x[k] - 3, 0), min(x[k] + 4, nx)):
                out[k] += saturated[j, i]
    return out


@jit
def _cores(shape, x, y, fullness, order):
    """Fill rows (x, y, n_pix) with the prominent peaks of `fullness` among connected pixels, taken in falling `order`.

    Parts grow from their fullest pixels. Where two meet, the lesser is a star of its own if it has fallen far enough
    from its peak, and is one with the greater if it has not.
    """
    at, part = np.full(shape, -1), np.arange(x.size)
    # Of each part: its pixels, and how many are the fullest and the sums of their positions.
    size, number, sum_x, sum_y = np.ones(x.size), np.ones(x.size), 1.0 * x, 1.0 * y
    out, n = np.empty((x.size, 3)), 0
    for k in order:
        at[y[k], x[k]] = k
        for j in range(max(y[k] - 1, 0), min(y[k] + 2, shape[0])):
            for i in range(max(x[k] - 1, 0), min(x[k] + 2, shape[1])):
                a, b = k, at[j, i]
                if b < 0:
                    continue
                while part[a] != a:
                    a = part[a]
                while part[b] != b:
                    part[b] = part[part[b]]
                    b = part[b]
                if a == b:
                    continue
                if fullness[a] < fullness[b]:
                    a, b = b, a
                part[b] = a
                if fullness[b] - fullness[k] >= _PROMINENT:
                    out[n] = sum_x[b] / number[b], sum_y[b] / number[b], size[b]
                    n += 1
                    continue
                size[a] += size[b]
                if fullness[a] == fullness[b]:
                    number[a], sum_x[a], sum_y[a] = number[a] + number[b], sum_x[a] + sum_x[b], sum_y[a] + sum_y[b]
    for k in range(x.size):
        if part[k] == k:
            out[n] = sum_x[k] / number[k], sum_y[k] / number[k], size[k]
            n += 1
    return out[:n]


def saturated_cores(saturated: NDArray[np.bool_]) -> tuple[NDArray, NDArray, NDArray]:
    """One (x, y, n_pix) for each saturated star: where most of a 7x7 box is saturated.

    A bleeding column is thin and the star's own core is thick, so the fullest box stands on the star. Stars that one
    bleed joins into a connected group are as many as have a core that stands out from it.
    """
    if not saturated.any():
        return np.empty(0), np.empty(0), np.empty(0, np.int64)
    y, x = np.nonzero(saturated)
    fullness = _fullness(saturated, x, y)
    xc, yc, size = _cores(saturated.shape, x, y, fullness, np.argsort(-fullness, kind="stable")).T.copy()
    return xc, yc, size.astype(np.int64)
