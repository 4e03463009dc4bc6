"""What a fit is worth: the covariance of its parameters and the measures of its quality."""

import numpy as np

from compute.kernels._jit import jit
from compute.kernels.measure.columns import (
    CHI2,
    COV_XY,
    EVENT,
    EXCESS,
    EXCESS_ERROR,
    NEIGHBOUR,
    QFIT,
    RADXS,
    VAR_FLUX,
    VAR_X,
    VAR_Y,
)
from compute.kernels.measure.window import taper_weight


@jit(inline="always")
def covariance(pixels, psi, gx, gy, x, y, flux, sky_error, taper, variance, inv, row):
    """Covariance of (x, y, flux) at the solution.

    With the tapered aperture the weights are not inverse variances: H^-1 G H^-1, where G = sum w^2 V d d'. The error
    of the fixed sky moves all three parameters together and is added to it.
    """
    dx, dy, usable = pixels[0], pixels[1], pixels[2]
    xx = xy = yy = ff = lean_x = lean_y = lean_f = 0.0
    for k in range(psi.size):
        w = usable[k] * taper_weight(dx[k] - x, dy[k] - y, taper[0], taper[1]) / variance[k]
        a, b, c = flux * gx[k], flux * gy[k], psi[k]
        # What the parameters gain per unit of light in this pixel.
        px = w * (inv[0, 0] * a + inv[0, 1] * b + inv[0, 2] * c)
        py = w * (inv[1, 0] * a + inv[1, 1] * b + inv[1, 2] * c)
        pf = w * (inv[2, 0] * a + inv[2, 1] * b + inv[2, 2] * c)
        xx += px * px * variance[k]
        xy += px * py * variance[k]
        yy += py * py * variance[k]
        ff += pf * pf * variance[k]
        lean_x += px
        lean_y += py
        lean_f += pf
    s2 = sky_error * sky_error
    row[VAR_X], row[VAR_Y] = xx + s2 * lean_x * lean_x, yy + s2 * lean_y * lean_y
    row[COV_XY], row[VAR_FLUX] = xy + s2 * lean_x * lean_y, ff + s2 * lean_f * lean_f


@jit(inline="always")
def quality(pixels, psi, x, y, flux, taper, variance, row):
    """QFIT, RADXS (Libralato et al. 2023, section 3.1), reduced chi2, neighbours' share, central excess and event.

    The event is light in four pixels, as much in each as there is, and none elsewhere: a ray or a hot pixel. It is
    given as the chi2 that it leaves minus the star's.
    """
    dx, dy, usable, light, others = pixels[0], pixels[1], pixels[2], pixels[3], pixels[4]
    absolute = total = beyond = chi2 = weights = owed = own = dark = 0.0
    first = second = third = fourth = 0.0
    nearest, closest = 0, np.inf
    for k in range(psi.size):
        r2 = (dx[k] - x) ** 2 + (dy[k] - y) ** 2
        residual = usable[k] * (light[k] - others[k] - flux * psi[k])
        t = usable[k] * taper_weight(dx[k] - x, dy[k] - y, taper[0], taper[1])
        inside = 1.0 if t > 0.0 else 0.0
        beyond += residual if 1.0 < r2 <= 6.25 else 0.0
        absolute += inside * abs(residual)
        total += inside * (light[k] - others[k])
        chi2 += t * residual * residual / variance[k]
        alone = t * (light[k] - others[k]) ** 2 / variance[k]
        dark += alone
        rest = alone if light[k] > others[k] else 0.0
        first, rest = max(first, rest), min(first, rest)
        second, rest = max(second, rest), min(second, rest)
        third, rest = max(third, rest), min(third, rest)
        fourth = max(fourth, rest)
        weights += t
        owed += inside * others[k]
        own += inside * flux * psi[k]
        if r2 < closest:
            nearest, closest = k, r2
    row[QFIT] = absolute / total if total > 0.0 else np.nan
    row[RADXS] = beyond / flux
    row[CHI2] = chi2 / (weights - 3.0) if weights > 3.0 else np.nan
    row[EVENT] = dark - first - second - third - fourth - chi2
    row[NEIGHBOUR] = max(owed, 0.0) / (max(owed, 0.0) + own)
    if usable[nearest] != 0.0:
        row[EXCESS] = (light[nearest] - others[nearest] - flux * psi[nearest]) / flux
        row[EXCESS_ERROR] = np.sqrt(variance[nearest]) / flux
