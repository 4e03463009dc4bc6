"""Least-squares fit of (x, y, flux) of several overlapping stars to the union of their windows.

The fit of :mod:`compute.kernels.measure.starfit` with all members free at once, so that each star's errors contain
what is not known of its neighbours. The variance of a pixel is that of the model of all members.
"""

import numpy as np

from compute.kernels._jit import jit
from compute.kernels.measure.columns import (
    CONVERGED,
    COV_XY,
    FLUX,
    N_ITER,
    N_PIX,
    PEAK,
    STATE,
    VAR_FLUX,
    VAR_X,
    VAR_Y,
    X,
    Y,
)
from compute.kernels.measure.normal import accumulate, invert
from compute.kernels.measure.quality import quality
from compute.kernels.measure.union import DRAWN, LEFT, LIGHT, OTHERS, VARIANCE, WEIGHT, gather, mix, shine
from compute.kernels.measure.window import brightest, faults

LARGEST = 6  # most stars fitted together
_BEYOND = 5  # pixels beyond its own window in which a member's light is free: the windows of stars 4 pix away
_MARGIN = 2  # [pix] most that a star may have been drawn off the middle of its window
_STRAY = 0.75  # [pix] beyond this the windows follow
_MAX_STEP = 0.5  # [pix] longest step of one iteration
_MAX_WALK = 1.5  # [pix] farthest from where a star starts
_VANISHED = 0.02  # share of its first flux below which a star is on its way to nothing


@jit
def _judge(place, value, count, light, s, star, xc, yc, half, sky_error, taper, inv, window, row):
    """Covariance and quality of member `s`, a `star` (x, y, flux), with the other members' light taken away.

    As :func:`compute.kernels.measure.quality.covariance`; the light in every window of the group moves the parameters.
    """
    xx = xy = yy = ff = lean_x = lean_y = lean_f = 0.0
    side, x, y, flux = 2 * half + 1, star[0], star[1], star[2]
    pixels, psi, variance = window[:7], window[7], window[8]
    pixels[2:5] = 0.0
    psi[:] = 0.0
    variance[:] = 1.0
    row[:] = np.nan
    row[N_PIX] = 0
    for k in range(count):
        w, v = value[WEIGHT, k], value[VARIANCE, k]
        px = py = pf = 0.0
        for a in range(inv.shape[0]):
            px += w * inv[3 * s, a] * light[a, k]
            py += w * inv[3 * s + 1, a] * light[a, k]
            pf += w * inv[3 * s + 2, a] * light[a, k]
        xx += px * px * v
        xy += px * py * v
        yy += py * py * v
        ff += pf * pf * v
        lean_x += px
        lean_y += py
        lean_f += pf
        i, j = place[0, k] - xc + half, place[1, k] - yc + half
        if 0 <= i < side and 0 <= j < side:
            at = j * side + i
            own = flux * light[3 * s + 2, k]
            psi[at], variance[at] = light[3 * s + 2, k], v
            pixels[2, at], pixels[3, at], pixels[4, at] = 1.0, value[LIGHT, k], value[LIGHT, k] - value[LEFT, k] - own
            row[N_PIX] += 1
    s2 = sky_error * sky_error
    row[VAR_X], row[VAR_Y] = xx + s2 * lean_x * lean_x, yy + s2 * lean_y * lean_y
    row[COV_XY], row[VAR_FLUX] = xy + s2 * lean_x * lean_y, ff + s2 * lean_f * lean_f
    quality(pixels, psi, x - xc, y - yc, flux, taper, variance, row)


@jit
def _load(frame, epsf, was, stars, sky, half, reach, xc, yc, work):
    """Move the windows to where the members are and take the members' light away; number of pixels, and the first
    member that has gone too far from where it was drawn, or -1.
    """
    coef, fx, fy, oversampling, taps = epsf
    tables, weights, place, value, light = work
    for s in range(len(stars)):
        xc[s], yc[s] = int(np.round(stars[s, 0])), int(np.round(stars[s, 1]))
    count = gather(*frame, sky, xc, yc, half, place, value)
    for s in range(len(stars)):
        x, y, flux = was[s]
        margin = _STRAY if flux == 0.0 else max(_STRAY, abs(x - xc[s]), abs(y - yc[s]))
        if margin > _MARGIN:
            return count, s
        left, right = max(xc.min() - half - xc[s], -reach), min(xc.max() + half - xc[s], reach)
        low, high = max(yc.min() - half - yc[s], -reach), min(yc.max() + half - yc[s], reach)
        mix(coef, fx, fy, oversampling, taps, stars[s, 0], stars[s, 1], left, right, low, high, margin, tables[s])
        if flux != 0.0:
            own = light[3 * s : 3 * s + 3]
            shine(tables[s], oversampling, taps, place, count, x, y, flux, xc[s], yc[s], reach, weights, own)
            for k in range(count):
                value[OTHERS, k] -= flux * own[2, k]
                value[DRAWN, k] += flux * own[2, k]
    return count, -1


@jit
def _solve(frame, epsf, was, start, sky, sky_error, half, taper, template, settled, max_iter, work, window, out, chi2):
    """Fit the members `start` (n, 3) of one group together; returns n, or -1 if the fit fails.

    A member that walks away or vanishes ends the fit, and its number is returned.
    """
    coef, fx, fy, oversampling, taps = epsf
    tables, weights, place, value, light = work
    n = len(start)
    reach = min(half + _BEYOND, ((coef.shape[3] - 1) // 2 - len(taps) // 2) // oversampling - _MARGIN)
    stars, xc, yc = start.copy(), np.full(n, -1000), np.full(n, -1000)
    h, low, inv, g = np.empty((3 * n, 3 * n)), np.empty((3 * n, 3 * n)), np.empty((3 * n, 3 * n)), np.empty(3 * n)
    count, iteration, length = 0, 0, np.inf
    while length > settled:
        if iteration == max_iter:
            return -1
        iteration += 1
        strayed = False
        for s in range(n):
            strayed |= max(abs(stars[s, 0] - xc[s]), abs(stars[s, 1] - yc[s])) > _STRAY
        if strayed:
            count, lost = _load(frame, epsf, was, stars, sky, half, reach, xc, yc, work)
            if lost >= 0:
                return lost
            if count <= 3 * n:
                return -1
        for s in range(n):
            x, y, flux = stars[s]
            own = light[3 * s : 3 * s + 3]
            shine(tables[s], oversampling, taps, place, count, x, y, flux, xc[s], yc[s], reach, weights, own)
        accumulate(place, value, count, light, stars, sky, taper, template, h, g)
        if not invert(h, 3 * n, low, inv):
            return -1
        step = (inv @ g).reshape(n, 3)
        length = (step.ravel() * g).sum()
        shorten = min(1.0, _MAX_STEP / max(np.abs(step[:, :2]).max(), 1e-300))
        for s in range(n):
            stars[s, 0] += shorten * step[s, 0]
            stars[s, 1] += shorten * step[s, 1]
            stars[s, 2] = max(stars[s, 2] + shorten * step[s, 2], 0.1 * stars[s, 2])
            walked = max(abs(stars[s, 0] - start[s, 0]), abs(stars[s, 1] - start[s, 1]))
            if walked > _MAX_WALK or not stars[s, 2] > _VANISHED * start[s, 2]:
                return s
    mask = frame[2]
    for s in range(n):
        x, y, flux = stars[s]
        row = out[s]
        _judge(place, value, count, light, s, stars[s], xc[s], yc[s], half, sky_error, taper, inv, window, row)
        row[X], row[Y], row[FLUX], row[N_ITER] = x, y, flux, iteration
        row[STATE] = CONVERGED | faults(mask, xc[s], yc[s], half)
        row[PEAK] = brightest(frame[0], int(np.round(x)), int(np.round(y)))
    chi2[:] = 0.0
    for k in range(count):
        before = value[LIGHT, k] - value[OTHERS, k] - value[DRAWN, k]
        chi2[0] += value[WEIGHT, k] * before * before
        chi2[1] += value[WEIGHT, k] * value[LEFT, k] ** 2
    return n


@jit
def fit_groups(
    image, drawn, mask, poisson, floor, first, was, start, sky, sky_error, coef, fx, fy, oversampling, taps, half,
    taper, template, settled, max_iter, out, chi2,
):  # fmt: skip
    """Fit the members of every group together, on one frame.

    A member that walks away or vanishes stays as it is drawn, and the others are fitted without it.

    Parameters
    ----------
    image, mask, poisson, floor, coef, fx, fy, oversampling, taps, half, taper, template, max_iter
        As in :func:`compute.kernels.measure.starfit.fit_stars`. With a tapered aperture a pixel has the weight that the
        nearest member gives it.
    drawn
        (n_y, n_x) float32 sum of all stars as drawn, those of `was` included.
    settled
        Squared length of a step, in units of errors, below which a fit has settled.
    first
        (G + 1,) members of group g are ``first[g]:first[g + 1]``, at most `LARGEST`.
    was, start
        (N, 3) x, y [pix] and flux of the members as they are drawn, flux 0 where they are not, and to start from.
    sky, sky_error
        (N,) local background and its error; a group has the mean of its members' [image unit].
    out
        (N, 18) result, its columns those of :mod:`compute.kernels.measure.columns`. Members that were not fitted have
        NaN and a state of 0.
    chi2
        (G, 2) chi2 of each group's pixels with the members as drawn and as fitted; NaN where the fit failed.
    """
    side, n = 2 * half + 1, coef.shape[3]
    most = LARGEST * side * side
    work = (
        np.empty((LARGEST, n, n)), np.empty((4, len(taps))), np.empty((2, most), np.int64), np.empty((8, most)),
        np.empty((3 * LARGEST, most)),
    )  # fmt: skip
    window = np.zeros((9, side * side))
    for k in range(side * side):
        window[0, k], window[1, k] = k % side - half, k // side - half
    frame, epsf = (image, drawn, mask, poisson, floor), (coef, fx, fy, oversampling, taps)
    rows = np.empty((LARGEST, out.shape[1]))
    out[:] = np.nan
    out[:, STATE] = 0
    chi2[:] = np.nan
    for group in range(first.size - 1):
        left = np.arange(first[group], first[group + 1])
        while left.size > 0:
            verdict = _solve(frame, epsf, was[left], start[left], sky[left].mean(), sky_error[left].mean(), half, taper,
                             template, settled, max_iter, work, window, rows, chi2[group])  # fmt: skip
            if verdict == left.size:
                out[left] = rows[: left.size]
            if verdict < 0 or verdict == left.size:
                break
            left = np.delete(left, verdict)
