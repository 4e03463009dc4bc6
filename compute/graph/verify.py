"""Whether a catalog's files are what was published: digests, rows, columns, and which files belong to nothing."""

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.catalog import EXPOSURES_RECORD, Catalog, measurement_path, own_epsf_path
from catalogs.errors import CatalogError, PiazziError
from catalogs.kinematics import KINEMATICS
from catalogs.masters import MASTER, MATCHES, TRANSFORMS
from catalogs.motions import MOTIONS, ZERO_POINTS, with_magnitudes
from catalogs.records import find_json
from catalogs.scales import SCALE_DIFFERENCES, SCALE_MEANS, SCALES
from catalogs.schema import Table
from catalogs.store import Store
from catalogs.tables import EXPOSURES, MEASUREMENTS
from compute.graph.made import cube_name, read_files

__all__ = ["Verified", "verify"]

_TABLES = {
    "transforms": TRANSFORMS, "matches": MATCHES, "master": MASTER, "scales": SCALES, "scale_means": SCALE_MEANS,
    "scale_differences": SCALE_DIFFERENCES, "motions": MOTIONS, "zero_points": ZERO_POINTS, "kinematics": KINEMATICS,
}  # fmt: skip
_OWN = ("reports/", ".records/", ".staging/", "catalog.json", "exposures/part-0.parquet")
_STAGES = {"motions": "motion", "zero_points": "motion", "kinematics": "kinematics"}  # of datasets; else frame
_STAGES |= dict.fromkeys(("scales", "scale_means", "scale_differences"), "match")
_BY_EXPOSURE = ("ingest", "measure", "correct")  # whose digests are in EXPOSURES
_AT_ONCE = 4  # files read together


class Verified(NamedTuple):
    """A line for each fault; how many files and cubes were looked at, and of how many no digest is known."""

    faults: list[str]
    files: int
    unrecorded: int


class _Expected(NamedTuple):
    """What a file or cube should be; empty or None where nothing is known."""

    sha256: str = ""
    table: Table | None = None
    rows: int | None = None
    exposure: str = ""


def verify(catalog: Catalog, exposures: pd.DataFrame) -> Verified:
    """Read every file of a catalog and compare it with what was recorded when it was published."""
    expected, faults = _measured(exposures)
    lost: set[tuple[str, str]] = set()
    for stage, name, entry in _entries(catalog.manifest.provenance):
        known = read_files(catalog.store, stage, name, entry)
        if known is None and "files" in entry:
            faults.append(
                f".records/{stage}/{name}.json: found none or another, expected the one catalog.json speaks of"
            )
            lost.add((stage, name.split("/")[0]))
        expected |= {path: _Expected(sha256, _table_of(path)) for path, sha256 in (known or {}).items()}
    there = catalog.store.list()
    expected, strangers = _strangers(catalog, there, expected, lost)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        looked = pool.map(lambda item: _look(catalog.store, *item), sorted(expected.items()))
        faults += [f"{path}: {fault}" for path, fault in zip(sorted(expected), looked, strict=True) if fault]
    faults += _look_at_exposures(catalog.store)
    faults += [f"{path}: found a file that no record knows, expected none" for path in strangers]
    return Verified(faults, len(expected), sum(not one.sha256 for one in expected.values()))


def _measured(exposures: pd.DataFrame) -> tuple[dict[str, _Expected], list[str]]:
    """Tables and ePSFs that EXPOSURES tells of, and rows that cannot have any."""
    expected: dict[str, _Expected] = {}
    faults = []
    rows = exposures[(exposures["status"] == "ok") & exposures["n_stars"].notna()]
    for row in rows.to_dict("records"):
        digests = ["" if pd.isna(row[name]) else row[name] for name in ("table_sha256", "epsf_sha256")]
        try:
            place = measurement_path(row)
        except PiazziError as error:
            faults.append(f"exposures: {error}")
            continue
        expected[place] = _Expected(digests[0], MEASUREMENTS, int(row["n_stars"]), row["exposure"])
        if digests[1]:
            expected[own_epsf_path(row)] = _Expected(digests[1])
    return expected, faults


def _entries(provenance: Mapping[str, Mapping]) -> Iterable[tuple[str, str, Mapping]]:
    """Stage, name of its record, and entry of all that the manifest says was published."""
    for stage, entries in provenance.items():
        if stage in ("calibrate", "geometry"):
            yield from ((stage, cube_name(place), entry) for place, entry in entries.items())
        elif stage == "match":
            yield from (
                (stage, f"{field}/{name}", entry) for field, some in entries.items() for name, entry in some.items()
            )
        elif stage not in _BY_EXPOSURE:
            yield from ((stage, field, entry) for field, entry in entries.items() if isinstance(entry, Mapping))


def _table_of(path: str) -> Table | None:
    return _TABLES.get(path.split("/", 1)[0]) if path.endswith(".parquet") else None


def _strangers(
    catalog: Catalog, there: Iterable[str], expected: dict[str, _Expected], lost: Collection[tuple[str, str]]
) -> tuple[dict[str, _Expected], list[str]]:
    """Files that no record knows. Those of stages without a record, or with a lost one, are looked at all the same."""
    cubes = tuple(f"{path}/" for path in expected if path.endswith(".zarr"))
    old, strangers = dict[str, _Expected](), set[str]()
    for path in there:
        if path in expected or path.startswith((*_OWN, *cubes)):
            continue
        if not _unrecorded(catalog, path, lost):
            strangers.add(path)
        elif ".zarr/" in path:
            old[path[: path.index(".zarr/") + 5]] = _Expected()
        else:
            old[path] = _Expected(table=_table_of(path))
    return expected | old, sorted(strangers)


def _unrecorded(catalog: Catalog, path: str, lost: Collection[tuple[str, str]]) -> bool:
    """Whether a file is of a stage that recorded no digests, or whose record is lost, or a cube that was put there."""
    dataset, *folders = path.split("/")
    others = dataset in catalog.manifest.datasets and dataset not in (*_TABLES, "exposures", "measurements", "cubes")
    if others or (dataset == "cubes" and len(folders) > 2):
        return True
    if dataset not in _TABLES or not folders or not folders[0].startswith("field="):
        return False
    stage, field = _STAGES.get(dataset, "frame"), folders[0].removeprefix("field=")
    entry = catalog.manifest.provenance.get(stage, {}).get(field, {})
    entries = list(entry.values()) if stage == "match" else [entry] if entry else []
    if (stage, field) in lost or (dataset == "matches" and ("match", field) in lost):
        return True
    return any("files" not in one for one in entries)


def _look(store: Store, path: str, expected: _Expected) -> str | None:
    """What is wrong with a file or cube, None where nothing is."""
    try:
        found = store.sha256(path)
    except FileNotFoundError:
        return "found nothing, expected a file, for there is a record of it"
    except OSError as error:
        return f"found {error}, expected a file that can be read"
    if expected.sha256 and found != expected.sha256:
        fault = f"found sha256 {found[:12]}, expected {expected.sha256[:12]}, as it was published"
        return "; ".join([fault, *_table_faults(store, path, expected)])
    return "; ".join(_table_faults(store, path, expected)) or None


def _table_faults(store: Store, path: str, expected: _Expected) -> list[str]:
    """What is wrong with the content of a table."""
    if not path.endswith(".parquet"):
        return []
    try:
        with store.open(path) as file, pq.ParquetFile(file, page_checksum_verification=True) as table:
            return _content_faults(table, expected)
    except (OSError, pa.ArrowException) as error:
        return [f"found {' '.join(str(error).split())}, expected a Parquet file"]


def _content_faults(table: pq.ParquetFile, expected: _Expected) -> list[str]:
    faults = []
    if expected.table is not None:
        faults += _schema_faults(table.schema_arrow, expected.table)
    if expected.rows is not None and table.metadata.num_rows != expected.rows:
        faults.append(f"found {table.metadata.num_rows} rows, expected {expected.rows}, as EXPOSURES tells")
    for group in table.iter_batches(batch_size=100_000):  # all of it, for the checksums of its pages
        if expected.exposure and "exposure" in group.schema.names:
            names = set(group["exposure"].unique().to_pylist())
            if names - {expected.exposure}:
                faults.append(
                    f"found stars of {', '.join(map(str, sorted(names)))}, expected those of {expected.exposure}"
                )
                break
    return faults


def _schema_faults(found: pa.Schema, table: Table) -> list[str]:
    """Columns that are absent, of another type, or none of the table's."""
    if table is MOTIONS:
        table = with_magnitudes([name.removeprefix("mag_") for name in found.names if name.startswith("mag_")])
    types, faults = {field.name: field.type for field in found}, []
    for column in table.columns:
        if column.name not in types and not column.nullable:
            faults.append(f"found no column {column.name}, expected one of {table.name}")
        elif types.get(column.name, column.arrow_type) != column.arrow_type:
            faults.append(f"found column {column.name} as {types[column.name]}, expected {column.arrow_type}")
    strange = [name for name in types if name not in table.names]
    return faults + [f"found column {name}, expected none of that name in {table.name}" for name in strange]


def _look_at_exposures(store: Store) -> list[str]:
    path = "exposures/part-0.parquet"
    if not store.exists(path):
        return []
    faults = [f"{path}: {fault}" for fault in _table_faults(store, path, _Expected(table=EXPOSURES))]
    try:
        record = find_json(store, EXPOSURES_RECORD)
    except CatalogError as error:
        return [*faults, str(error)]
    found = store.sha256(path)
    if record is not None and found not in record.get("sha256", ()):  # catalogs of before have none
        expected = " or ".join(digest[:12] for digest in record.get("sha256", ()))
        faults.append(f"{path}: found sha256 {found[:12]}, expected {expected}, as it was written")
    return faults
