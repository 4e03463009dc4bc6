"""A recipe from its first stage to its last, under the catalog's lock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distributed import Client

from catalogs.catalog import Catalog, create_or_open
from compute.graph import pipeline
from compute.graph.apply import Progress
from compute.graph.pipeline import Report
from compute.recipe import Recipe, expand
from compute.settings import MeasureSettings


@contextmanager
def writing(url: str) -> Iterator[Catalog]:
    """The catalog at `url`, made if absent, with this process as its one writer and killed writers' leavings gone."""
    catalog = create_or_open(url)
    with catalog.store.lock():
        catalog.store.sweep()
        yield catalog


def run(recipe: Recipe, client: Client, *, fresh: bool = False, progress: Progress | None = None) -> list[Report]:
    """Run a recipe's stages in order; each computes only what is missing unless `fresh`."""
    files = expand(recipe.exposures.files)
    with writing(recipe.catalog) as catalog:
        stages: dict[str, Callable[[], Report]] = {
            "ingest": lambda: pipeline.ingest(
                catalog, client, files, replace=recipe.exposures.replace, fresh=fresh, progress=progress
            ),
            "measure": lambda: pipeline.measure(
                catalog,
                client,
                MeasureSettings(**recipe.measure.model_dump(exclude={"epsf"})),
                epsf=recipe.measure.epsf,
                fresh=fresh,
                progress=progress,
            ),
        }
        return [stages[name]() for name in recipe.stages]
