"""Which detections of many exposures are the same star."""

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit

ROUNDS = 4


def identify(
    x: NDArray, y: NDArray, exposure: NDArray, rank: NDArray, radius: float, rounds: int = ROUNDS
) -> NDArray[np.int64]:
    """Group the detections of many exposures into stars, each with at most one detection of an exposure.

    In every round a detection of which no free neighbour within `radius` ranks better founds a star; every free
    detection goes to the nearest founder in reach, where of each exposure the nearest is accepted. What remains free
    may found a star in the next round: the fainter of two close stars does. A detection's star depends on nothing
    farther away than :func:`dependence`, so pieces of the sky with such a margin give what the whole sky gives.

    Parameters
    ----------
    x, y
        (n,) positions; rows with NaN stay alone and free.
    exposure
        (n,) int64 number of the exposure, from 0.
    rank
        (n,) int64, all different; the smallest founds.
    radius
        Largest distance from a founder, same unit as `x`.

    Returns
    -------
    star
        (n,) index of the founding detection; -1 for those that are free after the last round.
    """
    star = np.full(x.size, -1, np.int64)
    if x.size == 0:
        return star
    good = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    order, start, shape = _cells(x[good], y[good], radius)
    rows = good[order]
    found = np.full(rows.size, -1, np.int64)
    arrays = (x[rows], y[rows], exposure[rows].astype(np.int64), rank[rows].astype(np.int64))
    _found_stars(*arrays, radius, rounds, start, shape, int(exposure.max()) + 1, found)
    taken = found >= 0
    star[rows[taken]] = rows[found[taken]]
    return star


def dependence(radius: float, rounds: int = ROUNDS) -> float:
    """Distance beyond which nothing can change the star of a detection."""
    return 4.0 * radius * rounds  # who competes, for whom, against whom, and who of those founds


def _cells(x: NDArray, y: NDArray, side: float) -> tuple[NDArray, NDArray, tuple[int, int]]:
    """Rows in order of square cells, where each cell starts, and the number of cells along y and x.

    Cells are never so many that empty ones cost more than the rows.
    """
    if x.size == 0:
        return np.empty(0, np.int64), np.zeros(2, np.int64), (1, 1)
    left, low = x.min(), y.min()
    most = max(np.sqrt(4.0 * x.size), 1.0)
    side = max(side, (x.max() - left) / most, (y.max() - low) / most)
    i, j = ((x - left) / side).astype(np.int64), ((y - low) / side).astype(np.int64)
    shape = int(j.max()) + 1, int(i.max()) + 1
    cell = j * shape[1] + i
    order = np.argsort(cell, kind="stable")
    return order, np.searchsorted(cell[order], np.arange(shape[0] * shape[1] + 1)), shape


@jit
def _found_stars(x, y, exposure, rank, radius, rounds, start, shape, n_exposures, star):
    """Rounds of founding and joining; rows are in order of cells no smaller than `radius`."""
    n = x.size
    limit = radius * radius
    founder = np.empty(n, np.int64)  # the nearest founder of this round, or -1
    distance = np.empty(n)
    best, stamp = np.zeros(n_exposures, np.int64), np.full(n_exposures, -1, np.int64)
    founds = np.empty(n, np.bool_)
    for _ in range(rounds):
        _choose(x, y, rank, limit, start, shape, star, founds)
        _join(x, y, rank, limit, start, shape, star, founds, founder, distance)
        for k in range(n):
            if founds[k]:
                _accept(k, exposure, rank, start, shape, founder, distance, best, stamp, star)


@jit
def _choose(x, y, rank, limit, start, shape, star, founds):
    """Free rows of which no free neighbour ranks better."""
    for j in range(shape[0]):
        for i in range(shape[1]):
            for k in range(start[j * shape[1] + i], start[j * shape[1] + i + 1]):
                founds[k] = star[k] < 0 and _leads(k, i, j, x, y, rank, limit, start, shape, star)


@jit
def _leads(k, i, j, x, y, rank, limit, start, shape, star):
    for b in range(max(j - 1, 0), min(j + 2, shape[0])):
        first, last = b * shape[1] + max(i - 1, 0), b * shape[1] + min(i + 2, shape[1])
        for m in range(start[first], start[last]):
            if star[m] < 0 and rank[m] < rank[k] and (x[m] - x[k]) ** 2 + (y[m] - y[k]) ** 2 <= limit:
                return False
    return True


@jit
def _join(x, y, rank, limit, start, shape, star, founds, founder, distance):
    """The nearest founder of every free row; of two as near, the one that ranks better."""
    for j in range(shape[0]):
        for i in range(shape[1]):
            for k in range(start[j * shape[1] + i], start[j * shape[1] + i + 1]):
                founder[k], distance[k] = -1, np.inf
                if star[k] >= 0:
                    continue
                for b in range(max(j - 1, 0), min(j + 2, shape[0])):
                    first, last = b * shape[1] + max(i - 1, 0), b * shape[1] + min(i + 2, shape[1])
                    for m in range(start[first], start[last]):
                        if not founds[m]:
                            continue
                        away = (x[m] - x[k]) ** 2 + (y[m] - y[k]) ** 2
                        nearer = away < distance[k] or (away == distance[k] and rank[m] < rank[founder[k]])
                        if away <= limit and nearer:
                            founder[k], distance[k] = m, away


@jit
def _accept(k, exposure, rank, start, shape, founder, distance, best, stamp, star):
    """Give to founder `k` the nearest row of every exposure among those that chose it."""
    cell = np.searchsorted(start, k, side="right") - 1
    i, j = cell % shape[1], cell // shape[1]
    for b in range(max(j - 1, 0), min(j + 2, shape[0])):
        first, last = b * shape[1] + max(i - 1, 0), b * shape[1] + min(i + 2, shape[1])
        for m in range(start[first], start[last]):
            if founder[m] != k:
                continue
            e = exposure[m]
            if stamp[e] != k:
                stamp[e], best[e] = k, m
                continue
            other = best[e]
            if distance[m] < distance[other] or (distance[m] == distance[other] and rank[m] < rank[other]):
                best[e] = m
    for b in range(max(j - 1, 0), min(j + 2, shape[0])):
        first, last = b * shape[1] + max(i - 1, 0), b * shape[1] + min(i + 2, shape[1])
        for m in range(start[first], start[last]):
            if founder[m] == k and best[exposure[m]] == m:
                star[m] = k
