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


@jit(inline="always")
def _aim(u, w, d, taps):
    """First coefficient that has a part at sample `u`, along one axis; weights and their derivatives from it on."""
    floor = np.floor(u)
    basis(u - floor, w, d, taps)
    return int(floor) - (len(taps) // 2 - 1)


@jit(inline="always")
def _between(place, fiducials):
    """The fiducials about a place along one axis, and how far it is from the first to the second."""
    k, t = cell(place, fiducials)
    return k, min(k + 1, fiducials.size - 1), t


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
    half, centre = (side - 1) // 2, (n - 1) // 2
    size = oversampling * (side - 1) + t
    wx, dx, wy, dy = np.empty(t), np.empty(t), np.empty(t), np.empty(t)
    row, across = np.empty(size), np.empty(size)
    for s in range(x.size):
        psi[s] = 0.0
        gx[s] = 0.0
        gy[s] = 0.0
        if not (abs(x[s]) < half and abs(y[s]) < half):
            continue
        i0 = _aim((-half - x[s]) * oversampling + centre, wx, dx, taps)
        j0 = _aim((-half - y[s]) * oversampling + centre, wy, dy, taps)
        (kx, kx1, tx), (ky, ky1, ty) = _between(at_x[s], fx), _between(at_y[s], fy)
        a, b, c, d = (1.0 - ty) * (1.0 - tx), (1.0 - ty) * tx, ty * (1.0 - tx), ty * tx
        # Loops over slices, whose indices begin at 0, become vector instructions.
        first, last = max(0, -i0), min(size, n - i0)
        there, line, other = slice(first + i0, last + i0), row[first:last], across[first:last]
        for j in range(side):
            row[:] = 0.0
            across[:] = 0.0
            for k in range(t):
                r = j0 + j * oversampling + k
                if r < 0 or r >= n:
                    continue
                w, slope = wy[k], dy[k]
                p, q = coef[ky, kx, r, there], coef[ky, kx1, r, there]
                e, f = coef[ky1, kx, r, there], coef[ky1, kx1, r, there]
                for i in range(line.size):
                    value = a * p[i] + b * q[i] + c * e[i] + d * f[i]
                    line[i] += w * value
                    other[i] += slope * value
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
def shine_stamps(coef, fx, fy, oversampling, taps, x, y, at_x, at_y, psi):
    """The first result of :func:`sample_stamps` alone, where derivatives are not asked for."""
    n, t, side = coef.shape[3], len(taps), psi.shape[1]
    half, centre = (side - 1) // 2, (n - 1) // 2
    size = oversampling * (side - 1) + t
    wx, wy, skip = np.empty(t), np.empty(t), np.empty(t)
    row = np.empty(size)
    for s in range(x.size):
        psi[s] = 0.0
        if not (abs(x[s]) < half and abs(y[s]) < half):
            continue
        i0 = _aim((-half - x[s]) * oversampling + centre, wx, skip, taps)
        j0 = _aim((-half - y[s]) * oversampling + centre, wy, skip, taps)
        (kx, kx1, tx), (ky, ky1, ty) = _between(at_x[s], fx), _between(at_y[s], fy)
        a, b, c, d = (1.0 - ty) * (1.0 - tx), (1.0 - ty) * tx, ty * (1.0 - tx), ty * tx
        first, last = max(0, -i0), min(size, n - i0)
        there, line = slice(first + i0, last + i0), row[first:last]
        for j in range(side):
            row[:] = 0.0
            for k in range(t):
                r = j0 + j * oversampling + k
                if r < 0 or r >= n:
                    continue
                w = wy[k]
                p, e = coef[ky, kx, r, there], coef[ky1, kx, r, there]
                q, f = coef[ky, kx1, r, there], coef[ky1, kx1, r, there]
                if tx == 0.0 and ty == 0.0:
                    for i in range(line.size):
                        line[i] += w * p[i]
                else:
                    for i in range(line.size):
                        line[i] += w * (a * p[i] + b * q[i] + c * e[i] + d * f[i])
            for i in range(side):
                value = 0.0
                for k in range(t):
                    value += wx[k] * row[i * oversampling + k]
                psi[s, j, i] = value


@jit
def gather_stamps(value, fx, fy, oversampling, taps, x, y, at_x, at_y, out):
    """Transpose of :func:`sample_stamps`: sums of pixels (K, m, m) times what each coefficient has in them.

    `out` (n_fy, n_fx, n, n) is added to, in the order of the stamps.
    """
    n, t, side = out.shape[3], len(taps), value.shape[1]
    half, centre = (side - 1) // 2, (n - 1) // 2
    size = oversampling * (side - 1) + t
    wx, wy, skip = np.empty(t), np.empty(t), np.empty(t)
    row = np.empty(size)
    for s in range(x.size):
        if not (abs(x[s]) < half and abs(y[s]) < half):
            continue
        i0 = _aim((-half - x[s]) * oversampling + centre, wx, skip, taps)
        j0 = _aim((-half - y[s]) * oversampling + centre, wy, skip, taps)
        (kx, kx1, tx), (ky, ky1, ty) = _between(at_x[s], fx), _between(at_y[s], fy)
        a, b, c, d = (1.0 - ty) * (1.0 - tx), (1.0 - ty) * tx, ty * (1.0 - tx), ty * tx
        first, last = max(0, -i0), min(size, n - i0)
        there, line = slice(first + i0, last + i0), row[first:last]
        for j in range(side):
            row[:] = 0.0
            for i in range(side):
                for k in range(t):
                    row[i * oversampling + k] += wx[k] * value[s, j, i]
            for k in range(t):
                r = j0 + j * oversampling + k
                if r < 0 or r >= n:
                    continue
                w = wy[k]
                p, e = out[ky, kx, r, there], out[ky1, kx, r, there]
                q, f = out[ky, kx1, r, there], out[ky1, kx1, r, there]
                if tx == 0.0 and ty == 0.0:
                    for i in range(line.size):
                        p[i] += w * line[i]
                    continue
                for i in range(line.size):
                    light = w * line[i]
                    p[i] += a * light
                    q[i] += b * light
                    e[i] += c * light
                    f[i] += d * light
