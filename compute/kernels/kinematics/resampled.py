"""Histograms of motions along a line that depend neither on where bins begin nor on single stars, and their Gaussians.

The published way (Libralato et al. 2019; 2023, section 5): motions are sampled many times with noise added as their
errors have it, all histograms are averaged, and several Gaussians are fitted to the mean at once. What is added widens
them; a narrow group on a wide one so loses some of its share to it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import ndtr

__all__ = ["Histogram", "Peaks", "fit_peaks", "resampled"]

_CHUNK = 4_000_000  # deviates at a time


class Histogram(NamedTuple):
    """Edges (m + 1,) of bins, mean counts (m,), and their errors: of counting, and from sample to sample."""

    edges: NDArray[np.float64]
    counts: NDArray[np.float64]
    errors: NDArray[np.float64]


class Peaks(NamedTuple):
    """Gaussians (k,) in order of their means, with standard errors; `sigmas` are as seen, errors of stars included."""

    fractions: NDArray[np.float64]
    means: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    fraction_errors: NDArray[np.float64]
    mean_errors: NDArray[np.float64]
    sigma_errors: NDArray[np.float64]
    chi2: float
    dof: int


def resampled(values: NDArray, errors: NDArray, width: float, samplings: int, seed: int) -> Histogram:
    """Mean histogram of `values` (n,) with noise of their `errors` (n,) added `samplings` times.

    Bins of `width` begin at its multiples, and reach five errors beyond the values.
    """
    reach = 5 * np.median(errors)
    low, high = np.floor((values.min() - reach) / width), np.ceil((values.max() + reach) / width)
    edges, rng = width * np.arange(low, high + 1), np.random.default_rng(seed)
    total, squares, left = np.zeros(edges.size - 1), np.zeros(edges.size - 1), samplings
    while left:
        rows = min(left, max(1, _CHUNK // values.size))
        drawn = values + errors * rng.standard_normal((rows, values.size))
        bins = np.floor(drawn / width - low).astype(np.int64)
        seen = (bins >= 0) & (bins < total.size)
        where = (bins + total.size * np.arange(rows)[:, None])[seen]
        counts = np.bincount(where, minlength=rows * total.size).reshape(rows, -1)
        total, squares, left = total + counts.sum(axis=0), squares + (counts**2).sum(axis=0), left - rows
    mean = total / samplings
    return Histogram(edges, mean, np.sqrt(np.maximum(mean, 1.0) + np.maximum(squares / samplings - mean**2, 0.0)))


def fit_peaks(histogram: Histogram, fractions: NDArray, means: NDArray, sigmas: NDArray) -> Peaks:
    """Least squares of as many Gaussians as there are first guesses (k,), each averaged over bins.

    Raises
    ------
    ValueError
        Fewer than four bins for each.
    """
    edges, counts, errors = histogram
    k, n, width = len(means), counts.sum(), edges[1] - edges[0]
    if counts.size < 4 * k:
        raise ValueError(f"histogram: found {counts.size} bins for {k} Gaussians, expected four for each at least")

    def residuals(theta: NDArray) -> NDArray:
        areas, middles, wide = theta.reshape(3, k)
        model = np.diff(ndtr((edges[:, None] - middles) / wide), axis=0) @ areas
        return (n * model - counts) / errors

    start = np.concatenate([fractions, means, sigmas])
    low = np.repeat([0.0, edges[0], width / 4], k)
    high = np.repeat([2.0, edges[-1], edges[-1] - edges[0]], k)
    scale = np.repeat([0.1, width, width], k)
    found = least_squares(residuals, np.clip(start, low, high), bounds=(low, high), x_scale=scale)
    covariance = np.linalg.pinv(found.jac.T @ found.jac)
    areas, middles, wide = found.x.reshape(3, k)
    share = areas / areas.sum()
    turn = (np.eye(k) - share[:, None]) / areas.sum()
    share_error = np.sqrt(np.diag(turn @ covariance[:k, :k] @ turn.T))
    middle_error, wide_error = np.sqrt(np.diag(covariance)[k:]).reshape(2, k)
    o = np.argsort(middles, kind="stable")
    return Peaks(
        share[o], middles[o], wide[o], share_error[o], middle_error[o], wide_error[o], 2 * float(found.cost),
        counts.size - 3 * k,
    )  # fmt: skip
