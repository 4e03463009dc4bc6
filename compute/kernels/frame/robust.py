"""Scatter and outliers of residuals in the plane, judged by the residuals themselves."""

import numpy as np
from numpy.typing import NDArray

_SAME_ERROR = 100  # stars whose scatter is taken in common, at least
_GROUPS = 10  # of stars with like formal errors, at most


def alike(error: NDArray) -> list[NDArray]:
    """Groups of stars (indices) of like formal `error` (n,), each large enough to have a scatter of its own."""
    count = max(1, min(_GROUPS, error.size // _SAME_ERROR)) if np.ptp(error) > 0 else 1
    return np.array_split(np.argsort(error, kind="stable"), count)


def scatter(squared: NDArray, used: NDArray, groups: list[NDArray], n_parameters: int) -> NDArray:
    """Standard deviation per axis (n,) of residuals with squared lengths `squared` (n,), from the median in each group.

    The median, unlike the rms, is hardly moved by outliers among the `used`. Where stars are few, those that the
    parameters follow exactly do not count, and a factor 1 + 5 / dof corrects what is left (as for the least median of
    squares, Rousseeuw & Leroy 1987, Robust Regression and Outlier Detection, chapter 5).
    """
    n = max(int(np.count_nonzero(used)), 1)
    share = min(0.5 + n_parameters / (4.0 * n), 1.0 - 1.0 / (2.0 * n))
    small = 1.0 + 5.0 / max(2 * n - n_parameters, 1)
    sigma = np.empty(squared.size)
    for group in groups:
        some = group[used[group]]
        some = some if some.size else group
        rank = int(share * some.size)
        quantile = np.partition(squared[some], rank)[rank]
        # Squared lengths with two Gaussian components are exponentially distributed.
        sigma[group] = small * np.sqrt(quantile / (-2.0 * np.log1p(-share)))
    return sigma


def cauchy(squared: NDArray, sigma: NDArray) -> NDArray:
    """Weights (n,) of Cauchy's distribution: those of outliers fall as the square of their distance."""
    return 1.0 / (1.0 + squared / np.maximum(sigma**2, np.finfo(float).tiny))


def kept_variance(clip: float) -> float:
    """Variance that two Gaussian components of unit variance have inside a circle of radius `clip`."""
    clip = min(clip, 10.0)  # from where on nothing is outside
    outside = np.exp(-(clip**2) / 2)
    return 1.0 - clip**2 / 2 * outside / (1.0 - outside)
