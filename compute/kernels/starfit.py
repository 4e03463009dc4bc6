"""Least-squares fit of (x, y, flux) to a star's pixels with a spatially interpolated ePSF.

Anderson & King 2000, section 4.3: minimise eq. 10 over the pixels near the star. Here the three parameters move
together (Gauss-Newton on the exact spline gradient), and the variance of a pixel is that of the *model*, because
weights from the noisy pixel itself favour downward fluctuations and make every star fainter.
"""

import numpy as np

from compute.kernels._jit import jit
from compute.kernels.spline import basis, blend

# Columns of the result, in order.
COLUMNS = (
    "x", "y", "flux", "var_x", "var_y", "cov_xy", "var_flux", "qfit", "radxs", "chi2", "excess", "excess_error",
    "peak", "neighbour", "n_pix", "n_iter", "state",
)  # fmt: skip
X, Y, FLUX, VAR_X, VAR_Y, COV_XY, VAR_FLUX, QFIT, RADXS, CHI2, EXCESS, EXCESS_ERROR = range(12)
PEAK, NEIGHBOUR, N_PIX, N_ITER, STATE = range(12, 17)

# Bits of the state column.
CONVERGED, HAS_BAD, BAD_CORE, HAS_SATURATED, AT_EDGE, TOO_FEW = 1, 2, 4, 8, 16, 32

# Values of the mask image.
GOOD, BAD, SATURATED = 0, 1, 2

_MARGIN = 1  # pixels the star may stray from the middle of its window before the window follows
_MAX_STEP = 0.5  # [pix] longest step of one iteration
_MAX_WINDOWS = 4
_TOLERANCE, _FRACTION = 1e-5, 1e-3  # settled when the step is below 1e-5 pix, or a thousandth of the star's error


@jit(inline="always")
def _taper(dx, dy, inner, outer):
    """Positional weight of A&K 2000 section 4.3: 1 inside `inner`, linearly to 0 at `outer`; 1 if outer <= 0."""
    if outer <= 0.0:
        return 1.0
    return min(max((outer - np.sqrt(dx * dx + dy * dy)) / (outer - inner), 0.0), 1.0)


@jit(inline="always")
def _sample(patch, du, dv, oversampling, side, taps, work, psi, gx, gy):
    """Fill `psi` and its derivatives by star position in the square window whose first pixel is at sample (du, dv).

    Rows first, over contiguous columns; the gradient is minus the derivative by offset.
    """
    m = len(taps)
    wx, dwx, wy, dwy = work[0, 0], work[0, 1], work[0, 2], work[0, 3]
    i0, j0 = int(np.floor(du)), int(np.floor(dv))
    basis(du - i0, wx, dwx, taps)
    basis(dv - j0, wy, dwy, taps)
    columns = oversampling * (side - 1) + m
    value, slope = work[1, 0], work[1, 1]
    for j in range(side):
        row = j0 + j * oversampling
        for i in range(columns):
            v = 0.0
            s = 0.0
            for t in range(m):
                c = patch[row + t, i0 + i]
                v += wy[t] * c
                s += dwy[t] * c
            value[i] = v
            slope[i] = s
        for i in range(side):
            p = 0.0
            px = 0.0
            py = 0.0
            for t in range(m):
                v = value[i * oversampling + t]
                p += wx[t] * v
                px += dwx[t] * v
                py += wx[t] * slope[i * oversampling + t]
            k = j * side + i
            psi[k] = p
            gx[k] = -oversampling * px
            gy[k] = -oversampling * py


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
def _load(image, model, mask, poisson, floor, xc, yc, sky, pixels):
    """Copy the window about (xc, yc) into `pixels`: offsets, usability, sky-subtracted light, model and noise.

    Returns the number of usable pixels and the state bits of the window.
    """
    dx, dy, usable, light, others, gain, base = pixels
    ny, nx = image.shape
    half = int(dy[dy.size - 1])
    whole = xc >= half and yc >= half and xc < nx - half and yc < ny - half
    n_good, k = 0, 0
    for j in range(yc - half, yc + half + 1):
        for i in range(xc - half, xc + half + 1):
            good = (whole or (0 <= i < nx and 0 <= j < ny)) and mask[j, i] == GOOD
            usable[k] = 1.0 if good else 0.0
            light[k] = image[j, i] - sky if good else 0.0
            others[k] = model[j, i] if good else 0.0
            gain[k] = poisson[j, i] if good else 0.0
            base[k] = floor[j, i] if good else 1.0
            n_good += good
            k += 1
    return n_good, 0 if n_good == k else _faults(mask, xc, yc, half)


@jit
def _faults(mask, xc, yc, half):
    """State bits of a window with unusable pixels."""
    ny, nx = mask.shape
    state = 0
    for j in range(yc - half, yc + half + 1):
        for i in range(xc - half, xc + half + 1):
            core = BAD_CORE if abs(i - xc) <= 1 and abs(j - yc) <= 1 else 0
            if i < 0 or j < 0 or i >= nx or j >= ny:
                state |= AT_EDGE | core
            elif mask[j, i] != GOOD:
                state |= HAS_BAD | core | (HAS_SATURATED if mask[j, i] == SATURATED else 0)
    return state


@jit(inline="always")
def _accumulate(pixels, psi, gx, gy, x, y, flux, sky, taper, template, variance, h, g):
    """Normal equations of one Gauss-Newton step for (x, y, flux), weighted by the variance of the present model."""
    dx, dy, usable, light, others, gain, base = pixels
    h00 = h01 = h02 = h11 = h12 = h22 = g0 = g1 = g2 = 0.0
    for k in range(psi.size):
        star = flux * psi[k]
        v = gain[k] * max(star + others[k] + sky, 0.0) + base[k] + (template * star) ** 2
        variance[k] = v
        w = usable[k] * _taper(dx[k] - x, dy[k] - y, taper[0], taper[1]) / v
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
def _covariance(pixels, psi, gx, gy, x, y, flux, sky_error, taper, variance, inv, row):
    """Covariance of (x, y, flux) at the solution.

    With the tapered aperture the weights are not inverse variances: H^-1 G H^-1, where G = sum w^2 V d d'. The error
    of the fixed sky moves all three parameters together and is added to it.
    """
    dx, dy, usable = pixels[0], pixels[1], pixels[2]
    xx = xy = yy = ff = lean_x = lean_y = lean_f = 0.0
    for k in range(psi.size):
        w = usable[k] * _taper(dx[k] - x, dy[k] - y, taper[0], taper[1]) / variance[k]
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
def _quality(pixels, psi, x, y, flux, taper, variance, row):
    """QFIT, RADXS (Libralato et al. 2023, section 3.1), reduced chi2, neighbours' share and central excess."""
    dx, dy, usable, light, others = pixels[0], pixels[1], pixels[2], pixels[3], pixels[4]
    absolute = total = beyond = chi2 = weights = owed = own = 0.0
    nearest, closest = 0, np.inf
    for k in range(psi.size):
        r2 = (dx[k] - x) ** 2 + (dy[k] - y) ** 2
        residual = usable[k] * (light[k] - others[k] - flux * psi[k])
        t = usable[k] * _taper(dx[k] - x, dy[k] - y, taper[0], taper[1])
        inside = 1.0 if t > 0.0 else 0.0
        beyond += residual if 1.0 < r2 <= 6.25 else 0.0
        absolute += inside * abs(residual)
        total += inside * (light[k] - others[k])
        chi2 += t * residual * residual / variance[k]
        weights += t
        owed += inside * others[k]
        own += inside * flux * psi[k]
        if r2 < closest:
            nearest, closest = k, r2
    row[QFIT] = absolute / total if total > 0.0 else np.nan
    row[RADXS] = beyond / flux
    row[CHI2] = chi2 / (weights - 3.0) if weights > 3.0 else np.nan
    row[NEIGHBOUR] = max(owed, 0.0) / (max(owed, 0.0) + own)
    if usable[nearest] != 0.0:
        row[EXCESS] = (light[nearest] - others[nearest] - flux * psi[nearest]) / flux
        row[EXCESS_ERROR] = np.sqrt(variance[nearest]) / flux


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
        (N, len(COLUMNS)) result; positions in the frame of `x`, `y`.
    """
    side = 2 * half + 1
    reach = half + _MARGIN
    lo = (coef.shape[3] - 1) // 2 - reach * oversampling - (len(taps) // 2 - 1)
    size = 2 * reach * oversampling + len(taps)
    patch, work = np.empty((size, size)), np.zeros((2, 4, size))
    pixels = np.zeros((7, side * side))
    for k in range(side * side):
        pixels[0, k], pixels[1, k] = k % side - half, k // side - half
    psi, gx, gy, variance = np.empty(side * side), np.empty(side * side), np.empty(side * side), np.empty(side * side)
    h, inv, g = np.empty((3, 3)), np.zeros((3, 3)), np.empty(3)

    for s in range(x.size):
        row = out[s]
        row[:] = np.nan
        blend(coef, fx, fy, x[s], y[s], lo, patch)
        xs, ys, fs = x[s], y[s], 0.0
        xc, yc = int(np.round(xs)), int(np.round(ys))
        state = n_good = iteration = windows = 0
        while iteration < max_iter:
            if windows == 0 or max(abs(xs - xc), abs(ys - yc)) > 0.75 * _MARGIN:
                xc, yc = int(np.round(xs)), int(np.round(ys))
                windows += 1
                n_good, state = _load(image, model, mask, poisson, floor, xc, yc, sky[s], pixels)
                if n_good < 4 or windows > _MAX_WINDOWS:
                    break
                start = max(abs(x[s] - xc), abs(y[s] - yc))
                if flux[s] != 0.0 and start <= _MARGIN:  # leave in the model its neighbours' light alone
                    du, dv = (_MARGIN - x[s] + xc) * oversampling, (_MARGIN - y[s] + yc) * oversampling
                    _sample(patch, du, dv, oversampling, side, taps, work, psi, gx, gy)
                    for k in range(psi.size):
                        pixels[4, k] -= pixels[2, k] * flux[s] * psi[k]
            du, dv = (_MARGIN - xs + xc) * oversampling, (_MARGIN - ys + yc) * oversampling
            _sample(patch, du, dv, oversampling, side, taps, work, psi, gx, gy)
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
            longest = max(abs(step_x), abs(step_y))
            shorten = min(1.0, _MAX_STEP / longest) if longest > 0.0 else 1.0
            xs += shorten * step_x
            ys += shorten * step_y
            fs = max(fs + shorten * step_f, 0.1 * fs)
            iteration += 1
            # Settled: the step was far below the star's own error, or below any error that matters.
            if longest < max(_TOLERANCE, _FRACTION * np.sqrt(min(inv[0, 0], inv[1, 1]))) and abs(step_f) < max(
                _TOLERANCE * fs, _FRACTION * np.sqrt(inv[2, 2])
            ):
                state |= CONVERGED
                break
        if n_good < 4:
            state |= TOO_FEW
        if state & CONVERGED and max(abs(xs - xc), abs(ys - yc)) <= _MARGIN:
            du, dv = (_MARGIN - xs + xc) * oversampling, (_MARGIN - ys + yc) * oversampling
            _sample(patch, du, dv, oversampling, side, taps, work, psi, gx, gy)
            _covariance(pixels, psi, gx, gy, xs - xc, ys - yc, fs, sky_error[s], taper, variance, inv, row)
            _quality(pixels, psi, xs - xc, ys - yc, fs, taper, variance, row)
            row[X], row[Y], row[FLUX] = xs, ys, fs
        else:
            state &= ~CONVERGED
            row[X], row[Y] = x[s], y[s]
        row[N_PIX], row[N_ITER], row[STATE] = n_good, iteration, state
        row[PEAK] = _peak(image, int(np.round(row[X])), int(np.round(row[Y])))


@jit(inline="always")
def _scale(pixels, psi):
    """Unweighted linear estimate of the flux, A&K 2000 eq. 11 with equal weights."""
    top = bottom = 0.0
    for k in range(psi.size):
        top += pixels[2, k] * (pixels[3, k] - pixels[4, k]) * psi[k]
        bottom += pixels[2, k] * psi[k] ** 2
    return top / bottom if bottom > 0.0 else 0.0


@jit(inline="always")
def _peak(image, xc, yc):
    """Brightest of the 3x3 pixels about (xc, yc); NaN off the frame."""
    peak = np.nan
    for j in range(max(yc - 1, 0), min(yc + 2, image.shape[0])):
        for i in range(max(xc - 1, 0), min(xc + 2, image.shape[1])):
            if not peak >= image[j, i] and image[j, i] == image[j, i]:
                peak = image[j, i]
    return peak
