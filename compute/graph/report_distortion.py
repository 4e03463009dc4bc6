"""What workers run for a report's pages of distortions and pixel scales; committed as they end."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from catalogs.distortion import DistortionCube, read_distortion
from catalogs.residuals import RESIDUALS
from catalogs.store import Store
from compute.graph.report_tasks import commit, read
from compute.stages.report.distortion import camera_figures, distortion_figures, distortion_numbers
from compute.stages.report.distortion_maps import correction_figure
from compute.stages.report.distortion_scales import scale_figure
from compute.stages.report.distortion_tests import layer_numbers

__all__ = ["Solved", "draw_detector", "draw_distortion", "draw_scales"]


class Solved(NamedTuple):
    """A distortion cube, what is left of positions with it, and the detector's scale [mas/pix].

    `residuals` is empty where the correction came from elsewhere.
    """

    camera: tuple[str, str, str]
    place: str
    residuals: str = ""
    scale: float = 1.0

    @property
    def title(self) -> str:
        """Camera and calibration."""
        return f"{' '.join(self.camera)} {self.calibration}"

    @property
    def calibration(self) -> str:
        """Name of the cube."""
        return self.place.rsplit("/", 1)[1].removesuffix(".zarr")


def draw_distortion(store: Store, folder: str, name: str, one: Solved, told: Mapping[str, Any]) -> None:
    """One distortion; `told` is what the manifest says of its solution, empty for a correction from elsewhere."""
    cube, label = _cube(store, one), " ".join(one.camera)
    record: dict[str, Any] = {"title": one.title, "solution": told, "layers": layer_numbers(cube)}
    rows = read(store, one.residuals, RESIDUALS, RESIDUALS.names) if one.residuals else RESIDUALS.empty()
    drawn = {f"{name}-correction": correction_figure(cube, label)}
    if len(rows):
        figures = distortion_figures(rows, cube, one.scale, label)
        drawn = {f"{name}-{kind}": draw() for kind, draw in figures.items()}
        record |= distortion_numbers(rows, cube, one.scale)
    commit(store, folder, name, drawn, record)


def draw_detector(store: Store, folder: str, name: str, filters: Sequence[Solved]) -> None:
    """All filters of one detector that were solved together."""
    by = {one.camera[2]: one for one in filters}
    rows = {filter: read(store, one.residuals, RESIDUALS, RESIDUALS.names) for filter, one in by.items()}
    cubes = {filter: _cube(store, one) for filter, one in by.items()}
    scales = {filter: one.scale for filter, one in by.items()}
    label = " ".join(filters[0].camera[:2])
    figures = camera_figures(rows, cubes, scales, None, label)
    record = {"title": f"{label} {filters[0].calibration}, all filters", "filters": list(by)}
    commit(store, folder, name, {f"{name}-{kind}": draw() for kind, draw in figures.items()}, record)


def draw_scales(store: Store, folder: str, name: str, tables: Sequence[pd.DataFrame]) -> None:
    """Pixel scales of one detector, SCALES against each of what they were measured by."""
    label = " ".join(tables[0][["instrument", "detector"]].iloc[0])
    commit(store, folder, name, {name: scale_figure(tables, label)}, {"title": f"Pixel scales of {label}"})


def _cube(store: Store, one: Solved) -> DistortionCube:
    return read_distortion(store.locate_url(one.place), store.storage_options)
