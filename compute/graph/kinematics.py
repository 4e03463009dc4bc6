"""Stage `kinematics` on a cluster: a population a task; the table is published whole."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from distributed import Client

from catalogs.catalog import Catalog, field_path
from catalogs.errors import PiazziError, UnusableError
from catalogs.kinematics import KINEMATICS
from catalogs.motions import ZERO_POINTS, with_magnitudes
from catalogs.parquet import read_table, write_table
from catalogs.store import Store
from compute.graph.apply import Progress, apply
from compute.graph.made import file_digests, read_files, record_files, versions
from compute.graph.pipeline import Report
from compute.graph.scales import read_folder
from compute.settings import ComparisonSettings, KinematicsSettings, PopulationSettings
from compute.stages.kinematics.choose import usable
from compute.stages.kinematics.compare import compare, pair_by_place
from compute.stages.kinematics.measure import measure, on_zero_point
from compute.stages.reference import load

__all__ = ["WARM", "kinematics"]

WARM = "compute.kernels.warm.kinematics"
_COLUMNS = [
    "star_id", "ra", "dec", "ref_epoch", "pmra", "pmdec", "pmra_error", "pmdec_error", "pmra_pmdec_corr", "flags",
    "absolute",
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
        Where the field has no motions or not all that were published, or the catalog to compare with cannot be used.
    PiazziError
        Where no population can be measured, with a line for each.
    """
    digests = _published(catalog, field)
    paths = [path for path in digests if path.startswith("motions/")]
    report, target = Report("kinematics", unit="populations"), _PART.format(field_path("kinematics", field))
    # Whatever it may have become since: an unusable one is told before anything is fitted.
    compared = None if settings.compare is None else _plain(_compared(catalog.store, paths, settings, settings.compare))
    made_of = settings.digest(json.dumps([list(digests.values()), versions(), compared]))
    past = catalog.manifest.provenance.get("kinematics", {})
    known = past.get(field, {})
    if known.get("digest") == made_of and not fresh and catalog.store.exists(target):
        report.skipped = len(known["numbers"])
        report.rejected, report.notes = known["rejected"], _notes(known["numbers"])
        return report
    found = _found(catalog.store, client, paths, settings, report, progress)
    numbers = {name: told for name, (_, told) in found.items()}
    rows = pd.concat([rows for rows, _ in found.values()], ignore_index=True)
    zero_points = read_folder(catalog.store, field_path("zero_points", field), ZERO_POINTS)
    rows = on_zero_point(rows, _motions(catalog.store, paths)["absolute"], zero_points)
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


def _published(catalog: Catalog, field: str) -> dict[str, str]:
    """Digests of the files of a field's MOTIONS and ZERO_POINTS, which are as `piazzi motion` has published them."""
    place = f"kinematics: field {field}"
    paths = [path for name in ("motions", "zero_points") for path in catalog.store.list(field_path(name, field))]
    if not any(path.startswith("motions/") for path in paths):
        raise UnusableError(place, _moved(catalog), "those that `piazzi motion` makes")
    entry = catalog.manifest.provenance.get("motion", {}).get(field)
    if entry is None:  # a run ended between one table and the manifest
        raise UnusableError(place, "motions not published whole", "all of them: give `piazzi motion` again")
    if lost := sorted(set(entry.get("parts", ())) - set(paths)):
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise UnusableError(place, f"no {lost[0]}{more}", "all its motions: give `piazzi motion` again")
    digests = file_digests(catalog.store, [path for path in paths if path.endswith(".parquet")])
    recorded = read_files(catalog.store, "motion", field, entry) or {}
    if changed := [path for path, digest in digests.items() if recorded.get(path, digest) != digest]:
        raise UnusableError(
            place, f"{changed[0]} with other bytes than were published", "those: give `piazzi motion --fresh` again"
        )
    return digests


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
    note = "the mixture has not settled; try fewer components, or no background"
    return [{"exposure": name, "note": note} for name in unsettled]


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
    found = len(ours)
    ours = ours[usable(ours, settings)].sort_values("star_id", kind="stable", ignore_index=True)
    if ours.empty:
        raise UnusableError("kinematics: compare", f"0 usable of {found} stars", "some within max_error without flags")
    reference = comparison.reference
    if reference.radius is None:
        centre, reach = _around(ours)
        reference = reference.model_copy(update={"radius": reach})
    known = load(reference, centre)
    theirs = known.sources[known.sources["pmra"].notna()].reset_index(drop=True)
    if theirs.empty:
        raise UnusableError(f"kinematics: {known.name}", "no motions near the field", "motions to compare with")
    first, second = pair_by_place(ours, theirs, comparison.radius)
    try:
        bins = compare(ours.iloc[first], theirs.iloc[second], comparison.magnitudes, settings.clip)
    except ValueError as error:
        raise PiazziError(f"kinematics: {known.name}: {error}") from None
    if bins.empty:
        near = f"{len(first)} of {len(theirs)} sources with motions within {comparison.radius:g} mas of a star"
        if len(first):
            near += ", of magnitudes {:.2f} to {:.2f}".format(*theirs["mag"].iloc[second].agg(["min", "max"]))
        edges = ", ".join(f"{edge:g}" for edge in comparison.magnitudes)
        some = f"ten with errors in a bin of magnitude between edges {edges}"
        raise UnusableError(f"kinematics: {known.name}", near, some)
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
