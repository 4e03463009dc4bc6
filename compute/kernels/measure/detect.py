"""Finding stars: peaks of the matched-filter significance, isolated and no sharper than a star."""

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.measure.columns import SATURATED
from compute.kernels.measure.sky import sky_at, sky_row

_CHUNK = 512  # [pix] of a row, correlated at a time


@jit
def significance(image, mask, poisson, floor, level, template, first, out):
    """Signal-to-noise of a star centred on each pixel of the rows from `first` on, as many as `out` has.

    Every pixel counts with its own sky noise and bad pixels count nothing: S/N = sum(T d / V) / sqrt(sum(T^2 / V)).

    Parameters
    ----------
    image, mask, poisson, floor, level
        (n_y, n_x) maps of :class:`compute.kernels.measure.chain.Frame`, and the sky mesh.
    template
        (5, 5) float32 ePSF T, the mean over phases.
    first, out
        Row of the frame that `out` (rows, n_x) float32 begins with.
    """
    ny, nx = image.shape
    wide = -(-nx // _CHUNK) * _CHUNK
    # Light over variance, and one over variance, of the last six rows, two pixels wider than the frame either side.
    signal, weight = np.zeros((6, wide + 4), np.float32), np.zeros((6, wide + 4), np.float32)
    shares = np.zeros((7, 5), np.float32)
    shares[1:6] = template
    sky, sums = np.empty(nx, np.float32), np.empty(4 * _CHUNK, np.float32)
    for j in range(first - 2, first + out.shape[0] + 2 + out.shape[0] % 2):
        if 0 <= j < ny:
            sky_row(level, j, sky)
            _weigh(image[j], mask[j], poisson[j], floor[j], sky, signal[j % 6], weight[j % 6])
        else:
            signal[j % 6] = weight[j % 6] = 0.0
        row = j - 3 - first  # of the two rows of `out` whose six rows are there now
        if row < 0 or row % 2:
            continue
        for start in range(0, nx, _CHUNK):
            stop = min(start + _CHUNK, nx)
            sums[:] = 0.0
            for b in range(6):
                k = (j + 1 + b) % 6
                _correlate(signal[k, start:], weight[k, start:], shares[b + 1], shares[b], sums)
            _divide(sums[:_CHUNK], sums[_CHUNK : 2 * _CHUNK], out[row, start:stop])
            if row + 1 < out.shape[0]:
                _divide(sums[2 * _CHUNK : 3 * _CHUNK], sums[3 * _CHUNK :], out[row + 1, start:stop])


@jit
def _weigh(image, mask, poisson, floor, sky, signal, weight):
    """Light over variance, and one over variance, of one row of pixels."""
    none, one = np.float32(0.0), np.float32(1.0)
    for i in range(image.size):
        level = sky[i]
        w = one / (poisson[i] * (level if level > none else none) + floor[i])
        signal[i + 2] = (image[i] - level) * w if mask[i] == 0 else none
        weight[i + 2] = w if mask[i] == 0 else none


@jit
def _correlate(signal, weight, upper, lower, sums):
    """Add a row's shares to the sums of S/N of two rows: all in one array and one width, so that the loop vectorises.

    Two rows at a time, since what costs is not to multiply but to load.
    """
    a, b, c, d, e = upper[0], upper[1], upper[2], upper[3], upper[4]
    f, g, h, p, q = lower[0], lower[1], lower[2], lower[3], lower[4]
    aa, bb, cc, dd, ee = a * a, b * b, c * c, d * d, e * e
    ff, gg, hh, pp, qq = f * f, g * g, h * h, p * p, q * q
    for i in range(_CHUNK):
        r, s, t, u, v = signal[i], signal[i + 1], signal[i + 2], signal[i + 3], signal[i + 4]
        sums[i] += a * r + b * s + c * t + d * u + e * v
        sums[i + 2 * _CHUNK] += f * r + g * s + h * t + p * u + q * v
        r, s, t, u, v = weight[i], weight[i + 1], weight[i + 2], weight[i + 3], weight[i + 4]
        sums[i + _CHUNK] += aa * r + bb * s + cc * t + dd * u + ee * v
        sums[i + 3 * _CHUNK] += ff * r + gg * s + hh * t + pp * u + qq * v


@jit
def _divide(top, bottom, out):
    """S/N of each pixel from its two sums; zero where no pixel about it is good."""
    for i in range(out.size):
        out[i] = top[i] / np.sqrt(bottom[i]) if bottom[i] > np.float32(0.0) else np.float32(0.0)


def disc(radius: float) -> NDArray[np.int64]:
    """Offsets (dx, dy) of the pixels within `radius` of one, which is left out, nearest first; (N, 2)."""
    reach = int(radius)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    distance = dx**2 + dy**2
    inside = (distance > 0) & (distance <= radius**2)
    order = np.argsort(distance[inside], kind="stable")
    return np.column_stack([dx, dy])[inside][order]


@jit
def peaks(ratio, threshold, near, start, stop, x, y):
    """Pixels in rows `start` to `stop` where `ratio` >= threshold and none of the pixels `near` is higher.

    Equal heights are settled by order, so that a plateau gives one peak. `near` is a :func:`disc`. The outermost
    pixels have no peaks. `x`, `y` are filled with columns and rows; returns how many.
    """
    nx, n = ratio.shape[1], 0
    above = np.zeros(-(-nx // 32) * 32, np.uint8)
    eight = above.view(np.uint64)
    for j in range(max(start, 1), min(stop, ratio.shape[0] - 1)):
        _above_the_nearest(ratio[j - 1], ratio[j], ratio[j + 1], np.float32(threshold), above)
        for k in range(0, eight.size, 4):
            if eight[k] | eight[k + 1] | eight[k + 2] | eight[k + 3] == 0:
                continue
            for i in range(8 * k, min(8 * k + 32, nx)):
                if above[i] and _is_highest(ratio, near, i, j) and n < x.size:
                    x[n], y[n] = i, j
                    n += 1
    return n


@jit
def _above_the_nearest(before, here, after, threshold, above):
    """Which pixels of a row reach the threshold and their four neighbours' height; most do not, whatever comes next."""
    for i in range(1, here.size - 1):
        r = here[i]
        above[i] = (r >= threshold) & (r >= before[i]) & (r >= after[i]) & (r >= here[i - 1]) & (r >= here[i + 1])


@jit(inline="always")
def _is_highest(ratio, near, i, j):
    """Whether no pixel `near` is higher, or as high and earlier."""
    for k in range(near.shape[0]):
        a, b = near[k]
        if 0 <= j + b < ratio.shape[0] and 0 <= i + a < ratio.shape[1]:
            other = ratio[j + b, i + a]
            if other > ratio[j, i] or (other == ratio[j, i] and (b < 0 or (b == 0 and a < 0))):
                return False
    return True


@jit(inline="always")
def _too_sharp(image, mask, poisson, floor, sky, i, j, limit):
    """Whether the brightest of the 3x3 pixels about a peak has more of their light than `limit`.

    A lone pixel scores 1; a star never more than its ePSF allows. The score must exceed the limit by two standard
    errors, and it counts only where the brightest pixel has at least three good neighbours.
    """
    total = top = variance = 0.0
    n = 0
    for b in range(j - 1, j + 2):
        for a in range(i - 1, i + 2):
            if mask[b, a] == 0:
                light = image[b, a] - sky
                total += light
                variance += poisson[b, a] * max(image[b, a], 0.0) + floor[b, a]
                top = max(top, light)
                n += 1
    if n <= 3 or total <= 0.0:
        return False
    value = top / total
    return value - 2.0 * np.sqrt(variance) * max(1.0 - value, 0.1) / total > limit


@jit(inline="always")
def _vertex(before, here, after):
    """Where the parabola through three equidistant values is highest, at most half a step from the middle one."""
    bend = 2.0 * here - before - after
    return min(max(0.5 * (after - before) / bend, -0.5), 0.5) if bend > 0.0 else 0.0


@jit
def search(image, mask, poisson, floor, level, template, threshold, near, limit, start, stop):
    """Positions (x, y) [pix] of stars in rows `start` to `stop`.

    They are significant peaks that are not sharper than `limit` and not beside saturated pixels, at the vertices of
    the parabolas through the significance of each peak and its neighbours. Other arguments as of :func:`significance`
    and :func:`peaks`.
    """
    reach = near[:, 1].max()
    first, last = max(start - reach, 0), min(stop + reach, image.shape[0])
    ratio = np.empty((last - first, image.shape[1]), np.float32)
    significance(image, mask, poisson, floor, level, template, first, ratio)
    i, j = np.empty(ratio.size // 2, np.int64), np.empty(ratio.size // 2, np.int64)
    n = peaks(ratio, threshold, near, start - first, stop - first, i, j)
    x, y = np.empty(n), np.empty(n)
    saturated = _any_saturated(mask[max(start - 2, 0) : stop + 2])
    kept = 0
    for k in range(n):
        a, b = i[k], j[k]
        c = b + first
        if saturated and _beside_saturated(mask, a, c):
            continue
        if _too_sharp(image, mask, poisson, floor, sky_at(level, a, c), a, c, limit):
            continue
        x[kept] = a + _vertex(ratio[b, a - 1], ratio[b, a], ratio[b, a + 1])
        y[kept] = c + _vertex(ratio[b - 1, a], ratio[b, a], ratio[b + 1, a])
        kept += 1
    return x[:kept], y[:kept]


@jit
def _any_saturated(mask):
    found = False
    for pixel in mask.flat:
        found |= pixel == SATURATED
    return found


@jit(inline="always")
def _beside_saturated(mask, i, j):
    """Whether a pixel is within 2.5 pix of a saturated one and so belongs to its star."""
    for b in range(max(j - 2, 0), min(j + 3, mask.shape[0])):
        for a in range(max(i - 2, 0), min(i + 3, mask.shape[1])):
            if mask[b, a] == SATURATED and (a - i) ** 2 + (b - j) ** 2 <= 6:
                return True
    return False
