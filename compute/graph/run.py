"""A recipe from its first stage to its last, under the catalog's lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client

from catalogs.catalog import Catalog, create_or_open, open_catalog
from compute.graph import pipeline
from compute.graph.apply import Progress
from compute.graph.calibrate import calibrate
from compute.graph.frame import frame
from compute.graph.geometry import geometry
from compute.graph.kinematics import kinematics
from compute.graph.match import match
from compute.graph.motion import motion
from compute.graph.pipeline import Report
from compute.graph.report import report as write_report
from compute.recipe import CalibrateSection, MeasureSection, Recipe, expand
from compute.settings import GeometrySettings, ReferenceSettings


@contextmanager
def writing(url: str) -> Iterator[Catalog]:
    """The catalog at `url`, made if absent, with this process as its one writer and killed writers' leavings gone."""
    catalog = create_or_open(url)
    with catalog.store.lock():
        catalog.store.sweep()
        yield catalog


@contextmanager
def changing(url: str) -> Iterator[Catalog]:
    """Like :func:`writing`, for stages that have nothing to do in a catalog that is not there."""
    open_catalog(url)
    with writing(url) as catalog:
        yield catalog


def calibrated(
    catalog: Catalog,
    client: Client,
    section: CalibrateSection,
    geometry_settings: GeometrySettings,
    measuring: MeasureSection,
    reference: ReferenceSettings | None,
    *,
    threads: int = 1,
    fresh: bool = False,
    progress: Progress | None = None,
) -> list[Report]:
    """Library ePSFs, measurements with them, and distortions from these: as much of it as `section` asks for.

    Without a word on the distortion it is solved where there is a reference.
    """
    options: dict[str, Any] = {"fresh": fresh, "progress": progress}
    reports = []
    if section.epsf == "build":
        reports.append(calibrate(catalog, client, section.settings, threads=threads, **options))
    wanted = section.distortion or ("solve" if reference is not None else "none")
    if wanted in ("solve", "self"):
        reports.append(
            pipeline.measure(
                catalog, client, measuring.settings, epsf=measuring.epsf, distortion=measuring.distortion,
                threads=threads, **options,
            )
        )  # fmt: skip
        known = reference if wanted == "solve" else None
        reports.append(geometry(catalog, client, geometry_settings, known, **options))
    return reports


def measured_with(catalog: Catalog, section: CalibrateSection) -> MeasureSection:
    """How most of a catalog was measured last, or else the defaults, with the libraries that `section` gives."""
    entries = catalog.manifest.provenance.get("measure", {}).values()
    last: dict[str, Any] = max(entries, key=lambda entry: entry["rows"], default={"settings": {}, "epsf": ()})
    required = tuple(one["path"] for one in last["epsf"] if isinstance(one, dict) and one["required"])
    return MeasureSection(**({**last["settings"], "epsf": required} | section.libraries))


def run(recipe: Recipe, client: Client, *, fresh: bool = False, progress: Progress | None = None) -> list[Report]:
    """Run a recipe's stages in order; each computes only what is missing unless `fresh`."""
    files = expand(recipe.exposures.files) if recipe.exposures else []
    options: dict[str, Any] = {"fresh": fresh, "progress": progress}
    with writing(recipe.catalog) as catalog:
        reports = []
        for stage in recipe.stages:
            if stage == "ingest":
                replace = recipe.exposures is not None and recipe.exposures.replace
                report = pipeline.ingest(catalog, client, files, replace=replace, **options)
            elif stage == "calibrate":
                *before, report = calibrated(
                    catalog, client, recipe.calibrate, recipe.geometry, recipe.measure, recipe.reference, **options
                )
                reports += before
            elif stage == "measure":
                epsf, distortion = recipe.measure.epsf, recipe.measure.distortion
                report = pipeline.measure(
                    catalog, client, recipe.measure.settings, epsf=epsf, distortion=distortion, **options
                )
            elif stage == "frame":
                report = frame(catalog, client, recipe.field, recipe.frame, recipe.reference, **options)
            elif stage == "motion":
                report = motion(catalog, client, recipe.field, recipe.motion, recipe.reference, **options)
            elif stage == "kinematics":
                report = kinematics(catalog, client, recipe.field, recipe.kinematics, **options)
            elif stage == "report":
                report = write_report(catalog, client, recipe.field or None, **options)[0]
            else:
                assert recipe.reference is not None  # the recipe has been checked
                report = match(catalog, client, recipe.field, recipe.match, recipe.reference, **options)
            reports.append(report)
        return reports
