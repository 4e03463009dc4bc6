"""Error-weighted means of groups, and how far what they were made of agrees with them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc


class Agreement(NamedTuple):
    """How far values agree within their errors: `chi2`, degrees of freedom, and the chance of more; NaN for none."""

    chi2: float
    dof: int
    p: float


class Means(NamedTuple):
    """Of g groups: mean values and standard errors (g, ...), values in each (g,), and the values' agreement."""

    value: NDArray[np.float64]
    error: NDArray[np.float64]
    n: NDArray[np.int64]
    agreement: Agreement


def weighted_means(value: ArrayLike, error: ArrayLike, group: ArrayLike) -> Means:
    """Means of groups, weighted by 1 / error^2, and chi2 of all values about the means of their groups.

    Two values about their mean have the chi2 of their difference, (a - b)^2 / (error_a^2 + error_b^2). When means are
    averaged again, chi2 of the levels, and their degrees of freedom, add up to those of the values about the last mean.

    Parameters
    ----------
    value, error
        (n, ...) values and their standard errors; components along further axes are averaged each for itself.
    group
        (n,) number of each value's group, from 0.

    Raises
    ------
    ValueError
        For shapes that do not fit, values that are not finite, errors that are not positive, groups without a value.
    """
    value, error, group = np.asarray(value, float), np.asarray(error, float), np.asarray(group)
    if value.shape != error.shape or value.shape[:1] != group.shape:
        shapes = f"{value.shape}, {error.shape} and {group.shape}"
        raise ValueError(f"values, errors and groups have shapes {shapes}, expected (n, ...) twice and (n,)")
    if not (np.isfinite(value).all() and np.isfinite(error).all() and (error > 0).all()):
        raise ValueError("some values or errors are not numbers, or errors not positive, expected both")
    n = np.bincount(group)
    if not n.all():
        raise ValueError(f"group {np.argmin(n)} of {n.size} is empty, expected a value in each")
    mean, variance = np.zeros((2, n.size, *value.shape[1:]))
    weight = error**-2
    np.add.at(variance, group, weight)
    variance = 1 / variance
    np.add.at(mean, group, weight * variance[group] * value)
    chi2 = float(np.sum(weight * (value - mean[group]) ** 2))
    dof = value.size - mean.size
    return Means(mean, np.sqrt(variance), n, Agreement(chi2, dof, float(chdtrc(dof, chi2)) if dof else np.nan))
