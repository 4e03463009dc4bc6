"""MOTIONS of a tile: aligned positions fitted, local trends taken off, on the axes and zero point they shall have."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.motions import SOLVED, with_magnitudes
from compute.kernels.frame.transforms import Transform
from compute.kernels.motion.celestial import deproject, jacobian, parallax_factors
from compute.kernels.motion.surroundings import Stars, local_means
from compute.settings import MotionSettings
from compute.stages.motion.align import aligned, fit_all
from compute.stages.motion.positions import Epoch, Positions, times_of
from compute.stages.plane import Plane

__all__ = ["Common", "MotionsOfStars", "motions_table", "solved"]

_ARCSEC = 1000.0


class Common(NamedTuple):
    """What all stars of a field share.

    `links` by number of the epoch; `time` [yr] of the positions that these lead to; what is `added` (2,) to motions
    [mas/yr]; whether they are then `absolute`; `epoch` [yr] of the places; the filter by whose `magnitude` stars are
    alike.
    """

    links: list[Transform | None]
    time: float
    added: NDArray[np.float64]
    absolute: bool
    epoch: float
    magnitude: str


class MotionsOfStars(NamedTuple):
    """Stars that have a motion, by their number `star` (n,) among the positions.

    `ra`, `dec` [deg]; `motion` (n, 2) and `covariance` (n, 5, 5) along each star's east and north, in the order of
    SOLVED; `parallax` (n,), NaN where not fitted.
    """

    star: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    motion: NDArray[np.float64]
    covariance: NDArray[np.float64]
    parallax: NDArray[np.float64]
    chi2: NDArray[np.float64]
    baseline: NDArray[np.float64]


def solved(
    positions: Positions, epochs: Sequence[Epoch], common: Common, plane: Plane, settings: MotionSettings
) -> MotionsOfStars:
    """Motions of all stars that positions determine."""
    found = fit_all(aligned(positions, common.links), common.epoch, _factors(positions, epochs, plane, settings))
    star = np.flatnonzero(np.isfinite(found.chi2))
    x, y = found.parameters[star, :2].T
    # Places are those of the base at its own time, whatever is added to motions afterwards.
    step = common.added * (common.epoch - common.time)
    ra, dec = deproject(x + step[0], y + step[1], plane.ra, plane.dec)
    back = np.zeros((star.size, 5, 5))
    back[:, :2, :2] = back[:, 3:, 3:] = np.linalg.inv(jacobian(ra, dec, plane.ra, plane.dec))
    back[:, 2, 2] = 1.0
    covariance = back @ np.nan_to_num(found.covariance[star]) @ back.swapaxes(1, 2)
    motion = np.einsum("nij,nj->ni", back[:, 3:, 3:], found.parameters[star, 3:]) + common.added
    return MotionsOfStars(
        star, x, y, ra, dec, motion, covariance, found.parameters[star, 2], found.chi2[star], found.baseline[star]
    )


def _factors(
    positions: Positions, epochs: Sequence[Epoch], plane: Plane, settings: MotionSettings
) -> tuple[NDArray, NDArray] | None:
    """Offsets along x and y of a star of unit parallax, by row."""
    if not settings.parallax:
        return None
    if unknown := [epoch.name for epoch in epochs if epoch.observer is None]:
        raise UnusableError(f"motion: {unknown[0]} observer", "unknown", "its place, for parallaxes")
    observers = np.array([epoch.observer for epoch in epochs])[positions.epoch]
    ra, dec = deproject(positions.x, positions.y, plane.ra, plane.dec)
    offsets = np.stack(parallax_factors(ra, dec, observers), axis=1)
    fx, fy = np.einsum("nij,nj->in", jacobian(ra, dec, plane.ra, plane.dec), offsets)
    return fx, fy


def motions_table(
    positions: Positions, epochs: Sequence[Epoch], common: Common, members: pd.DataFrame, mags: pd.DataFrame,
    source_id: pd.Series, plane: Plane, settings: MotionSettings,
) -> pd.DataFrame:  # fmt: skip
    """MOTIONS of all stars that have a motion, in order of `star_id`.

    Parameters
    ----------
    members
        The aligning stars of the whole field: `star_id`, columns of Stars in the plane.
    mags
        Magnitudes by `star_id`; all its columns become columns.
    source_id
        Numbers in the reference catalog by `star_id`.
    """
    found = solved(positions, epochs, common, plane, settings)
    star_id, rows = positions.star_id[found.star], positions.star
    covariance, motion = found.covariance, found.motion
    mag = mags.reindex(star_id)
    if settings.local_radius > 0:
        brightness = mag[common.magnitude].to_numpy(float)
        motion, covariance = _without_trends(found, star_id, brightness, members, settings)
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    used = pd.DataFrame({"star": rows, "epoch": times_of(epochs)[positions.epoch], "n_used": positions.n_used})
    columns = {
        "star_id": star_id,
        "source_id": source_id.reindex(star_id).astype("Int64").to_numpy(),
        "ref_epoch": common.epoch,
        "n_epochs": used.groupby("star")["epoch"].nunique().to_numpy()[found.star],
        "n_used": used.groupby("star")["n_used"].sum().to_numpy()[found.star],
        "baseline": found.baseline,
        "chi2": found.chi2,
        "flags": np.bitwise_or.reduceat(positions.flags, positions.start[:-1])[found.star],
        "absolute": common.absolute,
        "aligning": np.isin(star_id, members["star_id"]),
    }
    values = dict(zip(SOLVED, (found.ra, found.dec, found.parallax, *motion.T), strict=True))
    columns |= values | _errors(covariance, error, np.isnan(found.parallax))
    columns |= {f"mag_{name}": mag[name].to_numpy(float) for name in mag}
    return with_magnitudes(mags.columns).conform(pd.DataFrame(columns))


def _errors(covariance: NDArray, error: NDArray, still: NDArray) -> dict[str, NDArray]:
    """Errors and correlations; NaN for parallaxes that were not fitted."""
    columns = {}
    for i, one in enumerate(SOLVED):
        fitted = ~still if one == "parallax" else np.ones(still.size, bool)
        columns[f"{one}_error"] = np.where(fitted, error[:, i], np.nan)
        for j, other in enumerate(SOLVED[i + 1 :], i + 1):
            both = fitted & ~still if other == "parallax" else fitted
            with np.errstate(invalid="ignore"):
                value = covariance[:, i, j] / (error[:, i] * error[:, j])
            columns[f"{one}_{other}_corr"] = np.where(both, np.clip(value, -1.0, 1.0), np.nan)
    return columns


def _without_trends(
    found: MotionsOfStars, star_id: NDArray, mag: NDArray, members: pd.DataFrame, settings: MotionSettings
) -> tuple[NDArray, NDArray]:
    """Motions less what each star shares with the aligning stars around it, and the covariances they then have."""
    place = pd.Series(np.arange(len(members)), index=members["star_id"])
    own = place.reindex(star_id).fillna(-1).to_numpy(np.int64)
    around = Stars(*(members[name].to_numpy(float) for name in Stars._fields))
    local = local_means(
        found.x, found.y, mag, own, around, radius=settings.local_radius * _ARCSEC,
        magnitudes=settings.local_magnitudes, most=settings.local_most, least=settings.local_least,
    )  # fmt: skip
    covariance = found.covariance.copy()
    covariance[:, 3, 3] += local.var_x
    covariance[:, 4, 4] += local.var_y
    return found.motion - np.column_stack([local.pm_x, local.pm_y]), covariance
