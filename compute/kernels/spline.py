"""B-splines on ePSF tables: prefilter once, evaluate with exact gradients.

A table sampled four times per pixel is interpolated by its own cubic or quintic B-spline (Anderson & King 2000, section
3.6, asks for a bicubic spline). The oversampling is an integer, so every pixel of a star falls at the same fraction
between samples: one set of weights per axis serves the whole window.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter

from compute.kernels._jit import jit

ORDERS = (3, 5)


def coefficients(tables: NDArray, order: int = 5) -> NDArray[np.float64]:
    """B-spline coefficients of tables (..., n_v, n_u), mirrored at the borders; same shape, C-contiguous.

    Raises
    ------
    ValueError
        If `order` is not 3 or 5.
    """
    if order not in ORDERS:
        raise ValueError(f"spline order is {order}, expected one of {ORDERS}")
    tables = np.asarray(tables, np.float64)
    flat = tables.reshape(-1, *tables.shape[-2:])
    out = np.empty_like(flat)
    for table, result in zip(flat, out, strict=True):
        spline_filter(table, order=order, output=result, mode="mirror")
    return out.reshape(tables.shape)


def taps(order: int) -> tuple[int, ...]:
    """Tuple whose *length* tells kernels the number of taps, order + 1, at compile time, so that loops unroll."""
    return (0,) * (order + 1)


@jit(inline="always")
def basis(t, w, d, taps):
    """Fill `w` with the B-spline weights at fraction `t` in [0, 1) and `d` with their derivatives."""
    s = 1.0 - t
    if len(taps) == 4:
        w[0] = s * s * s / 6.0
        w[1] = 2.0 / 3.0 - t * t * (2.0 - t) / 2.0
        w[2] = 2.0 / 3.0 - s * s * (2.0 - s) / 2.0
        w[3] = t * t * t / 6.0
        d[0] = -s * s / 2.0
        d[1] = t * (1.5 * t - 2.0)
        d[2] = -s * (1.5 * s - 2.0)
        d[3] = t * t / 2.0
    else:
        t2, s2 = t * t, s * s
        w[0] = s2 * s2 * s / 120.0
        w[1] = (26.0 + t * (-50.0 + t * (20.0 + t * (20.0 + t * (-20.0 + 5.0 * t))))) / 120.0
        w[2] = (66.0 + t2 * (-60.0 + t2 * (30.0 - 10.0 * t))) / 120.0
        w[3] = (66.0 + s2 * (-60.0 + s2 * (30.0 - 10.0 * s))) / 120.0
        w[4] = (26.0 + s * (-50.0 + s * (20.0 + s * (20.0 + s * (-20.0 + 5.0 * s))))) / 120.0
        w[5] = t2 * t2 * t / 120.0
        d[0] = -s2 * s2 / 24.0
        d[1] = (-50.0 + t * (40.0 + t * (60.0 + t * (-80.0 + 25.0 * t)))) / 120.0
        d[2] = t * (-120.0 + t2 * (120.0 - 50.0 * t)) / 120.0
        d[3] = -s * (-120.0 + s2 * (120.0 - 50.0 * s)) / 120.0
        d[4] = -(-50.0 + s * (40.0 + s * (60.0 + s * (-80.0 + 25.0 * s)))) / 120.0
        d[5] = t2 * t2 / 24.0


@jit(inline="always")
def cell(position, knots):
    """Lower knot and fraction of `position` among increasing `knots`; clamped, never extrapolated."""
    n = knots.size
    if n == 1 or position <= knots[0]:
        return 0, 0.0
    if position >= knots[n - 1]:
        return n - 2, 1.0
    k = 0
    while position >= knots[k + 1]:
        k += 1
    return k, (position - knots[k]) / (knots[k + 1] - knots[k])


@jit(inline="always")
def blend(coef, fx, fy, x, y, lo, patch):
    """Bilinear mix at (x, y) of the four fiducial tables (A&K 2000, section 4.2.2); `patch` starts at sample `lo`."""
    kx, tx = cell(x, fx)
    ky, ty = cell(y, fy)
    kx1, ky1 = min(kx + 1, fx.size - 1), min(ky + 1, fy.size - 1)
    a, b, c, d = (1.0 - ty) * (1.0 - tx), (1.0 - ty) * tx, ty * (1.0 - tx), ty * tx
    width = patch.shape[1]
    for j in range(patch.shape[0]):
        p, q = coef[ky, kx, j + lo, lo : lo + width], coef[ky, kx1, j + lo, lo : lo + width]
        r, s = coef[ky1, kx, j + lo, lo : lo + width], coef[ky1, kx1, j + lo, lo : lo + width]
        row = patch[j]
        for i in range(width):
            row[i] = a * p[i] + b * q[i] + c * r[i] + d * s[i]


@jit
def blend_flat(tables, fx, fy, x, y, out):
    """:func:`blend` of what is side by side already: `tables` (n_fy, n_fx, k), `out` (k,)."""
    kx, tx = cell(x, fx)
    ky, ty = cell(y, fy)
    kx1, ky1 = min(kx + 1, fx.size - 1), min(ky + 1, fy.size - 1)
    a, b, c, d = (1.0 - ty) * (1.0 - tx), (1.0 - ty) * tx, ty * (1.0 - tx), ty * tx
    p, q, r, s = tables[ky, kx], tables[ky, kx1], tables[ky1, kx], tables[ky1, kx1]
    for k in range(out.size):
        out[k] = a * p[k] + b * q[k] + c * r[k] + d * s[k]


@jit
def evaluate(coef, fx, fy, oversampling, taps, x, y, dx, dy):
    """The ePSF of a star at (x, y) in pixels offset by (dx, dy) [pix]; zero beyond the table.

    Parameters
    ----------
    coef
        (n_fy, n_fx, n, n) B-spline coefficients.
    fx, fy
        (n_fx,), (n_fy,) fiducial positions [pix].
    x, y, dx, dy
        (N,) star positions and pixel-minus-star offsets [pix].

    Returns
    -------
    (N,) fractions of the star's flux.
    """
    n, m = coef.shape[3], len(taps)
    centre, before = (n - 1) // 2, m // 2 - 1
    wx, wy, skip = np.empty(m), np.empty(m), np.empty(m)
    out = np.zeros(dx.size)
    for s in range(dx.size):
        u, v = dx[s] * oversampling + centre, dy[s] * oversampling + centre
        i0, j0 = int(np.floor(u)) - before, int(np.floor(v)) - before
        if i0 < 0 or j0 < 0 or i0 + m > n or j0 + m > n:
            continue
        basis(u - np.floor(u), wx, skip, taps)
        basis(v - np.floor(v), wy, skip, taps)
        kx, tx = cell(x[s], fx)
        ky, ty = cell(y[s], fy)
        for b in range(2):
            for a in range(2):
                part = (tx if a else 1.0 - tx) * (ty if b else 1.0 - ty)
                if part == 0.0:
                    continue
                value = 0.0
                for j in range(m):
                    for i in range(m):
                        value += wy[j] * wx[i] * coef[ky + b, kx + a, j0 + j, i0 + i]
                out[s] += part * value
    return out
