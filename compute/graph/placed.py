"""Stars of exposures on a frame, staged by tile of sky: a file for each exposure, in it a batch for each tile.

A file for every tile of every exposure would be tens of thousands of small ones, and to open them the most of the work.
"""

from collections.abc import Iterable, Sequence

import pandas as pd
import pyarrow as pa

from catalogs.masters import PLACED
from catalogs.store import Store

__all__ = ["read_placed", "write_placed"]

Tile = tuple[int, int]
_SCHEMA = pa.schema([pa.field(column.name, column.arrow_type) for column in PLACED.columns])


def write_placed(store: Store, path: str, parts: Iterable[tuple[Tile, pd.DataFrame]]) -> list[Tile]:
    """Write the PLACED rows of each tile as one batch of an Arrow file; the tiles, in the order of batches."""
    batches, there = [], []
    for tile, part in parts:
        batches.append(pa.record_batch([pa.array(part[name].to_numpy()) for name in PLACED.names], schema=_SCHEMA))
        there.append(tile)

    def write(file) -> None:
        with pa.ipc.new_file(file, _SCHEMA) as writer:
            for batch in batches:
                writer.write_batch(batch)

    store.commit(path, write)
    return there


def read_placed(store: Store, parts: Sequence[tuple[str, int]]) -> pd.DataFrame:
    """PLACED rows of one tile, from files of exposures and the numbers of their batches."""
    batches = []
    for path, number in parts:
        with store.open(path) as file, pa.ipc.open_file(file) as reader:
            batches.append(reader.get_batch(number))
    return pa.Table.from_batches(batches, _SCHEMA).to_pandas()
