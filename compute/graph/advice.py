"""Advice on library ePSFs, from the tables of a catalog alone: nothing is built, and no cluster is needed."""

from collections.abc import Iterator

import pandas as pd

from catalogs.catalog import Catalog, measurement_path, read_part
from catalogs.errors import UnusableError
from catalogs.tables import MEASUREMENTS
from compute.graph.entering import entered
from compute.settings import CalibrateSettings
from compute.stages.advice import NEEDED, Advice, Supply, advise, supply
from compute.stages.frame.groups import frames

__all__ = ["check"]


def check(catalog: Catalog, settings: CalibrateSettings) -> list[Advice]:
    """What calibrating would come to, for each detector, filter and epoch of a catalog.

    Raises
    ------
    UnusableError
        Without exposures.
    """
    rows = catalog.exposures
    rows = rows[entered(rows)].sort_values(["exposure", "detector"], kind="stable", ignore_index=True)
    if rows.empty:
        raise UnusableError(f"calibrate: {catalog.store.url}", "no exposures", "some, by piazzi ingest")
    groups = _groups(rows, settings.epoch_gap)
    return [advise(group, epoch, _supply(catalog, group, settings), settings) for epoch, group in groups]


def _groups(rows: pd.DataFrame, gap: float) -> Iterator[tuple[str, pd.DataFrame]]:
    """Exposures of one ePSF, and the name of their epoch."""
    for detector in sorted(rows["detector"].unique()):
        of = rows[rows["detector"] == detector].reset_index(drop=True)
        for key, index in frames(of, gap).items():
            yield key.epoch_name, of.iloc[index].reset_index(drop=True)


def _supply(catalog: Catalog, group: pd.DataFrame, settings: CalibrateSettings) -> Supply | None:
    """Stars of all exposures, those not measured being taken as like the others; None where none is measured."""
    measured = group[(group["status"] == "ok") & group["n_stars"].notna()].to_dict("records")
    if not measured:
        return None
    found = []
    for row in measured:
        stars = read_part(measurement_path(row), row, MEASUREMENTS, catalog.store, NEEDED)
        found.append(supply(stars, row, settings))
    images, bright = (round(sum(counts) * len(group) / len(found)) for counts in zip(*found, strict=True))
    return Supply(images, bright)
