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
from compute.graph.match import match
from compute.graph.pipeline import Report
from compute.graph.report import report as write_report
from compute.recipe import Recipe, expand


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
                report = calibrate(catalog, client, recipe.calibrate, **options)
            elif stage == "measure":
                epsf, distortion = recipe.measure.epsf, recipe.measure.distortion
                report = pipeline.measure(
                    catalog, client, recipe.measure.settings, epsf=epsf, distortion=distortion, **options
                )
            elif stage == "frame":
                report = frame(catalog, client, recipe.field, recipe.frame, recipe.reference, **options)
            elif stage == "report":
                report = write_report(catalog, client, recipe.field or None, **options)[0]
            else:
                assert recipe.reference is not None  # the recipe has been checked
                report = match(catalog, client, recipe.field, recipe.match, recipe.reference, **options)
            reports.append(report)
        return reports
