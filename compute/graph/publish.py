"""From finished tasks to the catalog, and what a killed run left in between."""

from typing import Any

import pandas as pd

from catalogs.catalog import Catalog, measurement_path
from catalogs.errors import UnusableError
from catalogs.readers.names import path_key
from catalogs.tables import EXPOSURES
from compute.graph.entering import entered
from compute.graph.journal import Journal

_MEASURED = ["n_stars", "n_saturated", "qfit_median", "core_fraction"]


def record_key(exposure: str, detector: str) -> str:
    """Name of an exposure's record; both parts came from a header or a file name."""
    return path_key(f"{exposure}--{detector}", "exposure")


def recover(catalog: Catalog, journal: Journal) -> pd.DataFrame:
    """EXPOSURES as it would be had a run that was killed while publishing lived to say what it had moved."""
    rows, records = catalog.exposures, journal.read()
    if not records:
        return rows
    moved = 0
    for row in rows[entered(rows)].itertuples():
        key = record_key(row.exposure, row.detector)
        record = records.get(key, {"status": "none"})
        if record["status"] != "ok" or record["sha256"] != row.sha256 or record["measured_with"] == row.measured_with:
            continue
        staged, place = journal.table(key, record), measurement_path(row._asdict())
        if catalog.store.exists(place) and not catalog.store.exists(staged):
            moved += _note(rows, row.Index, record, record["measured_with"])
    if moved:
        rows = EXPOSURES.conform(rows)
        catalog.write_exposures(rows)
    return rows


def take_staged(catalog: Catalog, journal: Journal, due: pd.DataFrame, digest: str) -> dict[str, dict[str, Any]]:
    """Records of an interrupted run that still hold: same bytes, settings, ePSFs and code, and their table is there."""
    wanted = {record_key(row.exposure, row.detector): row.sha256 for row in due.itertuples()}
    records = {}
    for key, record in journal.read().items():
        if record["measured_with"] != digest or record["sha256"] != wanted.get(key):
            continue
        if record["status"] == "rejected" or catalog.store.exists(journal.table(key, record)):
            records[key] = record
    return records


def publish(
    catalog: Catalog,
    rows: pd.DataFrame,
    due: pd.DataFrame,
    records: dict[str, dict[str, Any]],
    journal: Journal,
    digest: str,
) -> pd.DataFrame:
    """Move staged tables to their places, then commit EXPOSURES, which is what makes them part of the catalog.

    `due` are the rows of EXPOSURES that `records` are about. UnusableError where a worker's table is not to be seen.
    """
    rows, refused = rows.copy(), []
    for row in due.itertuples():
        key, place = record_key(row.exposure, row.detector), measurement_path(row._asdict())
        record = records[key]
        if _note(rows, row.Index, record, digest):
            staged = journal.table(key, record)
            if not catalog.store.exists(staged):
                raise UnusableError(catalog.store.locate(staged), "nothing", "a table; workers must share this folder")
            catalog.store.publish(staged, place)
        else:
            refused.append(place)
    rows = EXPOSURES.conform(rows)
    catalog.write_exposures(rows)
    for place in refused:
        if catalog.store.exists(place):
            catalog.store.remove(place)
    return rows


def _note(rows: pd.DataFrame, index: Any, record: dict[str, Any], digest: str) -> bool:
    """Write into its row what came of measuring an exposure; whether it was measured."""
    ok = record["status"] == "ok"
    rows.loc[index, ["status", "reason", "measured_with"]] = [record["status"], record["reason"], digest]
    rows.loc[index, _MEASURED] = [record[name] if ok else float("nan") for name in _MEASURED]
    return ok
