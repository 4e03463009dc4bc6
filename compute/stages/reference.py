"""A reference catalog as frames need it: read by its settings, and moved to an epoch."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from catalogs.references import Reference, read_reference
from catalogs.references.columns import SOLVED, SOURCES
from catalogs.references.cone import Cone
from catalogs.references.gaia import GaiaRules, Systematics
from compute.kernels.motion.celestial import propagate, propagate_covariance
from compute.settings import ReferenceSettings

__all__ = ["load", "propagated"]

MOVED = ("ra", "dec", "ra_error", "dec_error", "ra_dec_corr", "ref_epoch")  # what a change of epoch changes
_LEFT_OUT = [c.name for c in SOURCES if c.name not in ("id", *MOVED, "mag", "mag_error")]


def load(
    settings: ReferenceSettings,
    centre: tuple[float, float] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Reference:
    """Read the reference catalog; with `radius` in `settings` only what lies around `centre` (ra, dec) [deg].

    Raises UnusableError, in one line, for a catalog that cannot be used.
    """
    rules = settings.gaia.model_dump() | {"systematics": Systematics(*settings.gaia.systematics)}
    cone = None if settings.radius is None or centre is None else Cone(centre[0], centre[1], settings.radius)
    return read_reference(
        settings.file,
        epoch=settings.epoch,
        columns=settings.columns,
        without_motion=settings.without_motion if settings.motions else "keep",
        gaia=GaiaRules(**rules),
        cone=cone,
        storage_options=storage_options,
    )


def propagated(
    sources: pd.DataFrame, epoch: float, settings: ReferenceSettings, observer: ArrayLike | None = None
) -> pd.DataFrame:
    """Places of sources at another epoch, and how well they are known there.

    Parameters
    ----------
    sources
        Rows of a :class:`~catalogs.references.Reference`.
    epoch
        Julian year.
    settings
        Whether sources are moved by their motions; `dispersion` grows the errors of those that are not, by
        dispersion x years in quadrature.
    observer
        Barycentric place (3,) of the observer, equatorial axes [km]: then parallaxes are put on where they are known,
        and moved sources are seen as from there.

    Returns
    -------
    DataFrame
        The same rows: `id`, the columns of MOVED for `epoch`, magnitudes. What else is known stays in `sources`.
    """
    ra, dec, parallax, pmra, pmdec = (sources[name].to_numpy() for name in SOLVED)
    years = epoch - sources["ref_epoch"].to_numpy()
    place = np.zeros(3) if observer is None else np.asarray(observer, np.float64)
    still = np.isnan(pmra) if settings.motions else np.ones(len(sources), bool)
    parallax, pmra, pmdec = (np.where(still, 0.0, np.nan_to_num(each)) for each in (parallax, pmra, pmdec))
    covariance = _covariance(sources)
    covariance[still, 2:, :] = covariance[still, :, 2:] = 0.0
    covariance[still, 3, 3] = covariance[still, 4, 4] = settings.dispersion**2
    ra_then, dec_then = propagate(ra, dec, pmra, pmdec, years, parallax, place)
    spread = propagate_covariance(covariance, ra, dec, years, place)
    ra_error, dec_error = np.sqrt(spread[:, 0, 0]), np.sqrt(spread[:, 1, 1])
    moved = (ra_then, dec_then, ra_error, dec_error, spread[:, 0, 1] / (ra_error * dec_error), epoch)
    return sources.drop(columns=_LEFT_OUT).assign(**dict(zip(MOVED, moved, strict=True)))


def _covariance(sources: pd.DataFrame) -> NDArray[np.float64]:
    """(N, 5, 5) of the five parameters, in the order of SOLVED; what is not known has no part in it."""
    errors = np.stack([sources[f"{name}_error"].fillna(0.0) for name in SOLVED], axis=1)
    correlation = np.tile(np.eye(len(SOLVED)), (len(sources), 1, 1))
    for i, j in combinations(range(len(SOLVED)), 2):
        correlation[:, i, j] = correlation[:, j, i] = sources[f"{SOLVED[i]}_{SOLVED[j]}_corr"]
    return correlation * errors[:, :, None] * errors[:, None, :]
