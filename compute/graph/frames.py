"""Lazy frames over a catalog's files."""

from collections.abc import Mapping, Sequence
from typing import Any

import dask
import dask.dataframe as dd

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
        return dd.from_map(read_part, paths, keys, table=table, store=store, meta=meta, label=label)
