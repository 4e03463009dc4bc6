"""What workers run to make master frames: one frame, one exposure, one tile each; results committed as they end."""

import json
from typing import Any

import numpy as np
import pandas as pd

from catalogs.catalog import field_path, frame_path
from catalogs.masters import MASTER, MATCHES, PLACED, TRANSFORMS
from catalogs.parquet import read_table, write_table
from catalogs.schema import Table
from catalogs.store import Store
from catalogs.tables import MEASUREMENTS
from compute.graph.placed import read_placed, write_placed
from compute.graph.references import read_sources
from compute.settings import FrameSettings
from compute.stages.frame.groups import FrameKey
from compute.stages.frame.place import margin, place, tiles
from compute.stages.frame.stars import tile_stars
from compute.stages.frame.ties import read_transform, transforms
from compute.stages.linking.sample import COLUMNS, LINKED
from compute.stages.plane import Plane

__all__ = ["gather_tile", "place_exposure", "placed_files", "solve_frame", "tile_record", "transform_file"]


def solve_frame(
    store: Store, folder: str, rows: pd.DataFrame, paths: list[str], reference: str, key: FrameKey, plane: Plane,
    settings: FrameSettings,
) -> None:  # fmt: skip
    """Find how the exposures of one frame lie on it.

    `rows` are their EXPOSURES, `paths` their MEASUREMENTS, `reference` the staged reference catalog or empty.
    """
    measured = (_read(store, path, MEASUREMENTS, LINKED) for path in paths)  # one in memory at a time
    found = transforms(rows.reset_index(drop=True), measured, read_sources(store, reference), key, plane, settings)
    _write(store, transform_file(folder, key), found, TRANSFORMS)


def transform_file(folder: str, key: FrameKey) -> str:
    """Where the transformations of a frame are staged."""
    return f"{folder}/solved/{key.instrument}_{key.filter}_{key.epoch_name}.parquet"


def place_exposure(
    store: Store, folder: str, path: str, row: dict[str, Any], frame: int, number: int, n_epochs: int,
    settings: FrameSettings,
) -> None:  # fmt: skip
    """Put all stars of one exposure on the frame, sorted by tile; `row` is its row of TRANSFORMS."""
    stars = _read(store, path, MEASUREMENTS, COLUMNS)
    placed = place(stars, frame, number, read_transform(row), (row["floor"], row["floor_mag"]), row["zero_point"])
    PLACED.check(placed, "place")
    placed.attrs.clear()
    stars_file, record = placed_files(folder, number)
    _record(store, record, write_placed(store, stars_file, tiles(placed, margin(settings, n_epochs))))


def placed_files(folder: str, number: int) -> tuple[str, str]:
    """Where the stars of an exposure are staged, and the list of the tiles that they are in."""
    return f"{folder}/stars/{number}.arrow", f"{folder}/stars/{number}.json"


def gather_tile(
    store: Store, folder: str, field: str, tile: tuple[int, int], parts: list[tuple[str, int]], keys: list[FrameKey],
    least: list[int], names: pd.DataFrame, plane: Plane, settings: FrameSettings,
) -> None:  # fmt: skip
    """Identify and average the stars of one tile; stage its parts of MASTER and MATCHES.

    `parts` are the files of exposures, and the numbers of their batches, that :func:`read_placed` takes.
    """
    i, j = tile
    placed = read_placed(store, parts)
    epochs = sorted({key.epoch for key in keys})
    epoch_of = np.array([epochs.index(key.epoch) for key in keys])
    found = tile_stars(placed, tile, epoch_of, np.array(least), names, plane, settings)
    counts, parts_of = {}, dict[str, str]()
    for frame, master in found.masters.items():
        place_of = f"{frame_path(field, *keys[frame][:2], keys[frame].epoch_name)}/part-{i}_{j}.parquet"
        _write(store, f"{folder}/{place_of}", master, MASTER)
        counts[str(frame)], parts_of[place_of] = len(master), store.sha256(f"{folder}/{place_of}")
    if len(found.matches):
        place_of = f"{field_path('matches', field)}/part-{i}_{j}.parquet"
        _write(store, f"{folder}/{place_of}", found.matches, MATCHES)
        parts_of[place_of] = store.sha256(f"{folder}/{place_of}")
    record = {"stars": counts, "matches": len(found.matches), "parts": parts_of}
    _record(store, tile_record(folder, tile), record)


def tile_record(folder: str, tile: tuple[int, int]) -> str:
    """Where the record of a tile is staged: stars of each frame, and the digests of its `parts` by their places."""
    return f"{folder}/tiles/{tile[0]}_{tile[1]}.json"


def _read(store: Store, path: str, table: Table, columns: list[str] | None = None) -> pd.DataFrame:
    with store.open(path) as file:
        frame = read_table(file, table, columns)
    frame.attrs.clear()  # pandas copies them with every column that is looked at
    return frame


def _write(store: Store, path: str, frame: pd.DataFrame, table: Table) -> None:
    store.commit(path, lambda file: write_table(frame, table, file))


def _record(store: Store, path: str, content: Any) -> None:
    """The last thing a task writes: what has a record is done."""
    store.commit(path, lambda file: file.write(json.dumps(content).encode()))
