"""Lazy frames over a catalog's files."""

from collections.abc import Mapping, Sequence
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd

from catalogs.catalog import read_part
from catalogs.schema import Table
from catalogs.store import Store

__all__ = ["lazy_table"]


def lazy_table(
    paths: Sequence[str], keys: Sequence[Mapping[str, Any]], table: Table, store: Store, version: str = ""
) -> dd.DataFrame:
    """Files of a table as a Dask DataFrame, a partition per file, read when computed and only in the columns used.

    `keys` holds the path keys of each file. `version` changes when the content behind the same paths does: it becomes
    part of the tasks' names, so that no cluster answers with rows it still holds of an older version.
    """
    meta = table.empty(keys=True)
    label = f"{table.name.lower()}-{version}"
    # Left to itself Dask turns text into another dtype than the table declares.
    with dask.config.set({"dataframe.convert-string": False}):
        if not paths:
            return dd.from_pandas(meta, npartitions=1)
        parts = [_Part(path, known) for path, known in zip(paths, keys, strict=True)]
        return dd.from_map(_read, parts, table=table, store=store, meta=meta, label=label)


class _Part:
    """A file and its path keys, which follow from its path: Dask need not look at them to name a task."""

    def __init__(self, path: str, keys: Mapping[str, Any]):
        self.path, self.keys = path, keys

    def __dask_tokenize__(self) -> str:
        return self.path


def _read(part: _Part, table: Table, store: Store, columns: Sequence[str] | None = None) -> pd.DataFrame:
    return read_part(part.path, part.keys, table, store, columns)
