"""Linear models of correlated values that may scatter by more than their errors tell."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scattered", "fit"]

_HALVINGS = 80


class Scattered(NamedTuple):
    """Coefficients (k,) of a model; `weights` (k, n), by which they follow from the values.

    `scatter` is the standard deviation that values must have beyond their errors; `chi2` with `dof` degrees of freedom
    is that about the best model without it.
    """

    coefficients: NDArray[np.float64]
    weights: NDArray[np.float64]
    scatter: float
    chi2: float
    dof: int


def fit(design: NDArray, values: NDArray, covariance: NDArray) -> Scattered:
    """Generalised least squares of `values` (n,) by `design` (n, k), with scatter where chi2 asks for it.

    The scatter, equal and independent, is what brings chi2 down to its degrees of freedom (Paule & Mandel 1982, J. Res.
    Natl. Bur. Stand. 87, 377). Without degrees of freedom there is none to be known: NaN, and none is assumed.

    Parameters
    ----------
    covariance
        (n, n) of the values, positive definite.

    Raises
    ------
    ValueError
        Fewer values than columns.
    """
    n, k = design.shape
    if n < k:
        raise ValueError(f"linear model: found {n} values, expected at least {k}")
    coefficients, weights, chi2 = _solve(design, values, covariance)
    if n == k:
        return Scattered(coefficients, weights, np.nan, 0.0, 0)
    if chi2 <= n - k:
        return Scattered(coefficients, weights, 0.0, chi2, n - k)
    low, high = 0.0, float(((values - design @ coefficients) ** 2).sum())  # chi2 falls as the scatter grows
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        coefficients, weights, left = _solve(design, values, covariance + middle * np.eye(n))
        low, high = (middle, high) if left > n - k else (low, middle)
    return Scattered(coefficients, weights, float(np.sqrt(high)), chi2, n - k)


def _solve(design: NDArray, values: NDArray, covariance: NDArray) -> tuple[NDArray, NDArray, float]:
    """Coefficients, weights and chi2 of generalised least squares."""
    root = np.linalg.cholesky(covariance)
    white, right = np.linalg.solve(root, design), np.linalg.solve(root, values)
    weights = np.linalg.pinv(white) @ np.linalg.inv(root)
    return weights @ values, weights, float(((right - white @ (weights @ values)) ** 2).sum())
