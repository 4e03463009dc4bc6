"""Local sky in an annulus, and the coarse sky mesh that detection stands on."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from compute.kernels._jit import jit
from compute.kernels.threads import each

BOX = 32  # [pix] side of a cell of the mesh
_ALONG = np.arange(BOX, dtype=np.float32) + np.float32(0.5)  # from one centre of a cell to the next
_CLIP = 2.5
_CLIPPED = 1.15  # what hard clipping adds to the error of a mean
_SMALL, _LANES = 512, 128  # values sorted by counting, and how many at once
_SKEWED = 3.0  # standard errors of (mean - median) above which the annulus counts as crowded


@jit
def _sort(values):
    """Sort a float32 sample in place: a small one by counting how many are below each, which is free of branches."""
    n = values.size
    if n > _SMALL:
        values.sort()
        return
    whole = -(-n // _LANES) * _LANES
    old, rank = np.full(whole, np.float32(np.inf)), np.zeros(whole, np.int32)
    old[:n] = values
    for first in range(0, n, 8):
        eight = old[first : first + 8]
        a, b, c, d, e, f, g, h = eight[0], eight[1], eight[2], eight[3], eight[4], eight[5], eight[6], eight[7]
        for start in range(0, whole, _LANES):
            lanes, below = old[start : start + _LANES], rank[start : start + _LANES]
            for k in range(_LANES):
                v = lanes[k]
                below[k] += (
                    np.int32(a < v) + np.int32(b < v) + np.int32(c < v) + np.int32(d < v)
                    + np.int32(e < v) + np.int32(f < v) + np.int32(g < v) + np.int32(h < v)
                )  # fmt: skip
    values[:] = np.inf
    for k in range(n):
        values[rank[k]] = old[k]
    for k in range(1, n):  # of equal values only the first has its place
        values[k] = values[k] if values[k] < np.inf else values[k - 1]


@jit
def _robust_mode(values):
    """Mode of an unsorted float32 sample of finite values, which gets sorted, and its standard error.

    Values beyond 2.5 sigma of the median are dropped until nothing changes. Where the mean then agrees with the median
    the mean is best; where it does not, the sample is skewed by unseen stars and the mode is 3 median - 2 mean.
    """
    _sort(values)
    lo, hi = 0, values.size
    median = spread = 0.0
    start = n = 0
    for _ in range(10):
        start, n = lo, hi - lo
        median = 0.5 * (np.float64(values[lo + (n - 1) // 2]) + values[lo + n // 2])
        spread = 0.5 * (np.float64(values[lo + int(0.8413 * (n - 1))]) - values[lo + int(0.1587 * (n - 1))])
        least, most = median - _CLIP * spread, median + _CLIP * spread
        first, last = lo, hi
        while first < last - 1 and values[first] < least:
            first += 1
        while last > first + 1 and values[last - 1] > most:
            last -= 1
        if (first == lo and last == hi) or last - first < 5:
            break
        lo, hi = first, last
    mean = 0.0
    for k in range(start, start + n):
        mean += values[k]
    mean /= n
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
    values = np.empty((2 * reach + 2) ** 2, np.float32)
    least, most = inner * inner, outer * outer
    for s in range(x.size):
        xc, yc = int(np.round(x[s])), int(np.round(y[s]))
        left, right = max(xc - reach, 0), min(xc + reach + 1, image.shape[1])
        n = 0
        for j in range(max(yc - reach, 0), min(yc + reach + 1, image.shape[0])):
            row, stars, bad = image[j, left:right], model[j, left:right], mask[j, left:right]
            r2 = (j - y[s]) ** 2
            for i in range(row.size):
                distance = (left + i - x[s]) ** 2 + r2
                values[n] = row[i] - stars[i]
                n += (distance >= least) & (distance <= most) & (bad[i] == 0)
        if n < 5:
            sky[s] = error[s] = np.nan
        else:
            sky[s], error[s] = _robust_mode(values[:n])


@jit
def _below(values, level):
    """How many of `values` lie below `level`; a float32, as int64 would halve the lanes."""
    n = np.float32(0.0)
    for k in range(values.size):
        n += np.float32(1.0) if values[k] < level else np.float32(0.0)
    return n


@jit
def _sum_between(values, lo, hi, origin):
    """Sum of `values` - `origin` of those in [lo, hi)."""
    total = np.float32(0.0)
    for k in range(values.size):
        v = values[k]
        total += v - origin if (v >= lo) & (v < hi) else np.float32(0.0)
    return total


@jit
def _quick_mode(values, size, few):
    """:func:`_robust_mode` of the first `size` values, float32, to a few hundredths of the spread and without sorting.

    Median and spreads below and above it are first those of some of the values, which `few` holds. Newton's method
    moves them until, of the values within the clip, half lie below the median and 34 % within one spread either side.
    Values beyond `size` are infinite: they fill the last lanes of loops that only count. NaN where it does not settle.
    """
    m = few.size
    for k in range(m):
        few[k] = values[(k * size // m + k) % size]  # not of one column
    left = median = right = -np.float32(np.inf)
    for k in range(m):  # ranks by counting: sorting is all branches
        rank = _below(few, few[k])
        left = max(left, few[k]) if rank <= int(0.1587 * m) else left
        median = max(median, few[k]) if rank <= m // 2 else median
        right = max(right, few[k]) if rank <= int(0.8413 * m) else right
    one, most, clip = np.float32(1.0), np.float32(-0.6), np.float32(0.5 * _CLIP)
    down = up = min(median - left, right - median)
    for _ in range(10):
        lo, hi = median - clip * (down + up), median + clip * (down + up)
        low, half = _below(values, lo), _below(values, median)
        n = _below(values, hi) - low
        if n < 5:
            return np.float32(np.nan)
        # A Gaussian has 0.40 of its values per spread about the median, and 0.24 at one spread either side.
        shift = (np.float32(0.5) - (half - low) / n) / np.float32(0.40)
        lower = (np.float32(0.3413) - (half - _below(values, median - down)) / n) / np.float32(0.24)
        upper = (np.float32(0.3413) - (_below(values, median + up) - half) / n) / np.float32(0.24)
        median += min(max(shift, -one), one) * np.float32(0.5) * (down + up)
        down *= one + min(max(lower, most), one)
        up *= one + min(max(upper, most), one)
        if abs(shift) < 0.02 and abs(lower) < 0.04 and abs(upper) < 0.04:
            break
    if max(abs(shift), abs(lower), abs(upper)) > 0.15:  # neither settled nor only jumping from value to value
        return np.float32(np.nan)
    spread = np.float32(0.5) * (down + up)
    lo, hi = median - clip * (down + up), median + clip * (down + up)
    n = max(_below(values, hi) - _below(values, lo), one)
    mean = median + _sum_between(values, lo, hi, median) / n
    if abs(mean - median) < np.float32(_SKEWED * 0.75) * spread / np.sqrt(n):
        return mean
    return np.float32(3.0) * median - np.float32(2.0) * mean


@jit
def _levels(image, mask, row, level):
    """Modes of the good pixels of one row of cells of the mesh; NaN where under a tenth is good."""
    ny, nx = image.shape
    cells = level.shape[1]
    n, values, few = np.zeros(cells, np.int64), np.empty((cells, BOX * BOX), np.float32), np.empty(32, np.float32)
    for j in range(row * BOX, min((row + 1) * BOX, ny)):  # whole rows of pixels, as they lie in memory
        for a in range(cells):
            lo, hi = a * BOX, min((a + 1) * BOX, nx)
            _copy_good(image[j, lo:hi], mask[j, lo:hi], values[a, n[a] :])
            n[a] += hi - lo
    for a in range(cells):
        size = _to_the_front(values[a, : n[a]])
        whole = -(-size // 32) * 32
        values[a, size:whole] = np.inf
        level[row, a] = _quick_mode(values[a, :whole], size, few) if size > BOX * BOX // 10 else np.nan
        if size > BOX * BOX // 10 and np.isnan(level[row, a]):
            level[row, a] = _robust_mode(values[a, :size])[0]


@jit
def _copy_good(image, mask, out):
    """Copy a run of pixels, bad ones as infinity."""
    for i in range(image.size):
        out[i] = image[i] if mask[i] == 0 else np.float32(np.inf)


@jit
def _to_the_front(values):
    """Move the finite values to the front, in order; returns how many they are."""
    if _below(values, np.float32(np.inf)) == values.size:
        return values.size
    n = 0
    for k in range(values.size):
        v = values[k]
        values[n] = v
        n += v < np.inf
    return n


def sky_mesh(image: NDArray[np.float32], mask: NDArray[np.uint8], threads: int = 1) -> NDArray[np.float32]:
    """Background in cells of 32x32 pixels: modes of good ones, median-filtered 3x3; (n_y / 32, n_x / 32) rounded up."""
    level = np.empty((-(-image.shape[0] // BOX), -(-image.shape[1] // BOX)), np.float32)
    each(lambda row: _levels(image, mask, row, level), level.shape[0], threads)
    if np.isnan(level).all():
        return np.zeros_like(level)
    return median_filter(np.where(np.isnan(level), np.nanmedian(level), level), 3, mode="nearest")


@jit(inline="always")
def _between(position, n):
    """The two cells whose centres a pixel lies between, and how far it is from the first to the second."""
    where = min(max((position + 0.5) / BOX - 0.5, 0.0), n - 1.0)
    k = int(where)
    return k, min(k + 1, n - 1), np.float32(where - k)


@jit
def sky_row(level, row, out):
    """Fill `out` (n_x,) with a row of the bilinear interpolation of a sky mesh."""
    k, k1, t = _between(row, level.shape[0])
    n = level.shape[1]
    for a in range(-1, n):
        p, q = max(a, 0), min(a + 1, n - 1)
        here = level[k, p] + t * (level[k1, p] - level[k, p])
        step = (level[k, q] + t * (level[k1, q] - level[k, q]) - here) / np.float32(BOX)
        centre = a * BOX + BOX // 2
        part = out[max(centre, 0) : min(centre + BOX, out.size)]
        along = _ALONG[max(-centre, 0) :]
        for i in range(part.size):
            part[i] = here + step * along[i]


@jit(inline="always")
def sky_at(level, x, y):
    """The sky mesh, interpolated as in :func:`sky_row`, at one pixel."""
    k, k1, t = _between(y, level.shape[0])
    p, q, u = _between(x, level.shape[1])
    here = level[k, p] + t * (level[k1, p] - level[k, p])
    return here + u * (level[k, q] + t * (level[k1, q] - level[k, q]) - here)
