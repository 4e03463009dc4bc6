"""A recipe from its first stage to its last, under the catalog's lock."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from distributed import Client

from catalogs.catalog import Catalog, check_place, create_or_open, open_catalog
from catalogs.errors import UnusableError
from catalogs.lease import Tell
from catalogs.store import Store
from compute.graph import pipeline
from compute.graph.apply import Progress
from compute.graph.calibrate import calibrate
from compute.graph.entering import entered
from compute.graph.frame import frame
from compute.graph.geometry import geometry
from compute.graph.kinematics import kinematics
from compute.graph.match import match
from compute.graph.motion import motion
from compute.graph.pipeline import Report
from compute.graph.references import near
from compute.graph.report import report as write_report
from compute.recipe import CalibrateSection, MeasureSection, Recipe, expand
from compute.settings import FrameSettings, GeometrySettings, ReferenceSettings
from compute.stages.distortion import find_calibration
from compute.stages.frame.groups import lay_plane
from compute.stages.library import find_library
from compute.stages.reference import load


@contextmanager
def writing(url: str, wait: bool = False, tell: Tell | None = None) -> Iterator[Catalog]:
    """The catalog at `url`, made if absent, with this process as its one writer and killed writers' leavings gone.

    With `wait` it waits while another process writes, telling `tell`; otherwise that is a CatalogError.
    """
    store = Store(url)
    check_place(store)
    with store.lock(wait, tell):
        store.sweep()
        yield create_or_open(store)


@contextmanager
def changing(url: str, wait: bool = False, tell: Tell | None = None) -> Iterator[Catalog]:
    """Like :func:`writing`, for stages that have nothing to do in a catalog that is not there."""
    open_catalog(url)
    with writing(url, wait, tell) as catalog:
        yield catalog


def calibrated(
    catalog: Catalog,
    client: Client,
    section: CalibrateSection,
    geometry_settings: GeometrySettings,
    measuring: MeasureSection,
    reference: ReferenceSettings | None,
    *,
    files: Sequence[str] | None = None,
    threads: int = 1,
    fresh: bool = False,
    progress: Progress | None = None,
) -> list[Report]:
    """Library ePSFs, measurements with them, and distortions from these: as much of it as `section` asks for.

    Without a word on the distortion it is solved where there is a reference. With `files` only exposures that came from
    these are measured; ePSFs and distortions are made from all the catalog has.
    """
    options: dict[str, Any] = {"fresh": fresh, "progress": progress}
    wanted = section.distortion or ("solve" if reference is not None else "none")
    _check(catalog, section, geometry_settings, reference, wanted)
    reports = []
    if section.epsf == "build":
        reports.append(calibrate(catalog, client, section.settings, threads=threads, **options))
    if wanted in ("solve", "self"):
        reports.append(
            pipeline.measure(
                catalog, client, measuring.settings, epsf=measuring.epsf, distortion=measuring.distortion,
                files=files, threads=threads, **options,
            )
        )  # fmt: skip
        known = reference if wanted == "solve" else None
        reports.append(geometry(catalog, client, geometry_settings, known, **options))
    return reports


def _check(
    catalog: Catalog, section: CalibrateSection, settings: GeometrySettings, reference: ReferenceSettings | None,
    wanted: str,
) -> None:  # fmt: skip
    """Refuse at once what would be refused after all the work; UnusableError."""
    for path in section.libraries.get("epsf", ()):
        find_library(path)
    for path in section.libraries.get("distortion", ()):
        find_calibration(path)
    if wanted == "self" and settings.published:
        raise UnusableError("calibrate: method published", "no reference", "one, or method smooth")
    if wanted in ("solve", "self") and settings.update and not catalog.store.list("cubes/distortion"):
        raise UnusableError("calibrate: update", "no distortion in the catalog", "one of an older epoch")
    rows = catalog.exposures
    rows = rows[entered(rows)]
    if wanted == "solve" and reference is not None and len(rows):
        plane = lay_plane(rows.reset_index(drop=True), FrameSettings())
        load(near(reference, FrameSettings().within), (plane.ra, plane.dec))


def measured_with(catalog: Catalog, section: CalibrateSection) -> MeasureSection:
    """How most of a catalog was measured last, or else the defaults, with the libraries that `section` gives."""
    entries = list(catalog.manifest.provenance.get("measure", {}).values())
    if section.epsf == "build":
        entries = [{**entry, "epsf": ()} for entry in entries]
    last: dict[str, Any] = max(entries, key=lambda entry: entry["rows"], default={"settings": {}, "epsf": ()})
    # A library is told with the exposures it was chosen for, so that those of one call stand apart.
    alike = [one for entry in entries if entry["settings"] == last["settings"] for one in entry["epsf"]]
    required = dict.fromkeys(one["path"] for one in alike if isinstance(one, dict) and one["required"])
    return MeasureSection(**({**last["settings"], "epsf": tuple(required)} | section.libraries))


def run(
    recipe: Recipe,
    client: Client,
    *,
    catalog: Catalog | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> list[Report]:
    """Run a recipe's stages in order; each computes only what is missing unless `fresh`.

    A recipe that names files measures these alone: another program's exposures keep the settings they were measured
    with. `catalog` is the recipe's, where the caller holds it by :func:`writing` already.
    """
    files = expand(recipe.exposures.files) if recipe.exposures else []
    options: dict[str, Any] = {"fresh": fresh, "progress": progress}
    with nullcontext(catalog) if catalog else writing(recipe.catalog) as catalog:
        reports = []
        for stage in recipe.stages:
            if stage == "ingest":
                replace = recipe.exposures is not None and recipe.exposures.replace
                report = pipeline.ingest(catalog, client, files, replace=replace, **options)
            elif stage == "calibrate":
                reports += calibrated(
                    catalog,
                    client,
                    recipe.calibrate,
                    recipe.geometry,
                    recipe.measure,
                    recipe.reference,
                    files=files or None,
                    **options,
                )
                continue
            elif stage == "measure":
                epsf, distortion = recipe.measure.epsf, recipe.measure.distortion
                report = pipeline.measure(
                    catalog,
                    client,
                    recipe.measure.settings,
                    epsf=epsf,
                    distortion=distortion,
                    files=files or None,
                    **options,
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
