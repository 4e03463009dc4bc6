"""Stars, wings and galaxies drawn into pixels from finely sampled effective PSFs.

Between the samples of a table, six-point Lagrange polynomials: at twelve samples per pixel they are good to 1e-6 of
the peak of the sharpest star, and they have nothing in common with the splines that measure.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit

RADIUS = 12  # pix drawn around a star from the fine table


class Table(NamedTuple):
    """Effective PSFs on a grid of fiducials, laid out by sub-pixel phase.

    `phases` (n_fy, n_fx, s, s, m, m): sample [j, i] of phase (p, q) lies at offset (i - half + q / s) along x and
    (j - half + p / s) along y from the star, half = (m - 1) // 2. `fx`, `fy` are array pixels.
    """

    phases: NDArray[np.float32]
    fx: NDArray[np.float64]
    fy: NDArray[np.float64]


def by_phase(values: NDArray[np.float64], oversampling: int) -> NDArray[np.float32]:
    """Tables (..., n, n) with n = 2 half oversampling + 1, rearranged as (..., s, s, 2 half + 1, 2 half + 1).

    The samples beyond the last whole offset do not exist and are zero.
    """
    n, s = values.shape[-1], oversampling
    m = (n - 1) // s + 1
    padded = np.zeros((*values.shape[:-2], m * s, m * s), np.float32)
    padded[..., :n, :n] = values
    split = padded.reshape(*values.shape[:-2], m, s, m, s)
    return np.ascontiguousarray(np.moveaxis(split, (-3, -1), (-4, -3)))


@jit
def lagrange(w, weights):
    """Weights of samples -2 to 3 for a point `w` of the way from sample 0 to sample 1."""
    for k in range(6):
        product = 1.0
        for other in range(6):
            if other != k:
                product *= (w + 2.0 - other) / (k - other)
        weights[k] = product


@jit
def _fiducials(axis, place):
    """Index of the fiducial below `place` and the share of the next one; constant outside the grid."""
    if axis.size == 1 or place <= axis[0]:
        return 0, 0.0
    for k in range(axis.size - 2):
        if place < axis[k + 1]:
            return k, (place - axis[k]) / (axis[k + 1] - axis[k])
    k = axis.size - 2
    return k, min((place - axis[k]) / (axis[k + 1] - axis[k]), 1.0)


@jit
def draw_stars(image, phases, fx, fy, x, y, flux, radius):
    """Add stars to `image` (n_y, n_x) at array positions `x`, `y` with `flux`, out to `radius` pix in a square.

    `radius` is at most half the width of `phases` less one.
    """
    s, m = phases.shape[2], phases.shape[4]
    half, side = (m - 1) // 2, 2 * radius + 1
    rows, wx, wy = np.empty((6, side, side)), np.empty(6), np.empty(6)
    for k in range(x.size):
        ix, iy = int(np.floor(x[k] + 0.5)), int(np.floor(y[k] + 0.5))
        if ix + radius < 0 or iy + radius < 0 or ix - radius >= image.shape[1] or iy - radius >= image.shape[0]:
            continue
        tx, ty = (ix - x[k]) * s, (iy - y[k]) * s  # offset of the central pixel, in samples
        kx, ky = int(np.floor(tx)), int(np.floor(ty))
        lagrange(tx - kx, wx)
        lagrange(ty - ky, wy)
        rows[:] = 0.0
        a, share_x = _fiducials(fx, x[k])
        b, share_y = _fiducials(fy, y[k])
        for corner in range(4):
            right, upper = corner % 2, corner // 2
            share = (share_x if right else 1 - share_x) * (share_y if upper else 1 - share_y)
            if share > 0.0:
                part = phases[min(b + upper, fy.size - 1), min(a + right, fx.size - 1)]
                for p in range(6):
                    _add_row(rows[p], part[(ky + p - 2) % s], (ky + p - 2) // s + half - radius, kx, wx, share, half)
        for j in range(max(0, radius - iy), min(side, image.shape[0] - iy + radius)):
            line = image[iy - radius + j]
            for p in range(6):
                weight = flux[k] * wy[p]
                for i in range(max(0, radius - ix), min(side, image.shape[1] - ix + radius)):
                    line[ix - radius + i] += weight * rows[p, j, i]


@jit
def _add_row(target, part, first, kx, wx, share, half):
    """Add one phase along y, interpolated along x, to `target` (side, side)."""
    s, side = part.shape[0], target.shape[0]
    for q in range(6):
        sample = kx + q - 2
        plane, left, weight = part[sample % s], sample // s + half - (side - 1) // 2, share * wx[q]
        for j in range(side):
            source = plane[first + j]
            for i in range(side):
                target[j, i] += weight * source[left + i]


@jit
def draw_wings(image, wing, oversampling, x, y, flux, reaches, inner):
    """Add what lies between the squares of `inner` and `reaches` pix around each star, from a wide table (n, n)."""
    half = (wing.shape[0] - 1) // 2
    for k in range(x.size):
        reach = min(reaches[k], half // oversampling - 1)
        ix, iy = int(np.floor(x[k] + 0.5)), int(np.floor(y[k] + 0.5))
        for j in range(max(iy - reach, 0), min(iy + reach + 1, image.shape[0])):
            v = (j - y[k]) * oversampling + half
            jv = int(v)
            sv = v - jv
            for i in range(max(ix - reach, 0), min(ix + reach + 1, image.shape[1])):
                if abs(i - ix) <= inner and abs(j - iy) <= inner:
                    continue
                u = (i - x[k]) * oversampling + half
                iu = int(u)
                su = u - iu
                low = (1 - su) * wing[jv, iu] + su * wing[jv, iu + 1]
                high = (1 - su) * wing[jv + 1, iu] + su * wing[jv + 1, iu + 1]
                image[j, i] += flux[k] * ((1 - sv) * low + sv * high)
