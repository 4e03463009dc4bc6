"""Stage `distortion`: the correction made for an exposure, and the columns of MEASUREMENTS that follow from it.

`x_gdc`, `y_gdc` are corrected positions. `mag_area` is `mag` - 2.5 log10(area of the pixel): frames are flat-fielded,
so that a star of the same light counts less per unit of area in a larger pixel. An area that comes with a frame (AREA
of JWST, the SIP polynomial of ACS and WFC3, the geometry of WFPC2) is that of its own flat field and stays; only where
there is none, all pixels having been taken as equal, is it that of the distortion.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePath
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pandas as pd

from catalogs.distortion import DistortionCube, read_distortion
from catalogs.errors import UnusableError
from catalogs.exchange.stdgdc import read_stdgdc
from catalogs.store import Store
from compute.kernels.geometry.distortion import forward, pixel_area
from compute.kernels.geometry.layers import Layer
from compute.stages.layered import layers_of


class Calibration(NamedTuple):
    """A distortion on disk: what it is for, and the digest of its bytes.

    `name` is the path as it was given, or that inside the catalog; `options` what fsspec needs, as JSON.
    """

    name: str
    path: str
    options: str
    sha256: str
    key: tuple[str, str, str]
    valid_from: float | None
    valid_to: float | None
    shape: tuple[int, int]

    def suits(self, exposure: Mapping[Any, Any]) -> bool:
        """Whether it is for an exposure, a row of EXPOSURES; names it lacks match all."""
        camera = tuple(exposure[name] for name in ("instrument", "detector", "filter"))
        first, last = self.valid_from, self.valid_to
        mjd, (n_y, n_x) = exposure["mjd_mid"], self.shape
        return (
            all(have in ("", want) for have, want in zip(self.key, camera, strict=True))
            and (first is None or first <= mjd)
            and (last is None or mjd <= last)
            and exposure["x_start"] + exposure["n_x"] <= n_x
            and exposure["y_start"] + exposure["n_y"] <= n_y
        )


def find_calibration(path: str, storage_options: Mapping[str, Any] | None = None, name: str = "") -> Calibration:
    """A distortion cube (a ``.zarr`` folder) or an STDGDC file, read through once.

    Raises
    ------
    UnusableError
        If there is nothing at `path`, or nothing that can be used.
    """
    digest = hashlib.sha256()
    try:
        fs, place = fsspec.url_to_fs(path, **(storage_options or {}))
        files = sorted(fs.find(place))
        for file in files:
            digest.update(file[len(place) :].encode() + b"\0" + fs.cat_file(file))
    except (ImportError, OSError, ValueError) as error:  # also of unknown protocols, and of those not installed
        raise UnusableError(path, error, "an STDGDC file or a distortion cube") from None
    if not files:
        raise UnusableError(path, "nothing", "an STDGDC file or a distortion cube")
    digest.update(PurePath(place.rstrip("/")).name.encode())  # which tells what a file is for
    options = json.dumps(dict(storage_options or {}), sort_keys=True)
    cube = _open(path, options)
    return Calibration(
        name or path, path, options, digest.hexdigest(), cube.key, cube.valid_from, cube.valid_to, cube.shape
    )


def own_calibrations(store: Store, cameras: Iterable[tuple[str, str, str]]) -> tuple[Calibration, ...]:
    """The distortion cubes that a catalog holds for some (instrument, detector, filter), the newest first."""
    found = []
    for camera in sorted(set(cameras)):
        roots = store.list(f"cubes/distortion/{'_'.join(camera)}", (".zmetadata", "zarr.json"))
        folders = sorted({root.rsplit("/", 1)[0] for root in roots if root.count("/") == 4}, reverse=True)
        found += [find_calibration(store.locate_url(folder), store.storage_options, folder) for folder in folders]
    return tuple(found)


def choose_calibration(calibrations: Sequence[Calibration], exposure: Mapping[Any, Any]) -> Calibration | None:
    """The first that suits an exposure, a row of EXPOSURES; None where none does."""
    return next((each for each in calibrations if each.suits(exposure)), None)


def corrected(stars: pd.DataFrame, calibration: Calibration, own_area: bool) -> pd.DataFrame:
    """MEASUREMENTS with `x_gdc`, `y_gdc`, and `mag_area` unless the frame had an area of its `own`."""
    cube, layers = _opened(calibration)
    x, y = stars["x"].to_numpy(), stars["y"].to_numpy()
    chip = cube.chip_of(y)
    x_gdc, y_gdc = forward(layers, x, y, chip)
    columns = {"x_gdc": x_gdc, "y_gdc": y_gdc}
    if not own_area:
        area = pixel_area(layers, cube.chips, cube.n_x, np.round(x), np.round(y), chip) / cube.area_scale
        columns["mag_area"] = stars["mag"].to_numpy() - 2.5 * np.log10(area)
    return stars.assign(**columns)


def uncorrected(stars: pd.DataFrame, own_area: bool) -> pd.DataFrame:
    """MEASUREMENTS as they were before there was a distortion."""
    columns = {"x_gdc": np.nan, "y_gdc": np.nan} | ({} if own_area else {"mag_area": stars["mag"]})
    return stars.assign(**columns)


def has_own_area(stars: pd.DataFrame) -> bool:
    """Whether the frame of these MEASUREMENTS, not corrected yet, told the areas of its pixels."""
    mag, mag_area = stars["mag"].to_numpy(), stars["mag_area"].to_numpy()
    return not np.array_equal(mag, mag_area, equal_nan=True)


def _open(path: str, options: str) -> DistortionCube:
    if path.rstrip("/").endswith(".zarr"):
        return read_distortion(path, json.loads(options))
    return read_stdgdc(path)


@lru_cache(maxsize=2)
def _opened(calibration: Calibration) -> tuple[DistortionCube, tuple[Layer, ...]]:
    cube = _open(calibration.path, calibration.options)
    return cube, layers_of(cube)
