"""Distortion cubes: what they hold, and how they rest on disk.

corrected = raw + sum of the layers' shifts, every layer evaluated at the *raw* position: polynomial, look-up table,
pixel map (Libralato et al. 2023, section 4). A detector of several chips is one abutted frame; polynomials and map of
one chip never reach into another.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePath
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from catalogs.cubes import TreeStore, open_cube, write_cube
from catalogs.errors import UnusableError
from catalogs.layers import LookUpTable, PixelMap, Polynomial, frozen, positions, require

__all__ = ["GAUGE", "DistortionCube", "LookUpTable", "PixelMap", "Polynomial", "read_distortion", "write_distortion"]

GAUGE = "zero shift, no rotation and unit determinant at the middle of the detector"

Layer = Polynomial | LookUpTable | PixelMap
_KINDS: tuple[type[Layer], ...] = (Polynomial, LookUpTable, PixelMap)


@dataclass(frozen=True, eq=False)
class DistortionCube:
    """The distortion correction of one detector and filter.

    Attributes
    ----------
    layers
        At most one of each kind, kept in the order polynomial, table, map.
    chips
        int64 (n_chips, 2): first row and row after the last of each chip, from the bottom up.
    n_x
        Columns of the detector.
    area_scale
        Area of a nominal pixel in corrected pixels; 1 in the standard gauge.
    gauge
        What fixes shift, rotation and scale of corrected positions.
    valid_from, valid_to
        Validity range [MJD]; None is open.
    extra
        JSON-like notes that travel with the cube.

    Raises
    ------
    UnusableError
        For layers that disagree with chips or columns, two layers of a kind, or chips that overlap.
    """

    layers: tuple[Layer, ...]
    chips: NDArray[np.int64]
    n_x: int
    instrument: str = ""
    detector: str = ""
    filter: str = ""
    source: str = ""
    valid_from: float | None = None
    valid_to: float | None = None
    gauge: str = GAUGE
    area_scale: float = 1.0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        chips = frozen(self, "chips", np.int64)
        kinds = [_KINDS.index(type(layer)) for layer in self.layers]
        require(len(set(kinds)) == len(kinds), f"{self.label} layers", kinds, "one of each kind")
        object.__setattr__(self, "layers", tuple(self.layers[k] for k in np.argsort(kinds)))
        rising = chips.ndim == 2 and chips.shape[1:] == (2,) and chips.size and (np.diff(chips.ravel()) >= 0).all()
        rising = rising and (np.diff(chips) > 0).all()
        require(rising, f"{self.label} chips", chips.tolist(), "rows [first, end), rising")
        for layer in self.layers:
            if isinstance(layer, Polynomial):
                n = len(layer.coefficients)
                require(n == len(chips), f"{self.label} polynomial", f"{n} chips", f"{len(chips)}")
            if isinstance(layer, PixelMap):
                same = np.array_equal(layer.chips, chips) and layer.values.shape[2] == self.n_x
                require(same, f"{self.label} pixel map", layer.values.shape, f"{self.shape} and the cube's chips")
        require(0 < self.area_scale < np.inf, f"{self.label} area_scale", self.area_scale, "a positive area")

    @property
    def key(self) -> tuple[str, str, str]:
        """Instrument, detector, filter."""
        return self.instrument, self.detector, self.filter

    @property
    def label(self) -> str:
        """Name for messages: the source, else ``instrument/detector/filter``."""
        return f"distortion {self.source or '/'.join(self.key)}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the detector."""
        return int(self.chips[-1, 1]), self.n_x

    def covers(self, mjd: float) -> bool:
        """Whether the cube is valid at a time [MJD]."""
        first, last = self.valid_from, self.valid_to
        return (first is None or first <= mjd) and (last is None or mjd <= last)

    def chip_of(self, y: ArrayLike) -> NDArray[np.int64]:
        """Index of the chip that raw rows `y` belong to; beyond the frame, the nearest."""
        return np.searchsorted((self.chips[:-1, 1] + self.chips[1:, 0] - 1) / 2, np.asarray(y, float), side="right")

    def forward(self, x: ArrayLike, y: ArrayLike, chip: ArrayLike | None = None) -> NDArray[np.float64]:
        """Corrected positions (2, ...) [pix] of raw ones, each of the chip its row lies on unless `chip` is given.

        The plain sum over the layers.
        """
        x, y, chip = positions(x, y, self.chip_of(y) if chip is None else chip)
        return sum((layer.delta(x, y, chip) for layer in self.layers), np.array([x, y]))

    def to_dataset(self) -> xr.Dataset:
        """As a labelled Dataset: a variable for each layer, and `chips`; open validity ends are left out."""
        scalars = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("layers", "chips", "extra")}
        meaning = {"units": "pix", "description": "rows of each chip, [first, end)"}
        parts = [layer.dataset() for layer in self.layers]
        dataset = xr.merge([*parts, xr.Dataset({"chips": (("chip", "chip_rows"), self.chips, meaning)})],
                           combine_attrs="no_conflicts", join="exact", compat="no_conflicts")  # fmt: skip
        dataset = dataset.assign_coords(axis=["x", "y"], chip_rows=["first", "end"])
        told = {name: value for name, value in scalars.items() if value is not None}
        return dataset.assign_attrs(told | {"extra": dict(self.extra)})

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> "DistortionCube":
        """Inverse of :meth:`to_dataset`, for datasets with more in them too, as those of simulated truth.

        UnusableError where a variable or attribute is missing, or cannot be read.
        """
        try:
            told: dict[str, Any] = {f.name: dataset.attrs[f.name] for f in fields(cls) if f.name in dataset.attrs}
            found = [kind.of(dataset) for kind in _KINDS if kind.NAME in dataset]
            layers = tuple(layer for layer in found if layer is not None)
            if "n_x" not in told:
                told["n_x"] = _columns(dataset)
            return cls(layers=layers, chips=dataset["chips"].values, **told)
        except (KeyError, TypeError, RuntimeError) as error:  # the last of broken chunks
            raise UnusableError("distortion dataset", error, "the variables of a DistortionCube") from None


def _columns(dataset: xr.Dataset) -> int:
    """Columns of the detector, for a dataset that does not tell."""
    map_columns = dataset.sizes.get("x", 1)
    return map_columns if map_columns > 1 else round(2 * dataset.attrs["middle_x"]) + 1


def write_distortion(store: TreeStore, relative_dir: str, cube: DistortionCube) -> None:
    """Write a distortion cube under `relative_dir` of a store."""
    write_cube(store, relative_dir, cube.to_dataset())


def read_distortion(path: str | os.PathLike, storage_options: Mapping[str, Any] | None = None) -> DistortionCube:
    """Read a distortion cube from its Zarr folder or URL.

    A cube without instrument, detector and filter is that of the camera its folder is named after, as in
    ``NIRISS_NIS_F090W.zarr``; from any other name they stay empty.
    """
    with open_cube(path, storage_options) as dataset:
        cube = DistortionCube.from_dataset(dataset)
    camera = PurePath(str(path)).stem.split("_")
    if any(cube.key) or len(camera) != 3:
        return cube
    return replace(cube, instrument=camera[0], detector=camera[1], filter=camera[2])
