"""How much the scatter of stars exceeds what their formal errors tell."""

import numpy as np
from numpy.typing import NDArray

_MEDIAN = 0.4549364  # of the square of a normal deviate
_FEW = 20


def floor(residual: NDArray, variance: NDArray, kept: NDArray) -> float:
    """Standard deviation that, added in quadrature to formal errors, makes residuals as large as they are.

    Robust: found from the median of residual^2 / (variance + floor^2), so that a share of outliers matters little. Only
    the third of the rows with the smallest variances is asked, the others being too noisy to know.

    Parameters
    ----------
    residual
        (n,) differences from means that the rows themselves are part of.
    variance
        (n,) formal variances.
    kept
        (n,) share of a row's variance that is left in its residual, 1 minus its share of the mean's weight.

    Returns
    -------
    float
        Zero where residuals are no larger than expected, NaN for fewer than twenty rows.
    """
    good = np.isfinite(residual) & np.isfinite(variance) & (kept > 0.05)
    if np.count_nonzero(good) < _FEW:
        return np.nan
    square, formal = residual[good] ** 2 / kept[good], variance[good]
    sure = formal <= np.quantile(formal, max(1 / 3, min(1.0, _FEW / formal.size)))
    square, formal = square[sure], formal[sure]
    low, high = 0.0, np.median(square) / _MEDIAN
    if np.median(square / formal) <= _MEDIAN:
        return 0.0
    for _ in range(60):  # the median falls as the floor grows
        middle = 0.5 * (low + high)
        if np.median(square / (formal + middle)) > _MEDIAN:
            low = middle
        else:
            high = middle
    return float(np.sqrt(0.5 * (low + high)))
