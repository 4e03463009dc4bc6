"""Least-squares fit of (x, y, flux) to a star's pixels with a spatially interpolated ePSF.

Anderson & King 2000, section 4.3: minimise eq. 10 over the pixels near the star. Here the three parameters move
together (Gauss-Newton on the exact spline gradient), and the variance of a pixel is that of the *model*, because
weights from the noisy pixel itself favour downward fluctuations and make every star fainter.
"""

import numpy as np

from compute.kernels._jit import jit
from compute.kernels.measure.columns import CONVERGED, FLUX, N_ITER, N_PIX, PEAK, STATE, TOO_FEW, X, Y
from compute.kernels.measure.quality import covariance, quality
from compute.kernels.measure.window import brightest, load, sample, taper_weight
from compute.kernels.spline import blend_flat, evaluate

_MARGIN = 1  # pixels the star may stray from the middle of its window before the window follows
_MAX_STEP = 0.5  # [pix] longest step of one iteration
_MAX_WINDOWS = 4
_MAX_WALK = 1.5  # [pix] farthest from where it starts
_TOLERANCE, _FRACTION = 1e-5, 1e-3  # settled when the step is below 1e-5 pix, or a thousandth of the star's error


@jit(inline="always")
def _invert(h, inv):
    """Inverse of the symmetric 3x3 matrix `h` into `inv`; False where it is singular."""
    a = h[1, 1] * h[2, 2] - h[1, 2] * h[1, 2]
    b = h[0, 2] * h[1, 2] - h[0, 1] * h[2, 2]
    c = h[0, 1] * h[1, 2] - h[0, 2] * h[1, 1]
    det = h[0, 0] * a + h[0, 1] * b + h[0, 2] * c
    if not det > 1e-12 * h[0, 0] * h[1, 1] * h[2, 2]:
        return False
    inv[0, 0] = a / det
    inv[0, 1] = inv[1, 0] = b / det
    inv[0, 2] = inv[2, 0] = c / det
    inv[1, 1] = (h[0, 0] * h[2, 2] - h[0, 2] * h[0, 2]) / det
    inv[1, 2] = inv[2, 1] = (h[0, 1] * h[0, 2] - h[0, 0] * h[1, 2]) / det
    inv[2, 2] = (h[0, 0] * h[1, 1] - h[0, 1] * h[0, 1]) / det
    return True


@jit(inline="always")
def _accumulate(pixels, psi, gx, gy, x, y, flux, sky, taper, template, variance, h, g):
    """Normal equations of one Gauss-Newton step for (x, y, flux), weighted by the variance of the present model."""
    dx, dy, usable, light, others, gain, base = pixels
    h00 = h01 = h02 = h11 = h12 = h22 = g0 = g1 = g2 = 0.0
    for k in range(psi.size):
        star = flux * psi[k]
        v = gain[k] * max(star + others[k] + sky, 0.0) + base[k] + (template * star) ** 2
        variance[k] = v
        w = usable[k] * taper_weight(dx[k] - x, dy[k] - y, taper[0], taper[1]) / v
        r = w * (light[k] - others[k] - star)
        a, b, c = flux * gx[k], flux * gy[k], psi[k]
        h00 += w * a * a
        h01 += w * a * b
        h02 += w * a * c
        h11 += w * b * b
        h12 += w * b * c
        h22 += w * c * c
        g0 += r * a
        g1 += r * b
        g2 += r * c
    h[0, 0], h[0, 1], h[0, 2], h[1, 0], h[1, 1], h[1, 2], h[2, 0], h[2, 1], h[2, 2] = (
        h00, h01, h02, h01, h11, h12, h02, h12, h22
    )  # fmt: skip
    g[0], g[1], g[2] = g0, g1, g2


@jit(inline="always")
def _scale(pixels, psi):
    """Unweighted linear estimate of the flux, A&K 2000 eq. 11 with equal weights."""
    top = bottom = 0.0
    for k in range(psi.size):
        top += pixels[2, k] * (pixels[3, k] - pixels[4, k]) * psi[k]
        bottom += pixels[2, k] * psi[k] ** 2
    return top / bottom if bottom > 0.0 else 0.0


@jit(inline="always")
def _settled(step_x, step_y, step_flux, flux, inv):
    """Whether a step was far below the star's own errors, or below any error that matters."""
    error, flux_error = np.sqrt(min(inv[0, 0], inv[1, 1])), np.sqrt(inv[2, 2])
    return max(abs(step_x), abs(step_y)) < max(_TOLERANCE, _FRACTION * error) and abs(step_flux) < max(
        _TOLERANCE * flux, _FRACTION * flux_error
    )


@jit(inline="always")
def _sample_at(patch, dx, dy, oversampling, side, taps, work, psi, gx, gy):
    """Sample the ePSF of a star at (dx, dy) from the middle of its window."""
    du, dv = (_MARGIN - dx) * oversampling, (_MARGIN - dy) * oversampling
    sample(patch, du, dv, oversampling, side, taps, work, psi, gx, gy)


@jit
def fit_stars(
    image, model, mask, poisson, floor, x, y, flux, sky, sky_error, coef, fx, fy, oversampling, taps, half, taper,
    template, max_iter, out,
):  # fmt: skip
    """Fit every star of a list, each alone, on one frame.

    Parameters
    ----------
    image
        (n_y, n_x) float32 pixels, sky included [image unit].
    model
        (n_y, n_x) float32 sum of all stars at their present parameters, `x`, `y`, `flux` included; zeros at first.
    mask
        (n_y, n_x) uint8, 0 good, 1 bad, 2 saturated.
    poisson, floor
        (n_y, n_x) float32 noise model: variance = poisson * signal + floor [image unit^2].
    x, y, flux
        (N,) starting positions [pix] and the fluxes drawn in `model`; 0 where a star is not drawn.
    sky, sky_error
        (N,) local background, held fixed, and its error [image unit].
    coef, fx, fy, oversampling, taps
        ePSF spline coefficients (n_fy, n_fx, n, n), fiducials [pix], samples per pixel, and order + 1 as a tuple.
    half
        Half width of the square window: 2 for 5x5.
    taper
        (inner, outer) radii of the tapered aperture [pix]; outer <= 0 for the whole window.
    template
        Fractional error of the ePSF itself, added to the variance as (template * model)^2.
    max_iter
        Most Gauss-Newton steps.
    out
        (N, 18) result, its columns those of :mod:`compute.kernels.measure.columns`; positions in the frame of `x`, `y`.
    """
    side = 2 * half + 1
    reach = half + _MARGIN
    lo = (coef.shape[3] - 1) // 2 - reach * oversampling - (len(taps) // 2 - 1)
    size = 2 * reach * oversampling + len(taps)
    tables = coef[:, :, lo : lo + size, lo : lo + size].copy().reshape(fy.size, fx.size, size * size)
    patch, work = np.empty((size, size)), np.zeros((2, 4, size))
    pixels, variance = np.zeros((7, side * side)), np.empty(side * side)
    psi, gx, gy = np.empty(side * side), np.empty(side * side), np.empty(side * side)
    h, inv, g = np.empty((3, 3)), np.zeros((3, 3)), np.empty(3)
    for k in range(side * side):
        pixels[0, k], pixels[1, k] = k % side - half, k // side - half

    for s in range(x.size):
        row = out[s]
        row[:] = np.nan
        blend_flat(tables, fx, fy, x[s], y[s], patch.reshape(size * size))
        xs, ys, fs = x[s], y[s], max(flux[s], 0.0)
        xc, yc = int(np.round(xs)), int(np.round(ys))
        state = n_good = iteration = windows = 0
        sampled = False  # where it starts
        while iteration < max_iter:
            if windows == 0 or max(abs(xs - xc), abs(ys - yc)) > 0.75:
                xc, yc = int(np.round(xs)), int(np.round(ys))
                windows += 1
                n_good, state = load(image, model, mask, poisson, floor, xc, yc, sky[s], pixels)
                if n_good < 4 or windows > _MAX_WINDOWS:
                    break
                if flux[s] != 0.0:  # leave in the model its neighbours' light alone
                    if max(abs(x[s] - xc), abs(y[s] - yc)) <= _MARGIN:
                        _sample_at(patch, x[s] - xc, y[s] - yc, oversampling, side, taps, work, psi, gx, gy)
                        sampled = True
                    else:
                        dx, dy = pixels[0] + (xc - x[s]), pixels[1] + (yc - y[s])
                        psi[:] = evaluate(coef, fx, fy, oversampling, taps, x[s] + 0 * dx, y[s] + 0 * dy, dx, dy)
                    for k in range(psi.size):
                        pixels[4, k] -= pixels[2, k] * flux[s] * psi[k]
            if iteration > 0 or not sampled:
                _sample_at(patch, xs - xc, ys - yc, oversampling, side, taps, work, psi, gx, gy)
            if fs == 0.0:
                fs = _scale(pixels, psi)
                if not fs > 0.0:
                    break
            _accumulate(pixels, psi, gx, gy, xs - xc, ys - yc, fs, sky[s], taper, template, variance, h, g)
            if not _invert(h, inv):
                break
            step_x = inv[0, 0] * g[0] + inv[0, 1] * g[1] + inv[0, 2] * g[2]
            step_y = inv[1, 0] * g[0] + inv[1, 1] * g[1] + inv[1, 2] * g[2]
            step_f = inv[2, 0] * g[0] + inv[2, 1] * g[1] + inv[2, 2] * g[2]
            shorten = min(1.0, _MAX_STEP / max(abs(step_x), abs(step_y), 1e-300))
            xs += shorten * step_x
            ys += shorten * step_y
            fs = max(fs + shorten * step_f, 0.1 * fs)
            iteration += 1
            if max(abs(xs - x[s]), abs(ys - y[s])) > _MAX_WALK:  # a brighter neighbour has captured it
                break
            if _settled(step_x, step_y, step_f, fs, inv):
                state |= CONVERGED
                break
        if state & CONVERGED and max(abs(xs - xc), abs(ys - yc)) <= _MARGIN:
            _sample_at(patch, xs - xc, ys - yc, oversampling, side, taps, work, psi, gx, gy)
            covariance(pixels, psi, gx, gy, xs - xc, ys - yc, fs, sky_error[s], taper, variance, inv, row)
            quality(pixels, psi, xs - xc, ys - yc, fs, taper, variance, row)
            row[X], row[Y], row[FLUX] = xs, ys, fs
        else:
            state = state & ~CONVERGED | (TOO_FEW if n_good < 4 else 0)
            row[X], row[Y] = x[s], y[s]
        row[N_PIX], row[N_ITER], row[STATE] = n_good, iteration, state
        row[PEAK] = brightest(image, int(np.round(row[X])), int(np.round(row[Y])))
