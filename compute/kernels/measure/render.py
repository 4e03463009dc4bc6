"""Drawing fitted stars, and taking them away."""

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.spline import basis, cell

_MOST_TAPS = 6
_LANES = 16  # numbers in a line of cache


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


def by_phase(coef: NDArray, oversampling: int) -> NDArray[np.float32]:
    """Coefficients (n_fy, n_fx, n, n) as :func:`draw_stars` reads them, float32.

    Those that the pixels of one star use lie side by side: axes are fiducials, phase and pixel along y, and phase and
    pixel along x in one, filled up with zeros to whole lines of cache.
    """
    n_fy, n_fx, n = coef.shape[:3]
    pixels = -(-n // oversampling)
    padded = np.zeros((n_fy, n_fx, pixels * oversampling, pixels * oversampling), np.float32)
    padded[:, :, :n, :n] = coef
    split = padded.reshape(n_fy, n_fx, pixels, oversampling, pixels, oversampling).transpose(0, 1, 3, 2, 5, 4)
    shape = (n_fy, n_fx, oversampling, pixels, -(-pixels * oversampling // _LANES) * _LANES)
    light = np.zeros(np.prod(shape) + _LANES, np.float32)
    light = light[-(light.ctypes.data // light.itemsize) % _LANES :][: np.prod(shape)].reshape(shape)
    light[..., : pixels * oversampling] = split.reshape(*shape[:4], -1)
    return light


@jit
def draw_stars(image, first, last, x, y, flux, light, n, fx, fy, taps, reaches):
    """Add to the rows from `first` to before `last` of `image` (n_y, n_x) float32 what stars shed there.

    Parameters
    ----------
    x, y, flux
        (N,) of the stars; those whose flux is not positive and finite are passed over. They are added in order: the
        sum is reproducible.
    light
        :func:`by_phase` of the coefficients, tables of side `n`.
    fx, fy, taps
        As in :func:`compute.kernels.measure.starfit.fit_stars`.
    reaches
        (N,) half sides of the squares [pix] that stars are drawn in; no more than the table allows.
    """
    oversampling, pixels, stride, m = light.shape[2], light.shape[3], light.shape[4], len(taps)
    centre, before = (n - 1) // 2, m // 2 - 1
    most = (centre - m // 2 - oversampling) // oversampling
    wx, wy, skip = np.empty(m), np.empty(m), np.empty(m)
    column, weight = np.zeros(_MOST_TAPS, np.int64), np.zeros(_MOST_TAPS, np.float32)
    at, share = np.empty(8, np.int64), np.empty(8, np.float32)
    flat, table = light.ravel(), light[0, 0].size
    lines = np.empty((2 * most + 1) * stride, np.float32)
    for s in range(x.size):
        # Comparisons, not isfinite of a sum: reassociation lets the compiler take sums apart.
        if not (0.0 < flux[s] < np.inf and abs(x[s]) < np.inf and abs(y[s]) < np.inf):
            continue
        reach = min(reaches[s], most)
        left, low = int(np.round(x[s])) - reach, int(np.round(y[s])) - reach
        start, stop = max(first, low), min(last, low + 2 * reach + 1)
        begin, end = max(0, left), min(image.shape[1], left + 2 * reach + 1)
        if start >= stop or begin >= end:
            continue
        u, v = (begin - x[s]) * oversampling + centre, (start - y[s]) * oversampling + centre
        basis(u - np.floor(u), wx, skip, taps)
        basis(v - np.floor(v), wy, skip, taps)
        kx, tx = cell(x[s], fx)
        ky, ty = cell(y[s], fy)
        kx1, ky1 = min(kx + 1, fx.size - 1), min(ky + 1, fy.size - 1)
        i0, j0 = int(np.floor(u)) - before, int(np.floor(v)) - before
        rows = lines[: (stop - start) * stride]
        rows[:] = 0.0
        for t in range(m):
            column[t], weight[t] = _place(i0 + t, oversampling, pixels), wx[t]
            row, part, k = _place(j0 + t, oversampling, pixels) * stride, flux[s] * wy[t], t % 2
            at[k], share[k] = (ky * fx.size + kx) * table + row, part * (1.0 - ty) * (1.0 - tx)
            at[2 + k], share[2 + k] = (ky * fx.size + kx1) * table + row, part * (1.0 - ty) * tx
            at[4 + k], share[4 + k] = (ky1 * fx.size + kx) * table + row, part * ty * (1.0 - tx)
            at[6 + k], share[6 + k] = (ky1 * fx.size + kx1) * table + row, part * ty * tx
            if k == 1:
                _mix(flat, at, share, rows)
        for j in range(start, stop):
            _add(lines[(j - start) * stride :], column, weight, image[j, begin:end])


@jit(inline="always")
def _place(sample, oversampling, pixels):
    """Where a sample is along one axis of :func:`by_phase`."""
    return sample % oversampling * pixels + sample // oversampling


@jit
def _mix(light, at, share, out):
    """Add the shares of eight runs of samples, two lines of four fiducials, to the samples between."""
    a, b, c, d = light[at[0] :], light[at[1] :], light[at[2] :], light[at[3] :]
    e, f, g, h = light[at[4] :], light[at[5] :], light[at[6] :], light[at[7] :]
    p, q, r, s, t, u, v, w = share[0], share[1], share[2], share[3], share[4], share[5], share[6], share[7]
    for i in range(out.size):
        out[i] += p * a[i] + q * b[i] + r * c[i] + s * d[i] + t * e[i] + u * f[i] + v * g[i] + w * h[i]


@jit
def _add(line, column, weight, out):
    """Add a row of pixels between columns of samples."""
    a, b, c = line[column[0] :], line[column[1] :], line[column[2] :]
    d, e, f = line[column[3] :], line[column[4] :], line[column[5] :]
    u, v, w, x, y, z = weight[0], weight[1], weight[2], weight[3], weight[4], weight[5]
    for i in range(out.size):
        out[i] += u * a[i] + v * b[i] + w * c[i] + x * d[i] + y * e[i] + z * f[i]
