"""Columns of MEASUREMENTS that follow from a distortion, written anew where it changed; nothing is fitted again.

EXPOSURES records under `corrected_with` what an exposure's columns were made with. A run that is killed leaves each
table as it was or as it should be, and in the journal what it takes to tell.
"""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import pandas as pd
from distributed import Client

from catalogs.catalog import Catalog, measurement_path
from catalogs.parquet import read_table, write_table
from catalogs.store import Store
from catalogs.tables import EXPOSURES, MEASUREMENTS
from compute.graph.apply import Progress, apply
from compute.graph.client import WarmKernels
from compute.graph.journal import Journal
from compute.graph.publish import is_table, record_key
from compute.stages.distortion import (
    Calibration,
    choose_calibration,
    corrected,
    has_own_area,
    own_calibrations,
    uncorrected,
)

_STAGE, _KERNELS = "correct", "compute.kernels.geometry.distortion"
_AREA = "+area"  # at the end of `corrected_with`: mag_area, too, comes from the distortion
_Record = dict[str, Any]


class Correction(NamedTuple):
    """What came of one exposure: whether its table was written anew, with what, and a word where there is one."""

    exposure: str
    key: str
    done: bool
    calibration: Calibration | None
    note: str | None


def correction_digest(calibration: Calibration) -> str:
    """Sixteen hex digits of a distortion and the code that applies it."""
    return hashlib.sha256(f"{calibration.sha256} {version('piazzi')}".encode()).hexdigest()[:16]


def corrected_digests(rows: pd.DataFrame) -> pd.Series:
    """Digests of the distortions that rows of EXPOSURES are corrected with; missing where there is none."""
    return rows["corrected_with"].str.removesuffix(_AREA)


def recover_corrections(catalog: Catalog) -> None:
    """Write into EXPOSURES what a run that was killed while publishing corrections had moved, and forget the rest."""
    rows, journal, found = catalog.exposures, Journal(catalog.store, _STAGE), {}
    records = journal.read()
    for row in rows[rows["n_stars"].notna()].to_dict("records") if records else ():
        key = record_key(row["exposure"], row["detector"])
        record = records.get(key)
        if record is None or any(record[name] != row[name] for name in ("sha256", "measured_with")):
            continue
        if is_table(catalog.store, measurement_path(row), record):
            found[key] = record
    if found:
        _note(catalog, found)
    journal.clear()


def correct(
    catalog: Catalog,
    client: Client,
    files: Sequence[str] | None,
    given: Sequence[Calibration],
    progress: Progress | None = None,
) -> list[Correction]:
    """Bring measured exposures in line with the first calibration that suits each.

    Parameters
    ----------
    files
        Only exposures that came from these; None for all.
    given
        What to choose from; without any, the catalog's own, the newest first.

    Returns
    -------
    What came of each exposure, also of those that were in line already.
    """
    rows = catalog.exposures
    there = (rows["status"] == "ok") & rows["n_stars"].notna()
    rows = rows[there if files is None else there & rows["path"].isin(files)]
    cameras = rows[["instrument", "detector", "filter"]].itertuples(index=False, name=None)
    choice = given or own_calibrations(catalog.store, cameras)
    chosen, work = {}, {}
    for row in rows.to_dict("records"):
        key = record_key(row["exposure"], row["detector"])
        calibration = chosen[key] = choose_calibration(choice, row)
        wanted = correction_digest(calibration) if calibration else None
        before = None if pd.isna(row["corrected_with"]) else row["corrected_with"]
        if wanted != (before and before.removesuffix(_AREA)):
            record = {"key": key, "sha256": row["sha256"], "measured_with": row["measured_with"], "wanted": wanted}
            work[key] = (catalog.store, measurement_path(row), record, before, calibration)
    failures = _carry_out(catalog, client, work, progress) if work else {}
    found = []
    for row, (key, calibration) in zip(rows.itertuples(), chosen.items(), strict=True):
        note = failures.get(key)
        if given and calibration is None:
            note = f"not corrected: none of {', '.join(each.name for each in given)} is for this exposure"
        found.append(Correction(row.exposure, key, key in work and not failures[key], calibration, note))
    return found


def _carry_out(
    catalog: Catalog, client: Client, work: Mapping[str, tuple], progress: Progress | None
) -> dict[str, str | None]:
    """Compute, then publish all at once; by key, what kept it from being done or None."""
    client.register_plugin(WarmKernels(_KERNELS))
    outcomes = {each.key: each for each in apply(client, _STAGE, correct_table, work, progress)}
    records = {key: outcomes[key].result for key in work if outcomes[key].failure is None}
    for key, record in records.items():
        catalog.store.publish(record["staged"], work[key][1])
    _note(catalog, records)
    Journal(catalog.store, _STAGE).clear()
    return {key: outcome.failure for key, outcome in outcomes.items()}


def correct_table(
    store: Store, place: str, record: _Record, before: str | None, calibration: Calibration | None
) -> _Record:
    """Stage the table at `place` as it should be, and a record of it.

    `before` is what it is corrected with now; without a `calibration` it becomes as it was before there was one.
    """
    with store.open(place) as file:
        stars = read_table(file, MEASUREMENTS)
    own_area = has_own_area(stars) if before is None else not before.endswith(_AREA)
    stars = corrected(stars, calibration, own_area) if calibration else uncorrected(stars, own_area)
    journal, wanted = Journal(store, _STAGE), record["wanted"]
    staged = journal.path(record["key"], f".{record['measured_with']}-{record['sha256'][:16]}-{wanted}.parquet")
    corrected_with = wanted if own_area or wanted is None else f"{wanted}{_AREA}"
    record = record | {"staged": staged, "corrected_with": corrected_with}
    store.commit(staged, lambda file: write_table(MEASUREMENTS.conform(stars), MEASUREMENTS, file))
    record["table_sha256"] = store.sha256(staged)
    journal.write(record["key"], record)
    return record


def _note(catalog: Catalog, found: Mapping[str, _Record]) -> None:
    """Write into EXPOSURES what exposures are corrected with, and the digests of their tables; records by key."""
    rows = catalog.exposures
    keys = [record_key(row.exposure, row.detector) if row.status == "ok" else "" for row in rows.itertuples()]
    for name in ("corrected_with", "table_sha256"):
        rows[name] = [found[key].get(name) if key in found else had for key, had in zip(keys, rows[name], strict=True)]
    catalog.write_exposures(EXPOSURES.conform(rows))
