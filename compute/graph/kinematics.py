"""Stage `kinematics` on a cluster: a population a task; the table is published whole."""

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from distributed import Client

from catalogs.catalog import Catalog, field_path
from catalogs.errors import PiazziError, UnusableError
from catalogs.kinematics import KINEMATICS
from catalogs.motions import with_magnitudes
from catalogs.parquet import read_table, write_table
from catalogs.store import Store
from compute.graph.apply import Progress, apply
from compute.graph.made import record_files, versions
from compute.graph.pipeline import Report
from compute.settings import ComparisonSettings, KinematicsSettings, PopulationSettings
from compute.stages.kinematics.choose import usable
from compute.stages.kinematics.compare import compare, pair_by_place
from compute.stages.kinematics.measure import measure
from compute.stages.reference import load

__all__ = ["WARM", "kinematics"]

WARM = "compute.kernels.warm_kinematics"
_COLUMNS = [
    "star_id", "ra", "dec", "ref_epoch", "pmra", "pmdec", "pmra_error", "pmdec_error", "pmra_pmdec_corr", "flags",
]  # fmt: skip
_PART = "{}/part-0.parquet"


def kinematics(
    catalog: Catalog,
    client: Client,
    field: str,
    settings: KinematicsSettings,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Measure how the populations of a field move: rows of KINEMATICS, and numbers in the catalog's manifest.

    A population that cannot be measured is rejected with its reason; the others are there nevertheless.

    Raises
    ------
    UnusableError
        Where the field has no motions, or the catalog to compare with cannot be used.
    PiazziError
        Where no population can be measured, with a line for each.
    """
    paths = catalog.store.list(field_path("motions", field), ".parquet")
    if not paths:
        raise UnusableError(f"kinematics: field {field}", _moved(catalog), "those that `piazzi motion` makes")
    report, target = Report("kinematics", unit="populations"), _PART.format(field_path("kinematics", field))
    bytes_ = [hashlib.sha256(catalog.store.read_bytes(path)).hexdigest() for path in paths]
    # Whatever it may have become since: an unusable one is told before anything is fitted.
    compared = None if settings.compare is None else _plain(_compared(catalog.store, paths, settings, settings.compare))
    made_of = settings.digest(json.dumps([bytes_, versions(), compared]))
    past = catalog.manifest.provenance.get("kinematics", {})
    known = past.get(field, {})
    if known.get("digest") == made_of and not fresh and catalog.store.exists(target):
        report.skipped = len(known["numbers"])
        report.rejected, report.notes = known["rejected"], _notes(known["numbers"])
        return report
    found = _found(catalog.store, client, paths, settings, report, progress)
    numbers = {name: told for name, (_, told) in found.items()}
    rows = KINEMATICS.conform(pd.concat([rows for rows, _ in found.values()], ignore_index=True))
    entry = {"digest": made_of, "rows": len(rows), "settings": settings.model_dump(mode="json"), "versions": versions()}
    entry |= {"numbers": _plain(numbers), "rejected": report.rejected}
    entry["made_of"] = {"motion": catalog.manifest.provenance.get("motion", {}).get(field, {}).get("digest", "")}
    if compared is not None:
        entry["comparison"] = compared
    if known:  # until both are written, what is there is neither the old nor the new
        catalog.write_manifest(catalog.manifest.with_stage("kinematics", {**past, field: {**known, "digest": ""}}))
    catalog.store.commit(target, lambda file: write_table(rows, KINEMATICS, file))
    entry["files"] = record_files(catalog, "kinematics", field, [target])
    catalog.write_manifest(catalog.manifest.with_stage("kinematics", {**past, field: entry}))
    return report


def _found(
    store: Store, client: Client, paths: list[str], settings: KinematicsSettings, report: Report,
    progress: Progress | None,
) -> dict[str, tuple[pd.DataFrame, dict[str, Any]]]:  # fmt: skip
    """Rows and numbers of each population that can be measured, in order of name; the others are rejected."""
    work = {name: (store, paths, name, one, settings) for name, one in sorted(settings.populations.items())}
    done: dict[str, tuple[Any, Any]] = {}
    for end in apply(client, "kinematics", _measure, work, progress):
        done[end.key] = end.result or (None, end.failure)
    found = {name: done[name] for name in work if done[name][0] is not None}
    report.done = len(found)
    report.rejected = [{"exposure": name, "path": "", "reason": done[name][1]} for name in work if name not in found]
    if not found:
        raise PiazziError("\n".join(row["reason"] for row in report.rejected))
    report.notes = _notes({name: told for name, (_, told) in found.items()})
    return found


def _notes(numbers: dict[str, Any]) -> list[dict[str, Any]]:
    """What to know of populations beside the tables; the same when they are found made."""
    unsettled = [name for name, told in numbers.items() if not told.get("mixture", {}).get("converged", True)]
    return [{"exposure": name, "note": "the mixture has not settled; try fewer components"} for name in unsettled]


def _moved(catalog: Catalog) -> str:
    """That a field has no motions, and which have."""
    fields = sorted({path.split("/")[1].removeprefix("field=") for path in catalog.store.list("motions", ".parquet")})
    return "no motions" + (f", only those of {', '.join(fields)}" if fields else "")


def _measure(
    store: Store, paths: list[str], name: str, population: PopulationSettings, settings: KinematicsSettings
) -> tuple[pd.DataFrame | None, Any]:
    """Rows and numbers of one population, or None and why there are none."""
    try:
        return tuple(measure(_motions(store, paths), name, population, settings))
    except PiazziError as error:
        return None, str(error)


def _motions(store: Store, paths: list[str]) -> pd.DataFrame:
    """All motions of a field, as far as kinematics looks at them."""
    parts = []
    for path in paths:
        with store.open(path) as file:
            filters = [name.removeprefix("mag_") for name in pq.read_schema(file).names if name.startswith("mag_")]
            file.seek(0)
            parts.append(read_table(file, with_magnitudes(filters), [*_COLUMNS, *(f"mag_{name}" for name in filters)]))
    return pd.concat(parts, ignore_index=True)


def _compared(
    store: Store, paths: list[str], settings: KinematicsSettings, comparison: ComparisonSettings
) -> list[dict[str, Any]]:
    """Bins of magnitude in which motions are compared with those of another catalog."""
    ours = _motions(store, paths)
    ours = ours[usable(ours, settings)].sort_values("star_id", kind="stable", ignore_index=True)
    reference = comparison.reference
    if reference.radius is None:
        centre, reach = _around(ours)
        reference = reference.model_copy(update={"radius": reach})
    known = load(reference, centre)
    theirs = known.sources[known.sources["pmra"].notna()].reset_index(drop=True)
    if theirs.empty:
        raise UnusableError(f"kinematics: {known.name}", "no motions near the field", "motions to compare with")
    first, second = pair_by_place(ours, theirs, comparison.radius)
    bins = compare(ours.iloc[first], theirs.iloc[second], comparison.magnitudes, settings.clip)
    if bins.empty:
        near = f"{len(first)} of {len(theirs)} sources with motions within {comparison.radius:g} mas of a star"
        if len(first):
            near += ", of magnitudes {:.2f} to {:.2f}".format(*theirs["mag"].iloc[second].agg(["min", "max"]))
        edges = ", ".join(f"{edge:g}" for edge in comparison.magnitudes)
        raise UnusableError(f"kinematics: {known.name}", near, f"ten in a bin of magnitude between edges {edges}")
    return bins.to_dict("records")


def _around(stars: pd.DataFrame) -> tuple[tuple[float, float], float]:
    """Middle of a field (ra, dec) and how far its stars reach, with some margin [deg]."""
    ra, dec = np.radians(stars["ra"].to_numpy()), np.radians(stars["dec"].to_numpy())
    vectors = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    x, y, z = vectors.mean(axis=1) / np.linalg.norm(vectors.mean(axis=1))
    farthest = np.degrees(np.arccos(np.clip((np.array([x, y, z]) @ vectors).min(), -1.0, 1.0)))
    return (float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arcsin(z)))), float(farthest) + 0.01


def _plain(value: Any) -> Any:
    """For JSON: plain numbers, and None for what is not finite."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
