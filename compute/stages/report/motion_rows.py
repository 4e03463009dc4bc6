"""Stars with motions as figures show them: a magnitude, a colour, an error, a place in arcsec."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.flags import Flag
from compute.kernels.motion.celestial import project

__all__ = ["MOVING", "Filters", "best_range", "choose_filters", "clean", "magnitudes", "moving_rows", "wavelength"]

MOVING = [
    "star_id", "ra", "dec", "pmra", "pmdec", "pmra_error", "pmdec_error", "pmra_pmdec_corr", "flags", "aligning",
]  # fmt: skip
_PARDONED = np.uint32(Flag.CUTOUT | Flag.CTE | Flag.GROUP_FIT)
_INFRARED = {"IR", "NIRISS", "NIRCAM", "NICMOS"}  # instruments or detectors whose filters count in 10 nm
_VISIBLE = 0.6  # micron
_WIDE, _STEP, _LEAST = 1.5, 0.25, 50  # mag; stars


class Filters(NamedTuple):
    """Filters of a colour-magnitude diagram: that of the magnitudes, and two whose difference is the colour.

    `blue` and `red` are empty where a field was seen in one filter.
    """

    mag: str
    blue: str = ""
    red: str = ""

    @property
    def colour(self) -> str:
        """Name of the colour."""
        return f"{self.blue} − {self.red}" if self.red else ""


def wavelength(instrument: str, detector: str, filter: str) -> float:
    """Wavelength [micron] that the name of a filter tells; NaN where it tells none."""
    digits = "".join(letter for letter in filter if letter.isdigit())[:3]
    nanometre = 10 if {instrument, detector} & _INFRARED else 1
    return 1e-3 * nanometre * int(digits) if digits else np.nan


def choose_filters(motions: pd.DataFrame, waves: Mapping[str, float]) -> Filters:
    """Filter of most magnitudes, with the one whose colours are many and of a long lever arm.

    `motions` has the columns of MOTIONS, `waves` the wavelengths [micron] of filters; others, as a reference catalog's,
    are taken for visible light, and for colours alone unless there are no more. ValueError without magnitudes.
    """
    known = {name: motions[f"mag_{name}"].notna().to_numpy() for name in magnitudes(motions)}
    if not any(mask.any() for mask in known.values()):
        raise ValueError("found no magnitudes, expected a column mag_<filter>")
    wave = {name: waves.get(name, _VISIBLE) for name in known}
    names = sorted(known, key=lambda name: (wave[name], name))
    first = max(
        names, key=lambda name: (name in waves and known[name].any(), known[name].sum())
    )  # of equals the bluest
    arms = {name: abs(np.log(wave[name] / wave[first])) * (known[name] & known[first]).sum() for name in names}
    other = max(names, key=lambda name: arms[name])
    if not arms[other] > 0:
        return Filters(first)
    return Filters(first, *sorted((first, other), key=lambda name: wave[name]))


def magnitudes(motions: pd.DataFrame) -> list[str]:
    """Filters that MOTIONS have a column of magnitudes in."""
    return [str(name).removeprefix("mag_") for name in motions if str(name).startswith("mag_")]


def moving_rows(motions: pd.DataFrame, filters: Filters, centre: tuple[float, float]) -> pd.DataFrame:
    """Rows of MOTIONS with a motion and a magnitude, by `star_id`.

    Added are `mag`, `colour`, `error` (1-D, mas/yr), and `east`, `north` of `centre` (ra, dec [deg]) in arcsec.
    """
    mag = motions[f"mag_{filters.mag}"].to_numpy(float, na_value=np.nan)
    colour = np.full(mag.size, np.nan)
    if filters.red:
        blue, red = (motions[f"mag_{name}"].to_numpy(float, na_value=np.nan) for name in (filters.blue, filters.red))
        colour = blue - red
    error = np.sqrt((motions["pmra_error"].to_numpy() ** 2 + motions["pmdec_error"].to_numpy() ** 2) / 2)
    xi, eta = project(motions["ra"].to_numpy(), motions["dec"].to_numpy(), *centre)
    rows = motions[[name for name in MOVING if name in motions]].assign(
        mag=mag, colour=colour, error=error, east=1e-3 * xi, north=1e-3 * eta
    )
    whole = np.isfinite(rows[["mag", "pmra", "pmdec", "error"]].to_numpy()).all(axis=1)
    return rows[whole].sort_values("star_id", ignore_index=True)


def clean(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of unflagged stars, or all where every one is flagged."""
    good = (rows["flags"].to_numpy(np.uint32) & ~_PARDONED) == 0
    return rows[good] if good.any() else rows


def best_range(mag: NDArray, error: NDArray) -> tuple[float, float, float]:
    """The one and a half magnitudes of least median error: from, to, and that median; NaN for few stars."""
    if mag.size < _LEAST:
        return np.nan, np.nan, np.nan
    starts = np.arange(np.floor(mag.min() / _STEP), np.ceil(mag.max() / _STEP)) * _STEP
    inside = [error[(mag >= start) & (mag < start + _WIDE)] for start in starts]
    medians = [float(np.median(part)) if part.size >= _LEAST else np.inf for part in inside]
    k = int(np.argmin(medians))
    return (float(starts[k]), float(starts[k] + _WIDE), medians[k]) if np.isfinite(medians[k]) else (np.nan,) * 3
