"""MEASUREMENTS files against pyarrow's own defaults, same rows."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.parquet import write_table
from catalogs.tables import MEASUREMENTS
from tests.bench.pairs import compare as timed

ROWS, COLUMNS = 500_000, ["x", "y", "mag", "qfit"]


def compare() -> list[dict]:
    """Rows per second of writing a table and of reading four of its columns."""
    rng = np.random.default_rng(6)
    columns = {
        column.name: np.abs(rng.normal(1000.0, 300.0, ROWS)).clip(1, 2000)
        if column.dtype.startswith("float")
        else np.arange(1, ROWS + 1)
        for column in MEASUREMENTS.columns
        if column.dtype != "string"
    }
    columns |= {"xy_corr": rng.uniform(-1, 1, ROWS), "mjd": np.full(ROWS, 60000.0), "neighbour": rng.random(ROWS)}
    frame = MEASUREMENTS.conform(pd.DataFrame(columns).assign(exposure="jw01086001001_02101_00001_nis"))
    plain = pa.Table.from_pandas(frame, preserve_index=False)

    def write_ours():
        sink = io.BytesIO()
        write_table(frame, MEASUREMENTS, sink)
        return sink.getvalue()

    def write_peer():
        sink = io.BytesIO()
        pq.write_table(plain, sink)
        return sink.getvalue()

    mine, theirs = write_ours(), write_peer()

    def read(content):
        return pq.read_table(io.BytesIO(content), columns=COLUMNS, use_threads=False)

    same = read(mine).to_pandas().equals(read(theirs).to_pandas())
    size = f"{ROWS} rows; file {len(mine) / len(theirs):.2f} of the peer's size"
    return [
        timed("write MEASUREMENTS / pyarrow defaults", size, write_ours, write_peer, amount=ROWS, agrees=same),
        timed("read 4 columns / pyarrow defaults", size, lambda: read(mine), lambda: read(theirs), amount=ROWS,
              agrees=same),
    ]  # fmt: skip
