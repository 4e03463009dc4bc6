"""Rows of a reference catalog in canonical columns and units."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.references.columns import CORRELATIONS, UNITS
from catalogs.references.cone import Cone
from catalogs.references.described import factor
from catalogs.references.raw import Raw
from catalogs.references.values import labels, numbers

__all__ = ["epochs", "read_rows"]


def read_rows(
    raw: Raw, names: dict[str, str], extra: Sequence[str], cone: Cone | None
) -> tuple[pd.DataFrame, list[str]]:
    """Read columns of a catalog.

    Parameters
    ----------
    raw
        The open catalog.
    names
        Canonical name to the catalog's own, and other magnitudes as they shall be named.
    extra
        More of its columns, whatever their units; they get their names in lower case.
    cone
        Rows outside may be left out, and many are.

    Returns
    -------
    DataFrame, list of str
        All columns of SOURCES, magnitudes, `extra`; NaN where the catalog has no value, 0 for correlations. And what
        was taken for granted. UnusableError where units do not convert or values are no numbers.
    """
    wanted = {name: "" if name == "id" else UNITS.get(name, "mag") for name in names}
    told = {name: raw.fields[own].unit for name, own in names.items()}
    factors = {name: factor(_place(raw, own), told[name], wanted[name]) for name, own in names.items()}
    silent = [name for name in names if wanted[name] and not told[name]]
    notes = [f"column {names[name]} has no unit, taken as {wanted[name]}" for name in silent]
    # Without an id sources are numbered as they stand in the whole of the catalog.
    box = cone.box(names["ra"], names["dec"], factors["ra"], factors["dec"]) if cone and "id" in names else None
    table = raw.load(sorted({*names.values(), *extra}), box)
    if box is None and raw.n_rows not in (None, table.num_rows):
        raise UnusableError(raw.place, f"{table.num_rows} rows", f"{raw.n_rows}, as its properties say")
    columns = {"id": _ids(raw, names, table, notes)}
    for name in dict.fromkeys([*UNITS, *names]):
        if name != "id":
            blank = 0.0 if name in CORRELATIONS else np.nan
            values = np.full(table.num_rows, blank)
            if name in names:
                values = numbers(_place(raw, names[name]), table[names[name]]) * factors[name]
            columns[name] = np.where(np.isnan(values), blank, values)
    columns |= {own.lower(): numbers(_place(raw, own), table[own]) for own in extra}
    return pd.DataFrame(columns), notes


def epochs(place: str, years: NDArray, epoch: float | None) -> NDArray[np.float64]:
    """Julian years of positions: `years`, or `epoch` where they are NaN; UnusableError where both are missing."""
    missing = np.isnan(years)
    if epoch is None and missing.any():
        found = f"no epoch in {np.count_nonzero(missing)} of {len(years)} rows"
        raise UnusableError(f"{place} column ref_epoch", found, "a Julian year in each, or epoch in the settings")
    return years if epoch is None else np.where(missing, epoch, years)


def _ids(raw: Raw, names: dict[str, str], table: pa.Table, notes: list[str]) -> NDArray:
    if "id" in names:
        return labels(_place(raw, names["id"]), table[names["id"]])
    notes.append("no column id, rows numbered from 0")
    return np.arange(table.num_rows)


def _place(raw: Raw, column: str) -> str:
    return f"{raw.place} column {column}"
