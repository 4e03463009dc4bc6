"""Saturated stars, fitted on the wings that are left of them.

Their cores are lost, and far out it is not photons that limit but what is not known of the ePSF. So the error of the
template is found from the residuals of each star, pixels that disagree weigh less, and the sky is fitted along with
position and flux, because no pixel within reach is free of the star.
"""

import numpy as np

from compute.kernels._jit import jit
from compute.kernels.measure.chain import Fits, Frame, Model, Sources, draw
from compute.kernels.measure.columns import (
    CONVERGED,
    COV_XY,
    FLUX,
    N_ITER,
    N_PIX,
    PEAK,
    STATE,
    TOO_FEW,
    VAR_FLUX,
    VAR_X,
    VAR_Y,
    X,
    Y,
)
from compute.kernels.measure.normal import invert
from compute.kernels.measure.quality import quality
from compute.kernels.measure.window import brightest, load, sample
from compute.kernels.measure.wings import LEAST, drop_spilt, inflate, line, mismatch, normal, template_error_of, weigh
from compute.kernels.spline import blend, evaluate

_SWEEPS = 2  # over all stars, which lie in one another's wings
_MARGIN = 1  # pixels the star may stray from the middle of its window before the window follows
_CAPTURE = 3  # [pix] how far from its start a star is looked for
_MAX_STEP, _MAX_WALK, _MAX_WINDOWS = 0.5, 5.0, 12  # [pix] in one step, and in all
_PASSES, _REWEIGH = 4, 6  # rounds of the template's error, and steps of each that weigh pixels anew
_TOLERANCE = 0.02  # of the errors: a step that counts as none


def refit_saturated(
    frame: Frame, model: Model, sources: Sources, fits: Fits, *, template_error: float, max_iterations: int
) -> Fits:
    """Fit saturated stars again, each on all good pixels that the ePSF reaches, and draw them where they then are.

    Other stars are taken away as `fits` has them; saturated ones see one another as they are found. Rows of those that
    do not settle are not converged and have no flux.
    """
    core = np.flatnonzero(sources.n_saturated > 0)
    if core.size == 0:
        return fits
    # The largest first: what they leave is what the smaller stand on.
    core = core[np.lexsort((sources.x[core], sources.y[core], -sources.n_saturated[core]))]
    x, y, flux = fits.rows[core, :3].T.copy()
    others = fits.drawn - draw(frame, model, x, y, flux)
    flux = np.nan_to_num(flux)
    rows, level, error = fits.rows.copy(), fits.sky.copy(), fits.sky_error.copy()
    out, sky = np.empty((core.size, rows.shape[1])), np.empty((core.size, 2))
    for _ in range(_SWEEPS):
        fit_saturated(
            frame.image, others, *frame[1:], x, y, flux, *model, model.radius - 2, template_error, max_iterations, out,
            sky,
        )  # fmt: skip
    settled = np.isfinite(sky[:, 0])
    rows[core] = out
    level[core[settled]], error[core[settled]] = sky[settled].T
    return Fits(rows, level, error, others + draw(frame, model, *rows[core, :3].T))


@jit
def fit_saturated(
    image, others, mask, poisson, floor, x, y, flux, coef, fx, fy, oversampling, taps, half, template, max_iter, out,
    sky,
):  # fmt: skip
    """Fit every saturated star of a list in turn, each with those before it taken away as just found.

    Arguments not listed are those of :func:`compute.kernels.measure.starfit.fit_stars`.

    Parameters
    ----------
    others
        (n_y, n_x) float32 sum of all stars that are not in the list.
    x, y, flux
        (N,) starting positions [pix] and fluxes, 0 where not known; changed to what is found.
    half
        Half width of the window, at least two pixels less than the table reaches.
    template
        Least fractional error of the ePSF.
    sky
        (N, 2) filled with the fitted background and its error [image unit], NaN where a fit does not settle.
    """
    side, reach = 2 * half + 1, half + _MARGIN
    lo = (coef.shape[3] - 1) // 2 - reach * oversampling - (len(taps) // 2 - 1)
    size = 2 * reach * oversampling + len(taps)
    patch, work = np.empty((size, size)), np.zeros((2, 4, size))
    pixels, light, scales = np.zeros((7, side * side)), np.empty((3, side * side)), np.empty((2, side * side))
    inv, p, factor = np.empty((4, 4)), np.empty(4), np.empty(4)
    for k in range(side * side):
        pixels[0, k], pixels[1, k] = k % side - half, k // side - half
    maps, epsf = (image, others, mask, poisson, floor), (coef, fx, fy, oversampling, taps)

    for s in range(x.size):
        row = out[s]
        row[:] = np.nan
        sky[s] = np.nan
        blend(coef, fx, fy, x[s], y[s], lo, patch)
        p[0], p[1] = _search(maps, x[s], y[s], half, patch, work, light, oversampling, taps)
        p[2] = p[3] = 0.0
        settled, n_good, state, iteration, xc, yc, error = _descend(
            maps, epsf, (x, y, flux), s, half, template, max_iter, p, patch, work, pixels, light, scales, inv
        )
        if settled:
            x[s], y[s], flux[s] = p[0], p[1], p[2]
            row[FLUX] = p[2]
            weigh(pixels, light[0], p, error, scales)
            inflate(pixels, light, p, scales[1], side, inv, factor)
            row[VAR_X], row[VAR_Y], row[COV_XY] = factor[0] * inv[0, 0], factor[0] * inv[1, 1], factor[0] * inv[0, 1]
            row[VAR_FLUX] = factor[2] * inv[2, 2]
            sky[s, 0], sky[s, 1] = p[3], np.sqrt(factor[3] * inv[3, 3])
            weigh(pixels, light[0], p, template, scales)
            for k in range(side * side):
                pixels[3, k] -= p[3] * pixels[2, k]
            quality(pixels, light[0], p[0] - xc, p[1] - yc, p[2], (0.0, 0.0), scales[0], row)
            state |= CONVERGED
        elif n_good < LEAST:
            state |= TOO_FEW
        row[X], row[Y], row[N_PIX], row[N_ITER], row[STATE] = x[s], y[s], n_good, iteration, state
        row[PEAK] = brightest(image, int(np.round(x[s])), int(np.round(y[s])))


@jit
def _sample_at(patch, dx, dy, oversampling, taps, work, light):
    """Fill `light` with the ePSF and its derivatives for a star at (dx, dy) from the middle of its window."""
    side = int(np.sqrt(light.shape[1]) + 0.5)
    sample(
        patch, (_MARGIN - dx) * oversampling, (_MARGIN - dy) * oversampling, oversampling, side, taps, work, light[0],
        light[1], light[2],
    )  # fmt: skip


@jit
def _search(maps, x, y, half, patch, work, light, oversampling, taps):
    """Where within a few pixels of (x, y), in steps of half a pixel, a star agrees best with the pixels about it."""
    xc, yc = int(np.round(x)), int(np.round(y))
    best, xs, ys = np.inf, x, y
    for phase in range(4):
        dx, dy = 0.5 * (phase % 2) - 0.25, 0.5 * (phase // 2) - 0.25
        _sample_at(patch, dx, dy, oversampling, taps, work, light)
        for j in range(yc - _CAPTURE, yc + _CAPTURE + 1):
            for i in range(xc - _CAPTURE, xc + _CAPTURE + 1):
                score = mismatch(maps, i, j, half, light[0])
                if score < best:
                    best, xs, ys = score, i + dx, j + dy
    return xs, ys


@jit
def _descend(maps, epsf, stars, s, half, template, max_iter, p, patch, work, pixels, light, scales, inv):
    """Gauss-Newton from `p`, (x, y, flux, sky), which is moved to the solution.

    Returns whether it settled, pixels used, state bits, steps, the middle of the window, and the template's error.
    """
    coef, fx, fy, oversampling, taps = epsf
    h, low, g, step = np.empty((4, 4)), np.empty((4, 4)), np.empty(4), np.empty(4)
    x0, y0 = p[0], p[1]
    xc, yc = int(np.round(x0)), int(np.round(y0))
    n_good, state = _load(maps, epsf, stars, s, xc, yc, half, pixels)
    error, steps, windows = template, 0, 1
    for turn in range(_PASSES):
        settled = False
        for k in range(max_iter):
            moved = max(abs(p[0] - xc), abs(p[1] - yc)) > 0.75
            if moved:
                xc, yc = int(np.round(p[0])), int(np.round(p[1]))
                n_good, state = _load(maps, epsf, stars, s, xc, yc, half, pixels)
                windows += 1
            if n_good < LEAST or windows > _MAX_WINDOWS:
                break
            _sample_at(patch, p[0] - xc, p[1] - yc, oversampling, taps, work, light)
            if p[2] == 0.0:
                p[2], p[3] = line(pixels, light[0])
                if not p[2] > 0.0:
                    break
                error = template_error_of(pixels, light, p, template, scales)
            if k < _REWEIGH or moved:  # weights that go on changing may never let it settle
                weigh(pixels, light[0], p, error, scales)
            normal(pixels, light, p, scales[1], h, g)
            if not invert(h, 4, low, inv):
                break
            for a in range(4):
                step[a] = inv[a, 0] * g[0] + inv[a, 1] * g[1] + inv[a, 2] * g[2] + inv[a, 3] * g[3]
            shorten = min(1.0, _MAX_STEP / max(abs(step[0]), abs(step[1]), 1e-300))
            dark = 0.1 * p[2]
            for a in range(4):
                p[a] += shorten * step[a]
            p[2] = max(p[2], dark)
            steps += 1
            if not max(abs(p[0] - x0), abs(p[1] - y0)) < _MAX_WALK:
                break
            if step[0] ** 2 / inv[0, 0] + step[1] ** 2 / inv[1, 1] + step[2] ** 2 / inv[2, 2] < _TOLERANCE**2:
                settled = True
                break
        if not settled:
            return False, n_good, state, steps, xc, yc, error
        if turn < _PASSES - 1:
            error = template_error_of(pixels, light, p, template, scales)
    return max(abs(p[0] - xc), abs(p[1] - yc)) <= _MARGIN, n_good, state, steps, xc, yc, error


@jit
def _load(maps, epsf, stars, s, xc, yc, half, pixels):
    """Pixels of the window about (xc, yc), with the light of the other stars of the list; how many, and state bits."""
    image, others, mask, poisson, floor = maps
    coef, fx, fy, oversampling, taps = epsf
    x, y, flux = stars
    _, state = load(image, others, mask, poisson, floor, xc, yc, 0.0, pixels)
    reach = half + (coef.shape[3] - 1) // 2 // oversampling
    for k in range(x.size):
        if k != s and flux[k] > 0.0 and abs(x[k] - xc) < reach and abs(y[k] - yc) < reach:
            dx, dy = pixels[0] + (xc - x[k]), pixels[1] + (yc - y[k])
            psi = evaluate(coef, fx, fy, oversampling, taps, x[k] + 0 * dx, y[k] + 0 * dy, dx, dy)
            pixels[4] += pixels[2] * flux[k] * psi
    return drop_spilt(mask, xc, yc, half, pixels[2]), state
