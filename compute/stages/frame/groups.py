"""Which exposures make a master frame: one field, one instrument, one filter, one epoch."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from compute.kernels.motion.celestial import deproject, project
from compute.settings import FrameSettings
from compute.stages.linking.epochs import epochs_of
from compute.stages.plane import Plane

__all__ = ["FrameKey", "choose", "frames", "lay_plane", "main_field"]

_MAS_PER_ARCMIN = 60_000.0


class FrameKey(NamedTuple):
    """A master frame's instrument, filter and epoch [Julian year, two decimals]."""

    instrument: str
    filter: str
    epoch: float

    @property
    def epoch_name(self) -> str:
        """The epoch as paths have it."""
        return f"{self.epoch:.2f}"


def choose(exposures: pd.DataFrame, settings: FrameSettings) -> pd.DataFrame:
    """Measured exposures of the field, sorted: all there are, or those near the tangent point that is set.

    Raises
    ------
    UnusableError
        Without any, or where they lie too far apart to be one field and no tangent point tells which is meant; where
        the exposure that shall set the zero point is none of them.
    """
    rows = exposures[(exposures["status"] == "ok") & exposures["n_stars"].notna()]
    rows = rows.sort_values(["exposure", "detector"], kind="stable", ignore_index=True)
    if rows.empty:
        raise UnusableError("frame", "no measured exposure", "at least one")
    ra, dec = _middle(rows)
    if settings.ra is not None and settings.dec is not None:
        ra, dec = settings.ra, settings.dec
    away = np.hypot(*project(rows["ra"], rows["dec"], ra, dec)) / _MAS_PER_ARCMIN
    near = away <= settings.within  # NaN, the far half of the sky, is not
    if settings.ra is not None:
        if not near.any():
            raise UnusableError(f"frame at {ra}, {dec}", f"no exposure within {settings.within}'", "at least one")
        rows = rows[near].reset_index(drop=True)
    elif not near.all():
        found = f"exposures up to {np.nan_to_num(away, nan=5400.0).max():.1f}' from their middle"
        raise UnusableError("frame", found, f"at most {settings.within}', or ra and dec of one of several fields")
    if settings.photometry and not (rows["exposure"] == settings.photometry).any():
        raise UnusableError("frame: photometry", settings.photometry, "one of the measured exposures of the field")
    return rows


def main_field(rows: pd.DataFrame, within: float) -> pd.DataFrame:
    """Of exposures of several fields those about the one that most others lie near, `within` [arcmin] of it."""
    near = [
        np.hypot(*project(rows["ra"], rows["dec"], ra, dec)) / _MAS_PER_ARCMIN <= within
        for ra, dec in zip(rows["ra"], rows["dec"], strict=True)
    ]
    return rows[near[int(np.argmax([one.sum() for one in near]))]].reset_index(drop=True)


def lay_plane(rows: pd.DataFrame, settings: FrameSettings) -> Plane:
    """The frame's plane: touching at the tangent point set, or at the middle of the exposures, to 0.36 arcsec."""
    if settings.ra is not None and settings.dec is not None:
        return Plane(settings.ra, settings.dec, settings.scale)
    ra, dec = (round(value, 4) for value in _middle(rows))
    return Plane(ra % 360.0, dec, settings.scale)


def _middle(rows: pd.DataFrame) -> tuple[float, float]:
    """Middle of the pointings [deg], from the median direction outward."""
    ra, dec = np.radians(rows["ra"].to_numpy(float)), np.radians(rows["dec"].to_numpy(float))
    vector = np.median([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    x, y, z = vector
    ra0, dec0 = np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))
    xi, eta = project(rows["ra"], rows["dec"], ra0, dec0)
    if np.isnan(xi).any():
        return float(ra0), float(dec0)
    middle = deproject((xi.min() + xi.max()) / 2, (eta.min() + eta.max()) / 2, ra0, dec0)
    return float(middle[0]), float(middle[1])


def frames(rows: pd.DataFrame, gap: float) -> dict[FrameKey, NDArray[np.int64]]:
    """Rows of `rows` that belong to each frame, by key; epochs end where no exposure follows within `gap` [yr].

    An epoch is named after the median of all exposures in it, of whatever filter.
    """
    number, times = epochs_of(rows, gap), rows["epoch"].to_numpy()
    names = np.array([round(float(np.median(times[number == k])), 2) for k in range(number.max() + 1)])
    keys = pd.DataFrame(
        {"instrument": rows["instrument"], "filter": rows["filter"], "epoch": names[number]}, index=range(len(rows))
    )
    found = keys.groupby(["instrument", "filter", "epoch"], sort=True).indices
    return {FrameKey(*key): np.sort(index) for key, index in found.items()}
