"""How much the scatter of stars exceeds what their formal errors tell."""

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit

_FEW = 20
_CUT = 4.0, 0.920537  # a squared deviate counts at most so much at first; the mean of normal ones that are cut there
_FAR, _NEAR = 9.0, 0.973337  # beyond which it does not count then; the mean of normal ones that are nearer
_ROUNDS = 4
_EXACT, _CLOSE, _STEPS = 1e-15, 1e-12, 200  # of the largest, of the root; never so many


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


@jit
def _root(square, formal, share, most, usual):
    """The floor's square at which squared deviates, cut at `most`, have the mean `usual`; 0 where they have less.

    Bisections and inverse quadratic interpolations (Chandrupatla 1997, Advances in Engineering Software 28, 145).
    """
    low, high = 0.0, 0.0
    for k in range(square.size):
        high = max(high, 2.0 * square[k] / share[k])
    at_low = _excess(low, square, formal, share, most, usual)
    if at_low <= 0.0 or high <= 0.0:
        return 0.0
    near, far, at_near, at_far = high, low, _excess(high, square, formal, share, most, usual), at_low
    least, t = _EXACT * high, 0.5
    for _ in range(_STEPS):
        x = near + t * (far - near)
        at_x = _excess(x, square, formal, share, most, usual)
        if (at_x > 0.0) == (at_near > 0.0):
            last, at_last = near, at_near
        else:
            last, at_last, far, at_far = far, at_far, near, at_near
        near, at_near = x, at_x
        best = near if abs(at_near) < abs(at_far) else far
        width = 0.5 * _CLOSE * abs(best) + least
        t_least = width / abs(far - near) if far != near else 1.0
        if t_least > 0.5 or at_near == 0.0:
            return best
        t = _interpolated(near, far, last, at_near, at_far, at_last)
        t = min(max(t, t_least), 1.0 - t_least)
    return best


@jit
def _interpolated(near, far, last, at_near, at_far, at_last):
    """Where between `near` (0) and `far` (1) the quadratic through three points is zero, or the middle."""
    xi, phi = (near - far) / (last - far), (at_near - at_far) / (at_last - at_far)
    if phi * phi < xi and (1.0 - phi) ** 2 < 1.0 - xi:
        first = at_near / (at_far - at_near) * at_last / (at_far - at_last)
        return first + (last - near) / (far - near) * at_near / (at_last - at_near) * at_far / (at_last - at_far)
    return 0.5


@jit
def _excess(extra, square, formal, share, most, usual):
    total = 0.0
    for k in range(square.size):
        variance = formal[k] + share[k] * extra
        total += (min(square[k] / variance, most) - usual) * share[k] / variance
    return total


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
