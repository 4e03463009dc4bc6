"""What workers run to make motions: the field's alignment once, then each tile's stars."""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from catalogs.catalog import field_path, frame_path
from catalogs.errors import PiazziError
from catalogs.masters import MASTER
from catalogs.motions import ZERO_POINTS, with_magnitudes
from catalogs.parquet import read_table, write_table
from catalogs.store import Store
from compute.kernels.motion.surroundings import Stars
from compute.settings import MotionSettings
from compute.stages.frame.groups import FrameKey
from compute.stages.frame.ties import read_transform
from compute.stages.motion.field import solve_field, star_positions
from compute.stages.motion.judged import Exposure, trends
from compute.stages.motion.positions import Epoch, Known, magnitudes
from compute.stages.motion.table import Common, motions_table
from compute.stages.plane import Plane

__all__ = ["FITTED", "Job", "align_field", "fit_tile", "fitted_record"]

FITTED = "fitted"  # folder of the records of tiles that are done

_COLUMNS = ["star_id", "x", "y", "x_error", "y_error", "xy_corr", "mag", "n_used", "mean_epoch", "flags"]


@dataclass(frozen=True)
class Job:
    """What all tasks of one call share: where they stage, and what the field is made of."""

    store: Store
    folder: str
    field: str
    keys: tuple[FrameKey, ...]
    epochs: tuple[Epoch, ...]
    tiles: tuple[tuple[int, int], ...]
    plane: Plane
    settings: MotionSettings

    def masters(self, *tiles: tuple[int, int]) -> dict[tuple[str, str, float], pd.DataFrame]:
        """MASTER of every frame in some tiles."""
        found: dict[tuple[str, str, float], pd.DataFrame] = {}
        for key in self.keys:
            folder = frame_path(self.field, key.instrument, key.filter, key.epoch_name)
            paths = [path for i, j in tiles if self.store.exists(path := f"{folder}/part-{i}_{j}.parquet")]
            parts = [self.read(path) for path in paths]
            found[key] = pd.concat(parts, ignore_index=True) if parts else MASTER.empty()[_COLUMNS]
        return found

    def read(self, path: str) -> pd.DataFrame:
        """Rows of MASTER, in the columns that motions need."""
        with self.store.open(path) as file:
            return read_table(file, MASTER, _COLUMNS)


def align_field(
    job: Job, first: Known | None, zero: Known | None, ties: pd.DataFrame
) -> tuple[dict[str, Any], Common] | PiazziError:
    """Stage what the stars of the field have in common; the numbers that tell how well, and what tiles need.

    `ties` are TRANSFORMS of the exposures in the frames, with `x_end` and `y_end` of their arrays [pix]. What is wrong
    with the input is returned: no second try would find it otherwise.
    """
    try:
        found = solve_field(job.epochs, job.masters(*job.tiles), first, zero, job.plane, job.settings)
    except PiazziError as error:
        return error
    for name in ("sources", "members"):
        job.store.commit(f"{job.folder}/{name}.parquet", partial(getattr(found, name).to_parquet, index=False))
    path = f"{job.folder}/{field_path('zero_points', job.field)}/part-0.parquet"
    job.store.commit(path, lambda file: write_table(found.zero_points, ZERO_POINTS, file))
    stars = Stars(*(found.members[name].to_numpy(float) for name in Stars._fields))
    judged = {}
    for epoch in job.epochs:
        if epoch.key:
            placed = [
                Exposure(row["detector"], read_transform(row), (row["x_end"], row["y_end"]))
                for row in ties.to_dict("records")
                if (row["instrument"], row["filter"], row["epoch"]) == epoch.key
            ]
            judged[epoch.name] = trends(stars, placed, job.plane)
    numbers = {**found.numbers, "zero_points": found.zero_points.to_dict("records"), "trends": judged}
    return numbers, found.common


def fit_tile(job: Job, tile: tuple[int, int], common: Common) -> None:
    """Stage MOTIONS of the stars of one tile, if any has a motion."""
    masters = job.masters(tile)
    everyone = pd.concat([master["star_id"] for master in masters.values()]).unique()
    sources, members = (_read(job.store, f"{job.folder}/{name}.parquet") for name in ("sources", "members"))
    sources = sources[sources["star_id"].isin(everyone)]
    of_catalog = any(epoch.key is None for epoch in job.epochs)
    mags = magnitudes(masters, sources if of_catalog else None)
    positions = star_positions(job.epochs, masters, sources, job.plane)
    ids = sources.set_index("star_id")["id"]
    found = motions_table(positions, job.epochs, common, members, mags, ids, job.plane, job.settings)
    parts = {}
    if len(found):
        place = f"{field_path('motions', job.field)}/part-{tile[0]}_{tile[1]}.parquet"
        path = f"{job.folder}/{place}"
        job.store.commit(path, lambda file: write_table(found, with_magnitudes(mags.columns), file))
        parts[place] = job.store.sha256(path)
    record = json.dumps({"parts": parts}).encode()
    job.store.commit(fitted_record(job.folder, tile), lambda file: file.write(record))


def fitted_record(folder: str, tile: tuple[int, int]) -> str:
    """Where the record of a tile that is done is staged: the digests of its `parts` by their places."""
    return f"{folder}/{FITTED}/{tile[0]}_{tile[1]}.json"


def _read(store: Store, path: str) -> pd.DataFrame:
    with store.open(path) as file:
        return pd.read_parquet(file)
