"""Pixel scales on a cluster, as part of a match: the pairs of every frame, then the scales of every detector."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from distributed import Client

from catalogs.catalog import Catalog, field_path, measurement_path
from catalogs.flags import Flag
from catalogs.masters import MATCHES, TRANSFORMS
from catalogs.parquet import read_table, write_table
from catalogs.scales import SCALE_DIFFERENCES, SCALE_MEANS, SCALES
from catalogs.schema import Table
from catalogs.store import Store
from catalogs.tables import MEASUREMENTS
from compute.graph.apply import Progress, run_all
from compute.graph.references import read_sources
from compute.stages.frame.groups import FrameKey
from compute.stages.scale_means import tables
from compute.stages.scales import pairs

__all__ = ["SCALE_TABLES", "corrected_exposures", "publish_scales", "read_folder", "stage_scales"]

SCALE_TABLES = {"scales": SCALES, "scale_means": SCALE_MEANS, "scale_differences": SCALE_DIFFERENCES}
_MATCHES = ["star_id", "exposure", "detector", "star", "used"]
_MEASURED = ["star", "x_gdc", "y_gdc", "x_error", "y_error", "xy_corr", "flags"]


def read_folder(store: Store, folder: str, table: Table) -> pd.DataFrame:
    """All files of a table in a folder as one frame, without path keys."""
    parts = []
    for path in store.list(folder, ".parquet"):
        with store.open(path) as file:
            parts.append(read_table(file, table))
    return pd.concat(parts, ignore_index=True) if parts else table.empty()


def corrected_exposures(catalog: Catalog, field: str) -> dict[FrameKey, pd.DataFrame]:
    """EXPOSURES in each frame of a field whose positions are corrected for distortion; no frame without any."""
    ties = read_folder(catalog.store, field_path("transforms", field), TRANSFORMS)
    rows = catalog.exposures
    rows = rows[(rows["status"] == "ok") & rows["corrected_with"].notna()]
    placed = ties.loc[(ties["status"] == "ok") & (ties["detector"] != ""), ["exposure", "detector", "epoch"]]
    rows = rows.drop(columns="epoch").merge(placed, on=["exposure", "detector"])
    return {FrameKey(*key): part for key, part in rows.groupby([*FrameKey._fields])}


def stage_scales(
    store: Store, client: Client, folder: str, field: str, name: str, frames: Mapping[FrameKey, pd.DataFrame],
    sources: Mapping[float, str], progress: Progress | None = None,
) -> None:  # fmt: skip
    """Stage the scales of a field's exposures against a catalog.

    Parameters
    ----------
    folder
        Where MATCHES with the catalog are staged, and tables of scales will be.
    name
        What the catalog is called in MATCHES.
    frames
        EXPOSURES of each frame.
    sources
        Where the catalog is staged, by epoch.
    """
    matched = store.list(f"{folder}/out", ".parquet")
    work: dict[str, tuple] = {}
    paired: dict[FrameKey, str] = {}
    for key, rows in frames.items():
        label = f"{key.instrument}_{key.filter}_{key.epoch_name}"
        known = [path for path in matched if path.rsplit("/", 1)[1].startswith(f"{name}-{label}_")]
        if known:
            paired[key] = f"{folder}/pairs/{label}.parquet"
            work[label] = (store, paired[key], field, rows, known, sources[key.epoch], name)
    run_all(client, "pairs", _pair_frame, work, progress)
    detectors = _by_detector(frames, paired)
    places = {each: f"{folder}/detectors/{each}" for each in detectors}
    run_all(client, "scales", _scale_detector,
            {each: (store, places[each], epochs, name) for each, epochs in detectors.items()}, progress)  # fmt: skip
    for dataset, table in SCALE_TABLES.items() if detectors else ():
        parts = [read_folder(store, f"{place}/{dataset}", table) for place in places.values()]
        _write(store, f"{folder}/{dataset}.parquet", table.conform(pd.concat(parts, ignore_index=True)), table)


def _by_detector(
    frames: Mapping[FrameKey, pd.DataFrame], paired: Mapping[FrameKey, str]
) -> dict[str, list[list[tuple[str, pd.DataFrame]]]]:
    """By detector, and epoch in order of time: where the pairs of its frames are, and its EXPOSURES in them."""
    found: dict[str, dict[float, list[tuple[str, pd.DataFrame]]]] = {}
    for key in sorted(paired, key=lambda key: (key.instrument, key.epoch, key.filter)):
        for detector, rows in frames[key].groupby("detector"):
            epochs = found.setdefault(f"{key.instrument}_{detector}", {})
            epochs.setdefault(key.epoch, []).append((paired[key], rows))
    return {name: list(found[name].values()) for name in sorted(found)}


def publish_scales(store: Store, folder: str, field: str, name: str) -> None:
    """Move what was staged to its place; what an earlier call left there goes."""
    for dataset in SCALE_TABLES:
        staged, target = f"{folder}/{dataset}.parquet", f"{field_path(dataset, field)}/{name}.parquet"
        if store.exists(staged):
            store.publish(staged, target)
        elif store.exists(target):
            store.remove(target)


def _pair_frame(
    store: Store, out: str, field: str, rows: pd.DataFrame, known: Sequence[str], sources: str, name: str
) -> None:
    """Stage the stars of a frame's exposures beside the sources that they are.

    `rows` are its EXPOSURES, `known` files of MATCHES with the catalog, `sources` the catalog at the frame's epoch.
    """
    places, reference = read_sources(store, sources), pd.concat([_matches(store, path) for path in known])
    assert places is not None  # a match has a reference
    seen = []
    for path in store.list(field_path("matches", field), ".parquet"):
        part = _matches(store, path)
        wanted = part["exposure"].isin(rows["exposure"]) & part["star_id"].isin(reference["star_id"])
        seen.append(part[wanted & (part["detector"] != "")])
    groups = dict(iter(pd.concat(seen, ignore_index=True).groupby(["exposure", "detector"])))
    parts = []
    for row in rows.to_dict("records"):
        matched = groups.get((row["exposure"], row["detector"]), reference[:0])
        parts.append(pairs(pd.concat([reference, matched]), _stars(store, row), places, name))
    store.commit(out, partial(pd.concat(parts, ignore_index=True).to_parquet, index=False))


def _matches(store: Store, path: str) -> pd.DataFrame:
    with store.open(path) as file:
        return read_table(file, MATCHES, _MATCHES)


def _stars(store: Store, row: dict) -> pd.DataFrame:
    """MEASUREMENTS of one exposure that are corrected; flags that all stars of a frame share do not count."""
    with store.open(measurement_path(row)) as file:
        stars = read_table(file, MEASUREMENTS, _MEASURED)
    inherited = np.uint32(Flag.CUTOUT | Flag.CTE)
    stars = stars.assign(exposure=row["exposure"], detector=row["detector"], flags=stars["flags"] & ~inherited)
    return stars[stars["x_gdc"].notna()]


def _scale_detector(store: Store, out: str, epochs: Sequence[Sequence[tuple[str, pd.DataFrame]]], name: str) -> None:
    """Stage the scales of one detector from pairs of its frames, epoch by epoch."""
    parts = []
    for frames in epochs:
        rows = pd.concat([part for _, part in frames], ignore_index=True)
        found = pd.concat([_read(store, path) for path, _ in frames], ignore_index=True)
        parts.append((found[found["detector"] == rows["detector"].iloc[0]], rows))
    for dataset, found in tables(parts, name)._asdict().items():
        _write(store, f"{out}/{dataset}/part.parquet", found, SCALE_TABLES[dataset])


def _read(store: Store, path: str) -> pd.DataFrame:
    with store.open(path) as file:
        return pd.read_parquet(file)


def _write(store: Store, path: str, rows: pd.DataFrame, table: Table) -> None:
    store.commit(path, lambda file: write_table(rows, table, file))
