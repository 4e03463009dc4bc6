"""Stages on a cluster: what is missing is computed, staged, and published whole."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd
from distributed import Client

from catalogs.catalog import Catalog, measurement_path, own_epsf_path
from compute.graph.apply import Progress, apply
from compute.graph.correcting import Correction, correct, corrected_digests, correction_digest, recover_corrections
from compute.graph.entering import enter, entered
from compute.graph.journal import Journal
from compute.graph.made import solution, versions
from compute.graph.publish import publish, record_key, recover, take_staged
from compute.graph.sources import remember, stamp
from compute.graph.tasks import ingest_file, measure_file, task_name
from compute.graph.ways import Way, way
from compute.settings import MeasureSettings
from compute.stages.distortion import Calibration, find_calibration
from compute.stages.ingest import rejected
from compute.stages.library import find_library, own_libraries

__all__ = ["Report", "ingest", "measure", "recorrect", "versions"]


@dataclass
class Report:
    """What one stage did: what was done anew, left as it was, rejected with reasons, and done with a caution.

    `unit` is what is counted.
    """

    stage: str
    done: int = 0
    skipped: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    unit: str = "exposures"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def ingest(
    catalog: Catalog,
    client: Client,
    files: Sequence[str],
    *,
    replace: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Read files through and enter their exposures; a file already there with the same bytes is left alone.

    A file whose exposure is there with *other* bytes is rejected unless `replace`. With `fresh` every file is entered
    anew.
    """
    report, journal = Report("ingest"), Journal(catalog.store, "ingest")
    files = sorted(set(files))
    old = catalog.exposures
    known = {} if fresh else old[old["status"] == "ok"].groupby("path")["sha256"].first().to_dict()
    staged = {} if fresh else {r["path"]: r for r in journal.read().values() if r["stamp"] == stamp(r["path"])}
    records = {path: staged[path] for path in files if path in staged}
    work = {task_name(p): (p, known.get(p), catalog.store) for p in files if p not in records}
    paths = {key: args[0] for key, args in work.items()}
    for outcome in apply(client, "ingest", ingest_file, work, progress):
        path = paths[outcome.key]
        records[path] = outcome.result or {"rows": [rejected(path, None, outcome.failure)]}

    rows, report.done, report.skipped, refused = enter(
        old, {path: records[path]["rows"] for path in files}, replace, fresh
    )
    report.rejected = [{name: row[name] for name in ("exposure", "path", "reason")} for row in refused]
    catalog.write_exposures(rows)
    _retire(catalog, old, rows)
    remember(catalog, {path: record["stamp"] for path, record in records.items() if "stamp" in record})
    _record(catalog, "ingest", {"inputs": _inputs(rows), "versions": versions()})
    journal.clear()
    return report


def _retire(catalog: Catalog, old: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Remove the tables and ePSFs of exposures whose bytes have been replaced."""
    kept = set(zip(rows["exposure"], rows["detector"], rows["sha256"], strict=True))
    for row in old[old["n_stars"].notna()].to_dict("records"):
        if (row["exposure"], row["detector"], row["sha256"]) in kept:
            continue
        for place in (measurement_path(row), own_epsf_path(row)):
            if catalog.store.exists(place):
                catalog.store.remove(place)


def measure(
    catalog: Catalog,
    client: Client,
    settings: MeasureSettings,
    *,
    epsf: Sequence[str] = (),
    distortion: Sequence[str] = (),
    files: Iterable[str] | None = None,
    threads: int = 1,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Measure the exposures of a catalog that are not yet measured with these settings and ePSFs.

    Those that are, but were corrected with another distortion, get the columns that follow from it written anew.

    Parameters
    ----------
    epsf
        Library ePSFs, STDPSF files or cubes; each exposure takes the first made for it. Without any, it takes the
        newest cube of the catalog that is valid at its time; where there is none either, it builds its own.
    distortion
        STDGDC files or cubes; each exposure takes the first made for it. Without any, it takes the newest cube of the
        catalog that is valid at its time; where there is none either, it stays uncorrected.
    files
        Only exposures that came from these.
    threads
        Threads inside each task, which change no result; for machines with more cores than exposures.
    fresh
        Measure again whatever is there.
    """
    report, journal = Report("measure"), Journal(catalog.store, "measure")
    libraries = tuple(find_library(path) for path in epsf) or own_libraries(catalog.store)
    given = tuple(find_calibration(path) for path in distortion)
    recover_corrections(catalog)
    rows = recover(catalog, journal)
    chosen = None if files is None else list(files)
    usable = entered(rows)
    if chosen is not None:
        usable &= rows["path"].isin(chosen)
        if not rows["path"].isin(chosen).any():
            note = f"none of its {len(rows)} exposures came from the {len(chosen)} files given: ingest these first"
            report.notes.append({"exposure": catalog.store.url, "note": note})
    due = rows[usable]
    ways = {record_key(row.exposure, row.detector): way(settings, libraries, row) for row in due.itertuples()}
    if not fresh:
        tables = set(catalog.store.list("measurements"))
        done = [_stands(row, tables, ways) for row in due.itertuples()]
        report.skipped = sum(done)
        due = due[[not d for d in done]]
    records = {} if fresh else take_staged(catalog, journal, due, {key: one.digest for key, one in ways.items()})
    records |= _compute(client, catalog, due, records, settings, ways, threads, progress)
    published = publish(catalog, rows, due, records, journal)
    for row in due.itertuples():
        record = records[record_key(row.exposure, row.detector)]
        report.done += record["status"] == "ok"
        if record["status"] != "ok":
            report.rejected.append({"exposure": row.exposure, "path": row.path, "reason": record["reason"]})
        elif record["note"]:
            report.notes.append({"exposure": row.exposure, "note": record["note"]})
    _record_measured(catalog, published, settings, ways)
    journal.clear()
    measured = {record_key(row.exposure, row.detector) for row in due.itertuples()}
    for each in recorrect(catalog, client, progress, files=chosen, given=given):
        if each.done and each.key not in measured:
            report.done, report.skipped = report.done + 1, report.skipped - 1
        if each.note:
            report.notes.append({"exposure": each.exposure, "note": each.note})
    return report


def recorrect(
    catalog: Catalog,
    client: Client,
    progress: Progress | None = None,
    *,
    files: Sequence[str] | None = None,
    given: Sequence[Calibration] = (),
) -> list[Correction]:
    """Bring what follows from a distortion in line with the one `given`, or else the catalog's newest; of `files`."""
    corrections = correct(catalog, client, files, given, progress)
    _record_corrections(catalog, corrections)
    return corrections


def _record_corrections(catalog: Catalog, corrections: Sequence[Correction]) -> None:
    """Tell the catalog's manifest which distortions its exposures are corrected with."""
    old = catalog.manifest.provenance.get("correct", {})
    entries = dict(old)
    for each in corrections:
        if each.calibration:
            told: dict[str, Any] = {"distortion": {"path": each.calibration.name, "sha256": each.calibration.sha256}}
            told["made_of"] = {each.calibration.name: solution(catalog, "geometry", each.calibration.name)}
            entries[correction_digest(each.calibration)] = told | {"versions": versions()}
    rows = catalog.exposures
    groups = {name: part for name, part in rows.groupby(corrected_digests(rows)) if name in entries}
    counts = {name: {"inputs": _inputs(part), "rows": int(part["n_stars"].sum())} for name, part in groups.items()}
    if counts or old:
        _record(catalog, "correct", {name: {**entries[name], **count} for name, count in counts.items()})


def _record_measured(catalog: Catalog, rows: pd.DataFrame, settings: MeasureSettings, ways: Mapping[str, Way]) -> None:
    """Tell the catalog's manifest in which ways its exposures are measured, and which of them are the `latest`."""
    past = catalog.manifest.provenance.get("measure", {})
    now = {}
    for one in ways.values():
        solved = {library.path: solution(catalog, "calibrate", library.path) for library in one.libraries}
        told = {"made_of": solved, "latest": True, "versions": versions()}
        now[one.digest] = one.told(settings) | told
    if now:
        past = {digest: {k: v for k, v in entry.items() if k != "latest"} for digest, entry in past.items()}
    entries = {**past, **now}
    groups = {name: part for name, part in rows.groupby("measured_with") if name in entries}
    counts = {name: {"inputs": _inputs(part), "rows": int(part["n_stars"].sum())} for name, part in groups.items()}
    _record(catalog, "measure", {name: {**entries[name], **count} for name, count in counts.items()})


def _stands(row: Any, tables: set[str], ways: Mapping[str, Way]) -> bool:
    """Whether an exposure was already measured in just this way; one that was refused is tried again."""
    digest = ways[record_key(row.exposure, row.detector)].digest
    return row.status == "ok" and row.measured_with == digest and measurement_path(row._asdict()) in tables


def _compute(client, catalog, due, records, settings, ways, threads, progress) -> dict[str, dict[str, Any]]:
    """Measure what has no record yet, a file per task, and return the new records."""
    groups: dict[tuple[str, str], dict[str, tuple[str, Way]]] = {}
    for row in due.itertuples():
        key = record_key(row.exposure, row.detector)
        if key not in records:
            groups.setdefault((row.path, row.sha256), {})[row.detector] = key, ways[key]
    tasks = {task_name(path): (path, sha, wanted) for (path, sha), wanted in groups.items()}
    work = {key: (*args, catalog.store, settings, threads) for key, args in tasks.items()}
    found: dict[str, dict[str, Any]] = {}
    for outcome in apply(client, "measure", measure_file, work, progress):
        path, sha256, wanted = tasks[outcome.key]
        for record in outcome.result or ():
            found[wanted[record["detector"]][0]] = record
        for key, one in wanted.values() if outcome.failure else ():
            failed = {"status": "rejected", "reason": outcome.failure, "sha256": sha256, "measured_with": one.digest}
            found[key] = failed
    return found


def _inputs(rows: pd.DataFrame) -> str:
    """Digest of the exposures and the bytes they came from, in a fixed order."""
    usable = rows[rows["status"] == "ok"]
    names = sorted(zip(usable["exposure"], usable["detector"], usable["sha256"], strict=True))
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def _record(catalog: Catalog, stage: str, entry: dict[str, Any]) -> None:
    """Write what a stage was made from into the catalog's manifest."""
    catalog.write_manifest(catalog.manifest.with_stage(stage, entry))
