"""How much the scatter of stars exceeds what their formal errors tell."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

_FEW = 20
_CUT = 4.0, 0.920537  # a squared deviate counts at most so much at first; the mean of normal ones that are cut there
_FAR, _NEAR = 9.0, 0.973337  # beyond which it does not count then; the mean of normal ones that are nearer
_ROUNDS = 4


def floor(residual: NDArray, formal: NDArray, share: NDArray) -> float:
    """Standard deviation that, added in quadrature to formal errors, makes residuals as large as they are.

    Of a row's residual the variance is taken to be formal + share floor^2. Rows count as much as they tell of the
    floor, so that stars with small formal errors, however few, decide; those beyond three standard deviations do not.

    Parameters
    ----------
    residual
        (n,) differences from means that the rows themselves are part of.
    formal, share
        (n,) variance that formal errors leave in a residual, and share of the floor's that is left, of :func:`left`.

    Returns
    -------
    float
        Zero where residuals are no larger than expected, NaN for fewer than twenty rows.
    """
    good = np.isfinite(residual) & np.isfinite(formal) & (formal > 0) & (share > 0.05)
    if np.count_nonzero(good) < _FEW:
        return np.nan
    square, formal, share = residual[good] ** 2, formal[good], share[good]
    extra = _root(square, formal, share, *_CUT)
    for _ in range(_ROUNDS):
        near = square <= _FAR * (formal + share * extra)
        extra = _root(square[near], formal[near], share[near], _FAR, _NEAR)
    return float(np.sqrt(extra))


def _root(square: NDArray, formal: NDArray, share: NDArray, most: float, usual: float) -> float:
    """The floor's square at which squared deviates, cut at `most`, have the mean `usual`; 0 where they have less."""

    def excess(extra: float) -> float:
        variance = formal + share * extra
        return float(np.sum((np.minimum(square / variance, most) - usual) * share / variance))

    low, high = 0.0, 2 * float(np.max(square / share, initial=0.0))
    if excess(low) <= 0:
        return 0.0
    return float(brentq(excess, low, high, xtol=1e-15 * high, rtol=1e-12))


def left(star: NDArray, group: NDArray, formal: NDArray, variance: NDArray) -> tuple[NDArray, NDArray]:
    """What is left of formal variances, and which share of a floor's, in residuals about weighted means.

    Noise beyond the formal errors is taken to be the same in rows of one star and one group.

    Parameters
    ----------
    star, group
        (n,) numbers from 0 of the star each row is of and of the group it is in.
    formal, variance
        (n,) formal variances, and the variances that the weights of the means are made of.
    """
    n = int(star.max(initial=-1)) + 1
    weight = 1 / variance
    weight /= np.bincount(star, weight, n)[star]
    pair = np.unique(star * (int(group.max(initial=0)) + 1) + group, return_inverse=True)[1]
    together = np.bincount(pair, weight)
    of = np.empty(together.size, np.int64)
    of[pair] = star
    mean_formal, mean_share = np.bincount(star, weight**2 * formal, n), np.bincount(of, together**2, n)
    return formal * (1 - 2 * weight) + mean_formal[star], 1 - 2 * together[pair] + mean_share[star]
