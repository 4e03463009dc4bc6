"""Star images cut out once: the ePSF and its gradients on their pixels, and sums over pixels back onto the ePSF.

A stamp of (m, m) pixels belongs to one star in one exposure. Its star stands at (x, y) from the middle pixel. The ePSF
is a cubic or quintic B-spline with a table of coefficients at each fiducial, mixed bilinearly between fiducials.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.spline import basis, cell


class Stamps(NamedTuple):
    """Images of stars; K of them.

    `light` (K, m, m) float32: pixels less sky and neighbours [image unit]; `weight` (K, m, m) float32: 1 / variance, 0
    for pixels of no use; `x`, `y` (K,): the star from the middle pixel [pix]; `flux` (K,) [image unit x pix]; `at_x`,
    `at_y` (K,): where on the detector, for the mix of fiducials [pix].
    """

    light: NDArray[np.float32]
    weight: NDArray[np.float32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    at_x: NDArray[np.float64]
    at_y: NDArray[np.float64]


@jit
def sample_stamps(coef, fx, fy, oversampling, taps, x, y, at_x, at_y, psi, gx, gy):
    """The ePSF on every pixel of stamps, and its derivatives with respect to the star's position [1/pix].

    Parameters
    ----------
    coef
        (n_fy, n_fx, n, n) B-spline coefficients; pixels beyond the table get zeros.
    x, y, at_x, at_y
        (K,) as of :class:`Stamps`.
    psi, gx, gy
        (K, m, m) filled in place.
    """
    n, t, side = coef.shape[3], len(taps), psi.shape[1]
    half, centre, before = (side - 1) // 2, (n - 1) // 2, t // 2 - 1
    size = oversampling * (side - 1) + t
    wx, dx, wy, dy = np.empty(t), np.empty(t), np.empty(t), np.empty(t)
    row, across = np.empty(size), np.empty(size)
    for s in range(x.size):
        psi[s] = 0.0
        gx[s] = 0.0
        gy[s] = 0.0
        if not (abs(x[s]) < half and abs(y[s]) < half):
            continue
        u, v = (-half - x[s]) * oversampling + centre, (-half - y[s]) * oversampling + centre
        i0, j0 = int(np.floor(u)), int(np.floor(v))
        basis(u - i0, wx, dx, taps)
        basis(v - j0, wy, dy, taps)
        i0 -= before
        j0 -= before
        kx, tx = cell(at_x[s], fx)
        ky, ty = cell(at_y[s], fy)
        kx1, ky1 = min(kx + 1, fx.size - 1), min(ky + 1, fy.size - 1)
        a, b, c, d = (1.0 - ty) * (1.0 - tx), (1.0 - ty) * tx, ty * (1.0 - tx), ty * tx
        first, last = max(0, -i0), min(size, n - i0)
        for j in range(side):
            row[:] = 0.0
            across[:] = 0.0
            for k in range(t):
                r = j0 + j * oversampling + k
                if r < 0 or r >= n:
                    continue
                p, q = coef[ky, kx, r], coef[ky, kx1, r]
                e, f = coef[ky1, kx, r], coef[ky1, kx1, r]
                for i in range(first, last):
                    value = a * p[i + i0] + b * q[i + i0] + c * e[i + i0] + d * f[i + i0]
                    row[i] += wy[k] * value
                    across[i] += dy[k] * value
            for i in range(side):
                value = slope_x = slope_y = 0.0
                for k in range(t):
                    value += wx[k] * row[i * oversampling + k]
                    slope_x += dx[k] * row[i * oversampling + k]
                    slope_y += wx[k] * across[i * oversampling + k]
                psi[s, j, i] = value
                gx[s, j, i] = -slope_x * oversampling
                gy[s, j, i] = -slope_y * oversampling


@jit
def gather_stamps(value, fx, fy, oversampling, taps, x, y, at_x, at_y, out):
    """Transpose of :func:`sample_stamps`: sums of pixels (K, m, m) times what each coefficient has in them.

    `out` (n_fy, n_fx, n, n) is added to, in the order of the stamps.
    """
    n, t, side = out.shape[3], len(taps), value.shape[1]
    half, centre, before = (side - 1) // 2, (n - 1) // 2, t // 2 - 1
    size = oversampling * (side - 1) + t
    wx, wy, skip = np.empty(t), np.empty(t), np.empty(t)
    row = np.empty(size)
    for s in range(x.size):
        if not (abs(x[s]) < half and abs(y[s]) < half):
            continue
        u, v = (-half - x[s]) * oversampling + centre, (-half - y[s]) * oversampling + centre
        i0, j0 = int(np.floor(u)), int(np.floor(v))
        basis(u - i0, wx, skip, taps)
        basis(v - j0, wy, skip, taps)
        i0 -= before
        j0 -= before
        kx, tx = cell(at_x[s], fx)
        ky, ty = cell(at_y[s], fy)
        kx1, ky1 = min(kx + 1, fx.size - 1), min(ky + 1, fy.size - 1)
        a, b, c, d = (1.0 - ty) * (1.0 - tx), (1.0 - ty) * tx, ty * (1.0 - tx), ty * tx
        first, last = max(0, -i0), min(size, n - i0)
        for j in range(side):
            row[:] = 0.0
            for i in range(side):
                for k in range(t):
                    row[i * oversampling + k] += wx[k] * value[s, j, i]
            for k in range(t):
                r = j0 + j * oversampling + k
                if r < 0 or r >= n:
                    continue
                p, q, e, f = out[ky, kx, r], out[ky, kx1, r], out[ky1, kx, r], out[ky1, kx1, r]
                for i in range(first, last):
                    light = wy[k] * row[i]
                    p[i + i0] += a * light
                    q[i + i0] += b * light
                    e[i + i0] += c * light
                    f[i + i0] += d * light
