"""One way into every reference catalog: whatever its format and names, the same columns come out."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.references import gaia as dr3
from catalogs.references.checks import check_distinct, check_motions, check_places
from catalogs.references.columns import SOLVED, UNITS, find_columns, find_magnitudes
from catalogs.references.cone import Cone
from catalogs.references.gaia import DR3, GaiaRules, Systematics
from catalogs.references.raw import open_raw
from catalogs.references.rows import epochs, read_rows

__all__ = ["Reference", "WithoutMotion", "read_reference"]

WithoutMotion = Literal["auto", "keep", "drop", "refuse"]


@dataclass(frozen=True, eq=False)
class Reference:
    """Sources known beforehand.

    Attributes
    ----------
    name
        Of the file or folder.
    sources
        A row per source, ordered by `id`: the columns of SOURCES, then other magnitudes; units in ``attrs["units"]``.
        Motions are NaN where the catalog has none, parallaxes likewise.
    systematics
        Errors that all sources share; no part of the errors in `sources`.
    n_read
        Rows looked at, before any were removed.
    removed
        Rule to number of rows it rejected; a row may be rejected by several.
    notes
        What was taken for granted, a line each.
    """

    name: str
    sources: pd.DataFrame
    systematics: Systematics
    n_read: int
    removed: Mapping[str, int]
    notes: tuple[str, ...]


def read_reference(
    url: str | os.PathLike,
    *,
    epoch: float | None = None,
    columns: Mapping[str, str] | None = None,
    without_motion: WithoutMotion = "auto",
    gaia: GaiaRules = DR3,
    cone: Cone | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Reference:
    """Read a reference catalog: Parquet (file or folder), HATS, FITS, ECSV or VOTable, local or by URL.

    Columns are found by name, else by UCD, and converted by their units; without a unit they are taken to be in that
    of SOURCES. Gaia DR3 is known by its columns: poor solutions are removed, errors inflated.

    Parameters
    ----------
    url
        The file or folder.
    epoch
        Julian year of positions for which the catalog has none.
    columns
        Canonical name to the catalog's own; ``mag_<name>`` adds a magnitude, an empty text leaves a column out.
    without_motion
        What becomes of single rows without motion where others have one. ``auto`` keeps those of Gaia, whose
        two-parameter solutions are meant so, and refuses others. A catalog without any motions is taken as it is.
    gaia
        Rules for Gaia DR3.
    cone
        Part of the sky to read.
    storage_options
        What fsspec needs to reach `url`.

    Raises
    ------
    UnusableError
        Missing or ambiguous columns, units that do not convert, values missing or out of range, sources twice, rows
        without motion, epoch or id, no rows at all; in one line with the numbers.
    """
    raw = open_raw(url, storage_options)
    place, names = raw.place, find_columns(raw.place, raw.fields, {**raw.columns, **(columns or {})})
    names |= {name: name for name in find_magnitudes(raw.fields, names.values())}
    is_gaia = dr3.is_gaia(raw.fields)
    quality = [name for name in raw.fields if is_gaia and name.lower() in dr3.QUALITY]
    frame, notes = read_rows(raw, names, quality, cone)
    if is_gaia and epoch is None and "ref_epoch" not in names:
        epoch = dr3.EPOCH
        notes.append(f"no ref_epoch, taken as that of Gaia DR3, {epoch:g}")
    frame["ref_epoch"] = epochs(place, frame["ref_epoch"].to_numpy(), epoch)
    check_places(place, frame)
    frame = _within(place, frame, cone)
    n_read, removed = len(frame), dict[str, int]()
    if is_gaia:
        frame = _trusted(place, frame, gaia, removed)
    frame = _with_motions(place, frame, "keep" if is_gaia and without_motion == "auto" else without_motion, removed)
    frame = frame.sort_values("id", kind="stable", ignore_index=True)
    check_distinct(place, frame)
    frame.attrs["units"] = {name: UNITS.get(name, "mag") for name in frame}
    return Reference(place, frame, gaia.systematics if is_gaia else Systematics(), n_read, removed, tuple(notes))


def _within(place: str, frame: pd.DataFrame, cone: Cone | None) -> pd.DataFrame:
    if cone is not None:
        frame = frame[cone.holds(frame["ra"].to_numpy(), frame["dec"].to_numpy())]
    if frame.empty:
        where = f" within {cone.radius:g} deg of {cone.ra:g}, {cone.dec:g}" if cone else ""
        raise UnusableError(place, f"no source{where}", "at least one")
    return frame


def _trusted(place: str, frame: pd.DataFrame, rules: GaiaRules, removed: dict[str, int]) -> pd.DataFrame:
    """Gaia's good solutions with inflated errors, without the columns that told them; `removed` gets the numbers."""
    values = {name: frame.pop(name).to_numpy() for name in dr3.QUALITY if name in frame}
    rejected = dr3.rejected(values, rules)
    removed |= {name: int(np.count_nonzero(rows)) for name, rows in rejected.items()}
    keep = ~np.logical_or.reduce(list(rejected.values()))
    if not keep.any():
        counts = ", ".join(f"{name} {count}" for name, count in removed.items())
        raise UnusableError(place, f"no source of {len(frame)} left by the cuts ({counts})", "at least one")
    growth = np.sqrt(dr3.inflation(values, frame["pmra"].notna().to_numpy(), rules))
    return frame.assign(**{f"{name}_error": frame[f"{name}_error"] * growth for name in SOLVED})[keep]


def _with_motions(place: str, frame: pd.DataFrame, policy: WithoutMotion, removed: dict[str, int]) -> pd.DataFrame:
    """Rows after what `policy` says of those without motion; none of them has half a motion."""
    lone: NDArray[np.bool_] = (frame["pmra"].isna() & frame["pmdec"].isna()).to_numpy()
    check_motions(place, frame, lone)
    if policy == "keep" or lone.all() or not lone.any():
        return frame
    count = np.count_nonzero(lone)
    if policy == "drop":
        removed["without_motion"] = int(count)
        return frame[~lone]
    found = f"no motion in {count} of {len(frame)} rows, first id {frame['id'].iloc[lone.argmax()]}"
    raise UnusableError(f"{place} columns pmra, pmdec", found, "one in all or in none; or without_motion keep or drop")
