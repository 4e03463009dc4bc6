"""Stage `frame` on a cluster: solve each frame, place each exposure, gather each tile, publish the whole."""

import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import pandas as pd
from distributed import Client

from catalogs.catalog import Catalog, field_path, measurement_path
from catalogs.errors import UnusableError
from catalogs.masters import TRANSFORMS
from catalogs.parquet import read_table, write_table
from catalogs.records import read_json
from compute.graph.apply import Progress, run_all
from compute.graph.fields import beyond, field_exposures, known_plane
from compute.graph.frame_tasks import (
    gather_tile,
    place_exposure,
    placed_files,
    solve_frame,
    tile_record,
    transform_file,
)
from compute.graph.made import INPUTS, exposures_made_of, record_files, versions
from compute.graph.pipeline import Report
from compute.graph.references import digest, near, stage_sources
from compute.graph.scales import SCALE_TABLES
from compute.graph.staged import finished, reached, whole_record
from compute.settings import FrameSettings, ReferenceSettings
from compute.stages.frame.groups import FrameKey, frames, lay_plane
from compute.stages.frame.ties import shared
from compute.stages.reference import load

__all__ = ["frame"]

_TIES = "{}/part-0.parquet"


class _Job:
    """What all tasks of one call share: where they stage, on what plane, and of which exposures."""

    def __init__(self, catalog: Catalog, field: str, settings: FrameSettings, reference: ReferenceSettings | None):
        self.store, self.field, self.settings, self.reference = catalog.store, field, settings, reference
        self.target = {name: field_path(name, field) for name in ("transforms", "matches", "master")}
        exposures, plane = catalog.exposures, known_plane(catalog, field, settings)
        self.rows = field_exposures(exposures, settings, plane)
        self.plane = plane or lay_plane(self.rows, settings)
        self.beyond = beyond(exposures, self.rows, settings, plane)
        self.keys = frames(self.rows, settings.epoch_gap)
        centre = self.plane.ra, self.plane.dec
        self.known = None if reference is None else load(near(reference, settings.within), centre)
        self.made_of = {
            "exposures": exposures_made_of(self.rows),
            "reference": digest(self.known, reference),
            "plane": vars(self.plane),
            "versions": versions(),
        }
        inputs = self.rows[["exposure", "detector", *INPUTS]].fillna("").to_numpy().tolist()
        others = list(self.made_of.values())[1:]
        self.digest = settings.digest(field, json.dumps([inputs, *others], sort_keys=True))
        self.solved = {
            _label(key): settings.digest(_label(key), json.dumps([[inputs[k] for k in index], *others], sort_keys=True))
            for key, index in self.keys.items()
        }
        self.staging = f".staging/frame/{field}"
        self.folder = f"{self.staging}/{self.digest}"
        self.paths = [measurement_path(row) for row in self.rows.to_dict("records")]


def frame(
    catalog: Catalog,
    client: Client,
    field: str,
    settings: FrameSettings,
    reference: ReferenceSettings | None = None,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Make the master frames of a field from all its measured exposures.

    Parameters
    ----------
    reference
        Catalog the frames are tied to; without one they lie where the headers put them.
    fresh
        Make them again though nothing changed.

    Raises
    ------
    UnusableError
        Without measured exposures, or where they are of several fields and none is chosen; where none can be placed.
    """
    job = _Job(catalog, field, settings, reference)
    report = Report("frame")
    if job.beyond:
        report.notes.append({"exposure": field, "note": job.beyond})
    _sweep(job)
    made = catalog.manifest.provenance.get("frame", {}).get(field, {})
    if made.get("digest") == job.digest and not fresh and catalog.store.exists(job.target["master"]):
        with catalog.store.open(_TIES.format(job.target["transforms"])) as file:
            solved = read_table(file, TRANSFORMS)
        _note(report, solved)
        report.skipped = len(job.rows) - len(report.rejected)
        return report
    if fresh and catalog.store.exists(job.folder):
        catalog.store.remove(job.folder)
    if not fresh:
        _keep(job, made)
    solved = _solve(job, client, progress)
    _note(report, solved)
    placed = solved[solved["status"] == "ok"]
    if placed.empty:
        job.store.remove(job.staging)
        one = report.rejected[0]
        found = f"none of {len(job.rows)} exposures that could be placed; {one['exposure']}: {one['reason']}"
        raise UnusableError(f"frame {field}", found, "one at least")
    _place(job, client, placed, progress)
    counts = _gather(job, client, placed, progress)
    report.done = int((placed["detector"] != "").sum())
    _publish(job, catalog, solved, counts)
    if job.known is not None:
        report.notes += [{"exposure": job.known.name, "note": note} for note in job.known.notes]
    return report


def _sweep(job: _Job) -> None:
    """Remove what runs staged that were killed, of other exposures, settings or versions: no run goes on with it."""
    staged = {path.split("/")[3] for path in job.store.list(job.staging) if path.count("/") > 3}
    for name in sorted(staged - {job.digest}):
        job.store.remove(f"{job.staging}/{name}")


def _label(key: FrameKey) -> str:
    return "_".join((key.instrument, key.filter, key.epoch_name))


def _keep(job: _Job, made: Mapping[str, Any]) -> None:
    """Take over the solutions of frames whose exposures are what they were, while others of the field are not."""
    ties = _TIES.format(job.target["transforms"])
    same = [key for key in job.keys if made.get("solved", {}).get(_label(key)) == job.solved[_label(key)]]
    if not made.get("digest") or not same or not job.store.exists(ties):
        return
    with job.store.open(ties) as file:
        every = read_table(file, TRANSFORMS)
    for key in same:
        mine = (every["instrument"] == key.instrument) & (every["filter"] == key.filter) & (every["epoch"] == key.epoch)
        rows, place = every[mine].reset_index(drop=True), transform_file(job.folder, key)
        if len(rows) and not job.store.exists(place):
            job.store.commit(place, partial(write_table, rows, TRANSFORMS))


def _solve(job: _Job, client: Client, progress: Progress | None) -> pd.DataFrame:
    """TRANSFORMS of every frame."""
    epochs = sorted({key.epoch for key in job.keys})
    staged = stage_sources(job.store, f"{job.folder}/reference", job.known, job.reference, epochs)
    due = {}
    for key, index in job.keys.items():
        if not job.store.exists(transform_file(job.folder, key)):
            paths = [job.paths[k] for k in index]
            due[_label(key)] = (
                job.store, job.folder, job.rows.iloc[index], paths, staged[key.epoch], key, job.plane, job.settings,
            )  # fmt: skip
    run_all(client, "frame", solve_frame, due, progress)
    parts = []
    for key in job.keys:
        with job.store.open(transform_file(job.folder, key)) as file:
            parts.append(read_table(file, TRANSFORMS))
    return pd.concat(parts, ignore_index=True)


def _note(report: Report, solved: pd.DataFrame) -> None:
    for row in solved[solved["status"] != "ok"].itertuples():
        report.rejected.append({"exposure": row.exposure, "path": "", "reason": row.status})


def _place(job: _Job, client: Client, placed: pd.DataFrame, progress: Progress | None) -> None:
    """Stage the stars of every exposure by tile."""
    frame_of = {(k.instrument, k.filter, k.epoch): n for n, k in enumerate(job.keys)}
    number_of = {key: n for n, key in enumerate(zip(job.rows["exposure"], job.rows["detector"], strict=True))}
    n_epochs = len({key.epoch for key in job.keys})
    due = {}
    for row in placed.to_dict("records"):
        number = number_of.get((row["exposure"], row["detector"]))
        if number is None:  # a reference catalog's row
            continue
        if reached(job.store, *placed_files(job.folder, number)) is not None:  # done by a run that was killed
            continue
        frame_number = frame_of[row["instrument"], row["filter"], row["epoch"]]
        due[f"{row['exposure']}-{row['detector']}"] = (
            job.store, job.folder, job.paths[number], row, frame_number, number, n_epochs, job.settings,
        )  # fmt: skip
    run_all(client, "place", place_exposure, due, progress)


def _gather(job: _Job, client: Client, placed: pd.DataFrame, progress: Progress | None) -> dict[str, int]:
    """Stage MASTER and MATCHES by tile; how many stars each frame has."""
    parts = _parts(job)
    done = _gathered(job, parts)
    names, keys = shared(job.rows, placed), list(job.keys)
    least = [_least(job.settings, placed, key) for key in keys]
    due = {
        f"{i}_{j}": (
            job.store, job.folder, job.field, (i, j), parts[i, j], keys, least, names, job.plane, job.settings
        )
        for i, j in sorted(parts)
        if f"{i}_{j}" not in done
    }  # fmt: skip
    run_all(client, "gather", gather_tile, due, progress)
    counts = dict.fromkeys(("_".join((k.instrument, k.filter, k.epoch_name)) for k in keys), 0)
    for tile in parts:
        for number, n in read_json(job.store, tile_record(job.folder, tile))["stars"].items():
            counts[list(counts)[int(number)]] += n
    return counts


def _gathered(job: _Job, tiles: Iterable[tuple[int, int]]) -> set[str]:
    """Names of the tiles that a run which was killed had finished, and perhaps moved to their places."""
    found = {f"{i}_{j}": whole_record(job.store, tile_record(job.folder, (i, j))) for i, j in tiles}
    records = {name: record for name, record in found.items() if record is not None}
    return finished(job.store, job.folder, records, (job.target["matches"], job.target["master"]))


def _parts(job: _Job) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """For each tile the files of staged stars that reach it, and the numbers of their batches that do."""
    found: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for number in range(len(job.rows)):
        stars, record = placed_files(job.folder, number)
        for batch, (i, j) in enumerate(reached(job.store, stars, record) or ()):
            found.setdefault((i, j), []).append((stars, batch))
    return found


def _least(settings: FrameSettings, placed: pd.DataFrame, key: FrameKey) -> int:
    """Exposures a star must be in: all there are where these are fewer than the setting."""
    of = (placed["instrument"] == key.instrument) & (placed["filter"] == key.filter) & (placed["epoch"] == key.epoch)
    return max(1, min(settings.min_found, int((of & (placed["detector"] != "")).sum())))


def _publish(job: _Job, catalog: Catalog, solved: pd.DataFrame, counts: dict[str, int]) -> None:
    """Move the three datasets of the field to their places, and record what they were made from."""
    job.store.check_writer()  # another that took the catalog over has cleared what was staged
    if not any(counts.values()):
        raise UnusableError(f"frame {job.field}", "no star in enough exposures", f"{job.settings.min_found} exposures")
    ties = f"{job.folder}/{_TIES.format(job.target['transforms'])}"
    solved = TRANSFORMS.conform(solved)
    job.store.commit(ties, lambda file: write_table(solved, TRANSFORMS, file))
    known = catalog.manifest.provenance.get("frame", {})
    if job.field in known:  # until all are moved, what is there is neither the old nor the new
        catalog.write_manifest(
            catalog.manifest.with_stage("frame", {**known, job.field: known[job.field] | {"digest": ""}})
        )
    for place in (field_path(dataset, job.field) for dataset in (*SCALE_TABLES, "motions", "zero_points")):
        if job.store.exists(place):  # went with the old frames, as matches do
            job.store.remove(place)
    for place in job.target.values():
        staged = f"{job.folder}/{place}"
        if job.store.exists(staged):  # a run that was killed here has moved some of them
            job.store.publish(staged, place)
    entry = {
        "digest": job.digest,
        "plane": vars(job.plane),
        "settings": job.settings.model_dump(mode="json"),
        "reference": job.reference and job.reference.model_dump(mode="json"),
        "stars": counts,
        "versions": versions(),
        "made_of": job.made_of,
        "solved": job.solved,
        "files": record_files(
            catalog, "frame", job.field, [path for place in job.target.values() for path in job.store.list(place)]
        ),
    }
    manifest = catalog.manifest.with_stage("frame", {**known, job.field: entry})
    for stage in ("match", "motion"):
        made = manifest.provenance.get(stage, {})
        if job.field in made:  # went with the old frames
            manifest = manifest.with_stage(stage, {name: entry for name, entry in made.items() if name != job.field})
    catalog.write_manifest(manifest)
    job.store.remove(job.staging)
