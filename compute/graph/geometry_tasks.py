"""Tasks of the stage that solves distortions: one camera, one stripe of a detector's map, one detector each."""

import io
import json
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.distortion import DistortionCube, read_distortion, write_distortion
from catalogs.errors import UnusableError
from catalogs.parquet import read_table, write_table
from catalogs.residuals import RESIDUALS
from catalogs.store import Store
from catalogs.tables import MEASUREMENTS
from compute.graph.references import read_sources
from compute.settings import GeometrySettings
from compute.stages.distortion import Calibration
from compute.stages.geometry.common import shared, stripe, with_map
from compute.stages.geometry.judged import judged, numbers
from compute.stages.geometry.pairs import Pairs, gather, joined, packed, unpacked
from compute.stages.geometry.solve import solve
from compute.stages.linking.sample import COLUMNS
from compute.stages.plane import Plane

__all__ = ["FINAL", "OWN", "finish_map", "map_stripe", "read_told", "share_fine", "solve_camera"]

OWN, FINAL = "own", "final"  # what a camera's stars alone give, and with what filters share


def solve_camera(
    store: Store, folder: str, rows: pd.DataFrame, paths: list[str], epochs: list[tuple[NDArray[np.int64], str]],
    plane: Plane, base: Calibration | None, settings: GeometrySettings,
) -> str | None:  # fmt: skip
    """Solve the distortion of one camera; the reason where its stars do not allow it.

    `rows` are its EXPOSURES, `paths` their MEASUREMENTS, `epochs` the numbers of those of one epoch and the reference
    catalog staged for it or empty, `base` a distortion known before.
    """
    measured = []
    for path in paths:
        with store.open(path) as file:
            measured.append(read_table(file, MEASUREMENTS, [*COLUMNS, "exposure", "mag"]))
    try:
        pairs = joined([
            (of, gather(rows.iloc[of].reset_index(drop=True), [measured[k] for k in of], read_sources(store, path),
                        plane, settings))
            for of, path in epochs
        ])  # fmt: skip
        known = None if base is None else read_distortion(base.path, json.loads(base.options))
        found = solve(rows, pairs, settings, known)
    except UnusableError as error:
        return " ".join(str(error).split())
    store.commit(f"{folder}/pairs.npz", partial(_save, arrays=packed(pairs)))
    _finish(store, f"{folder}/{OWN}", rows["exposure"], pairs, found.cube, settings, found.told)
    return None


def share_fine(store: Store, folders: list[str], names: list[pd.Series], settings: GeometrySettings) -> None:
    """Give each of a detector's cameras the mean fine structure of all, where its reserved stars agree with it."""
    cubes = [_cube(store, folder) for folder in folders]
    pairs = [_pairs(store, folder) for folder in folders]
    for folder, name, cube, mine in zip(folders, names, shared(cubes, pairs, settings), pairs, strict=True):
        if cube is not None:
            told = read_told(store, f"{folder}/{OWN}") | {"shared": len(folders)}
            _finish(store, f"{folder}/{FINAL}", name, mine, cube, settings, told)


def map_stripe(store: Store, target: str, folders: list[str], first: int, end: int, settings: GeometrySettings) -> None:
    """Rows [first, end) of the pixel map that the residuals of all cameras of a detector give."""
    parts = []
    for folder in folders:
        with store.open(f"{folder}/{OWN}/residuals.parquet") as file:
            parts.append(read_table(file, RESIDUALS))
    values = stripe(parts, _cube(store, folders[0]).n_x, first, end, settings)
    store.commit(target, partial(np.save, arr=values))


def finish_map(
    store: Store, folders: list[str], stripes: list[str], names: list[pd.Series], settings: GeometrySettings
) -> None:
    """Add the map to the cube of every camera of a detector."""
    rows = [np.load(io.BytesIO(store.read_bytes(path))) for path in stripes]
    values = np.concatenate(rows, axis=1)
    for folder, name in zip(folders, names, strict=True):
        cube = with_map(_cube(store, folder), values)
        told = read_told(store, f"{folder}/{OWN}")
        _finish(store, f"{folder}/{FINAL}", name, _pairs(store, folder), cube, settings, told)


def _finish(store, folder: str, names: pd.Series, pairs: Pairs, cube: DistortionCube, settings, told: dict) -> None:
    """Judge a solution and stage it, away from what it was made from, so that a run that is resumed ends alike."""
    residuals = judged(names, pairs, cube, settings)
    store.commit(f"{folder}/residuals.parquet", lambda file: write_table(residuals, RESIDUALS, file))
    if store.exists(f"{folder}/cube.zarr"):
        store.remove(f"{folder}/cube.zarr")
    write_distortion(store, f"{folder}/cube.zarr", cube)
    _record(store, f"{folder}/told.json", told | numbers(residuals))


def _save(file: Any, arrays: dict[str, Any]) -> None:
    np.savez(file, **arrays)


def _pairs(store: Store, folder: str) -> Pairs:
    with np.load(io.BytesIO(store.read_bytes(f"{folder}/pairs.npz"))) as file:
        return unpacked(dict(file))


def _cube(store: Store, folder: str) -> DistortionCube:
    return read_distortion(store.locate_url(f"{folder}/{OWN}/cube.zarr"), store.storage_options)


def read_told(store: Store, folder: str) -> dict[str, Any]:
    """What was recorded of a staged solution."""
    told: dict[str, Any] = json.loads(store.read_bytes(f"{folder}/told.json"))
    return told


def _record(store: Store, path: str, content: Any) -> None:
    """The last thing a task writes: what has a record is done."""
    store.commit(path, lambda file: file.write(json.dumps(content, allow_nan=False).encode()))
