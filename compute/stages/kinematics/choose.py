"""Which rows of MOTIONS belong to a population."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.flags import Flag
from compute.kernels.kinematics.populations import in_circle, in_polygon, in_sky_polygon
from compute.settings import KinematicsSettings, PopulationSettings

__all__ = ["choose", "covariances", "member_radii", "members", "usable", "values"]


def usable(motions: pd.DataFrame, settings: KinematicsSettings) -> NDArray[np.bool_]:
    """Rows (n,) with a motion and its errors, no larger than `max_error`, and none of the `flags`."""
    bits = np.uint32(sum(int(Flag[name]) for name in set(settings.flags)))
    errors = motions[["pmra_error", "pmdec_error"]].to_numpy()
    known = np.isfinite(values(motions)).all(axis=1) & (errors > 0).all(axis=1) & np.isfinite(errors).all(axis=1)
    most = np.inf if settings.max_error is None else settings.max_error
    return known & (errors <= most).all(axis=1) & ((motions["flags"].to_numpy() & bits) == 0)


def choose(motions: pd.DataFrame, population: PopulationSettings, place: str = "population") -> NDArray[np.bool_]:
    """Rows (n,) in all regions, of magnitude and colour and on the sky, that a population is set by.

    Raises
    ------
    UnusableError
        Where no star has a magnitude in a filter that is asked for; `place` tells for whom.
    """
    kept = np.ones(len(motions), bool)
    ra, dec = motions["ra"].to_numpy(), motions["dec"].to_numpy()
    if population.circle is not None:
        centre_ra, centre_dec, radius = population.circle
        kept &= in_circle(ra, dec, centre_ra, centre_dec, radius)
    if population.sky:
        kept &= in_sky_polygon(ra, dec, population.sky)
    if population.magnitude:
        mag = _magnitude(motions, population.magnitude, place)
        kept &= mag > (-np.inf if population.bright is None else population.bright)
        kept &= mag < (np.inf if population.faint is None else population.faint)
    if population.cmd:
        blue, red = (_magnitude(motions, name, place) for name in population.colour.split("-"))
        kept &= in_polygon(blue - red, mag, population.cmd)
    return kept


def members(motions: pd.DataFrame, population: PopulationSettings, place: str = "population") -> NDArray[np.bool_]:
    """Rows (n,) that move with a cluster, within its radii; all rows where there is none."""
    if population.motion is None:
        return np.ones(len(motions), bool)
    return np.hypot(*(values(motions) - population.motion).T) <= member_radii(motions, population, place)


def member_radii(motions: pd.DataFrame, population: PopulationSettings, place: str = "population") -> NDArray:
    """How far (n,) from the cluster's motion members are at the magnitude of each row [mas/yr]."""
    magnitudes, radii = np.array(population.radii).T
    if radii.size == 1:
        return np.full(len(motions), radii[0])
    return np.interp(_magnitude(motions, population.magnitude, place), magnitudes, radii)


def values(motions: pd.DataFrame) -> NDArray[np.float64]:
    """Motions (n, 2) [mas/yr]."""
    return motions[["pmra", "pmdec"]].to_numpy(np.float64)


def covariances(motions: pd.DataFrame) -> NDArray[np.float64]:
    """Covariances (n, 2, 2) of motions by the stars' own errors; correlations that are not known are none."""
    ra, dec = motions["pmra_error"].to_numpy(np.float64), motions["pmdec_error"].to_numpy(np.float64)
    both = ra * dec * motions["pmra_pmdec_corr"].fillna(0.0).to_numpy(np.float64)
    return np.stack([np.stack([ra**2, both], -1), np.stack([both, dec**2], -1)], -2)


def _magnitude(motions: pd.DataFrame, filter: str, place: str) -> NDArray[np.float64]:
    name = f"mag_{filter}"
    mag = motions[name].to_numpy(np.float64, na_value=np.nan) if name in motions else np.full(len(motions), np.nan)
    if not np.isfinite(mag).any():
        known = [column.removeprefix("mag_") for column in motions if column[:4] == "mag_" and motions[column].any()]
        there = f"one that stars have magnitudes in: {', '.join(known) or 'none'}"
        raise UnusableError(f"{place} filter", filter, there)
    return mag
