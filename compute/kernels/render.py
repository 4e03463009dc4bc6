"""Drawing fitted stars, and taking them away."""

import numpy as np

from compute.kernels._jit import jit
from compute.kernels.spline import basis, cell


@jit
def take_away(image, drawn, poisson, floor, left_over, left, noise):
    """Fill `left` with the image without the stars `drawn`, `noise` with the variance to search it at.

    That is the floor, the stars' photons, and the share `left_over` of their light that may be left of them, squared.
    """
    share = np.float32(left_over)
    for j in range(image.shape[0]):
        for i in range(image.shape[1]):
            star = drawn[j, i]
            left[j, i] = image[j, i] - star
            noise[j, i] = floor[j, i] + poisson[j, i] * star + (share * star) * (share * star)


@jit
def draw_stars(model, x, y, flux, coef, fx, fy, oversampling, taps, reaches):
    """Add every star with positive, finite flux to `model` (n_y, n_x) float32, out to `reaches` (N,) pix (a square).

    Parameters as in :func:`compute.kernels.starfit.fit_stars`. Stars are added in order: the sum is reproducible.
    """
    ny, nx = model.shape
    n, m = coef.shape[3], len(taps)
    centre, before = (n - 1) // 2, m // 2 - 1
    most = (centre - m // 2 - oversampling) // oversampling
    wx, wy, skip = np.empty(m), np.empty(m), np.empty(m)
    row = np.empty(2 * oversampling * most + m)
    for s in range(x.size):
        # Comparisons, not isfinite of a sum: reassociation lets the compiler take sums apart.
        if not (0.0 < flux[s] < np.inf and abs(x[s]) < np.inf and abs(y[s]) < np.inf):
            continue
        reach = min(reaches[s], most)
        side = 2 * reach + 1
        size = oversampling * (side - 1) + m
        xc, yc = int(np.round(x[s])), int(np.round(y[s]))
        u, v = (xc - reach - x[s]) * oversampling + centre, (yc - reach - y[s]) * oversampling + centre
        i0, j0 = int(np.floor(u)), int(np.floor(v))
        basis(u - i0, wx, skip, taps)
        basis(v - j0, wy, skip, taps)
        i0 -= before
        j0 -= before
        kx, tx = cell(x[s], fx)
        ky, ty = cell(y[s], fy)
        kx1, ky1 = min(kx + 1, fx.size - 1), min(ky + 1, fy.size - 1)
        a, b, c, d = (1.0 - ty) * (1.0 - tx), (1.0 - ty) * tx, ty * (1.0 - tx), ty * tx
        for j in range(max(0, reach - yc), min(side, ny - yc + reach)):
            row[:] = 0.0
            for t in range(m):
                k = j0 + j * oversampling + t
                p, q = coef[ky, kx, k, i0 : i0 + size], coef[ky, kx1, k, i0 : i0 + size]
                r, z = coef[ky1, kx, k, i0 : i0 + size], coef[ky1, kx1, k, i0 : i0 + size]
                for i in range(size):
                    row[i] += wy[t] * (a * p[i] + b * q[i] + c * r[i] + d * z[i])
            for i in range(max(0, reach - xc), min(side, nx - xc + reach)):
                value = 0.0
                for t in range(m):
                    value += wx[t] * row[i * oversampling + t]
                model[yc - reach + j, xc - reach + i] += np.float32(flux[s] * value)
