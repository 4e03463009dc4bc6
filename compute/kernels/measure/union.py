"""The pixels in the windows of several stars, and the light of each star in them."""

import numpy as np

from compute.kernels._jit import jit
from compute.kernels.measure.columns import GOOD
from compute.kernels.spline import basis, cell

# Rows of the pixels' values: light without sky, light of other stars, noise per light, noise floor, variance of the
# model, weight, light left over by the model, and the members' light as they were drawn.
LIGHT, OTHERS, GAIN, FLOOR, VARIANCE, WEIGHT, LEFT, DRAWN = range(8)


@jit
def gather(image, drawn, mask, poisson, floor, sky, xc, yc, half, place, value):
    """List the good pixels of the square windows about (xc, yc), each once; returns how many.

    `place` (2, P) gets columns and rows, `value` (8, P) the first four of its rows.
    """
    count = 0
    for s in range(xc.size):
        for j in range(max(yc[s] - half, 0), min(yc[s] + half + 1, image.shape[0])):
            for i in range(max(xc[s] - half, 0), min(xc[s] + half + 1, image.shape[1])):
                fresh = mask[j, i] == GOOD
                for t in range(s):
                    fresh &= abs(i - xc[t]) > half or abs(j - yc[t]) > half
                if fresh:
                    place[0, count], place[1, count] = i, j
                    value[LIGHT, count], value[OTHERS, count] = image[j, i] - sky, drawn[j, i]
                    value[GAIN, count], value[FLOOR, count] = poisson[j, i], floor[j, i]
                    value[DRAWN, count] = 0.0
                    count += 1
    return count


@jit
def mix(coef, fx, fy, oversampling, taps, x, y, left, right, low, high, margin, table):
    """Bilinear mix at (x, y) of the four fiducial tables, where `table` (n, n) is needed.

    Needed are pixels between offsets `left` and `right`, `low` and `high` from a star that is at most `margin` pix
    from where the offsets are counted.
    """
    centre, m = (coef.shape[3] - 1) // 2, len(taps)
    u0 = int(np.floor((left - margin) * oversampling)) + centre - (m // 2 - 1)
    u1 = int(np.floor((right + margin) * oversampling)) + centre + m // 2 + 1
    v0 = int(np.floor((low - margin) * oversampling)) + centre - (m // 2 - 1)
    v1 = int(np.floor((high + margin) * oversampling)) + centre + m // 2 + 1
    kx, tx = cell(x, fx)
    ky, ty = cell(y, fy)
    kx1, ky1 = min(kx + 1, fx.size - 1), min(ky + 1, fy.size - 1)
    a, b, c, d = (1.0 - ty) * (1.0 - tx), (1.0 - ty) * tx, ty * (1.0 - tx), ty * tx
    for v in range(v0, v1):
        p, q = coef[ky, kx, v, u0:u1], coef[ky, kx1, v, u0:u1]
        r, s = coef[ky1, kx, v, u0:u1], coef[ky1, kx1, v, u0:u1]
        row = table[v, u0:u1]
        for u in range(u1 - u0):
            row[u] = a * p[u] + b * q[u] + c * r[u] + d * s[u]


@jit
def shine(table, oversampling, taps, place, count, x, y, flux, xc, yc, reach, weights, light):
    """Fill `light` (3, P) with a star's derivatives by x, y and flux; 0 beyond `reach` pixels of (xc, yc)."""
    m = len(taps)
    wx, dwx, wy, dwy = weights[0], weights[1], weights[2], weights[3]
    centre = (table.shape[0] - 1) // 2
    u, v = centre - x * oversampling, centre - y * oversampling
    u0, v0 = int(np.floor(u)), int(np.floor(v))
    basis(u - u0, wx, dwx, taps)
    basis(v - v0, wy, dwy, taps)
    u0 -= m // 2 - 1
    v0 -= m // 2 - 1
    scale = -flux * oversampling
    for k in range(count):
        value = by_x = by_y = 0.0
        i, j = place[0, k], place[1, k]
        if abs(i - xc) <= reach and abs(j - yc) <= reach:
            first, row = u0 + i * oversampling, v0 + j * oversampling
            for b in range(m):
                p = q = 0.0
                for a in range(m):
                    c = table[row + b, first + a]
                    p += wx[a] * c
                    q += dwx[a] * c
                value += wy[b] * p
                by_x += wy[b] * q
                by_y += dwy[b] * p
        light[0, k], light[1, k], light[2, k] = scale * by_x, scale * by_y, value
