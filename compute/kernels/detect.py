"""Finding stars: peaks of the matched-filter significance, isolated and no sharper than a star."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label, uniform_filter

from compute.kernels._jit import jit


@jit
def significance(image, sky, mask, poisson, floor, template, out):
    """Signal-to-noise of a star centred on each pixel, given the ePSF's `template` (odd square, mean over phases).

    Every pixel counts with its own sky noise and bad pixels count nothing: S/N = sum(T d / V) / sqrt(sum(T^2 / V)).
    """
    ny, nx = image.shape
    half = template.shape[0] // 2
    signal, weight = np.zeros((ny, nx), np.float32), np.zeros((ny, nx), np.float32)
    for j in range(ny):
        for i in range(nx):
            if mask[j, i] == 0:
                w = 1.0 / (poisson[j, i] * max(sky[j, i], np.float32(0.0)) + floor[j, i])
                signal[j, i] = (image[j, i] - sky[j, i]) * w
                weight[j, i] = w
    top, bottom = np.empty(nx, np.float32), np.empty(nx, np.float32)
    for j in range(ny):
        top[:] = 0.0
        bottom[:] = 0.0
        for b in range(-half, half + 1):
            if j + b < 0 or j + b >= ny:
                continue
            for a in range(-half, half + 1):
                t = np.float32(template[half + b, half + a])
                lo, hi = max(0, -a), min(nx, nx - a)
                s, w = signal[j + b], weight[j + b]
                for i in range(lo, hi):
                    top[i] += t * s[i + a]
                    bottom[i] += t * t * w[i + a]
        for i in range(nx):
            out[j, i] = top[i] / np.sqrt(bottom[i]) if bottom[i] > 0.0 else 0.0


@jit
def peaks(ratio, threshold, isolation, border, x, y):
    """Pixels where `ratio` >= threshold and nothing within `isolation` pix is higher; returns how many.

    Equal heights are settled by order, so that a plateau gives one peak. `x`, `y` are filled with columns and rows.
    """
    ny, nx = ratio.shape
    reach = int(isolation)
    n = 0
    for j in range(border, ny - border):
        for i in range(border, nx - border):
            r = ratio[j, i]
            if not r >= threshold:
                continue
            highest = True
            for b in range(-reach, reach + 1):
                for a in range(-reach, reach + 1):
                    if a * a + b * b > isolation * isolation or (a == 0 and b == 0):
                        continue
                    if j + b < 0 or i + a < 0 or j + b >= ny or i + a >= nx:
                        continue
                    other = ratio[j + b, i + a]
                    if other > r or (other == r and (b < 0 or (b == 0 and a < 0))):
                        highest = False
                        break
                if not highest:
                    break
            if highest and n < x.size:
                x[n], y[n] = i, j
                n += 1
    return n


@jit
def sharpness(image, sky, mask, poisson, floor, x, y, value, error):
    """Share of the light of the 3x3 pixels about each peak that falls in the brightest of them, and its error.

    A lone pixel scores 1; a star never more than its ePSF allows. NaN where the brightest pixel has no good neighbour.
    """
    ny, nx = image.shape
    for s in range(x.size):
        total = top = variance = 0.0
        n = 0
        for j in range(max(y[s] - 1, 0), min(y[s] + 2, ny)):
            for i in range(max(x[s] - 1, 0), min(x[s] + 2, nx)):
                if mask[j, i] == 0:
                    light = image[j, i] - sky[j, i]
                    total += light
                    variance += poisson[j, i] * max(image[j, i], 0.0) + floor[j, i]
                    top = max(top, light)
                    n += 1
        value[s] = top / total if n > 3 and total > 0.0 else np.nan
        error[s] = np.sqrt(variance) * max(1.0 - value[s], 0.1) / total if total > 0.0 else np.nan


def saturated_cores(saturated: NDArray[np.bool_]) -> tuple[NDArray, NDArray, NDArray]:
    """One (x, y, n_pix) for each connected group of saturated pixels: where most of a 7x7 box is saturated.

    A bleeding column is thin and the star's own core is thick, so the fullest box stands on the star.
    """
    if not saturated.any():
        return np.empty(0), np.empty(0), np.empty(0, np.int64)
    groups, n = label(saturated, structure=np.ones((3, 3)))
    fullness = uniform_filter(saturated.astype(np.float64), 7, mode="constant")
    x, y, size = np.empty(n), np.empty(n), np.empty(n, np.int64)
    for k, place in enumerate(find_objects(groups)):
        inside = groups[place] == k + 1
        full = np.where(inside, fullness[place], -1.0)
        rows, columns = np.nonzero(full >= full.max() - 1e-9)
        x[k], y[k] = columns.mean() + place[1].start, rows.mean() + place[0].start
        size[k] = inside.sum()
    return x, y, size
