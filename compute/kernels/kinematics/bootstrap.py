"""Errors of weighted means by the bootstrap: what the scatter among objects says, whatever their formal errors."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels._jit import jit
from compute.kernels.threads import each, shares

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SHORT = 64  # values that are counted without branches; from the middle there is less to count where there are more
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


class Bootstrap(NamedTuple):
    """Weighted means of m quantities.

    Attributes
    ----------
    mean
        (m,) of the objects themselves; NaN without any.
    error
        (m,) standard deviation of the resampled means; NaN where fewer than two objects have the quantity.
    resampled
        (resamples, m) from which come covariances and intervals; NaN where no object with the quantity was drawn.
    """

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    resampled: NDArray[np.float64]


def bootstrap_means(
    value: ArrayLike, error: ArrayLike, *, resamples: int = 10_000, seed: int = 0, clip: float | None = None,
    threads: int = 1,
) -> Bootstrap:  # fmt: skip
    """Weighted means over objects and their errors by resampling the objects (Efron & Tibshirani 1993, chapter 6).

    An object is drawn with all its quantities, so that means of what the same objects told on several exposures keep
    their covariance. Seed and resample alone decide which rows are drawn.

    Parameters
    ----------
    value, error
        (n, m) of n objects, one of the m quantities a column, such as displacements on each exposure, and standard
        errors in the same unit; weights are 1 / error^2. What is not finite, or has no positive error, does not count.
    resamples
        How often n objects are drawn with replacement.
    seed
        Of the draws; any integer, taken modulo 2^64.
    clip
        Values beyond `clip` standard deviations of the median are left out of a mean, until none is, in each resample
        anew; the deviation is that about the unweighted mean, divided by their number, as in Astropy's ``sigma_clip``.
        None: all are used.

    Raises
    ------
    ValueError
        For shapes other than (n, m), fewer than two resamples, or a clip that is not positive.
    """
    value, error = np.asarray(value, float), np.asarray(error, float)
    if value.ndim != 2 or value.shape != error.shape:
        raise ValueError(f"values and errors have shapes {value.shape} and {error.shape}, expected (n, m) for both")
    if resamples < 2:
        raise ValueError(f"resamples are {resamples}, expected two or more")
    if clip is not None and not clip > 0:
        raise ValueError(f"clip is {clip}, expected more than 0 standard deviations")
    usable = np.isfinite(value) & np.isfinite(error) & (error > 0)
    some = usable.any(1)
    usable, value, error = usable[some], value[some], error[some]
    least = np.min(error, axis=0, initial=np.inf, where=usable)
    weight = np.square(np.divide(least, error, out=np.zeros_like(error), where=usable))
    value = np.where(usable, value, 0.0)
    middle = np.divide((weight * value).sum(0), weight.sum(0), out=np.zeros(value.shape[1]), where=usable.any(0))
    # From the middle: sums of small numbers lose nothing.
    means = np.empty((1 + resamples, value.shape[1]))
    _fill(means, usable, value - middle, weight, np.uint64(seed % 2**64), clip, threads)
    errors = np.full(value.shape[1], np.nan)
    _finish(means, middle, usable.sum(0), errors)
    return Bootstrap(means[0], errors, means[1:])


def _fill(
    means: NDArray, usable: NDArray, value: NDArray, weight: NDArray, key: np.uint64, clip: float | None, threads: int
) -> None:
    """Means of the objects themselves in the first row, of resamples in the others."""
    runs = shares(len(means), threads)
    if clip is None:
        table = np.hstack([weight, weight * value])
        each(lambda t: _plain(table, key, *runs[t], means), threads, threads)
        return
    order = np.argsort(np.where(usable, value, np.inf).T, axis=1, kind="stable").astype(np.uint32)
    columns = np.stack([np.take_along_axis(one.T, order, 1) for one in (value, weight)])
    each(lambda t: _clipped(columns, order, usable.sum(0), clip, key, *runs[t], means), threads, threads)


@jit(inline="always")
def _word(key, number):
    """Word `number` of the splitmix64 stream that begins at `key` (Steele, Lea & Flood 2014)."""
    word = key + np.uint64(number) * _GOLDEN
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@jit
def _draw(key, resample, drawn):
    """Rows (n,) of one resample, two from every word; resample 0 is the objects themselves, each once."""
    n = drawn.size
    if resample == 0:
        for k in range(n):
            drawn[k] = k
        return
    first = (resample - 1) * ((n + 1) // 2)
    for k in range(n // 2):
        word = _word(key, first + k)
        # 32 random bits times n, less the lower 32: uneven by n / 2^32.
        drawn[2 * k] = ((word >> _HALF) * np.uint64(n)) >> _HALF
        drawn[2 * k + 1] = ((word & _LOW) * np.uint64(n)) >> _HALF
    if n % 2:
        drawn[n - 1] = ((_word(key, first + n // 2) >> _HALF) * np.uint64(n)) >> _HALF


@jit
def _plain(table, key, begin, end, means):
    """Means of resamples `begin` to `end`; `table` (n, 2 m) has weights and weighted values."""
    n, m = table.shape[0], table.shape[1] // 2
    drawn, total = np.empty(n, np.uint32), np.empty(2 * m)
    for resample in range(begin, end):
        _draw(key, resample, drawn)
        total[:] = 0.0
        for k in range(0, n - 3, 4):  # by fours, as every addition to memory waits for the one before
            a, b, c, d = drawn[k], drawn[k + 1], drawn[k + 2], drawn[k + 3]
            for j in range(2 * m):
                total[j] += (table[a, j] + table[b, j]) + (table[c, j] + table[d, j])
        for k in range(n - n % 4, n):
            for j in range(2 * m):
                total[j] += table[drawn[k], j]
        for j in range(m):
            means[resample, j] = total[m + j] / total[j]


@jit
def _clipped(columns, order, n_usable, clip, key, begin, end, means):
    """Clipped means of resamples `begin` to `end`.

    `columns` (2, m, n) are values and weights in order of value, `order` (m, n) the objects they are of, of which the
    first `n_usable` (m,) count.
    """
    values, weights = columns[0], columns[1]  # which are known to be contiguous; unpacked ones are not
    m, n = order.shape
    drawn, times, count = np.empty(n, np.uint32), np.empty(n, np.int64), np.empty(n, np.int64)
    for resample in range(begin, end):
        _draw(key, resample, drawn)
        times[:] = 0
        for k in range(n):
            times[drawn[k]] += 1
        for j in range(m):
            left = 0
            for k in range(n_usable[j]):
                count[k] = times[order[j, k]]
                left += count[k]
            means[resample, j] = _clipped_mean(values, weights, j, n_usable[j], count, left, clip)


@jit
def _clipped_mean(values, weights, j, n, count, left, clip):
    """Mean of the first `n` values of row j, which rise; each is there `count` times, `left` in all.

    Counts of those left out become 0: loops over all values are vectorised, loops between bounds that vary are not.
    """
    if left == 0:
        return np.nan
    first, last = 0, n
    while True:
        median = _median(values, j, n, count, left)
        total = squares = weight = weighted = 0.0
        for k in range(n):
            off = values[j, k] - median
            total += count[k] * off
            squares += count[k] * off * off
            weight += count[k] * weights[j, k]
            weighted += count[k] * weights[j, k] * off
        limit = clip * clip * max(left * squares - total * total, 0.0) / (float(left) * left)
        begin, end, out = first, last, 0
        while begin < end and values[j, begin] < median and (values[j, begin] - median) ** 2 > limit:
            out += count[begin]
            begin += 1
        while begin < end and values[j, end - 1] > median and (values[j, end - 1] - median) ** 2 > limit:
            end -= 1
            out += count[end]
        if out == 0 or out == left:
            return median + weighted / weight
        count[first:begin] = 0
        count[end:last] = 0
        first, last = begin, end
        left -= out


@jit
def _median(values, j, n, count, left):
    """Median of the first `n` values of row j, which rise; each is there `count` times, `left` in all."""
    lower, upper = (left - 1) // 2, left // 2
    before, low, high = 0, 0, 0
    if n <= _SHORT:
        for k in range(n):
            before += count[k]
            low += before <= lower
            high += before <= upper
        return 0.5 * (values[j, low] + values[j, high])
    for k in range(n // 2):
        before += count[k]
    low = n // 2
    while before > lower:
        low -= 1
        before -= count[low]
    while before + count[low] <= lower:
        before += count[low]
        low += 1
    high = low
    while before + count[high] <= upper:
        before += count[high]
        high += 1
    return 0.5 * (values[j, low] + values[j, high])


@jit
def _finish(means, middle, n_usable, errors):
    """Standard deviations (m,) of means (1 + resamples, m) about the objects' own, the first; then add the middle."""
    m = errors.size
    own, n, total, squares = means[0].copy(), np.zeros(m), np.zeros(m), np.zeros(m)
    for resample in range(means.shape[0]):
        for j in range(m):
            off = means[resample, j] - own[j]
            drawn = resample > 0 and abs(off) < np.inf
            n[j] += 1.0 if drawn else 0.0
            total[j] += off if drawn else 0.0
            squares[j] += off * off if drawn else 0.0
            means[resample, j] += middle[j]
    for j in range(m):
        if n_usable[j] > 1:
            errors[j] = np.sqrt((squares[j] - total[j] * total[j] / n[j]) / (n[j] - 1.0))
