"""Zero points of motions: what all stars of a field have in common, and how well it is known."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.motions import ZERO_POINTS
from compute.kernels.meanmotions import MeanMotion, mean_motion
from compute.stages.motion.positions import Known

__all__ = ["against_catalog", "mean_row", "zero_points"]


def mean_row(mean: MeanMotion, used: bool) -> dict[str, object]:
    """The row of ZERO_POINTS that says relative to what motions are; its error is that of the alignment."""
    return _row("aligning stars", "mean", mean, 0.0) | {"pmra": 0.0, "pmdec": 0.0, "used": used}


def against_catalog(
    star_id: NDArray, motion: NDArray, covariance: NDArray, known: Known, sources: pd.DataFrame, clip: float
) -> dict[str, object]:
    """The row for the weighted mean difference of a catalog's motions and relative ones.

    Parameters
    ----------
    star_id, motion, covariance
        Relative motions: (n,), (n, 2), (n, 2, 2).
    known, sources
        The catalog, and those of its sources that are stars, with their `star_id`.

    Raises
    ------
    UnusableError
        Where no star has a motion in the catalog.
    """
    rows = sources.set_index("star_id").reindex(star_id)
    theirs = rows[["pmra", "pmdec"]].to_numpy(float)
    ex, ey = (rows[f"{name}_error"].to_numpy(float) for name in ("pmra", "pmdec"))
    cross = rows["pmra_pmdec_corr"].to_numpy(float) * ex * ey
    spread = np.array([[ex**2, cross], [cross, ey**2]]).transpose(2, 0, 1)
    try:
        mean = mean_motion(theirs - motion, spread + covariance, clip)
    except ValueError as error:
        raise UnusableError(f"motion: {known.name} columns pmra, pmdec", str(error), "motions of these stars") from None
    return _row(known.name, "catalog", mean, known.systematic) | {"used": True}


def zero_points(rows: list[dict[str, object]]) -> pd.DataFrame:
    """ZERO_POINTS."""
    return ZERO_POINTS.conform(pd.DataFrame(rows))


def _row(against: str, how: str, mean: MeanMotion, systematic: float) -> dict[str, object]:
    covariance = mean.covariance + systematic**2 * np.eye(2)
    error = np.sqrt(np.diag(covariance))
    return {
        "against": against, "how": how, "pmra": mean.mean[0], "pmdec": mean.mean[1], "pmra_error": error[0],
        "pmdec_error": error[1], "pmra_pmdec_corr": covariance[0, 1] / (error[0] * error[1]),
        "n": int(mean.used.sum()), "dispersion": mean.dispersion, "chi2": mean.chi2, "dof": mean.dof,
    }  # fmt: skip
