"""What workers run for a report: pictures and numbers of one camera or ePSF; committed as they end."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from catalogs.catalog import measurement_path
from catalogs.cubes import EpsfCube, read_epsf
from catalogs.flags import Flag
from catalogs.parquet import read_table
from catalogs.schema import Table
from catalogs.store import Store
from catalogs.tables import MEASUREMENTS
from compute.stages.report.calibration import cube_numbers
from compute.stages.report.fiducials import profile_figure, variation_figure
from compute.stages.report.judged import density_figure, phase_figure, region_figure, samplings_figure, shown_passes
from compute.stages.report.measured import quality_figure
from compute.stages.report.numbers import plain
from compute.stages.report.stability import core_figure, fit_figure, read_stability, stability_numbers
from compute.stages.report.style import png
from compute.stages.report.ties import QUALITY, TIES, ties, time_figure

__all__ = ["commit", "draw_camera", "draw_epsf", "draw_quality", "draw_stability", "draw_ties", "read"]

_QUALITY = ["x", "y", "flux", "flux_error", "mag", "qfit", "radxs", "chi2", "flags"]


def draw_quality(store: Store, folder: str, name: str, rows: pd.DataFrame) -> None:
    """How the exposures of one instrument were measured; `rows` are their EXPOSURES."""
    figure = time_figure(rows, QUALITY, str(rows["instrument"].iloc[0]))
    commit(store, folder, name, {name: figure}, {})


def draw_ties(store: Store, folder: str, name: str, transforms: pd.DataFrame, exposures: pd.DataFrame) -> None:
    """How the exposures of one detector lie on the frames of a field."""
    rows = ties(transforms, exposures)
    title = " ".join(rows[["instrument", "detector"]].iloc[0])
    commit(store, folder, name, {name: time_figure(rows, TIES, title)}, {})


def draw_camera(store: Store, folder: str, name: str, row: Mapping[str, Any]) -> None:
    """Quality of the fits in one exposure, a row of EXPOSURES."""
    stars = read(store, measurement_path(row), MEASUREMENTS, _QUALITY)
    inherited = int(np.bitwise_and.reduce(stars["flags"].to_numpy())) & (Flag.CUTOUT | Flag.CTE) if len(stars) else 0
    label = f"{row['instrument']} {row['detector']} {row['filter']}: {row['exposure']}"
    commit(store, folder, name, {name: quality_figure(stars, label, inherited)}, {})


def draw_stability(store: Store, folder: str, name: str, rows: pd.DataFrame) -> None:
    """How steady the ePSFs of one camera are; `rows` are its EXPOSURES. No pictures where none was adjusted."""
    known = read_stability(store, rows)
    camera = rows[["instrument", "detector", "filter"]].iloc[0].tolist()
    label = " ".join(camera)
    drawn = {f"{name}-core": core_figure(known, label), f"{name}-fit": fit_figure(known, label)} if len(known) else {}
    commit(store, folder, name, drawn, {"camera": camera, "exposures": stability_numbers(known)})


def draw_epsf(store: Store, folder: str, name: str, place: str, told: Mapping[str, Any], rows: pd.DataFrame) -> None:
    """An ePSF cube at `place` of the catalog; `told` is what the manifest says of it, `rows` are EXPOSURES measured
    with it.
    """
    cube = read_epsf(store.locate_url(place), store.storage_options)
    label = " ".join(cube.key)
    drawn = {
        f"{name}-variation": variation_figure(cube, label),
        f"{name}-profile": profile_figure(cube, label),
    }
    drawn |= {f"{name}-{kind}": figure for kind, figure in _judged(store, place, cube, label).items()}
    columns = ["x", "y", "flux", "flux_error", "flags"]
    parts = [read(store, measurement_path(row), MEASUREMENTS, columns) for row in rows.to_dict("records")]
    if parts:
        stars = pd.concat(parts, ignore_index=True)
        inherited = np.uint32(Flag.CUTOUT | Flag.CTE)
        clean = (stars["flags"].to_numpy() & ~inherited == 0) & (stars["flux"] > 20 * stars["flux_error"]).to_numpy()
        drawn[f"{name}-density"] = density_figure({"measured": stars[clean]}, label)
    commit(store, folder, name, drawn, cube_numbers(cube, told))


def _judged(store: Store, place: str, cube: EpsfCube, label: str) -> dict[str, Figure]:
    """What the stars it was built from say of a cube, where it was built here."""
    drawn: dict[str, Figure] = {}
    known = {what: _beside(store, place, what) for what in ("judged", "control", "samplings")}
    if known["judged"] is not None:
        passes = shown_passes(known["judged"])
        *_, last = passes
        drawn["centres"] = density_figure(passes, label)
        drawn["phase"] = phase_figure(shown_passes(known["judged"], known["control"]), label)
        drawn["regions"] = region_figure(passes[last], f"{label}, {last}")
    if known["samplings"] is not None:
        drawn["samplings"] = samplings_figure(known["samplings"], cube, label)
    return drawn


def _beside(store: Store, place: str, what: str) -> pd.DataFrame | None:
    """A table that calibration left beside a cube."""
    path = f"{place.removesuffix('.zarr')}-{what}.parquet"
    if not store.exists(path):
        return None
    with store.open(path) as file:
        return pd.read_parquet(file)


def read(store: Store, path: str, table: Table, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of one file of a table."""
    with store.open(path) as file:
        return read_table(file, table, columns)


def commit(store: Store, folder: str, name: str, figures: Mapping[str, Figure], numbers: Mapping[str, Any]) -> None:
    """Write pictures, and last the record that tells of them."""
    for picture, figure in figures.items():
        data = png(figure)
        store.commit(f"{folder}/{picture}.png", partial(_write, data))
    record = {"pictures": list(figures), **numbers}
    store.commit(f"{folder}/{name}.json", partial(_write, json.dumps(plain(record), allow_nan=False).encode()))


def _write(data: bytes, sink: Any) -> None:
    sink.write(data)
