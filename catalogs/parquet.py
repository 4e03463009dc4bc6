"""Rows to Parquet and back: one set of choices for every table file."""

import os
from collections.abc import Sequence
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalogs.schema import Column, Table, TableError

__all__ = ["read_table", "write_table"]

ROW_GROUP = 250_000


def write_table(frame: pd.DataFrame, table: Table, sink: str | os.PathLike | IO[bytes]) -> None:
    """Write rows as one Parquet file; the same rows give the same bytes. TableError where they do not fit `table`."""
    table.check(frame, "write")
    arrays = {column.name: _array(frame[column.name], column) for column in table.columns}
    texts = [column.name for column in table.columns if column.dtype == "string"]
    lengths = {name: pc.max(pc.utf8_length(arrays[name])).as_py() or 1 for name in texts}
    encodings = {column.name: encoding for column in table.columns if (encoding := _encoding(column))}
    pq.write_table(
        pa.Table.from_arrays(list(arrays.values()), schema=table.arrow_schema(lengths)),
        sink,
        row_group_size=ROW_GROUP,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in table.names if name not in encodings],
        column_encoding=encodings,
        write_statistics=True,
        write_page_checksum=True,  # `status --verify` looks at them
    )


def _encoding(column: Column) -> str | None:
    """How a column is packed before zstd; None for a dictionary, which suits few distinct values."""
    if column.dtype.startswith("float"):
        return "BYTE_STREAM_SPLIT"  # half the time and two thirds of the size that dictionaries need
    counts_up = "int" in column.dtype and column.ucd.startswith("meta.id")
    return "DELTA_BINARY_PACKED" if counts_up else None


def _array(values: pd.Series, column: Column) -> pa.Array:
    """One column for Arrow: a NaN is a null only where the column may lack values."""
    if column.dtype.startswith("float"):
        return pa.array(np.ascontiguousarray(values.to_numpy()), column.arrow_type, from_pandas=column.nullable)
    array = pa.array(values, column.arrow_type)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def read_table(
    source: str | os.PathLike | IO[bytes], table: Table, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read one file, all of it or some `columns`, with the dtypes of `table` and units in ``attrs["units"]``.

    A column that rows may lack is absent from files older than the column: there it is read as missing throughout.
    Raises TableError where the file lacks any other column of `table`, or holds one in another type.
    """
    wanted = [column for column in table.columns if columns is None or column.name in columns]
    with pq.ParquetFile(source) as file:
        found = {field.name: field.type for field in file.schema_arrow}
        for column in wanted:
            if column.name not in found and column.nullable:
                continue
            if found.get(column.name) != column.arrow_type:
                there = f"is {found[column.name]}" if column.name in found else "is absent"
                raise TableError(f"{source}: column {column.name} {there}, {table.name} wants {column.arrow_type}")
        frame = file.read(columns=[column.name for column in wanted if column.name in found]).to_pandas()
    for place, column in enumerate(wanted):
        if column.name not in found:
            frame.insert(place, column.name, pd.Series(column.missing(), frame.index, column.pandas_dtype))
    frame.attrs["units"] = table.units
    return frame
