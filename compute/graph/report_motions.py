"""What workers run for a report's pages of motions: figures, numbers and the linked view of one field."""

import io
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from catalogs.catalog import Catalog, field_path
from catalogs.kinematics import KINEMATICS
from catalogs.motions import ZERO_POINTS
from catalogs.store import Store
from compute.graph.report_frames import covered
from compute.graph.report_populations import Population, compared, notes, populated, populations, shown_filters
from compute.graph.report_sightings import Detections, mean_places, on_detectors, sightings
from compute.graph.report_tasks import commit
from compute.graph.scales import read_folder
from compute.kernels.motion.celestial import project
from compute.settings import KinematicsSettings
from compute.stages.report.cutout import seen_view
from compute.stages.report.finding import View, drawn_view, finding_figure
from compute.stages.report.linked import MOST, linked_page, motion_views
from compute.stages.report.motion_errors import error_figure
from compute.stages.report.motion_page import motion_numbers
from compute.stages.report.motion_rows import magnitudes, moving_rows, wavelength
from compute.stages.report.motion_trends import motion_trends, trend_figure
from compute.stages.report.panels import Extent

__all__ = ["draw_motions", "motion_tasks"]

_HALF = 6.0  # arcsec, of the part of the sky that is shown closer
_LEAST = 30  # stars on a detector that tell of trends
_TOLD = [
    "population", "method", "component", "n", "fraction", "fraction_error", "pmra", "pmra_error", "pmdec",
    "pmdec_error", "sigma", "sigma_error", "sigma_v", "sigma_v_error",
]  # fmt: skip


class _Closer(NamedTuple):
    """What is shown closer: its middle (east, north) and a circle's radius [arcsec], and what is said of the circle."""

    centre: tuple[float, float]
    radius: float | None
    note: str


def motion_tasks(catalog: Catalog, exposures: pd.DataFrame, fields: list[str]) -> dict[str, tuple]:
    """A task for each field that has motions."""
    made = catalog.manifest.provenance
    tasks: dict[str, tuple] = {}
    for field in fields:
        if catalog.store.list(field_path("motions", field), ".parquet"):
            entry = made.get("kinematics", {}).get(field, {})
            tasks[f"motions-{field}"] = draw_motions, (field, exposures[exposures["status"] == "ok"], entry)
    return tasks


def draw_motions(
    store: Store, folder: str, name: str, field: str, exposures: pd.DataFrame, kinematics: Mapping[str, Any]
) -> None:
    """Everything there is to show of one field's motions.

    `exposures` are EXPOSURES, `kinematics` is what the manifest tells of the populations, empty without any.
    """
    motions = _motions(store, field)
    settings = KinematicsSettings(**kinematics.get("settings", {})) if kinematics else None
    filters = shown_filters(motions, _waves(exposures), settings)
    middle = float(motions["ra"].median()), float(motions["dec"].median())
    rows = moving_rows(motions, filters, middle)
    motions = motions.set_index("star_id").loc[rows["star_id"]].reset_index()
    table = read_folder(store, field_path("kinematics", field), KINEMATICS)
    known = populations(motions, settings, table)
    drawn: dict[str, Figure] = {f"{name}-errors": error_figure(rows, filters, field)}
    drawn |= {f"{name}-{kind}": figure for kind, figure in compared(motions, rows, settings, middle, field)}
    drawn |= {f"{name}-{kind}": figure for kind, figure in populated(rows, filters, known, kinematics, field)}
    detections = on_detectors(store, field, exposures)
    at = _cluster(known, middle)
    drawn[f"{name}-finding"] = _chart(rows, motions, at, detections, exposures, middle, field)
    trends = {}
    for detector, part, extent in _on_each(rows, detections, exposures):
        drawn[f"{name}-trends-{detector}"] = trend_figure(part, extent, f"{field} {detector}")
        trends[detector] = motion_trends(part, extent)
    said = notes(rows, known, kinematics) | ({"finding": at.note} if at.note else {})
    zero_points = read_folder(store, field_path("zero_points", field), ZERO_POINTS)
    record = motion_numbers(rows, motions, filters) | {"field": field, "linked": f"{name}-linked.html"}
    record |= {"trends": trends, "kinematics": table[_TOLD].to_dict("records")}
    record |= {"notes": {f"{name}-{kind}": text for kind, text in said.items()}}
    record |= {"zero_points": zero_points.to_dict("records")}
    groups = {which: one.stars for which, one in known.items()}
    shown = rows.nsmallest(MOST, "mag", keep="first").sort_index()
    page = linked_page(f"{field}: stars with motions", shown["star_id"], shown, motion_views(shown, filters),
                       {which: stars[shown.index] for which, stars in groups.items()})  # fmt: skip
    store.commit(f"{folder}/{name}-linked.html", partial(_write, page.encode()))
    commit(store, folder, name, drawn, record)


def _write(data: bytes, sink: Any) -> None:
    sink.write(data)


def _motions(store: Store, field: str) -> pd.DataFrame:
    """MOTIONS of one field with all its magnitudes."""
    parts = [pd.read_parquet(io.BytesIO(store.read_bytes(path)))
             for path in store.list(field_path("motions", field), ".parquet")]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _chart(
    rows: pd.DataFrame, motions: pd.DataFrame, at: _Closer, detections: Detections,
    exposures: pd.DataFrame, middle: tuple[float, float], label: str,
) -> Figure:  # fmt: skip
    """The stars on the sky, and a closer view of a part of it."""
    centre, radius, _ = at
    waves = _waves(exposures)
    depth = {name: motions[f"mag_{name}"].notna().sum() for name in magnitudes(motions) if name in waves}
    deepest = sorted(depth, key=lambda name: (-depth[name], waves[name], name))[:3]
    shown = sorted(deepest, key=lambda name: (waves[name], name))
    seen = sightings(detections, exposures, shown, middle, centre, _HALF)
    view = seen_view(seen, shown, centre, _HALF) or _drawn(rows, motions, shown, centre)
    return finding_figure(rows, view, radius, label)


def _cluster(known: Mapping[str, Population], middle: tuple[float, float]) -> _Closer:
    """The circle of the first cluster whose members are sought, or else of the first population with one.

    Without any it is the middle itself.
    """
    for name, one in sorted(known.items(), key=lambda each: each[1].settings.motion is None):  # stable
        if one.settings.circle is None:
            continue
        ra, dec, radius = one.settings.circle
        xi, eta = project(ra, dec, *middle)
        cluster = one.settings.motion is not None
        sought = f"members of {name} are sought in" if cluster else f"stars of {name} are chosen in"
        return _Closer((1e-3 * float(xi), 1e-3 * float(eta)), radius, f"Magenta: the circle that {sought}.")
    return _Closer((0.0, 0.0), None, "")


def _drawn(rows: pd.DataFrame, motions: pd.DataFrame, shown: list[str], centre: tuple[float, float]) -> View:
    """Without frames; of filters, short waves first, the last is red and the first blue."""
    colours = [shown[-1], shown[len(shown) // 2], shown[0]]
    mags = np.column_stack([motions[f"mag_{name}"].to_numpy(float, na_value=np.nan) for name in colours])
    return drawn_view(rows, 10 ** (-0.4 * (mags - np.nanmedian(mags, axis=0))), centre, _HALF)


def _waves(exposures: pd.DataFrame) -> dict[str, float]:
    return {row.filter: wavelength(row.instrument, row.detector, row.filter) for row in exposures.itertuples()}


def _on_each(
    rows: pd.DataFrame, detections: Detections, exposures: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame, Extent]]:
    """Aligning stars with `x`, `y` on each detector that saw enough of them, and what of it is covered."""
    aligning = rows["aligning"].to_numpy(bool)
    chosen = rows[aligning] if aligning.sum() >= _LEAST else rows
    for detector, places, at in mean_places(detections, chosen["star_id"].to_numpy()):
        if at.size >= _LEAST:
            part = chosen.iloc[at].assign(x=places[:, 0], y=places[:, 1])
            yield detector, part, covered(exposures, detector)
