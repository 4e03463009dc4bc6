"""Mean proper motions of fields as single exposures give them, from tables of any kind."""

import csv
import io
import math
import os
from collections.abc import Sequence

import fsspec
import pandas as pd
import pyarrow as pa

from catalogs.errors import UnusableError
from catalogs.references.described import Field, factor
from catalogs.references.raw import Raw, open_raw
from catalogs.schema import Column
from catalogs.store import Store

__all__ = ["ALL", "EXPOSURE_MOTIONS", "read_exposure_motions"]

ALL = "all"  # what stands for the mean over fields, where fields have names
_EXPECTED = "a CSV, ECSV or Parquet file"
_RATE, _MOST, _LEAST = "mas/yr", 1e6, 1e-9  # beyond these a table has another unit


def _motion(axis: str, name: str) -> Column:
    return Column(f"mu_{axis}", "float64", _RATE, "pos.pm", f"motion towards {name}", low=-_MOST, high=_MOST)


def _error(axis: str) -> Column:
    return Column(f"sigma_{axis}", "float64", _RATE, "stat.error;pos.pm", "standard error", low=_LEAST, high=_MOST)


EXPOSURE_MOTIONS = (
    Column("field", "string", "", "meta.id;obs.field", "field of sky"),
    Column("instrument", "string", "", "meta.id;instr", "instrument of the exposure"),
    _motion("w", "west, -pmra"),
    _motion("n", "north, pmdec"),
    _error("w"),
    _error("n"),
)


def read_exposure_motions(path: str | os.PathLike) -> pd.DataFrame:
    """The columns of EXPOSURE_MOTIONS [mas/yr], a row for each exposure, in the file's order.

    Columns are found by name without regard to case; units that an ECSV or Parquet file tells are converted, those of
    a CSV file are mas/yr. Lines of CSV that begin with # are comments.

    Raises
    ------
    UnusableError
        A file that is none of these, columns that are absent or there twice, units that do not convert, and the first
        value that cannot be, by its row (from 1, without header) and column.
    """
    raw = _open(path)
    own = {column.name: _find(raw, column.name) for column in EXPOSURE_MOTIONS}
    table = raw.load(list(own.values()), None)
    if not table.num_rows:
        raise UnusableError(raw.place, "no rows", "a row for each exposure")
    values: dict[str, Sequence] = {}
    for column in EXPOSURE_MOTIONS:
        cells = table.column(own[column.name]).to_pylist()
        if column.dtype == "string":
            values[column.name] = _texts(raw.place, own[column.name], cells)
            if column.name == "field" and ALL in values["field"]:
                where = f"{raw.place} row {values['field'].index(ALL) + 1} column {own['field']}"
                raise UnusableError(where, f"{ALL!r}, which is the mean over fields", "another name")
        else:
            unit = factor(f"{raw.place} column {own[column.name]}", raw.fields[own[column.name]].unit, column.unit)
            values[column.name] = _numbers(raw.place, own[column.name], cells, unit, column)
    frame = pd.DataFrame(values)
    frame.attrs["units"] = {column.name: column.unit for column in EXPOSURE_MOTIONS}
    return frame


def _open(path: str | os.PathLike) -> Raw:
    """CSV by what the file is not; the other formats tell themselves by how they begin."""
    store = Store(path)
    place = store.root.rstrip("/").rpartition("/")[2]
    if not store.fs.exists(store.root):
        raise UnusableError(place, "nothing there", _EXPECTED)
    if store.fs.isdir(store.root):
        if not store.list(suffix=".parquet"):
            raise UnusableError(place, "a folder without Parquet files", _EXPECTED)
        return open_raw(path)
    with fsspec.open(store.url, "rb", compression="infer", **store.storage_options) as file:
        head = file.read(512)
        if head.startswith((b"PAR1", b"SIMPLE  =", b"# %ECSV")) or b"<VOTABLE" in head:
            return open_raw(path)
        try:
            return _csv(place, (head + file.read()).decode("utf-8-sig"))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UnusableError(place, str(error), _EXPECTED) from None


def _csv(place: str, text: str) -> Raw:
    lines = csv.reader(io.StringIO(text), skipinitialspace=True)
    rows = [[cell.strip() for cell in line] for line in lines if line and not line[0].startswith("#")]
    names, *rows = [row for row in rows if any(row)] or [[]]
    if len(names) < 2:
        found = f"one column, {names[0]!r:.60}" if names else "no line"
        raise UnusableError(place, found, "columns with commas between them, and their names in the first line")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UnusableError(f"{place} columns", f"{twice[0]} {names.count(twice[0])} times", "each once")
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise UnusableError(f"{place} row {number}", f"{len(row)} values", f"{len(names)}, one for each column")
    cells = {name: pa.array([row[k] for row in rows], pa.string()) for k, name in enumerate(names)}
    return Raw(place, dict.fromkeys(names, Field()), lambda wanted, _: pa.table(cells).select(list(wanted)))


def _find(raw: Raw, name: str) -> str:
    """What a file calls one of our columns."""
    found = [own for own in raw.fields if own.lower() == name]
    if len(found) == 1:
        return found[0]
    wanted = ", ".join(column.name for column in EXPOSURE_MOTIONS)
    if found:
        raise UnusableError(f"{raw.place} columns", f"{', '.join(found)} for {name}", "one, as case does not tell them")
    there = ", ".join(raw.fields)
    raise UnusableError(f"{raw.place} columns", f"no {name} among {there:.200}", wanted)


def _texts(place: str, own: str, cells: Sequence[object]) -> list[str]:
    texts = ["" if cell is None else str(cell).strip() for cell in cells]
    if "" in texts:
        raise UnusableError(f"{place} row {texts.index('') + 1} column {own}", "nothing", "a name")
    return texts


def _numbers(place: str, own: str, cells: Sequence[object], unit: float, column: Column) -> list[float]:
    """Values [mas/yr] that are in the column's range."""
    assert column.low is not None
    assert column.high is not None
    numbers = []
    for row, cell in enumerate(cells, 1):
        try:
            number = math.nan if isinstance(cell, bool) else unit * float(cell)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = math.nan
        if not column.low <= number <= column.high:
            found = "nothing" if cell in (None, "") else repr(cell) if isinstance(cell, str) else cell
            raise UnusableError(f"{place} row {row} column {own}", found, f"a number, {column.range} {column.unit}")
        numbers.append(number)
    return numbers
