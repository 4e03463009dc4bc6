"""Layers of a distortion correction: shifts of raw positions, as polynomials, a look-up table, a map of pixels.

Shifts are in pixels, [x, y]; positions are raw, 0-based full-detector pixels. ``delta`` is what a layer means, plainly
written; the pipeline has faster ways.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr
from numpy.polynomial.polynomial import polyval2d
from numpy.typing import ArrayLike, NDArray

from catalogs.errors import UnusableError

__all__ = ["LookUpTable", "PixelMap", "Polynomial", "frozen", "positions", "require"]

_PIX = {"units": "pix"}


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Polynomials over u = (x - middle_x) / half, v = (y - middle_y) / half.

    `coefficients` (n_chips, 2, p, p) [chip, axis, power of u, power of v], in pixels, zero where the powers sum to p or
    more.
    """

    NAME: ClassVar[str] = "polynomial"
    coefficients: NDArray[np.float64]
    middle: tuple[float, float]
    half: float

    def __post_init__(self):
        values = frozen(self, "coefficients", np.float64)
        shape, size = values.shape, values.shape[-1] if values.ndim else 0
        require(values.ndim == 4 and shape[1] == 2 and shape[2] == size > 0, self.NAME, shape, "(n_chips, 2, p, p)")
        require(np.isfinite(values).all(), self.NAME, "non-finite terms", "finite ones")
        beyond = np.add.outer(np.arange(size), np.arange(size)) >= size
        require(
            (values[..., beyond] == 0).all(), self.NAME, f"terms of degree {size} or more", f"none in {size} powers"
        )
        require(self.half > 0, f"{self.NAME} half", self.half, "a positive width [pix]")

    def delta(self, x: ArrayLike, y: ArrayLike, chip: ArrayLike = 0) -> NDArray[np.float64]:
        """Shifts (2, ...) [pix] at raw positions; NaN where a position is not finite."""
        x, y, chip = positions(x, y, chip)
        u, v = (x - self.middle[0]) / self.half, (y - self.middle[1]) / self.half
        each = [[polyval2d(u, v, axis) for axis in own] for own in self.coefficients]
        return np.choose(chip, np.array(each)) if len(each) > 1 else np.array(each[0])

    def dataset(self) -> xr.Dataset:
        """The variable and attributes of this layer."""
        attrs = {"middle_x": self.middle[0], "middle_y": self.middle[1], "half": self.half}
        return xr.Dataset({self.NAME: (("chip", "axis", "power_u", "power_v"), self.coefficients, _PIX)}, attrs=attrs)

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Self:
        """Inverse of :meth:`dataset`."""
        attrs = dataset.attrs
        return cls(dataset[cls.NAME].values, (attrs["middle_x"], attrs["middle_y"]), attrs["half"])


@dataclass(frozen=True, eq=False)
class LookUpTable:
    """Shifts `values` (2, n_y, n_x) [axis, y, x] at positions `x` (n_x,), `y` (n_y,), bilinear between them.

    The outermost positions are where the table ends: those of edge cells lie on the edge of the detector (Libralato et
    al. 2023, section 4.2). Beyond, the table is constant.
    """

    NAME: ClassVar[str] = "table"
    values: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def __post_init__(self):
        for name in ("values", "x", "y"):
            frozen(self, name, np.float64)
        wanted = (2, self.y.size, self.x.size)
        require(self.values.shape == wanted and min(wanted) > 1, self.NAME, self.values.shape, f"{wanted}, 2 or more")
        rising = all(axis.ndim == 1 and (np.diff(axis) > 0).all() for axis in (self.x, self.y))
        require(rising and np.isfinite(self.values).all(), self.NAME, "other", "rising positions and finite values")

    def delta(self, x: ArrayLike, y: ArrayLike, chip: ArrayLike = 0) -> NDArray[np.float64]:
        """Shifts (2, ...) [pix] at raw positions; NaN where a position is not finite."""
        x, y, _ = positions(x, y, chip)
        column, row = np.interp(x, self.x, np.arange(self.x.size)), np.interp(y, self.y, np.arange(self.y.size))
        return _bilinear(self.values, column, row, 0, self.y.size - 1)

    def dataset(self) -> xr.Dataset:
        """The variable and coordinates of this layer."""
        where = {"table_y": ("table_y", self.y, _PIX), "table_x": ("table_x", self.x, _PIX)}
        return xr.Dataset({self.NAME: (("axis", "table_y", "table_x"), self.values, _PIX)}, coords=where)

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Self:
        """Inverse of :meth:`dataset`."""
        return cls(*(dataset[name].values for name in (cls.NAME, "table_x", "table_y")))


@dataclass(frozen=True, eq=False)
class PixelMap:
    """Shifts `values` (2, n_y, n_x) [axis, y, x] of every pixel, bilinear between pixel centres, constant beyond.

    `chips` (n_chips, 2) are the first row and the row after the last of each chip. NaN: the pixel is not measured.
    Single precision is kept as it is.
    """

    NAME: ClassVar[str] = "pixel_map"
    values: NDArray[np.floating]
    chips: NDArray[np.int64]

    def __post_init__(self):
        single = np.asarray(self.values).dtype == np.float32
        values, chips = frozen(self, "values", np.float32 if single else np.float64), frozen(self, "chips", np.int64)
        shape = values.shape
        require(values.ndim == 3 and shape[0] == 2 and min(shape) > 1, self.NAME, shape, "(2, n_y, n_x), 2 or more")
        fit = chips.ndim == 2 and chips.shape[1] == 2 and (chips[:, 0] >= 0).all() and (chips[:, 1] <= shape[1]).all()
        require(fit, f"{self.NAME} chips", chips.tolist(), f"rows within {shape[1]}")

    def delta(self, x: ArrayLike, y: ArrayLike, chip: ArrayLike = 0) -> NDArray[np.float64]:
        """Shifts (2, ...) [pix] at raw positions; NaN where a position is not finite or touches unmeasured pixels."""
        x, y, chip = positions(x, y, chip)
        return _bilinear(self.values, x, y, self.chips[chip, 0], self.chips[chip, 1] - 1)

    def dataset(self) -> xr.Dataset:
        """The variable of this layer."""
        return xr.Dataset({self.NAME: (("axis", "y", "x"), self.values, _PIX)})

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Self | None:
        """Inverse of :meth:`dataset`; None for a map of one pixel, which stands for none."""
        values = dataset[cls.NAME].values
        return None if values.shape[1:] == (1, 1) else cls(values, dataset["chips"].values)


def require(met: object, what: str, found: object, expected: str) -> None:
    """Raise UnusableError about a part of a distortion unless `met`."""
    if not met:
        raise UnusableError(what if what.startswith("distortion") else f"distortion {what}", found, expected)


def frozen(owner: object, name: str, dtype: type) -> NDArray:
    """Make an attribute a read-only array of its own."""
    array: NDArray = np.array(getattr(owner, name), dtype=dtype)
    array.setflags(write=False)
    object.__setattr__(owner, name, array)
    return array


def positions(x: ArrayLike, y: ArrayLike, chip: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """Positions and chips of one shape; NaN in both coordinates where either is not finite."""
    x, y, chip = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float), np.asarray(chip, np.int64))
    known = np.isfinite(x) & np.isfinite(y)
    return np.where(known, x, np.nan), np.where(known, y, np.nan), chip


def _bilinear(values: NDArray, column: NDArray, row: NDArray, first: Any, last: Any) -> NDArray[np.float64]:
    """Interpolate (2, n_y, n_x) at fractional indices, clamped to the columns there are and rows `first` to `last`."""
    known, width = ~np.isnan(column), values.shape[2]
    column = np.where(known, np.clip(column, 0, width - 1), 0)
    row = np.where(known, np.clip(row, first, last), first)
    i, j = np.minimum(column.astype(int), width - 2), np.minimum(row.astype(int), np.maximum(last - 1, first))
    s, t, up = column - i, row - j, np.minimum(j + 1, last)
    low = _mix(s, values[:, j, i], values[:, j, i + 1])
    high = _mix(s, values[:, up, i], values[:, up, i + 1])
    return np.where(known, _mix(t, low, high), np.nan)


def _mix(share: NDArray, low: NDArray, high: NDArray) -> NDArray:
    """Between two values; one of no weight may be NaN."""
    return np.where(share < 1, (1 - share) * low, 0) + np.where(share > 0, share * high, 0)
