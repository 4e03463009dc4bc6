"""Local sky in an annulus, and the coarse sky map that detection stands on."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, median_filter

from compute.kernels._jit import jit

_CLIP = 2.5
_CLIPPED = 1.15  # what hard clipping adds to the error of a mean
_SKEWED = 3.0  # standard errors of (mean - median) above which the annulus counts as crowded


@jit(inline="always")
def _robust_mode(values):
    """Mode of an unsorted sample, which gets sorted, and its standard error.

    Values beyond 2.5 sigma of the median are dropped until nothing changes. Where the mean then agrees with the median
    the mean is best; where it does not, the sample is skewed by unseen stars and the mode is 3 median - 2 mean.
    """
    values.sort()
    lo, hi = 0, values.size
    mean = median = spread = 0.0
    for _ in range(10):
        n = hi - lo
        median = 0.5 * (values[lo + (n - 1) // 2] + values[lo + n // 2])
        spread = 0.5 * (values[lo + int(0.8413 * (n - 1))] - values[lo + int(0.1587 * (n - 1))])
        mean = values[lo:hi].mean()
        first, last = lo, hi
        while first < last - 1 and values[first] < median - _CLIP * spread:
            first += 1
        while last > first + 1 and values[last - 1] > median + _CLIP * spread:
            last -= 1
        if (first == lo and last == hi) or last - first < 5:
            break
        lo, hi = first, last
    error = spread / np.sqrt(hi - lo)
    if abs(mean - median) < _SKEWED * 0.75 * error:
        return mean, _CLIPPED * error
    return 3.0 * median - 2.0 * mean, 3.0 * abs(mean - median)


@jit
def annulus_sky(image, model, mask, x, y, inner, outer, sky, error):
    """Sky of each star: robust mode of good pixels with inner <= r <= outer, A&K 2000 section 4.1.

    Parameters
    ----------
    image, model
        (n_y, n_x) float32 pixels and the sum of all stars to take away first [image unit].
    mask
        (n_y, n_x) uint8, 0 where good.
    x, y
        (N,) positions [pix].
    inner, outer
        Radii [pix].
    sky, error
        (N,) filled in place [image unit]; NaN where fewer than 5 pixels are good.
    """
    reach = int(np.ceil(outer))
    values = np.empty((2 * reach + 2) ** 2)
    for s in range(x.size):
        xc, yc = int(np.round(x[s])), int(np.round(y[s]))
        n = 0
        for j in range(max(yc - reach, 0), min(yc + reach + 1, image.shape[0])):
            for i in range(max(xc - reach, 0), min(xc + reach + 1, image.shape[1])):
                r2 = (i - x[s]) ** 2 + (j - y[s]) ** 2
                if inner * inner <= r2 <= outer * outer and mask[j, i] == 0:
                    values[n] = image[j, i] - model[j, i]
                    n += 1
        if n < 5:
            sky[s] = error[s] = np.nan
        else:
            sky[s], error[s] = _robust_mode(values[:n])


@jit
def _mesh(image, mask, box, level):
    """Robust mode of the good pixels of each box x box cell; NaN where fewer than a tenth are good."""
    values = np.empty(box * box)
    for b in range(level.shape[0]):
        for a in range(level.shape[1]):
            n = 0
            for j in range(b * box, min((b + 1) * box, image.shape[0])):
                for i in range(a * box, min((a + 1) * box, image.shape[1])):
                    if mask[j, i] == 0:
                        values[n] = image[j, i]
                        n += 1
            if n > max(5, box * box // 10):
                level[b, a], _ = _robust_mode(values[:n])
            else:
                level[b, a] = np.nan


def sky_map(image: NDArray[np.float32], mask: NDArray[np.uint8], box: int = 32) -> NDArray[np.float32]:
    """Smooth background (n_y, n_x) from the modes of box x box cells, median-filtered 3x3 and interpolated."""
    ny, nx = image.shape
    level = np.empty((-(-ny // box), -(-nx // box)))
    _mesh(image, mask, box, level)
    if np.isnan(level).all():
        return np.zeros_like(image)
    level = np.where(np.isnan(level), np.nanmedian(level), level)
    level = median_filter(level, 3, mode="nearest")
    y, x = (np.arange(ny) - (box - 1) / 2) / box, (np.arange(nx) - (box - 1) / 2) / box
    rows = map_coordinates(level, np.meshgrid(y, np.arange(level.shape[1]), indexing="ij"), order=1, mode="nearest")
    grid = np.meshgrid(np.arange(ny), x, indexing="ij")
    return map_coordinates(rows, grid, order=1, mode="nearest").astype(np.float32)
