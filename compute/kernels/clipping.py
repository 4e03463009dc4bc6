"""Clipped medians of values that are in order already."""

import numpy as np

from compute.kernels._jit import jit


@jit
def clipped_median(values, clip):
    """Median of ascending values (n,), at least one, and where those that it is of begin and end.

    Values beyond `clip` standard deviations of the median are left out, until none is; the deviation is that about the
    mean, divided by their number, as Astropy's ``sigma_clip`` has it.
    """
    first, last = 0, values.size
    while True:
        median = 0.5 * (values[first + (last - first - 1) // 2] + values[first + (last - first) // 2])
        total, squares = 0.0, 0.0
        for k in range(first, last):
            total += values[k] - median
            squares += (values[k] - median) * (values[k] - median)
        low, high = _limits(median, clip, total, squares, last - first)
        begin, end = first, last
        while begin < end and values[begin] < low:
            begin += 1
        while begin < end and values[end - 1] > high:
            end -= 1
        if end - begin == last - first or begin == end:
            return median, first, last
        first, last = begin, end


@jit(exact=True)
def _limits(median, clip, total, squares, n):
    """What lies `clip` standard deviations from the median; sums are of differences from it and their squares."""
    deviation = np.sqrt(max(squares / n - (total / n) * (total / n), 0.0))
    return median - clip * deviation, median + clip * deviation
