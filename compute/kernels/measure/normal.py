"""Normal equations of several stars in the pixels of their windows, and the inverse of their matrix."""

import numpy as np

from compute.kernels._jit import jit
from compute.kernels.measure.union import FLOOR, GAIN, LEFT, LIGHT, OTHERS, VARIANCE, WEIGHT
from compute.kernels.measure.window import taper_weight


@jit
def accumulate(place, value, count, light, stars, sky, taper, template, h, g):
    """Normal equations (upper triangle) of one step for all members, weighted by the variance of the present model."""
    n = len(stars)
    for k in range(count):
        total, t = 0.0, 0.0
        for s in range(n):
            x, y, flux = stars[s]
            total += flux * light[3 * s + 2, k]
            t = max(t, taper_weight(place[0, k] - x, place[1, k] - y, taper[0], taper[1]))
        signal = max(total + value[OTHERS, k] + sky, 0.0)
        value[VARIANCE, k] = value[GAIN, k] * signal + value[FLOOR, k] + (template * total) ** 2
        value[WEIGHT, k] = t / value[VARIANCE, k]
        value[LEFT, k] = value[LIGHT, k] - value[OTHERS, k] - total
    weight, left = value[WEIGHT, :count], value[LEFT, :count]
    for a in range(3 * n):
        first, total = light[a, :count], 0.0
        for k in range(count):
            total += weight[k] * first[k] * left[k]
        g[a] = total
        for b in range(a, 3 * n):
            second, total = light[b, :count], 0.0
            for k in range(count):
                total += weight[k] * first[k] * second[k]
            h[a, b] = total


@jit
def invert(h, n, low, inv):
    """Inverse of the symmetric n x n matrix whose upper triangle is `h`, by Cholesky; False where it is singular."""
    for a in range(n):
        for b in range(a + 1):
            rest = h[b, a]
            for c in range(b):
                rest -= low[a, c] * low[b, c]
            if b < a:
                low[a, b] = rest / low[b, b]
            elif not rest > 1e-9 * h[a, a]:
                return False
            else:
                low[a, a] = np.sqrt(rest)
    for a in range(n):  # the inverse of the lower factor, transposed
        inv[a, a] = 1.0 / low[a, a]
        for b in range(a + 1, n):
            rest = 0.0
            for c in range(a, b):
                rest -= low[b, c] * inv[a, c]
            inv[a, b] = rest / low[b, b]
    for a in range(n):
        for b in range(a, n):
            rest = 0.0
            for c in range(b, n):
                rest += inv[a, c] * inv[b, c]
            inv[a, b] = inv[b, a] = rest
    return True
