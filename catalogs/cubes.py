"""Effective-PSF cubes: what they hold, and how they rest on disk."""

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from catalogs.errors import UnusableError

__all__ = ["CENTRING", "EpsfCube", "enclosed_sum", "open_cube", "read_epsf", "write_cube", "write_epsf"]

CENTRING = "psi(-0.5, 0) = psi(0.5, 0) and psi(0, -0.5) = psi(0, 0.5)"


class TreeStore(Protocol):
    """Whatever can make a folder appear whole or not at all."""

    def commit_tree(self, relative_dir: str, write: Callable[[str], object]) -> object:
        """Let `write` fill a local folder, then publish it as `relative_dir`."""


@dataclass(frozen=True, eq=False)
class EpsfCube:
    """Effective PSFs on a grid of detector positions (Anderson & King 2000, PASP 112, 1360). Arrays are read-only.

    Attributes
    ----------
    values
        float64 (n_fy, n_fx, n_v, n_u): fraction of a star's flux in a pixel whose centre lies (u, v) from the star.
        n_v = n_u is odd; the middle sample is offset zero. To be interpolated bilinearly between fiducials.
    fx, fy
        Fiducial positions [0-based full-detector pix], strictly increasing.
    oversampling
        Samples per pixel along u and v.
    normalisation_radius
        Radius [pix] within which the values sum to one in the sense of :func:`enclosed_sum`.
    n_samples
        int64 (n_fy, n_fx): stars that went into each fiducial's ePSF; 0 where unknown.
    valid_from, valid_to
        Validity range [MJD]; None is open.
    centring
        What makes (0, 0) the star's position. A library keeps its own convention and is never re-centred.
    flux_term, flux_unit
        float64 (n_v, n_u), or None where it is not known: what a star's charge adds to `values` for every `flux_unit`
        [e] of it, the same at all fiducials; `values` are then those of a star of no charge (brighter-fatter effect).
    extra
        JSON-like notes that travel with the cube.

    Raises
    ------
    UnusableError
        Shapes that disagree, an even or oblong sample grid, non-finite values, fiducials that do not increase, an
        oversampling that is not a positive integer.
    """

    values: NDArray[np.float64]
    fx: NDArray[np.float64]
    fy: NDArray[np.float64]
    oversampling: int
    normalisation_radius: float
    n_samples: NDArray[np.int64]
    instrument: str = ""
    detector: str = ""
    filter: str = ""
    source: str = ""
    valid_from: float | None = None
    valid_to: float | None = None
    centring: str = CENTRING
    extra: Mapping[str, Any] = field(default_factory=dict)
    flux_term: NDArray[np.float64] | None = None
    flux_unit: float | None = None

    def __post_init__(self):
        for name, dtype in (("values", np.float64), ("fx", np.float64), ("fy", np.float64), ("n_samples", np.int64)):
            array = np.array(getattr(self, name), dtype=dtype)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        shape, grid = self.values.shape, (self.fy.size, self.fx.size)
        square = len(shape) == 4 and shape[2] == shape[3] and shape[2] % 2 == 1
        self._require(square, "values", f"shape {shape}", "(n_fy, n_fx, n, n) with n odd")
        self._require(shape[:2] == grid, "values", f"shape {shape}", f"{grid} fiducials first")
        self._require(self.n_samples.shape == grid, "n_samples", f"shape {self.n_samples.shape}", f"{grid}")
        bad = int(np.count_nonzero(~np.isfinite(self.values)))
        self._require(bad == 0, "values", f"{bad} non-finite samples", "finite values")
        for name in ("fx", "fy"):
            axis = getattr(self, name)
            increasing = axis.ndim == 1 and axis.size > 0 and np.isfinite(axis).all() and (np.diff(axis) > 0).all()
            self._require(increasing, name, axis.tolist(), "strictly increasing positions")
        oversampling, radius = self.oversampling, float(self.normalisation_radius)
        self._require(oversampling >= 1 and oversampling % 1 == 0, "oversampling", oversampling, "an integer above 0")
        self._require(0 < radius < np.inf, "normalisation_radius", radius, "a positive radius [pix]")
        object.__setattr__(self, "oversampling", int(oversampling))
        object.__setattr__(self, "normalisation_radius", radius)
        self._settle_flux_term()

    def _settle_flux_term(self) -> None:
        """Read-only, finite, shaped like one ePSF, with a unit."""
        unit = self.flux_unit
        told = (self.flux_term is None) == (unit is None) and (unit is None or 0 < unit < np.inf)
        self._require(told, "flux_unit", unit, "a positive charge [e] with a flux term, none without")
        if self.flux_term is None:
            return
        term = np.array(self.flux_term, dtype=np.float64)
        met = term.shape == self.values.shape[2:] and bool(np.isfinite(term).all())
        self._require(met, "flux_term", f"shape {term.shape}", f"finite values of shape {self.values.shape[2:]}")
        term.setflags(write=False)
        object.__setattr__(self, "flux_term", term)

    def _require(self, met: bool, what: str, found: object, expected: str) -> None:
        if not met:
            raise UnusableError(f"ePSF cube {self.label} {what}", found, expected)

    @property
    def key(self) -> tuple[str, str, str]:
        """Instrument, detector, filter."""
        return self.instrument, self.detector, self.filter

    def covers(self, mjd: float) -> bool:
        """Whether it is valid at a time [MJD]."""
        first, last = self.valid_from, self.valid_to
        return (first is None or first <= mjd) and (last is None or mjd <= last)

    @property
    def label(self) -> str:
        """Name for messages: the source, else ``instrument/detector/filter``."""
        return self.source or "/".join(self.key)

    @property
    def radius(self) -> float:
        """Half width of the sample grid [pix]."""
        return (self.values.shape[-1] - 1) / 2 / self.oversampling

    @property
    def u(self) -> NDArray[np.float64]:
        """Offsets pixel minus star along x [pix], (n_u,)."""
        half = self.values.shape[-1] // 2
        return np.arange(-half, half + 1) / self.oversampling

    @property
    def v(self) -> NDArray[np.float64]:
        """Offsets pixel minus star along y [pix], (n_v,); equal to `u`."""
        return self.u

    @property
    def centre_values(self) -> NDArray[np.float64]:
        """Fraction of the flux in the pixel a star is centred on, (n_fy, n_fx)."""
        half = self.values.shape[-1] // 2
        return self.values[:, :, half, half]

    def to_dataset(self) -> xr.Dataset:
        """As a labelled Dataset: `epsf` (fy, fx, v, u), `n_samples` (fy, fx) and, where known, `flux_term` (v, u).

        Open validity ends are left out.
        """
        scalars = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in (*_ARRAYS, "flux_term")}
        attrs = {name: value for name, value in scalars.items() if value is not None} | {"extra": dict(self.extra)}
        meaning = "fraction of the star's flux in a pixel at this offset"
        position = {"units": "pix", "description": "fiducial position, 0-based full-detector pixels"}
        offset = {"units": "pix", "description": "pixel minus star"}
        arrays: dict[str, Any] = {
            "epsf": (("fy", "fx", "v", "u"), self.values, {"units": "1", "description": meaning}),
            "n_samples": (("fy", "fx"), self.n_samples, {"units": "1", "description": "stars used; 0 unknown"}),
        }
        if self.flux_term is not None:
            meaning = "what a charge of flux_unit electrons adds to epsf"
            arrays["flux_term"] = (("v", "u"), self.flux_term, {"units": "1", "description": meaning})
        return xr.Dataset(
            arrays,
            coords={
                "fy": ("fy", self.fy, position),
                "fx": ("fx", self.fx, position),
                "v": ("v", self.v, offset),
                "u": ("u", self.u, offset),
            },
            attrs=attrs,
        )

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> "EpsfCube":
        """Inverse of :meth:`to_dataset`; UnusableError where a variable or attribute is missing."""
        try:
            parts: dict[str, Any] = {f.name: dataset.attrs[f.name] for f in fields(cls) if f.name in dataset.attrs}
            parts |= {name: dataset["epsf" if name == "values" else name].values for name in _ARRAYS}
            if "flux_term" in dataset:
                parts["flux_term"] = dataset["flux_term"].values
            return cls(**parts)
        except (KeyError, TypeError) as error:
            raise UnusableError("ePSF dataset", error, "the variables and attributes of an EpsfCube") from None


_ARRAYS = ("values", "fx", "fy", "n_samples")


def enclosed_sum(values: ArrayLike, oversampling: int, radius: float) -> NDArray[np.float64]:
    """Flux fraction within `radius` pixels, (..., n, n) -> (...).

    Sum of all samples within the radius over `oversampling` squared, i.e. the mean over pixel phases of what the pixels
    within `radius` of the star hold. Samples at the rim count in proportion to how far they lie inside (a one-sample
    ramp): at 4 samples per pixel this integrates a star of 2 pix sigma to 3e-4, where a hard rim errs by up to 1e-2.
    """
    values = np.asarray(values)
    half = values.shape[-1] // 2
    offset = np.arange(-half, half + 1)
    inside = np.clip(radius * oversampling - np.hypot(offset, offset[:, None]) + 0.5, 0.0, 1.0)
    return np.einsum("...vu,vu->...", values, inside) / oversampling**2


def write_cube(store: TreeStore, relative_dir: str, dataset: xr.Dataset) -> None:
    """Write any cube as Zarr, whole or not at all: one chunk per array, consolidated metadata, no timestamps."""
    # Format 2, because there consolidated metadata is an accepted part and remote readers need one request for all.
    encoding = {name: {"chunks": array.shape} for name, array in dataset.variables.items() if array.ndim}
    store.commit_tree(
        relative_dir,
        lambda folder: dataset.to_zarr(folder, mode="w", consolidated=True, zarr_format=2, encoding=encoding),
    )


def open_cube(path: str | os.PathLike, storage_options: Mapping[str, Any] | None = None) -> xr.Dataset:
    """Open a cube's Zarr folder or URL; arrays are read when touched. UnusableError where there is none."""
    options = dict(storage_options) if storage_options else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return xr.open_zarr(os.fspath(path), chunks=None, storage_options=options)
    except (OSError, ValueError, KeyError) as error:
        raise UnusableError(str(path), type(error).__name__, "a Zarr cube") from error


def write_epsf(store: TreeStore, relative_dir: str, cube: EpsfCube) -> None:
    """Write an ePSF cube under `relative_dir` of a store."""
    write_cube(store, relative_dir, cube.to_dataset())


def read_epsf(path: str | os.PathLike, storage_options: Mapping[str, Any] | None = None) -> EpsfCube:
    """Read an ePSF cube from its Zarr folder or URL."""
    with open_cube(path, storage_options) as dataset:
        return EpsfCube.from_dataset(dataset)
