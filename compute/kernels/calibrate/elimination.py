"""Stars eliminated from least squares: what they alone could explain of their pixels, taken away.

A star has three numbers over all its stamps, x and y on the frame and flux; a stamp has a position of its own, held
near the star's. Neither is solved for: normal equations of the ePSF see only what none of them can explain.
"""

import numpy as np

from compute.kernels._jit import jit

_DAMP = 1e-9  # of a star's own curvature, for stars without a usable pixel


@jit
def columns(psi, gx, gy, flux, slope, gain, own, columns):
    """Derivatives of pixels by the stamp's own position, and by the star's x and y on the frame and its flux."""
    for k in range(flux.size):
        for j in range(psi.shape[1]):
            for i in range(psi.shape[2]):
                a, b = flux[k] * gx[k, j, i], flux[k] * gy[k, j, i]
                own[0, k, j, i], own[1, k, j, i] = a, b
                columns[0, k, j, i] = a * slope[k, 0, 0] + b * slope[k, 1, 0]
                columns[1, k, j, i] = a * slope[k, 0, 1] + b * slope[k, 1, 1]
                columns[2, k, j, i] = gain[k] * psi[k, j, i]


@jit
def loosen(own, weight, stiff, loose):
    """Inverse of each stamp's normal matrix of its own position, held by `stiff` [1/pix^2]."""
    for k in range(loose.shape[0]):
        a, b, c = stiff, 0.0, stiff
        for j in range(weight.shape[1]):
            for i in range(weight.shape[2]):
                a += weight[k, j, i] * own[0, k, j, i] * own[0, k, j, i]
                b += weight[k, j, i] * own[0, k, j, i] * own[1, k, j, i]
                c += weight[k, j, i] * own[1, k, j, i] * own[1, k, j, i]
        det = a * c - b * b
        loose[k, 0, 0], loose[k, 1, 1] = c / det, a / det
        loose[k, 0, 1] = loose[k, 1, 0] = -b / det


@jit
def weigh(value, own, weight, loose, out):
    """Pixels times weights, less what a stamp's own slack explains: W v - W G (G'WG + 1/slack^2)^-1 G'W v."""
    for k in range(loose.shape[0]):
        p = q = 0.0
        for j in range(weight.shape[1]):
            for i in range(weight.shape[2]):
                w = weight[k, j, i] * value[k, j, i]
                p += w * own[0, k, j, i]
                q += w * own[1, k, j, i]
        a, b = loose[k, 0, 0] * p + loose[k, 0, 1] * q, loose[k, 1, 0] * p + loose[k, 1, 1] * q
        for j in range(weight.shape[1]):
            for i in range(weight.shape[2]):
                out[k, j, i] = weight[k, j, i] * (value[k, j, i] - a * own[0, k, j, i] - b * own[1, k, j, i])


@jit
def star_matrices(start, columns, seen, inverse):
    """Inverse of each star's own normal matrix."""
    h = np.empty((3, 3))
    for s in range(inverse.shape[0]):
        h[:] = 0.0
        for k in range(start[s], start[s + 1]):
            for j in range(seen.shape[2]):
                for i in range(seen.shape[3]):
                    for a in range(3):
                        for b in range(a + 1):
                            h[a, b] += seen[a, k, j, i] * columns[b, k, j, i]
        for a in range(3):
            h[a, a] += _DAMP * h[a, a] + 1e-30
            for b in range(a):
                h[b, a] = h[a, b]
        inverse[s] = np.linalg.inv(h)


@jit
def _star_sums(first, last, seen, value, sums):
    sums[:] = 0.0
    for k in range(first, last):
        for j in range(value.shape[1]):
            for i in range(value.shape[2]):
                v = value[k, j, i]
                sums[0] += v * seen[0, k, j, i]
                sums[1] += v * seen[1, k, j, i]
                sums[2] += v * seen[2, k, j, i]


@jit
def project(start, columns, seen, inverse, value, sums):
    """Take from `value` what the stars' columns explain of it."""
    for s in range(start.size - 1):
        _star_sums(start[s], start[s + 1], seen, value, sums)
        a = inverse[s] @ sums
        for k in range(start[s], start[s + 1]):
            for j in range(value.shape[1]):
                for i in range(value.shape[2]):
                    value[k, j, i] -= (
                        a[0] * columns[0, k, j, i] + a[1] * columns[1, k, j, i] + a[2] * columns[2, k, j, i]
                    )


@jit
def solve_stars(start, seen, inverse, value, out):
    """Changes of x, y and flux (S, 3) that explain the most of `value`."""
    sums = np.empty(3)
    for s in range(start.size - 1):
        _star_sums(start[s], start[s + 1], seen, value, sums)
        out[s] = inverse[s] @ sums
