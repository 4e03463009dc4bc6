"""Chapters of a report: tasks that draw, the pages made from their records, the way there."""

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import pandas as pd

from catalogs.catalog import Catalog, field_path
from catalogs.readers.scales import nominal_scale
from compute.graph.report_distortion import Solved, draw_detector, draw_distortion, draw_scales
from compute.graph.report_motions import motion_tasks
from compute.graph.report_tasks import draw_epsf, draw_stability
from compute.graph.scales import SCALE_TABLES, read_folder
from compute.stages.distortion import Calibration
from compute.stages.library import Library
from compute.stages.report.calibration import cube_page, cubes_section
from compute.stages.report.distortion import distortion_page
from compute.stages.report.distortion_scales import scale_page, scales_section
from compute.stages.report.motion_page import motion_page, motions_section
from compute.stages.report.page import Section
from compute.stages.report.solution import distortions_section
from compute.stages.report.stability import stability_page, stability_section

__all__ = ["Chapter", "Records", "Task", "chapters"]

Task = tuple[Callable[..., None], tuple]
Records = Mapping[str, Mapping[str, Any]]
_PHASES = 24  # exposures whose stars tell of an ePSF
_CAMERA = ["instrument", "detector", "filter"]


class Chapter(NamedTuple):
    """Tasks by name; from their records, by the same names, pages by name and sections of the first page.

    `sections` takes the folder of the pages as well.
    """

    tasks: Mapping[str, Task]
    pages: Callable[[Records], dict[str, str]]
    sections: Callable[[Records, str], list[Section]]


def chapters(
    catalog: Catalog,
    exposures: pd.DataFrame,
    fields: list[str],
    libraries: tuple[Library, ...],
    calibrations: tuple[Calibration, ...],
) -> list[Chapter]:
    """Chapters of ePSFs, distortions, scales and motions, in this order; without tasks where a catalog has none."""
    return [
        Chapter(_epsfs(catalog, exposures, libraries), _each(cube_page), cubes_section),
        Chapter(_steady(catalog, exposures), _stability, _stability_section),
        Chapter(_distortions(catalog, calibrations), _each(_distortion_page), distortions_section),
        _scales(catalog, fields),
        Chapter(motion_tasks(catalog, exposures, fields), _each(motion_page), motions_section),
    ]


def _each(page: Callable[[str, Mapping[str, Any]], str]) -> Callable[[Records], dict[str, str]]:
    """A page for every record."""
    return lambda records: {name: page(name, record) for name, record in records.items()}


def _epsfs(catalog: Catalog, exposures: pd.DataFrame, libraries: tuple[Library, ...]) -> dict[str, Task]:
    """A task for each ePSF cube of the catalog."""
    told = catalog.manifest.provenance.get("calibrate", {})
    rows = exposures[(exposures["status"] == "ok") & exposures["n_stars"].notna()]
    used = [_library_of(row, catalog.manifest.provenance.get("measure", {})) for row in rows.itertuples()]
    found: dict[str, Task] = {}
    for library in reversed(libraries):
        *_, camera, name = library.path.split("/")
        of = rows[[each == library.sha256 for each in used]].head(_PHASES)
        place = f"cubes/epsf/{camera}/{name}"
        found[f"epsf-{camera}_{name.removesuffix('.zarr')}"] = (draw_epsf, (place, told.get(place, {}), of))
    return found


def _library_of(row: Any, measured: Mapping[str, Any]) -> str | None:
    """Digest of the cube that an exposure was measured with: the first of those given that is of its camera."""
    given = measured.get(row.measured_with, {}).get("epsf", [])
    camera = f"{row.instrument}_{row.detector}_{row.filter}"
    own = [each["sha256"] for each in given if isinstance(each, dict) and each["path"].split("/")[-2:-1] == [camera]]
    return own[0] if own else None


def _steady(catalog: Catalog, exposures: pd.DataFrame) -> dict[str, Task]:
    """A task for each camera with exposures that library ePSFs were adjusted to."""
    measured = catalog.manifest.provenance.get("measure", {})
    adjusted = [name for name, told in measured.items() if told.get("settings", {}).get("perturb")]
    rows = exposures[(exposures["status"] == "ok") & exposures["measured_with"].isin(adjusted)]
    return {f"stability-{'_'.join(camera)}": (draw_stability, (part,)) for camera, part in rows.groupby(_CAMERA)}


def _drawn(records: Records) -> Records:
    return {name: record for name, record in records.items() if record["pictures"]}


def _stability(records: Records) -> dict[str, str]:
    return {"stability": stability_page(_drawn(records))} if _drawn(records) else {}


def _stability_section(records: Records, folder: str) -> list[Section]:
    return stability_section(_drawn(records), folder)


def _distortions(catalog: Catalog, calibrations: tuple[Calibration, ...]) -> dict[str, Task]:
    """A task for each distortion cube, and one for all filters of a detector that were solved together."""
    told, scales = catalog.manifest.provenance.get("geometry", {}), _known_scales(catalog)
    beside = set(catalog.store.list("cubes/distortion", ".parquet"))
    found: dict[str, Task] = {}
    solved: list[Solved] = []
    for place in sorted(each.name for each in calibrations):
        instrument, detector, filter = place.split("/")[2].split("_")
        one, residuals = (
            Solved((instrument, detector, filter), place),
            f"{place.removesuffix('.zarr')}-residuals.parquet",
        )
        if residuals in beside:
            one = one._replace(residuals=residuals, scale=scales.get(one.camera, nominal_scale(detector)))
            solved.append(one)
        entry = {name: value for name, value in told.get(place, {}).items() if name not in ("settings", "digest")}
        found[f"distortion-{'_'.join(one.camera)}_{one.calibration}"] = (draw_distortion, (one, entry))
    for shared, group in groupby(sorted(solved, key=_shared), _shared):
        found[f"detector-{'_'.join(shared)}"] = (draw_detector, (tuple(group),))
    return found


def _shared(one: Solved) -> tuple[str, str, str]:
    return *one.camera[:2], one.calibration


def _known_scales(catalog: Catalog) -> dict[tuple, float]:
    """Median measured scale of each camera [mas/pix]."""
    rows = read_folder(catalog.store, "scales", SCALE_TABLES["scales"])
    rows = rows[rows["status"] == "ok"]
    return {camera: float(part["scale"].median()) for camera, part in rows.groupby(_CAMERA)}


def _distortion_page(name: str, record: Mapping[str, Any]) -> str:
    return distortion_page(f"Distortion {record['title']}", record)


def _scales(catalog: Catalog, fields: list[str]) -> Chapter:
    """A task for each detector of each field."""
    tasks: dict[str, Task] = {}
    means: dict[str, dict[str, pd.DataFrame]] = {}
    for field in fields:
        tables = {name: read_folder(catalog.store, field_path(name, field), table)
                  for name, table in SCALE_TABLES.items()}  # fmt: skip
        rows = tables["scales"][tables["scales"]["status"] == "ok"]
        for (instrument, detector), part in rows.groupby(_CAMERA[:2]):
            name = f"scales-{field}_{instrument}_{detector}"
            tasks[name] = (draw_scales, ([one for _, one in part.groupby("against", sort=False)],))
            means[name] = {
                which: table[(table["instrument"] == instrument) & (table["detector"] == detector)]
                for which, table in tables.items()
            }
    return Chapter(
        tasks,
        lambda records: {name: scale_page(name, record, means[name]) for name, record in records.items()},
        lambda records, folder: scales_section(means, folder),
    )
