"""The pixels of a saturated star's wings: how far they are trusted, and what they say.

Arrays are those of a window: `pixels` (7, n) as :func:`compute.kernels.measure.window.load` fills them, `light` (3, n)
the ePSF and its derivatives by position, `p` the star's (x, y, flux, sky), `scales` (2, n) variances and weights.
"""

import numpy as np

from compute.kernels._jit import jit
from compute.kernels.measure.columns import GOOD, SATURATED

LEAST = 12  # pixels without which nothing is fitted
_ROUGH = 0.15  # share by which any pixel may be wrong while a star is looked for
_WORST = 1.0  # largest error of a template
_OUTLIER = 3.0  # sigma beyond which the weight of a pixel falls as the square of its residual
_BLOCK = 5  # [pix] across which residuals agree


@jit
def mismatch(maps, xc, yc, half, psi):
    """Reduced chi2 of a star about (xc, yc) with the flux and sky that are best there; infinite if it has no light."""
    image, others, mask, poisson, floor = maps
    ny, nx = image.shape
    w0 = wp = wpp = wl = wpl = wll = 0.0
    n = k = 0
    for j in range(yc - half, yc + half + 1):
        for i in range(xc - half, xc + half + 1):
            if 0 <= i < nx and 0 <= j < ny and mask[j, i] == GOOD:
                light, p = image[j, i] - others[j, i], psi[k]
                w = 1.0 / (poisson[j, i] * max(image[j, i], 0.0) + floor[j, i] + (_ROUGH * image[j, i]) ** 2)
                w0 += w
                wp += w * p
                wpp += w * p * p
                wl += w * light
                wpl += w * p * light
                wll += w * light * light
                n += 1
            k += 1
    det = w0 * wpp - wp * wp
    if n < LEAST or not det > 0.0:
        return np.inf
    flux = (w0 * wpl - wp * wl) / det
    return (wll - flux * wpl - (wl - flux * wp) / w0 * wl) / n if flux > 0.0 else np.inf


@jit
def drop_spilt(mask, xc, yc, half, usable):
    """Clear pixels that share an edge with a saturated one, whose charge may have spilt; returns how many are left."""
    ny, nx = mask.shape
    n = k = 0
    for j in range(yc - half, yc + half + 1):
        for i in range(xc - half, xc + half + 1):
            if usable[k] != 0.0:
                spilt = (i > 0 and mask[j, i - 1] == SATURATED) or (i < nx - 1 and mask[j, i + 1] == SATURATED)
                spilt |= (j > 0 and mask[j - 1, i] == SATURATED) or (j < ny - 1 and mask[j + 1, i] == SATURATED)
                usable[k] = 0.0 if spilt else 1.0
                n += not spilt
            k += 1
    return n


@jit
def line(pixels, psi):
    """Flux and sky of the straight line of light against `psi`, all pixels alike; zeros where there is none."""
    n = p = pp = q = pq = 0.0
    for k in range(psi.size):
        used, value = pixels[2, k], pixels[3, k] - pixels[4, k]
        n += used
        p += used * psi[k]
        pp += used * psi[k] * psi[k]
        q += used * value
        pq += used * psi[k] * value
    det = n * pp - p * p
    if not det > 0.0:
        return 0.0, 0.0
    flux = (n * pq - p * q) / det
    return flux, (q - flux * p) / n


@jit
def weigh(pixels, psi, p, error, scales):
    """Fill `scales` with the variance of each pixel for a template's error, and with robust weights."""
    for k in range(psi.size):
        stars = max(p[2] * psi[k] + pixels[4, k], 0.0)
        v = pixels[5, k] * max(stars + p[3], 0.0) + pixels[6, k] + (error * stars) ** 2
        r = pixels[3, k] - pixels[4, k] - p[2] * psi[k] - p[3]
        scales[0, k], scales[1, k] = v, pixels[2, k] / max(v, r * r / _OUTLIER**2)


@jit
def template_error_of(pixels, light, p, least, scales):
    """Fractional error of the ePSF at which residuals are as large as they should be, by bisection; at least `least`.

    Half of the information on the position lies then within 0.6745 sigma, whatever the worst pixels do.
    """
    low, high = max(least, 1e-4), _WORST
    if _share_within(pixels, light, p, low, scales) >= 0.5:
        return least
    for _ in range(12):
        middle = np.sqrt(low * high)
        if _share_within(pixels, light, p, middle, scales) < 0.5:
            low = middle
        else:
            high = middle
    return high


@jit
def _share_within(pixels, light, p, error, scales):
    """Share of the information on the position that is in pixels with residuals within 0.6745 sigma."""
    weigh(pixels, light[0], p, error, scales)
    inside = total = 0.0
    for k in range(light.shape[1]):
        w = pixels[2, k] * (light[1, k] ** 2 + light[2, k] ** 2) / scales[0, k]
        r = pixels[3, k] - pixels[4, k] - p[2] * light[0, k] - p[3]
        total += w
        inside += w if r * r < 0.455 * scales[0, k] else 0.0
    return inside / total if total > 0.0 else 1.0


@jit
def normal(pixels, light, p, weight, h, g):
    """Normal equations (upper triangle) of (x, y, flux, sky)."""
    h[:] = 0.0
    g[:] = 0.0
    slope = np.ones(4)
    for k in range(weight.size):
        slope[0], slope[1], slope[2] = p[2] * light[1, k], p[2] * light[2, k], light[0, k]
        r = weight[k] * (pixels[3, k] - pixels[4, k] - p[2] * light[0, k] - p[3])
        for a in range(4):
            g[a] += r * slope[a]
            for b in range(a, 4):
                h[a, b] += weight[k] * slope[a] * slope[b]


@jit
def inflate(pixels, light, p, weight, side, inv, factor):
    """Fill `factor` with what the variances in `inv` are to be multiplied with, as residuals agree with those beside.

    By the sandwich of White (1980) with blocks of 5x5 pixels as its samples; never below one, the same for x and y.
    """
    g, spread, n = np.empty(4), np.zeros(4), 0
    for top in range(0, side, _BLOCK):
        for left in range(0, side, _BLOCK):
            g[:] = 0.0
            total = 0.0
            for j in range(top, min(top + _BLOCK, side)):
                for i in range(left, min(left + _BLOCK, side)):
                    k = j * side + i
                    r = weight[k] * (pixels[3, k] - pixels[4, k] - p[2] * light[0, k] - p[3])
                    g[0] += r * p[2] * light[1, k]
                    g[1] += r * p[2] * light[2, k]
                    g[2] += r * light[0, k]
                    g[3] += r
                    total += weight[k]
            n += total > 0.0
            for a in range(4):
                spread[a] += (inv[a, 0] * g[0] + inv[a, 1] * g[1] + inv[a, 2] * g[2] + inv[a, 3] * g[3]) ** 2
    few = n / max(n - 4.0, 1.0)  # four of them are free
    for a in range(4):
        factor[a] = max(1.0, few * spread[a] / inv[a, a])
    factor[0] = factor[1] = max(1.0, 0.5 * few * (spread[0] / inv[0, 0] + spread[1] / inv[1, 1]))
