"""Reference catalogs as their files have them: Parquet, HATS, FITS, ECSV, VOTable, all as Arrow columns."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from astropy.table import Column, Table

from catalogs.errors import UnusableError
from catalogs.references.described import Field, fields_of
from catalogs.references.hats import open_hats
from catalogs.store import Store

__all__ = ["Raw", "open_raw"]

_EXPECTED = "a Parquet file or folder, a HATS catalog, a FITS, ECSV or VOTable file"


@dataclass(frozen=True)
class Raw:
    """A catalog that is open but not read.

    Attributes
    ----------
    place
        Name of the file or folder, for messages.
    fields
        Its columns.
    load
        ``load(names, rows)``: columns, of all rows or at least of those for which the expression `rows` is true.
    columns
        Meanings that the catalog declares itself: canonical name to its own.
    n_rows
        Rows that the catalog says it has; None where it does not.
    """

    place: str
    fields: Mapping[str, Field]
    load: Callable[[Sequence[str], pc.Expression | None], pa.Table]
    columns: Mapping[str, str] = field(default_factory=dict)
    n_rows: int | None = None


def open_raw(url: str | os.PathLike, storage_options: Mapping[str, Any] | None = None) -> Raw:
    """Open a reference catalog of any kind; UnusableError where there is none or it cannot be read."""
    store = Store(url, storage_options)
    place = store.root.rstrip("/").rpartition("/")[2]
    if store.fs.isdir(store.root):
        return _folder(store, place)
    try:
        with fsspec.open(store.url, "rb", compression="infer", **store.storage_options) as file:
            head = file.read(512)
            file.seek(0)
            if head.startswith(b"PAR1"):
                return _parquet(store, place, [store.root])
            return _table(place, file, head)
    except FileNotFoundError:
        raise UnusableError(place, "nothing there", _EXPECTED) from None


def _folder(store: Store, place: str) -> Raw:
    hats = open_hats(store, place)
    if hats is None:
        paths = [p for p in store.list("", (".parquet", ".parq")) if not p.rpartition("/")[2].startswith(("_", "."))]
        if not paths:
            raise UnusableError(place, "a folder without Parquet files", _EXPECTED)
        return _parquet(store, place, [store.locate(path) for path in paths])
    paths = [hats.store.locate(path) for path in hats.leaves(place)]
    schema = hats.store.locate(hats.schema_path) if hats.schema_path else None
    return _parquet(hats.store, place, paths, schema, columns=hats.columns, n_rows=hats.n_rows)


def _parquet(store: Store, place: str, paths: list[str], schema_path: str | None = None, **more: Any) -> Raw:
    with _readable(place), store.fs.open(schema_path or paths[0], "rb") as file:
        schema = pq.read_schema(file)

    def load(names: Sequence[str], rows: pc.Expression | None) -> pa.Table:
        with _readable(place):
            dataset = ds.dataset(paths, schema=schema, filesystem=store.fs, format="parquet", partitioning=None)
            return dataset.to_table(columns=list(names), filter=rows)

    return Raw(place, fields_of(schema), load, **more)


def _table(place: str, file: IO[bytes], head: bytes) -> Raw:
    """A catalog in one of astropy's formats, told by its first bytes."""
    with _readable(place), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units and standards: what matters is checked by whoever takes the columns
        if head.startswith(b"SIMPLE  ="):
            table = Table.read(file, format="fits")
        elif head.startswith(b"# %ECSV"):
            table = Table.read(file.read().decode().splitlines(), format="ascii.ecsv")
        elif b"<VOTABLE" in head:
            table = Table.read(file, format="votable")
        else:
            raise UnusableError(place, f"a file that begins with {head[:16]!r}", _EXPECTED)
        fields, arrays = {}, {}
        for number, column in enumerate(table.itercols(), 1):
            if isinstance(column, Column) and column.ndim == 1:
                ucd = column.meta.get("ucd") or table.meta.get(f"TUCD{number}") or ""
                fields[column.name] = Field(str(column.unit or ""), ucd)
                arrays[column.name] = _arrow(column)
    return Raw(place, fields, partial(_select, pa.table(arrays)))


def _select(table: pa.Table, names: Sequence[str], rows: pc.Expression | None) -> pa.Table:
    return table.select(list(names))


def _arrow(column: Column) -> pa.Array:
    """Values in Arrow, in the machine's byte order, masked ones null."""
    values, mask = np.ma.getdata(column), np.ma.getmaskarray(column)
    values = np.asarray(values).astype(values.dtype.newbyteorder("="))
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    return pa.array(values.astype(object) if values.dtype.kind == "U" else values, mask=mask)


@contextmanager
def _readable(place: str) -> Iterator[None]:
    """Whatever a library says of a broken file, in one line."""
    try:
        yield
    except (UnusableError, FileNotFoundError):
        raise
    except Exception as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UnusableError(place, line[:200], _EXPECTED) from None
