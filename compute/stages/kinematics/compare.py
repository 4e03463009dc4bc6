"""Motions against those of another catalog, by magnitude."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compute.kernels.kinematics.dispersion import fit_dispersion
from compute.kernels.kinematics.populations import clipped_median
from compute.kernels.match.crossmatch import match_sky
from compute.kernels.motion.celestial import propagate
from compute.stages.kinematics.choose import covariances, values

__all__ = ["compare", "pair_by_id", "pair_by_place"]

_LEAST = 10  # stars of a bin


def pair_by_id(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[NDArray, NDArray]:
    """Rows of MOTIONS whose `source_id` is the `id` of a source, and rows of those."""
    known = ours["source_id"].notna().to_numpy()
    left = pd.DataFrame({"id": ours["source_id"][known].astype("int64"), "ours": np.flatnonzero(known)})
    right = pd.DataFrame({"id": theirs["id"].astype("int64"), "theirs": np.arange(len(theirs))})
    both = left.merge(right, on="id").sort_values("ours", kind="stable")
    return both["ours"].to_numpy(), both["theirs"].to_numpy()


def pair_by_place(ours: pd.DataFrame, theirs: pd.DataFrame, radius: float) -> tuple[NDArray, NDArray]:
    """Rows of stars and sources that are each other's nearest, within `radius` [mas] at the sources' epoch.

    Stars are moved there by their own motions.
    """
    years = float(theirs["ref_epoch"].median()) - ours["ref_epoch"].to_numpy()
    ra, dec, pmra, pmdec = (ours[name].to_numpy() for name in ("ra", "dec", "pmra", "pmdec"))
    ra, dec = propagate(ra, dec, pmra, pmdec, years)
    found = match_sky(ra, dec, theirs["ra"].to_numpy(), theirs["dec"].to_numpy(), radius)
    return found.first, found.second


def compare(ours: pd.DataFrame, theirs: pd.DataFrame, edges: Sequence[float], clip: float = 3.0) -> pd.DataFrame:
    """How two tables of motions of the same stars, row by row, differ and scatter, in bins of the second's `mag`.

    Returns
    -------
    DataFrame
        A row per bin with ten stars at least that have motions with errors in both: `bright`, `faint` [mag]; `n` of
        the stars that both the differences and either's motions have within `clip` deviations; median difference
        `d_pmra`, `d_pmdec`, first minus second, with errors; `chi2` about it by the errors of both, and `dof`; and,
        for each table (`ours`, `theirs`), the rms of its motions as observed, `observed`, and beyond their errors,
        `sigma`, with `sigma_error` [mas/yr per axis].
    """
    rows = []
    mag, difference = theirs["mag"].to_numpy(), values(ours) - values(theirs)
    total = covariances(ours) + covariances(theirs)
    known = np.isfinite(difference).all(axis=1) & _sound(covariances(ours)) & _sound(covariances(theirs))
    for bright, faint in zip(edges[:-1], edges[1:], strict=True):
        at = np.flatnonzero(known & (mag >= bright) & (mag < faint))
        for each in (difference, values(ours), values(theirs)):
            at = at[clipped_median(each[at], clip).used] if at.size >= _LEAST else at
        if at.size < _LEAST:
            continue
        middle = clipped_median(difference[at], clip)
        at = at[middle.used]
        if at.size < _LEAST:
            continue
        left = difference[at] - middle.median
        chi2 = float(np.einsum("ni,nij,nj->", left, np.linalg.inv(total[at]), left))
        row = {
            "bright": bright, "faint": faint, "n": at.size, "d_pmra": middle.median[0], "d_pmdec": middle.median[1],
            "d_pmra_error": middle.error[0], "d_pmdec_error": middle.error[1], "chi2": chi2, "dof": 2 * at.size - 2,
        }  # fmt: skip
        rows.append(row | _scatter("ours", ours.iloc[at]) | _scatter("theirs", theirs.iloc[at]))
    return pd.DataFrame(rows)


def _sound(covariances: NDArray) -> NDArray[np.bool_]:
    """Which covariances (n, 2, 2) are those of a measured motion: finite and positive definite."""
    with np.errstate(invalid="ignore"):
        positive = (covariances[:, 0, 0] > 0) & (np.linalg.det(covariances) > 0)
    return positive & np.isfinite(covariances).all(axis=(1, 2))


def _scatter(name: str, motions: pd.DataFrame) -> dict[str, float]:
    v = values(motions)
    found, observed = fit_dispersion(v, covariances(motions)), float(np.sqrt(v.var(axis=0, ddof=1).mean()))
    return {f"{name}_observed": observed, f"{name}_sigma": found.sigma, f"{name}_sigma_error": found.sigma_error}
