"""Mean motion of a group of stars, some of which do not belong to it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_HALF = 2.0 * np.log(2.0)  # median of the squared length of a vector of two standard normal deviates
_BISECTIONS = 60


class MeanMotion(NamedTuple):
    """Mean (2,) of motions, its `covariance` (2, 2), and who is `used` (n,).

    `dispersion` is the scatter per axis beyond the stars' errors; `chi2` is that of the used stars about the mean, by
    their errors alone, with `dof` degrees of freedom.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    used: NDArray[np.bool_]
    dispersion: float
    chi2: float
    dof: int


def mean_motion(motion: NDArray, covariance: NDArray, clip: float, rounds: int = 50) -> MeanMotion:
    """Weighted mean of motions, without those that lie far off.

    Stars scatter by their errors and by one dispersion that is the same in every direction. It is such that half the
    used stars lie within the median distance of normal deviates; outliers hardly move it. A star is left out where its
    distance from the mean exceeds `clip` standard deviations of both, until these are the same stars as before.

    Parameters
    ----------
    motion : (n, 2)
    covariance : (n, 2, 2)
        Stars with NaN in either, or without a positive determinant, are not used.

    Raises
    ------
    ValueError
        Without any star that can be used.
    """
    good = np.isfinite(motion).all(1) & np.isfinite(covariance).all((1, 2))
    good &= np.linalg.det(np.where(good[:, None, None], covariance, 0.0)) > 0
    if not good.any():
        raise ValueError(f"mean motion: found none of {len(motion)} stars with a motion and errors, expected 1 or more")
    some, spread = motion[good], covariance[good]
    kept, mean, dispersion = np.ones(len(some), bool), np.median(some, axis=0), 0.0
    for _ in range(rounds):
        dispersion = _dispersion(some[kept] - mean, spread[kept])
        weight = np.linalg.inv(spread + dispersion**2 * np.eye(2))
        before, kept = kept, _squared(some - mean, weight) <= clip**2
        if not kept.any():
            raise ValueError(f"mean motion: found no star within {clip:g} standard deviations, expected some")
        mean = np.linalg.solve(weight[kept].sum(0), np.einsum("nij,nj->i", weight[kept], some[kept]))
        if (kept == before).all():
            break
    used = np.zeros(len(motion), bool)
    used[np.flatnonzero(good)[kept]] = True
    chi2 = _squared(some[kept] - mean, np.linalg.inv(spread[kept])).sum()
    return MeanMotion(mean, np.linalg.inv(weight[kept].sum(0)), used, dispersion, float(chi2), 2 * int(kept.sum()) - 2)


def _squared(offset: NDArray, weight: NDArray) -> NDArray[np.float64]:
    """Squared distances (n,), in standard deviations."""
    return np.einsum("ni,nij,nj->n", offset, weight, offset)


def _dispersion(offset: NDArray, covariance: NDArray) -> float:
    """The dispersion with which the median of the squared distances is that of normal deviates; 0 where less."""
    square, error = (offset**2).sum(1), np.trace(covariance, axis1=1, axis2=2) / 2
    low, high = 0.0, float(np.median(square))
    if np.median(square / error) <= _HALF:
        return 0.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if np.median(square / (error + middle)) > _HALF else (low, middle)
    return float(np.sqrt(high))
