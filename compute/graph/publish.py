"""From finished tasks to the catalog, and what a killed run left in between."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from catalogs.catalog import Catalog, measurement_path, own_epsf_path
from catalogs.errors import UnusableError
from catalogs.store import Store
from catalogs.tables import EXPOSURES
from compute.graph.entering import entered
from compute.graph.journal import Journal

_MEASURED = ["n_stars", "n_saturated", "qfit_median", "core_fraction"]
_DIGESTS = ["table_sha256", "epsf_sha256"]


def record_key(exposure: str, detector: str) -> str:
    """Name of an exposure's record; the readers have checked that both parts are fit for a path."""
    return f"{exposure}--{detector}"


def recover(catalog: Catalog, journal: Journal) -> pd.DataFrame:
    """EXPOSURES as it would be had a run that was killed while publishing lived to say what it had moved."""
    rows, records = catalog.exposures, journal.read()
    if not records:
        return rows
    moved = 0
    for row in rows[entered(rows)].itertuples():
        key = record_key(row.exposure, row.detector)
        record = records.get(key)
        if record is None or record["sha256"] != row.sha256:
            continue
        staged, place = journal.table(key, record), measurement_path(row._asdict())
        if record["status"] != "ok" or catalog.store.exists(staged) or not is_table(catalog.store, place, record):
            continue
        if record["measured_with"] != row.measured_with or not pd.isna(row.corrected_with):
            moved += 1
            _note(rows, row.Index, record)
        _settle_epsf(catalog, journal, key, record, row._asdict())
    if moved:
        rows = EXPOSURES.conform(rows)
        catalog.write_exposures(rows)
    return rows


def is_table(store: Store, place: str, record: Mapping[str, Any]) -> bool:
    """Whether the table at `place` is the one that a `record` of its making tells of."""
    return store.exists(place) and store.sha256(place) == record.get("table_sha256")


def take_staged(
    catalog: Catalog, journal: Journal, due: pd.DataFrame, digests: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Records of an interrupted run that still hold: same bytes, settings, ePSF and code, and their table is there.

    `digests` tells of each exposure, by its key, what it shall be measured with.
    """
    wanted = {record_key(row.exposure, row.detector): row.sha256 for row in due.itertuples()}
    records = {}
    for key, record in journal.read().items():
        if record["status"] != "ok" or record["sha256"] != wanted.get(key) or record["measured_with"] != digests[key]:
            continue
        if catalog.store.exists(journal.table(key, record)):
            records[key] = record
    return records


def publish(
    catalog: Catalog,
    rows: pd.DataFrame,
    due: pd.DataFrame,
    records: dict[str, dict[str, Any]],
    journal: Journal,
) -> pd.DataFrame:
    """Move staged tables to their places, then commit EXPOSURES, which is what makes them part of the catalog.

    `due` are the rows of EXPOSURES that `records` are about. An exposure that was measured before and now was refused
    keeps what it has: the reason may lie in the settings, the library or the disk. UnusableError where a worker's table
    is not to be seen; CatalogError where another process has taken the catalog over, and cleared what was staged.
    """
    catalog.store.check_writer()
    rows, measured, refused = rows.copy(), [], []
    for row in due.itertuples():
        key, place = record_key(row.exposure, row.detector), measurement_path(row._asdict())
        record = records[key]
        if record["status"] == "ok":
            staged = journal.table(key, record)
            if not catalog.store.exists(staged):
                raise UnusableError(catalog.store.locate(staged), "nothing", "a table; workers must share this folder")
            catalog.store.publish(staged, place)
            measured.append(row)
        elif row.status == "ok" and not pd.isna(row.n_stars) and catalog.store.exists(place):
            continue
        else:
            refused.append(place)
        _note(rows, row.Index, record)
    rows = EXPOSURES.conform(rows)
    catalog.write_exposures(rows)
    for place in refused:
        if catalog.store.exists(place):
            catalog.store.remove(place)
    for row in measured:
        key = record_key(row.exposure, row.detector)
        _settle_epsf(catalog, journal, key, records[key], row._asdict())
    return rows


def _settle_epsf(catalog: Catalog, journal: Journal, key: str, record: dict[str, Any], row: dict[str, Any]) -> None:
    """Move the ePSF that an exposure built for itself to its place; remove an older one where none was built now."""
    staged, place = journal.cube(key, record), own_epsf_path(row)
    if catalog.store.exists(staged):
        catalog.store.publish(staged, place)
    elif not record.get("own_epsf") and catalog.store.exists(place):
        catalog.store.remove(place)


def _note(rows: pd.DataFrame, index: Any, record: dict[str, Any]) -> None:
    """Write into its row what came of measuring an exposure, which leaves it uncorrected for distortion."""
    ok, names = record["status"] == "ok", ["status", "reason", "measured_with"]
    rows.loc[index, names] = [record[name] for name in names]
    rows.loc[index, "corrected_with"] = None
    rows.loc[index, _DIGESTS] = [record.get(name) if ok else None for name in _DIGESTS]
    rows.loc[index, _MEASURED] = [record[name] if ok else float("nan") for name in _MEASURED]
