"""What workers run: one file each, its results committed before the task ends."""

import hashlib
import re
from pathlib import PurePath
from typing import Any

import pandas as pd

from catalogs.cubes import write_epsf
from catalogs.errors import UnusableError
from catalogs.exposure import Exposure
from catalogs.parquet import write_table
from catalogs.readers import read_exposures
from catalogs.store import Store
from catalogs.tables import MEASUREMENTS
from compute.graph.journal import Journal
from compute.graph.sources import stamp
from compute.graph.ways import Way
from compute.settings import MeasureSettings, PerturbSettings
from compute.stages.epsf import epsf
from compute.stages.ingest import file_digest, ingest
from compute.stages.library import Library, choose_library
from compute.stages.measure import measure
from compute.stages.perturb import perturb


def task_name(path: str) -> str:
    """Name of a file's task and of its record in a journal: readable, safe in a path, different for every path."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", PurePath(path).name.split(".")[0])[:80]
    return f"{stem}-{hashlib.sha256(path.encode()).hexdigest()[:12]}"


def ingest_file(path: str, known: str | None, store: Store) -> dict[str, Any]:
    """Ingest one file and record its rows; ``rows`` is None where the bytes are the known ones."""
    evidence = stamp(path)
    rows = ingest(path, known)
    record: dict[str, Any] = {"path": path, "stamp": evidence, "rows": None}
    if rows is not None:
        record["rows"] = [{k: _plain(v) for k, v in row.items()} for row in rows.to_dict("records")]
        Journal(store, "ingest").write(task_name(path), record)
    return record


def _plain(value: Any) -> Any:
    """A cell as JSON has it: missing values are None, numbers Python's own."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def measure_file(
    path: str,
    sha256: str,
    wanted: dict[str, tuple[str, Way]],
    store: Store,
    settings: MeasureSettings,
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Measure the detectors of one file, staging a table and a record for each.

    `wanted` maps detectors to the names of their records and how they are to be measured. An exposure that cannot be
    measured gets a record with its reason; it never keeps the others of its file from theirs.
    """
    journal, records = Journal(store, "measure"), []
    try:
        exposures = {e.header.detector: e for e in _unchanged(path, sha256)}
        failure = f"measure: {path}: found no such detector, expected the one that was ingested"
    except UnusableError as error:
        exposures, failure = {}, str(error)
    for detector, (key, how) in sorted(wanted.items()):
        record: dict[str, Any] = {"path": path, "detector": detector, "sha256": sha256, "measured_with": how.digest}
        if detector in exposures:
            record |= _measure(
                exposures[detector],
                store,
                settings,
                how.libraries,
                journal.table(key, record),
                journal.cube(key, record),
                threads,
            )
        else:
            record |= {"status": "rejected", "reason": failure}
        journal.write(key, record)
        records.append(record)
    return records


def _unchanged(path: str, sha256: str) -> tuple[Exposure, ...]:
    """The exposures of a file whose bytes are still those that were ingested."""
    found = file_digest(path)
    if found != sha256:
        raise UnusableError(f"measure: {path} sha256", found[:12], f"{sha256[:12]}, as it was ingested")
    return read_exposures(path)


def _measure(
    exposure: Exposure,
    store: Store,
    settings: MeasureSettings,
    libraries: tuple[Library, ...],
    staged: str,
    staged_cube: str,
    threads: int,
) -> dict[str, Any]:
    """Measure one exposure with its library or an ePSF of its own; stage the table, and the ePSF if it is its own."""
    try:
        library = choose_library(libraries, exposure.header) if libraries else None
        cube = library or epsf(exposure, settings.own_epsf)
        if library is not None and settings.perturb:
            cube = perturb(exposure, library, PerturbSettings(zones=settings.perturb))
        stars, summary = measure(exposure, cube, settings, threads)
    except UnusableError as error:
        return {"status": "rejected", "reason": " ".join(str(error).split())}
    own, digests = cube is not library, dict[str, str | None](epsf_sha256=None)
    if own:
        write_epsf(store, staged_cube, cube)
        digests["epsf_sha256"] = store.sha256(staged_cube)
    store.commit(staged, lambda file: write_table(stars, MEASUREMENTS, file))
    digests["table_sha256"] = store.sha256(staged)
    note = f"rough ePSF, better give a library ({cube.source})" if cube.extra.get("rough") else None
    return {"status": "ok", "reason": None, "own_epsf": own, "note": note, **digests, **summary}
