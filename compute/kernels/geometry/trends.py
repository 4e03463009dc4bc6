"""Judges of a distortion: trends of its residuals with any coordinate, and local features in narrow bands.

Residuals that scatter little may still have a structure: every bin against zero tells (Libralato et al. 2023, section
4.2 and figure 11), and scans in bands of ten pixels find what is local, as the voids in the epoxy under a detector were
found (section 4.3).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

_FEW = 5  # stars behind a feature, at least
_BIN = 32.0  # pix; features are made of bins along their band
_LOCAL = 0.25  # of the detector: the longest feature
_GAP = 2  # bands from one to the next of a feature: one may be missed
_OUTLYING = 4.0  # scatters; residuals beyond are no features but mismatches
_MAD = stats.norm.ppf(0.75)


class Trend(NamedTuple):
    """Weighted means (k,) of values in each bin, their errors and numbers, and all of them against zero.

    Bins of fewer than three values have NaN for mean and error, and no part in `chi2`. `p` is the chance of a `chi2` as
    large without any trend.
    """

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    n: NDArray[np.int64]
    chi2: float
    dof: int
    p: float


class Feature(NamedTuple):
    """A stretch of a detector where residuals have a mean of their own.

    The `axis` ("x" or "y") whose residuals it concerns; the axis `along` which it lies in bands across the other one;
    `band` and `extent` [pix], from and to, across and along. `mean` [pix] and `significance` [its errors] of all `n`
    residuals there; `false_alarm` is how many as significant as its best band are expected by chance in a scan.
    """

    axis: str
    along: str
    band: tuple[float, float]
    extent: tuple[float, float]
    mean: float
    significance: float
    n: int
    false_alarm: float


def trend(values: ArrayLike, errors: ArrayLike, coordinate: ArrayLike, edges: ArrayLike) -> Trend:
    """Means of `values` (n,) in bins of a `coordinate` (n,): radius, amplifier, magnitude, pixel phase.

    Values weigh by their formal `errors`; the error of a mean is from the scatter that its values really have. As that
    is uncertain itself, Student's t of each bin enters `chi2` as the normal deviate of the same probability.

    Parameters
    ----------
    edges
        (k + 1,) rising edges of the bins; the last one belongs to the last bin. Values beyond, and those not finite,
        do not count.
    """
    v, e, c = (np.asarray(column, float).ravel() for column in np.broadcast_arrays(values, errors, coordinate))
    edges = np.asarray(edges, float)
    good = np.isfinite(v) & np.isfinite(c) & (e > 0) & (e < np.inf) & (c >= edges[0]) & (c <= edges[-1])
    v, w = v[good], 1 / e[good] ** 2
    k, size = np.minimum(np.searchsorted(edges, c[good], side="right") - 1, len(edges) - 2), len(edges) - 1
    n, total, squares = (np.bincount(k, weight, size) for weight in (np.ones(k.size), w, w**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(k, w * v, size) / total
        effective = total**2 / squares
        about = np.bincount(k, (w * (v - mean[k])) ** 2, size) / total**2
        error = np.sqrt(about * effective / (effective - 1))
    mean[n < 3] = error[n < 3] = np.nan
    known = error > 0
    student = stats.t.logsf(abs(mean[known] / error[known]), effective[known] - 1)
    chi2, dof = float((_deviate(student) ** 2).sum()), int(known.sum())
    return Trend(mean, error, n.astype(np.int64), chi2, dof, float(stats.chi2.sf(chi2, dof)) if dof else np.nan)


def _deviate(log_tail: NDArray) -> NDArray[np.float64]:
    """Normal deviates of one-sided tail probabilities given by their logarithms, however small."""
    z = stats.norm.isf(np.exp(np.maximum(log_tail, -600.0)))
    return np.where(log_tail < -600.0, np.sqrt(-2 * log_tail), z)


def scan(
    x: ArrayLike,
    y: ArrayLike,
    dx: ArrayLike,
    dy: ArrayLike,
    errors: ArrayLike,
    width: float = 10.0,
    false_alarm: float = 0.01,
) -> list[Feature]:
    """Local features of residuals in bands across both axes of a detector, the most significant first.

    In each band every run of bins, up to a quarter of the detector long, is a trial. A run is a feature if in a whole
    scan fewer than `false_alarm` runs are expected to have so large a mean by chance. Features of one sign that overlap
    in adjacent bands, or but for one band between, are one. Errors are scaled by the scatter that means of bins really
    have; so a star that stays in a bin in several exposures does not count as often.

    Parameters
    ----------
    x, y
        Raw positions (n,) [pix].
    dx, dy
        Residuals (n,) [pix].
    errors
        Formal errors of the residuals, per axis (n,) [pix].
    width
        Of the bands [pix].
    """
    table = np.array([np.asarray(column, float).ravel() for column in np.broadcast_arrays(x, y, dx, dy, errors)])
    table = table[:, np.isfinite(table).all(0) & (table[4] > 0)]
    searches = [
        _search("xy"[axis], "xy"[along], table[along], table[1 - along], table[2 + axis], table[4], width)
        for along in (0, 1)
        for axis in (0, 1)
    ]
    trials = sum(search.trials for search in searches)
    if trials == 0:
        return []
    least = float(stats.norm.isf(false_alarm / trials / 2))
    features = [search.feature(group, trials) for search in searches for group in _adjacent(search.runs(least))]
    return sorted(features, key=lambda feature: -abs(feature.significance))


class _Run(NamedTuple):
    """Bins `first` to before `end` of a band, with its sums of weighted residuals, weights and stars."""

    band: int
    first: int
    end: int
    sums: NDArray[np.float64]

    @property
    def deviate(self) -> float:
        """The run's mean in units of its error."""
        return float(self.sums[0] / np.sqrt(self.sums[1]))


class _Search(NamedTuple):
    """Residuals of one axis in bands along one: of runs in each band (n_bands, first, end), `deviates`, 0 for no trial.

    `sums` (3, n_bands, n_bins + 1) of weighted residuals, weights and stars before each bin; `origin` of bins along and
    bands across [pix].
    """

    axis: str
    along: str
    origin: tuple[float, float]
    width: float
    sums: NDArray[np.float64]
    deviates: NDArray[np.float64]
    trials: int

    def runs(self, least: float) -> list[_Run]:
        """Those more significant than `least`; of runs that overlap in a band the most significant."""
        found = []
        for band in np.flatnonzero(abs(self.deviates).max((1, 2)) > least):
            left = abs(self.deviates[band])
            while left.max() > least:
                first, end = (int(at) for at in np.unravel_index(left.argmax(), left.shape))
                found.append(_Run(int(band), first, end, self.sums[:, band, end] - self.sums[:, band, first]))
                left[:end, first + 1 :] = 0.0
        return found

    def feature(self, runs: list[_Run], trials: int) -> Feature:
        """What adjacent runs are together."""
        total, weight, n = np.sum([run.sums for run in runs], axis=0)
        along, across = self.origin
        bands = min(run.band for run in runs), max(run.band for run in runs) + 1
        band = across + self.width * bands[0], across + self.width * bands[1]
        extent = along + _BIN * min(run.first for run in runs), along + _BIN * max(run.end for run in runs)
        chance = 2 * trials * stats.norm.sf(max(abs(run.deviate) for run in runs))
        significance = float(total / np.sqrt(weight))
        return Feature(self.axis, self.along, band, extent, float(total / weight), significance, int(n), float(chance))


def _search(
    axis: str, along: str, at: NDArray, across: NDArray, values: NDArray, errors: NDArray, width: float
) -> _Search:
    if values.size == 0:
        return _Search(axis, along, (0.0, 0.0), width, np.zeros((3, 0, 1)), np.zeros((0, 1, 1)), 0)
    origin = float(np.floor(at.min() / _BIN) * _BIN), float(np.floor(across.min() / width) * width)
    bin_, band = ((at - origin[0]) / _BIN).astype(int), ((across - origin[1]) / width).astype(int)
    shape = band.max() + 1, bin_.max() + 1
    scaled = values / errors
    kept = abs(scaled) <= _OUTLYING * np.median(abs(scaled)) / _MAD
    where, weight = (band * shape[1] + bin_)[kept], errors[kept] ** -2.0
    total, weight, n = (np.bincount(where, column, shape[0] * shape[1]).reshape(shape)
                        for column in (weight * values[kept], weight, np.ones(where.size)))  # fmt: skip
    seen = n > 0
    scatter = np.median(abs(total[seen]) / np.sqrt(weight[seen])) / _MAD
    sums = np.zeros((3, shape[0], shape[1] + 1))
    np.cumsum([total / scatter**2, weight / scatter**2, n], axis=2, out=sums[:, :, 1:])
    inside, weights, stars = sums[:, :, None, :] - sums[:, :, :, None]
    first, end = np.ogrid[: shape[1] + 1, : shape[1] + 1]
    trial = (stars >= _FEW) & (first < end) & (end <= first + max(1, int(_LOCAL * shape[1])))
    deviates = np.where(trial, inside / np.sqrt(np.where(trial, weights, 1.0)), 0.0)
    return _Search(axis, along, origin, width, sums, deviates, int(trial.sum()))


def _adjacent(runs: list[_Run]) -> list[list[_Run]]:
    """Runs of one sign that overlap in bands within _GAP, together; `runs` by rising band."""
    groups: list[list[_Run]] = []
    for run in runs:
        touching = [group for group in groups if any(_touch(run, other) for other in group)]
        groups = [group for group in groups if not any(group is other for other in touching)]
        groups.append([*(other for group in touching for other in group), run])
    return groups


def _touch(one: _Run, other: _Run) -> bool:
    same = one.deviate * other.deviate > 0 and one.band - other.band <= _GAP
    return same and one.first < other.end and other.first < one.end
