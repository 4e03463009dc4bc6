"""The median of a few hundred numbers, quickly: by counting them in bins, and again in the bin that has it."""

import numpy as np

from compute.kernels._jit import jit

BINS = 64  # of a count
_SORTED = 24  # numbers that are sorted rather than counted


@jit
def median(values, some, count):
    """Number n // 2 of n `values` (n,) in rising order, the upper of two middle ones; NaN without any.

    Values are to be finite; from others comes any number.

    `some` (n,) and `count` (BINS,) of int64 are room to work in. Selection by partition would guess wrongly at every
    other branch; bins do not branch.
    """
    n, rank = values.size, values.size // 2
    if n == 0:
        return np.nan
    some[:n] = values
    while n > _SORTED:
        low, high = some[0], some[0]
        for k in range(n):
            low, high = min(low, some[k]), max(high, some[k])
        per_unit = BINS / (high - low)
        if not per_unit < np.inf:  # all alike
            return low
        count[:] = 0
        for k in range(n):
            count[_bin(some[k], low, per_unit)] += 1
        bin_ = 0
        while rank >= count[bin_]:
            rank -= count[bin_]
            bin_ += 1
        kept = 0
        for k in range(n):
            some[kept] = some[k]
            kept += _bin(some[k], low, per_unit) == bin_
        n = kept
    for k in range(1, n):
        value, j = some[k], k
        while j > 0 and some[j - 1] > value:
            some[j] = some[j - 1]
            j -= 1
        some[j] = value
    return some[rank]


@jit(inline="always")
def _bin(value, low, per_unit):
    """Within the bins whatever the value, for NaN would lead anywhere."""
    return max(min(int((value - low) * per_unit), BINS - 1), 0)
