"""The pixels of one star's window, and the ePSF sampled at them."""

import numpy as np

from compute.kernels._jit import jit
from compute.kernels.measure.columns import AT_EDGE, BAD_CORE, GOOD, HAS_BAD, HAS_SATURATED, SATURATED
from compute.kernels.spline import basis


@jit(inline="always")
def load(image, model, mask, poisson, floor, xc, yc, sky, pixels):
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
    return n_good, 0 if n_good == k else faults(mask, xc, yc, half)


@jit
def faults(mask, xc, yc, half):
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
def brightest(image, xc, yc):
    """Brightest of the 3x3 pixels about (xc, yc); NaN off the frame."""
    peak = np.nan
    for j in range(max(yc - 1, 0), min(yc + 2, image.shape[0])):
        for i in range(max(xc - 1, 0), min(xc + 2, image.shape[1])):
            if not peak >= image[j, i] and image[j, i] == image[j, i]:
                peak = image[j, i]
    return peak


@jit(inline="always")
def sample(patch, du, dv, oversampling, side, taps, work, psi, gx, gy):
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
def taper_weight(dx, dy, inner, outer):
    """Positional weight of A&K 2000 section 4.3: 1 inside `inner`, linearly to 0 at `outer`; 1 if outer <= 0."""
    if outer <= 0.0:
        return 1.0
    return min(max((outer - np.sqrt(dx * dx + dy * dy)) / (outer - inner), 0.0), 1.0)
