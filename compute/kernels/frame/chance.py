"""Pairs between two lists of stars, counted against what chance would bring."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

_AROUND = 10.0  # stars, on the average, from which a density is estimated
_RADII = 0.5 ** np.arange(1, 11)  # of the mean distance between stars


class Pairs(NamedTuple):
    """Mutual nearest neighbours `first`, `second` (n_pairs,) closer than `radius`.

    `expected` of them by chance; `significance` is -log10 of the probability that chance brings as many.
    """

    first: NDArray
    second: NDArray
    radius: float
    expected: float
    significance: float


class Field:
    """The stars x, y (n,) of one list, to be found among."""

    def __init__(self, x: NDArray, y: NDArray):
        self.tree = cKDTree(np.column_stack([x, y]))
        self.spacing = float(np.sqrt(max(np.ptp(x) * np.ptp(y), np.finfo(float).tiny) / x.size))
        self._cell = self.spacing * np.sqrt(_AROUND) / 3
        self._corner = self.tree.mins - self._cell
        count = np.zeros(self._cells(self.tree.maxes) + 3)
        np.add.at(count, tuple(self._cells(self.tree.data).T), 1.0)
        self._around = np.lib.stride_tricks.sliding_window_view(np.pad(count, 1), (3, 3)).sum((2, 3))

    def _cells(self, at: NDArray) -> NDArray:
        return np.floor((at - self._corner) / self._cell).astype(int)

    def density(self, at: NDArray) -> NDArray:
        """Stars per area (n,) in the 3x3 cells around each position (n, 2), zero outside the field."""
        cell = self._cells(at)
        inside = ((cell >= 0) & (cell < self._around.shape)).all(1)
        return np.where(inside, self._around[tuple((cell * inside[:, None]).T)], 0.0) / (3 * self._cell) ** 2

    def pairs(self, x: NDArray, y: NDArray, free: float) -> Pairs:
        """Pairs with the stars `x`, `y` (n,), each the nearest, within the radius at which chance explains them least.

        Chance is that of stars strewn with the density that this list has around each of `x`, `y`, so that clusters
        count as such; `free` pairs, which the transformation was fitted to, do not count. The probability is Chernoff's
        bound for a binomial distribution: never too small.
        """
        at = np.column_stack([x, y])
        distance, second = self.tree.query(at, distance_upper_bound=self.spacing * _RADII[0])
        first = np.argsort(distance, kind="stable")
        first = np.sort(first[np.unique(second[first], return_index=True)[1]])  # of several, the closest
        first = first[np.isfinite(distance[first])]
        second, distance, density = second[first], distance[first], self.density(at)
        inside = np.count_nonzero(density)
        best = Pairs(first[:0], second[:0], 0.0, 0.0, 0.0)
        for radius in self.spacing * _RADII:
            near = distance < radius
            chance = float(-np.expm1(-density * np.pi * radius**2).sum())
            significance = unlikely(np.count_nonzero(near) - free, inside - free, chance) - np.log10(_RADII.size)
            if significance > best.significance:
                best = Pairs(first[near], second[near], float(radius), chance, significance)
        return best


def unlikely(k: float, n: float, mean: float) -> float:
    """-log10 of Chernoff's bound of the probability of `k` successes or more in `n` trials, `mean` expected."""
    if not (n > 0 and 0 < mean < k):
        return 0.0
    k = min(k, n)
    rest = (n - k) * np.log((n - k) / (n - mean)) if k < n else 0.0
    return (k * np.log(k / mean) + rest) / np.log(10.0)
