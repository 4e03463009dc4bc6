"""Stage `motion` on a cluster: the field is aligned as a whole, then its stars are fitted, a tile a task."""

from typing import Any

from distributed import Client

from catalogs.catalog import Catalog, field_path
from catalogs.errors import FailedError, PiazziError, UnusableError
from catalogs.motions import MOTIONS
from compute.graph.apply import Progress, apply, run_all
from compute.graph.made import record_files, versions
from compute.graph.motion_inputs import inputs, observers, placed_exposures
from compute.graph.motion_tasks import FITTED, Job, align_field, fit_tile, fitted_record
from compute.graph.pipeline import Report
from compute.graph.scales import read_folder
from compute.graph.staged import finished, whole_record
from compute.settings import MotionSettings, ReferenceSettings
from compute.stages.motion.field import epochs_of
from compute.stages.motion.table import Common

__all__ = ["motion"]

_DATASETS = ("motions", "zero_points")


def motion(
    catalog: Catalog,
    client: Client,
    field: str,
    settings: MotionSettings,
    reference: ReferenceSettings | None = None,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Proper motions of the stars of a field from its master frames and a catalog's positions: MOTIONS.

    Parameters
    ----------
    reference
        Catalog that may be the first epoch, and that motions may be tied to.
    fresh
        Make them again though nothing changed.

    Raises
    ------
    UnusableError
        Where the field has no master frames, or all positions are of one time; where too few stars align the epochs.
    """
    made, report, past = inputs(catalog, field, settings, reference), Report("motion", unit="tiles"), _past(catalog)
    there = {path for dataset in _DATASETS for path in catalog.store.list(field_path(dataset, field))}
    whole = bool(there) and set(past.get(field, {}).get("parts", ())) <= there
    if past.get(field, {}).get("digest") == made.digest and whole and not fresh:
        report.skipped, report.notes = len(made.tiles), _notes(field, past[field])
        return report
    ties = placed_exposures(catalog, field)
    epochs = tuple(epochs_of(observers(ties, made.keys), made.first, settings))
    folder = _staging(catalog, field, made.digest, fresh)
    job = Job(catalog.store, folder, field, made.keys, epochs, made.tiles, made.plane, settings)
    numbers, common = _align(client, job, (made.first, made.zero, ties), progress)
    found = {f"{i}_{j}": whole_record(catalog.store, fitted_record(folder, (i, j))) for i, j in made.tiles}
    done = finished(catalog.store, folder, {name: one for name, one in found.items() if one is not None}, ())
    due = {name: (job, tile, common) for name, tile in zip(found, made.tiles, strict=True) if name not in done}
    run_all(client, "motion", fit_tile, due, progress)
    entry = {"settings": settings.model_dump(mode="json"), "versions": versions(), **numbers, "digest": made.digest}
    entry["reference"] = reference and reference.model_dump(mode="json")
    entry["made_of"] = {"frame": catalog.manifest.provenance["frame"][field]["digest"]}
    _publish(catalog, job, entry)
    report.done, report.notes = len(made.tiles), _notes(field, entry)
    return report


def _notes(field: str, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """What to know of a field's motions beside the tables; the same when they are found made."""
    notes = []
    if not entry.get("settled", True):
        notes.append(
            f"the aligning stars still change after {entry['rounds']} rounds; allow more, or set their limits wider"
        )
    if entry["settings"]["parallax"] and entry.get("parallaxes", entry["stars"]) < entry["stars"]:
        notes.append(f"parallax fitted for {entry['parallaxes']} of {entry['stars']} stars")
    return [{"exposure": field, "note": note} for note in notes]


def _staging(catalog: Catalog, field: str, digest: str, fresh: bool) -> str:
    """Where a call stages: what a killed one left there is gone on with, what was made of other things goes."""
    every = f".staging/motion/{field}"
    folder = f"{every}/{digest}"
    if catalog.store.exists(every) and (fresh or not catalog.store.exists(folder)):
        catalog.store.remove(every)
    return folder


def _past(catalog: Catalog) -> dict[str, Any]:
    """What earlier calls recorded, by field."""
    return dict(catalog.manifest.provenance.get("motion", {}))


def _align(client: Client, job: Job, inputs: tuple, progress: Progress | None) -> tuple[dict[str, Any], Common]:
    """Align the field in one task; FailedError or another PiazziError where it cannot be."""
    (end,) = apply(client, "align", align_field, {job.field: (job, *inputs)}, progress)
    if end.failure:
        raise FailedError(end.failure)
    if isinstance(end.result, PiazziError):
        raise end.result
    return end.result


def _publish(catalog: Catalog, job: Job, entry: dict[str, Any]) -> None:
    """Move both tables of the field to their places, then record what they were made from: `entry`, completed here."""
    catalog.store.check_writer()  # another that took the catalog over has cleared what was staged
    entry |= _counted(job)
    others = {name: made for name, made in _past(catalog).items() if name != job.field}
    catalog.write_manifest(catalog.manifest.with_stage("motion", others))  # until both are moved
    catalog.store.remove(f"{job.folder}/{FITTED}")  # what is being moved is no longer there to go on with
    for place in (field_path(dataset, job.field) for dataset in _DATASETS):
        catalog.store.publish(f"{job.folder}/{place}", place)
        entry["parts"] = [*entry.get("parts", ()), *catalog.store.list(place, ".parquet")]
    entry["files"] = record_files(catalog, "motion", job.field, entry["parts"])
    catalog.write_manifest(catalog.manifest.with_stage("motion", {**others, job.field: entry}))
    catalog.store.remove(f".staging/motion/{job.field}")


def _counted(job: Job) -> dict[str, Any]:
    """How many stars have a motion, how many a parallax, and the median errors of those that align [mas/yr]."""
    parts = read_folder(job.store, f"{job.folder}/{field_path('motions', job.field)}", MOTIONS)
    if parts.empty:
        raise UnusableError(f"motion: field {job.field}", "no star seen at two epochs", "some")
    errors = parts.loc[parts["aligning"], ["pmra_error", "pmdec_error"]]
    return {
        "stars": len(parts), "parallaxes": int(parts["parallax"].notna().sum()),
        "median_error": errors.median().tolist(),
    }  # fmt: skip
