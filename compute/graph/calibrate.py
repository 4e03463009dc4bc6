"""Stage `calibrate` on a cluster: cut stars out of every exposure, then solve for each camera's ePSF."""

import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil

import numpy as np
import pandas as pd
from dask.system import CPU_COUNT
from distributed import Client

from catalogs.catalog import Catalog, calibration_path
from catalogs.cubes import EpsfCube, read_epsf, write_epsf
from catalogs.errors import UnusableError
from catalogs.exposure import Exposure
from catalogs.readers import read_exposures
from catalogs.store import Store
from compute.graph.apply import Progress, apply
from compute.graph.entering import entered
from compute.graph.made import record_cube, sweep_staging, versions
from compute.graph.pipeline import Report
from compute.graph.tasks import task_name
from compute.settings import CalibrateSettings, EpsfSettings, FrameSettings
from compute.stages.calibrate.build import Built, build
from compute.stages.calibrate.together import build_together
from compute.stages.cutting import Cut, cut
from compute.stages.epsf import epsf
from compute.stages.frame.groups import frames, lay_plane, main_field
from compute.stages.ingest import file_digest

__all__ = ["calibrate"]

_FIRST = EpsfSettings(grid=1, passes=3)  # good enough to find stars and take neighbours away


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
    result; first ePSFs and solutions that leave workers idle have the cores of these on their hosts, too. Beside a cube
    `<name>.zarr` stand `<name>-judged.parquet` and `-samplings.parquet`, and `-control.parquet` where it was asked for:
    what :class:`~compute.stages.calibrate.build.Built` says of how it came about.
    """
    report, store = Report("calibrate"), catalog.store
    rows = catalog.exposures
    rows = rows[entered(rows)].sort_values(["exposure", "detector"], kind="stable", ignore_index=True)
    known = catalog.manifest.provenance.get("calibrate", {})
    made = {}
    for detector in sorted(rows["detector"].unique()):
        of = rows[rows["detector"] == detector].reset_index(drop=True)
        for key, index in frames(of, settings.epoch_gap).items():
            every = of.iloc[index].reset_index(drop=True)
            group = main_field(every, FrameSettings().within)
            if len(group) < len(every):
                left = f"{len(every) - len(group)} exposures far from most others, not used"
                report.notes.append({"exposure": f"{detector} {key.filter} {key.epoch_name}", "note": left})
            place = calibration_path("epsf", key.instrument, detector, key.filter, f"{key.epoch_name}-built")
            inputs = group[["exposure", "sha256"]].to_numpy().tolist()
            made[place] = settings.digest(place, json.dumps([inputs, versions()])), group
    missing = {
        place for place, (digest, _) in made.items()
        if fresh or known.get(place, {}).get("digest") != digest or not store.exists(place)
    }  # fmt: skip
    sets = _sets(made, settings.together)
    due = {place: made[place] for places in sets if missing & set(places) for place in places}
    sets = [places for places in sets if places[0] in due]
    report.skipped = sum(len(group) for place, (_, group) in made.items() if place not in due)
    folder = f".staging/calibrate/{settings.digest()}"
    for place in due if fresh else ():
        if store.exists(staged := f"{folder}/{due[place][0]}"):
            store.remove(staged)
    told = _solve(store, client, folder, due, sets, settings, threads, report, progress)
    if told:
        told = {place: entry | {"files": record_cube(catalog, "calibrate", place)} for place, entry in told.items()}
        catalog.write_manifest(catalog.manifest.with_stage("calibrate", {**known, **told}))
    # Cameras that failed will be tried again, with the stamps there are.
    sweep_staging(store, "calibrate", {f"{folder}/{digest}" for place, (digest, _) in due.items() if place not in told})
    return report


def _sets(made: dict[str, tuple[str, pd.DataFrame]], together: bool) -> list[list[str]]:
    """Places that one solution fills: each by itself, or all filters of a detector and epoch."""
    if not together:
        return [[place] for place in made]
    sets: dict[tuple[str, str], list[str]] = {}
    for place, (_, group) in made.items():
        sets.setdefault((group["detector"].iloc[0], place.rsplit("/", 1)[1]), []).append(place)
    return list(sets.values())


def _solve(
    store: Store, client: Client, folder: str, due: dict, sets: list[list[str]], settings: CalibrateSettings,
    threads: int, report: Report, progress,
) -> dict:  # fmt: skip
    """First ePSFs, stamps, and solutions of the cameras due; what the manifest is to say of each."""
    first, cuts = {}, {}
    for place, (digest, group) in due.items():
        start = f"{folder}/{digest}/first.zarr"
        if not store.exists(start):
            outward = np.argsort(np.abs(np.arange(len(group)) - len(group) // 2), kind="stable")
            first[place] = (store, start, group.iloc[outward][["path", "sha256", "detector"]].to_numpy().tolist())
        for row in group.itertuples():
            where = f"{folder}/{digest}/{task_name(row.path)}.npz"
            if not store.exists(where):
                cuts[f"{row.exposure}-{row.detector}"] = (
                    store, where, start, row.path, row.sha256, row.detector, settings,
                )  # fmt: skip
    spare = _threads(client, len(first), threads)
    begun = {place: (*work, n) for (place, work), n in zip(first.items(), spare, strict=True)}
    broken = _run(client, "first ePSF", _first, begun, progress)
    cuts = {key: work for key, work in cuts.items() if store.exists(work[2])}
    lost = _run(client, "cut", _cut, cuts, progress)
    report.rejected += [{"exposure": key, "path": "", "reason": reason} for key, reason in sorted(lost.items())]
    sound = [places for places in sets if not broken.keys() & set(places)]
    solved = {
        places[0]: (store, [(place, f"{folder}/{due[place][0]}", due[place][1]) for place in places], settings, n)
        for places, n in zip(sound, _threads(client, len(sound), threads), strict=True)
    }
    broken |= _run(client, "solve", _build, solved, progress)
    for places in sets:
        if why := [broken[place] for place in places if place in broken]:
            broken |= dict.fromkeys(places, why[0])
    told = {}
    for place, (digest, group) in due.items():
        if place in broken:
            report.rejected.append({"exposure": place, "path": "", "reason": broken[place]})
            continue
        passes = json.loads(store.read_bytes(f"{folder}/{digest}/passes.json"))
        told[place] = {"digest": digest, "settings": settings.model_dump(mode="json"), "passes": passes}
        told[place]["exposures"] = group["exposure"].tolist()
        report.done += len(group)
    return told


def _threads(client: Client, n: int, threads: int) -> list[int]:
    """Threads for each of `n` tasks, at least `threads`.

    The last of them, when there are fewer left than workers, have those beside theirs, which have nothing else to do.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    hosts = Counter(worker["host"] for worker in workers)
    last = n % len(workers) if workers else 0
    spare = min(hosts.values()) // ceil(last / len(hosts)) if last else 1
    return [max(threads, spare if k >= n - last else 1) for k in range(n)]


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


def _first(store: Store, place: str, exposures: list[tuple[str, str, str]], threads: int) -> None:
    """A rough ePSF from one exposure's own stars: the first of (path, sha256, detector) that can be read."""
    for number, (path, sha256, detector) in enumerate(exposures):
        try:
            cube = epsf(_exposure(path, sha256, detector), _FIRST, min(threads, CPU_COUNT))
        except (UnusableError, OSError):
            if number == len(exposures) - 1:
                raise
        else:
            write_epsf(store, place, cube)
            return


def _cut(
    store: Store, place: str, start: str, path: str, sha256: str, detector: str, settings: CalibrateSettings
) -> None:
    """The stamps of one exposure."""
    cube = read_epsf(store.locate_url(start), store.storage_options)
    found = cut(_exposure(path, sha256, detector), cube, settings)
    store.commit(place, partial(np.savez, **found._asdict()))


def _build(
    store: Store, cameras: list[tuple[str, str, pd.DataFrame]], settings: CalibrateSettings, threads: int
) -> None:
    """The ePSFs of cameras, each with its place, folder of stamps and exposures, all from one solution.

    Exposures that gave no stamps are left out. There are never more `threads` than cores.
    """
    parts, threads = [], min(threads, CPU_COUNT)
    for place, folder, group in cameras:
        paths = [f"{folder}/{task_name(path)}.npz" for path in group["path"]]
        there = [store.exists(path) for path in paths]
        cuts = map(partial(_load, store), np.array(paths)[there])  # one at a time, for most is not kept
        rows = group[there].reset_index(drop=True)
        if rows.empty:
            raise UnusableError("calibrate", "no exposure with bright, lonely stars", "dithered ones")
        parts.append((rows, cuts, place.rsplit("/", 1)[1]))
    rows = pd.concat([rows for rows, *_ in parts], ignore_index=True)
    plane = lay_plane(rows, FrameSettings())
    if len(parts) > 1:
        found = build_together(parts, plane, settings, threads)
    else:
        found = [build(*parts[0][:2], plane, settings, parts[0][2], threads)]
    for (place, folder, group), one in zip(cameras, found, strict=True):
        since = float(group["mjd_mid"].min()) - 365.25 * settings.epoch_gap / 2  # until a later epoch's ePSF begins
        _keep(store, place, folder, replace(one.cube, valid_from=since), one)


def _keep(store: Store, place: str, folder: str, cube: EpsfCube, found: Built) -> None:
    """A cube, what stands beside it, and last what its passes were."""
    write_epsf(store, place, cube)
    tables = {"judged": found.judged, "samplings": found.samplings, "control": found.control}
    for name, table in tables.items():
        beside = f"{place.removesuffix('.zarr')}-{name}.parquet"
        if table is not None:
            store.commit(beside, partial(table.to_parquet, index=False, compression="zstd"))
        elif store.exists(beside):
            store.remove(beside)
    passes = found.passes.astype(object).where(found.passes.notna(), None).to_dict("records")  # JSON has no NaN
    store.commit(f"{folder}/passes.json", lambda sink: sink.write(json.dumps(passes).encode()))


def _load(store: Store, path: str) -> Cut:
    with np.load(io.BytesIO(store.read_bytes(path))) as file:
        return Cut(**file)


def _exposure(path: str, sha256: str, detector: str) -> Exposure:
    """One exposure of a file whose bytes are still those that were ingested."""
    found = file_digest(path)
    if found != sha256:
        raise UnusableError(f"calibrate: {path} sha256", found[:12], f"{sha256[:12]}, as it was ingested")
    for exposure in read_exposures(path):
        if exposure.header.detector == detector:
            return exposure
    raise UnusableError(f"calibrate: {path}", "no such detector", detector)
