"""A reference catalog for tasks: read once, moved to each epoch, staged where workers find it."""

import hashlib
from collections.abc import Iterable
from functools import partial

import pandas as pd

from catalogs.references import Reference
from catalogs.store import Store
from compute.settings import ReferenceSettings
from compute.stages.motion.positions import Known
from compute.stages.reference import propagated

__all__ = ["digest", "near", "read_sources", "stage_sources"]


def near(settings: ReferenceSettings, within: float) -> ReferenceSettings:
    """The same, reading no sources farther from a field than its exposures reach, where no radius is set.

    `within` [arcmin] is how far exposures may point from the field's centre; a camera sees 5 arcmin farther at most.
    """
    if settings.radius is not None:
        return settings
    return settings.model_copy(update={"radius": (within + 5.0) / 60.0})


def digest(reference: Reference | Known | None, settings: ReferenceSettings | None) -> str:
    """Changes with the sources and with how they are used; empty without a catalog."""
    if reference is None or settings is None:
        return ""
    rows = pd.util.hash_pandas_object(reference.sources, index=False).to_numpy()
    return settings.digest(hashlib.sha256(rows.tobytes()).hexdigest())


def stage_sources(
    store: Store, folder: str, reference: Reference | None, settings: ReferenceSettings | None, epochs: Iterable[float]
) -> dict[float, str]:
    """Write the sources as they are at each epoch; where, by epoch, and empty paths without a catalog."""
    paths = {}
    for epoch in epochs:
        paths[epoch] = ""
        if reference is not None and settings is not None:
            paths[epoch] = f"{folder}/{epoch:.2f}.parquet"
            moved = propagated(reference.sources, epoch, settings).assign(row=range(len(reference.sources)))
            store.commit(paths[epoch], partial(moved.to_parquet, index=False))
    return paths


def read_sources(store: Store, path: str) -> pd.DataFrame | None:
    """What was staged, None for an empty path."""
    if not path:
        return None
    with store.open(path) as file:
        return pd.read_parquet(file)
