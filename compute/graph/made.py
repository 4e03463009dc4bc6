"""What a stage was made of, and digests of what it published: `status` tells from these what is stale or damaged."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import pandas as pd

from catalogs.catalog import Catalog
from catalogs.records import find_json, read_json
from catalogs.store import Store

__all__ = [
    "INPUTS", "LIBRARIES", "cube_name", "entered", "exposures_made_of", "file_digests", "read_files", "record_cube",
    "record_files", "record_report", "reported", "solution", "stage_digests", "sweep_staging", "versions",
]  # fmt: skip

INPUTS = ["sha256", "measured_with", "corrected_with"]  # of EXPOSURES: what frames depend on
LIBRARIES = ("numpy", "scipy", "numba", "astropy", "pandas", "pyarrow")  # that results depend on
_RECORDS, _REPORTED = ".records", "reports/made_of.json"
_AT_ONCE = 4  # files read together


def versions() -> dict[str, str]:
    """Versions of piazzi and of the libraries that results depend on."""
    return {name: version(name) for name in ("piazzi", *LIBRARIES)}


def entered(rows: pd.DataFrame) -> pd.Series:
    """Which rows stand for exposures that were read in, though measuring may have refused them since."""
    return (rows["status"] == "ok") | rows["measured_with"].notna()


def exposures_made_of(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Of each exposure, by ``exposure--detector``, the beginnings of the digests in `INPUTS`; empty for none."""
    digests = [[value[:16] for value in one] for one in rows[INPUTS].fillna("").to_numpy().tolist()]
    return {f"{row.exposure}--{row.detector}": one for row, one in zip(rows.itertuples(), digests, strict=True)}


def file_digests(store: Store, paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files, or of folders, by path."""
    paths = sorted(paths)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(paths, pool.map(store.sha256, paths), strict=True))


def record_files(catalog: Catalog, stage: str, name: str, paths: Iterable[str]) -> str:
    """Write down the digests of what a stage has published as `name`; digest of that record, for the manifest."""
    text = json.dumps(file_digests(catalog.store, paths), indent=1, sort_keys=True).encode()
    place = _place(stage, name)
    catalog.store.commit(place, lambda file: file.write(text))
    return catalog.store.sha256(place)


def record_cube(catalog: Catalog, stage: str, place: str) -> str:
    """The same for a cube and the tables beside it."""
    stem = place.removesuffix(".zarr")
    beside = [path for path in catalog.store.list(stem.rsplit("/", 1)[0], ".parquet") if path.startswith(f"{stem}-")]
    return record_files(catalog, stage, cube_name(place), [place, *beside])


def cube_name(place: str) -> str:
    """What the record of a cube is called: camera and calibration."""
    return "/".join(place.removesuffix(".zarr").split("/")[-2:])


def solution(catalog: Catalog, stage: str, path: str) -> str | None:
    """Digest of what a cube of the catalog, by its path or URL, was solved from; None where no stage has told."""
    place = path.removeprefix(f"{catalog.store.url}/")
    return catalog.manifest.provenance.get(stage, {}).get(place, {}).get("digest")


def sweep_staging(store: Store, stage: str, keep: Collection[str] = ()) -> None:
    """Remove what was staged for a stage that has come to its end, but for folders in `keep`, to go on with."""
    top = f".staging/{stage}"
    depth = top.count("/") + 3 if keep else top.count("/") + 1
    for folder in sorted({"/".join(path.split("/")[:depth]) for path in store.list(top)} - set(keep)):
        store.remove(folder)


def stage_digests(catalog: Catalog) -> dict[str, str]:
    """What the catalog holds by stage: changes with the stage's record, and `exposures` with EXPOSURES."""
    made = {stage: json.dumps(entry, sort_keys=True).encode() for stage, entry in catalog.manifest.provenance.items()}
    made["exposures"] = catalog.store.get("exposures/part-0.parquet") or b""
    return {stage: hashlib.sha256(text).hexdigest()[:16] for stage, text in made.items()}


def record_report(catalog: Catalog) -> None:
    """Write down what a report is of."""
    text = json.dumps(stage_digests(catalog), indent=1, sort_keys=True).encode()
    catalog.store.commit(_REPORTED, lambda file: file.write(text))


def reported(catalog: Catalog) -> dict[str, str] | None:
    """What :func:`record_report` wrote; None without a report, CatalogError where it is damaged."""
    return find_json(catalog.store, _REPORTED)


def read_files(store: Store, stage: str, name: str, entry: Mapping[str, Any]) -> dict[str, str] | None:
    """What :func:`record_files` wrote; None where it is not what the manifest's `entry` speaks of."""
    place = _place(stage, name)
    if not store.exists(place) or store.sha256(place) != entry.get("files"):
        return None
    return read_json(store, place)


def _place(stage: str, name: str) -> str:
    return f"{_RECORDS}/{stage}/{name}.json"
