"""Zero points of motions: what all stars of a field have in common, and how well it is known."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import PiazziError, UnusableError
from catalogs.motions import ZERO_POINTS
from compute.kernels.kinematics.bootstrap import bootstrap_means
from compute.kernels.motion.meanmotions import MeanMotion, mean_motion
from compute.settings import MotionSettings
from compute.stages.motion.positions import Known

__all__ = ["against_catalog", "mean_row", "zero_points"]

_MOST = 20_000  # drawn in a resample, single stars or groups of them: 0.5 s for 10 000 resamples


def mean_row(
    mean: MeanMotion, motion: NDArray, covariance: NDArray, used: bool, settings: MotionSettings
) -> dict[str, object]:
    """The row of ZERO_POINTS that says relative to what motions are; its error is that of the alignment.

    `mean` is that of all `motion` (n, 2) with their `covariance` (n, 2, 2).
    """
    row = _row("aligning stars", "mean", mean, _spread(mean, motion, covariance, settings), 0.0)
    return row | {"pmra": 0.0, "pmdec": 0.0, "used": used}


def against_catalog(
    star_id: NDArray, motion: NDArray, covariance: NDArray, known: Known, sources: pd.DataFrame,
    settings: MotionSettings,
) -> dict[str, object]:  # fmt: skip
    """The row for the weighted mean difference of a catalog's motions and relative ones.

    Parameters
    ----------
    star_id, motion, covariance
        Relative motions: (n,), (n, 2), (n, 2, 2).
    known, sources
        The catalog, and those of its sources that are stars, with their `star_id`.

    Raises
    ------
    PiazziError
        Where no star has a motion in the catalog, or none agrees with others.
    """
    rows = sources.set_index("star_id").reindex(star_id)
    theirs = rows[["pmra", "pmdec"]].to_numpy(float)
    ex, ey = (rows[f"{name}_error"].to_numpy(float) for name in ("pmra", "pmdec"))
    cross = rows["pmra_pmdec_corr"].to_numpy(float) * ex * ey
    spread = np.array([[ex**2, cross], [cross, ey**2]]).transpose(2, 0, 1) + covariance
    if not (np.isfinite(theirs).all(axis=1) & np.isfinite(spread).all(axis=(1, 2))).any():
        found = f"no motion with errors of the {rows['id'].notna().sum()} sources that are stars"
        raise UnusableError(f"motion: {known.name} columns pmra, pmdec", found, "some")
    try:
        mean = mean_motion(theirs - motion, spread, settings.sigmas)
    except ValueError as error:
        raise PiazziError(f"motion: {known.name}: {error}") from None
    common = _spread(mean, theirs - motion, spread, settings)
    return _row(known.name, "catalog", mean, common, known.systematic) | {"used": True}


def zero_points(rows: list[dict[str, object]]) -> pd.DataFrame:
    """ZERO_POINTS."""
    return ZERO_POINTS.conform(pd.DataFrame(rows))


def _spread(mean: MeanMotion, motion: NDArray, covariance: NDArray, settings: MotionSettings) -> NDArray[np.float64]:
    """Covariance (2, 2) of a mean of stars: from resamples of those it is made of, or as their errors have it.

    Of more stars than are drawn, neighbours in the order of their numbers are drawn together.
    """
    if not settings.bootstrap or mean.used.sum() < 2:
        return mean.covariance
    values = motion[mean.used]
    weight = 1 / (np.diagonal(covariance[mean.used], axis1=1, axis2=2) + mean.dispersion**2)
    start = np.arange(0, len(values), -(-len(values) // _MOST))
    total = np.add.reduceat(weight, start)
    grouped = np.add.reduceat(weight * values, start) / total
    found = bootstrap_means(grouped, total**-0.5, resamples=settings.bootstrap, seed=settings.seed)
    return np.cov(found.resampled.T)


def _row(against: str, how: str, mean: MeanMotion, spread: NDArray, systematic: float) -> dict[str, object]:
    covariance = spread + systematic**2 * np.eye(2)
    error = np.sqrt(np.diag(covariance))
    return {
        "against": against, "how": how, "pmra": mean.mean[0], "pmdec": mean.mean[1], "pmra_error": error[0],
        "pmdec_error": error[1], "pmra_pmdec_corr": covariance[0, 1] / (error[0] * error[1]),
        "n": int(mean.used.sum()), "dispersion": mean.dispersion, "chi2": mean.chi2, "dof": mean.dof,
    }  # fmt: skip
