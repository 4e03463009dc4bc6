"""Stage `calibrate` on a cluster: cut stars out of every exposure, then solve for each camera's ePSF."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from distributed import Client

from catalogs.catalog import Catalog, calibration_path
from catalogs.cubes import read_epsf, write_epsf
from catalogs.errors import UnusableError
from catalogs.exposure import Exposure
from catalogs.readers import read_exposures
from catalogs.store import Store
from compute.graph.apply import Progress, apply
from compute.graph.entering import entered
from compute.graph.pipeline import Report, versions
from compute.graph.tasks import task_name
from compute.settings import CalibrateSettings, EpsfSettings, FrameSettings
from compute.stages.calibrate.build import build
from compute.stages.cutting import Cut, cut
from compute.stages.epsf import epsf
from compute.stages.frame.groups import frames, lay_plane
from compute.stages.ingest import file_digest

__all__ = ["calibrate"]

_FIRST = EpsfSettings(grid=1, passes=3)  # good enough to find stars and take neighbours away
_GAP = 0.25  # [yr] between exposures of one epoch and the next


def calibrate(
    catalog: Catalog,
    client: Client,
    settings: CalibrateSettings,
    *,
    threads: int = 1,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Build the library ePSFs of a catalog: one for each detector, filter and epoch with dithered exposures.

    A camera whose exposures share too few stars is told in the report, with the numbers, and the others go on. What was
    built from the same exposures and settings is left alone unless `fresh`. `threads`, inside each solution, change no
    result.
    """
    report, store = Report("calibrate"), catalog.store
    rows = catalog.exposures
    rows = rows[entered(rows)].sort_values(["exposure", "detector"], kind="stable", ignore_index=True)
    known = catalog.manifest.provenance.get("calibrate", {})
    made = {}
    for detector in sorted(rows["detector"].unique()):
        of = rows[rows["detector"] == detector].reset_index(drop=True)
        for key, index in frames(of, _GAP).items():
            group = of.iloc[index].reset_index(drop=True)
            place = calibration_path("epsf", key.instrument, detector, key.filter, f"{key.epoch_name}-built")
            inputs = group[["exposure", "sha256"]].to_numpy().tolist()
            made[place] = settings.digest(place, json.dumps([inputs, versions()])), group
    due = {
        place: (digest, group) for place, (digest, group) in made.items()
        if fresh or known.get(place, {}).get("digest") != digest or not store.exists(place)
    }  # fmt: skip
    report.skipped = sum(len(group) for place, (_, group) in made.items() if place not in due)
    told = _solve(store, client, due, settings, threads, report, progress)
    if told:
        catalog.write_manifest(catalog.manifest.with_stage("calibrate", {**known, **told}))
    return report


def _solve(
    store: Store, client: Client, due: dict, settings: CalibrateSettings, threads: int, report: Report, progress
) -> dict:
    """First ePSFs, stamps, and solutions of the cameras due; what the manifest is to say of each."""
    folder = f".staging/calibrate/{settings.digest()}"
    first, cuts, solved = {}, {}, {}
    for place, (digest, group) in due.items():
        middle = group.iloc[len(group) // 2]
        start = f"{folder}/{digest}/first.zarr"
        if not store.exists(start):
            first[place] = (store, start, middle["path"], middle["sha256"], middle["detector"])
        for row in group.itertuples():
            where = f"{folder}/{digest}/{task_name(row.path)}.npz"
            if not store.exists(where):
                cuts[f"{row.exposure}-{row.detector}"] = (
                    store, where, start, row.path, row.sha256, row.detector, settings,
                )  # fmt: skip
        solved[place] = (store, place, f"{folder}/{digest}", group, settings, threads)
    broken = _run(client, "first ePSF", _first, first, progress)
    cuts = {key: work for key, work in cuts.items() if store.exists(work[2])}
    lost = _run(client, "cut", _cut, cuts, progress)
    report.rejected += [{"exposure": key, "path": "", "reason": reason} for key, reason in sorted(lost.items())]
    broken |= _run(client, "solve", _build, {p: work for p, work in solved.items() if p not in broken}, progress)
    told = {}
    for place, (digest, group) in due.items():
        if place in broken:
            report.rejected.append({"exposure": place, "path": "", "reason": broken[place]})
            continue
        passes = json.loads(store.read_bytes(f"{folder}/{digest}/passes.json"))
        told[place] = {"digest": digest, "settings": settings.model_dump(mode="json"), "passes": passes}
        told[place]["exposures"] = group["exposure"].tolist()
        report.done += len(group)
        store.remove(f"{folder}/{digest}")
    return told


def _run(client: Client, stage: str, function: Callable, work: dict, progress: Progress | None) -> dict[str, str]:
    """Run tasks whose results are on disk; the reasons of those that failed, by key."""
    ends = apply(client, stage, partial(_told, function), work, progress)
    return {end.key: end.failure or end.result for end in ends if end.failure or end.result}


def _told(function: Callable, *arguments) -> str | None:
    """Call a function; the reason where what it was given cannot be used, for then trying again would not help."""
    try:
        function(*arguments)
    except UnusableError as error:
        return " ".join(str(error).split())
    return None


def _first(store: Store, place: str, path: str, sha256: str, detector: str) -> None:
    """A rough ePSF from one exposure's own stars."""
    write_epsf(store, place, epsf(_exposure(path, sha256, detector), _FIRST))


def _cut(
    store: Store, place: str, start: str, path: str, sha256: str, detector: str, settings: CalibrateSettings
) -> None:
    """The stamps of one exposure."""
    cube = read_epsf(store.locate_url(start), store.storage_options)
    found = cut(_exposure(path, sha256, detector), cube, settings)
    store.commit(place, partial(np.savez, **found._asdict()))


def _build(
    store: Store, place: str, folder: str, group: pd.DataFrame, settings: CalibrateSettings, threads: int
) -> None:
    """The ePSF of one camera from the stamps of its exposures; those that gave none are left out."""
    paths = [f"{folder}/{task_name(path)}.npz" for path in group["path"]]
    there = [store.exists(path) for path in paths]
    cuts = []
    for path in np.array(paths)[there]:
        with np.load(io.BytesIO(store.read_bytes(path))) as file:
            cuts.append(Cut(**file))
    rows = group[there].reset_index(drop=True)
    if rows.empty:
        raise UnusableError("calibrate", "no exposure with bright, lonely stars", "dithered ones")
    found = build(rows, cuts, lay_plane(rows, FrameSettings()), settings, place.rsplit("/", 1)[1], threads)
    since = float(rows["mjd_mid"].min()) - 365.25 * _GAP / 2  # until a later epoch's ePSF begins
    write_epsf(store, place, replace(found.cube, valid_from=since))
    passes = found.passes.to_dict("records")
    store.commit(f"{folder}/passes.json", lambda sink: sink.write(json.dumps(passes).encode()))


def _exposure(path: str, sha256: str, detector: str) -> Exposure:
    """One exposure of a file whose bytes are still those that were ingested."""
    found = file_digest(path)
    if found != sha256:
        raise UnusableError(f"calibrate: {path} sha256", found[:12], f"{sha256[:12]}, as it was ingested")
    for exposure in read_exposures(path):
        if exposure.header.detector == detector:
            return exposure
    raise UnusableError(f"calibrate: {path}", "no such detector", detector)
