"""Files for other programs, one for each exposure and detector of a catalog."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from catalogs.catalog import Catalog, measurement_path, own_epsf_path, read_part
from catalogs.cubes import read_epsf
from catalogs.distortion import DistortionCube, read_distortion
from catalogs.errors import PiazziError
from catalogs.exchange.cameras import library_name
from catalogs.exchange.lists import write_ecsv, write_fits, write_votable, write_xymq
from catalogs.exchange.places import file_in, write_whole
from catalogs.exchange.siaf import write_siaf
from catalogs.exchange.stdgdc import write_stdgdc
from catalogs.exchange.stdpsf import write_stdpsf
from catalogs.readers.scales import nominal_scale
from catalogs.tables import MEASUREMENTS

_META = ("program", "instrument", "detector", "filter", "mjd_mid", "exptime", "image_unit", "sha256", "measured_with")
_Key = tuple[tuple[str, str, str], str]
_WRITERS = {"fits": write_fits, "ecsv": write_ecsv, "votable": write_votable}


def export_measurements(catalog: Catalog, exposures: pd.DataFrame, kind: str, out: Path) -> list[Path]:
    """Write measurements of some rows of EXPOSURES, ``fits``, ``ecsv``, ``votable`` or ``xymq``; returns the files."""
    written = []
    suffix = "vot" if kind == "votable" else kind
    detectors = exposures.groupby("exposure")["detector"].transform("size")
    for row, n in zip(exposures.to_dict("records"), detectors, strict=True):
        name = f"{row['exposure']}_{row['detector']}" if n > 1 else row["exposure"]
        path = file_in(out, f"{name}.{suffix}", len(exposures))
        frame = read_part(measurement_path(row), {key.name: row[key.name] for key in MEASUREMENTS.keys},
                          MEASUREMENTS, catalog.store)[MEASUREMENTS.names]  # fmt: skip
        if kind == "xymq":
            written.append(write_whole(path, write_xymq, frame))
        else:
            meta = {key: row[key] for key in _META if not pd.isna(row[key])}
            written.append(write_whole(path, _WRITERS[kind], frame, MEASUREMENTS, meta=meta))
    return written


def export_epsfs(catalog: Catalog, exposures: pd.DataFrame, out: Path) -> list[Path]:
    """Write the ePSFs of some rows of EXPOSURES as STDPSF files; returns the files.

    Of each camera and filter the newest library cube that covers an exposure, a file for each cube; where there is
    none, those that exposures built for themselves.
    """
    cubes = _covering(catalog, exposures, "epsf", read_epsf)
    named = {}
    for (camera, calibration), cube in cubes.items():
        alone = [other for other, _ in cubes].count(camera) == 1
        named["" if alone else calibration, camera] = cube
    for row in [] if cubes else exposures.to_dict("records"):
        if catalog.store.exists(folder := own_epsf_path(row)):
            camera = row["instrument"], row["detector"], row["filter"]
            url = catalog.store.locate_url(folder)
            named[row["exposure"], camera] = read_epsf(url, catalog.store.storage_options)
    if not named:
        raise PiazziError(f"{catalog.store.url}: found no ePSF cube of these exposures, expected at least one")
    written = []
    for (tag, camera), cube in named.items():
        name = library_name("STDPSF", *camera)
        path = file_in(out, name.replace(".fits", f"_{tag}.fits") if tag else name, len(named))
        write_stdpsf(cube, path)
        written.append(path)
    return written


def export_distortions(catalog: Catalog, exposures: pd.DataFrame, version: int, out: Path) -> list[Path]:
    """Write the distortion cubes that cover some rows of EXPOSURES as STDGDC files, format 1 or 2; returns the files.

    One file for each camera and filter, or for each of its calibrations where the exposures need several.
    """
    cubes = _distortions(catalog, exposures)
    cameras = [camera for camera, _ in cubes]
    written = []
    for (camera, calibration), cube in cubes.items():
        name = library_name("STDGDC", *camera)
        alone = cameras.count(camera) == 1
        path = file_in(out, name if alone else name.replace(".fits", f"_{calibration}.fits"), len(cubes))
        write_stdgdc(cube, path, version)
        written.append(path)
    return written


def export_siaf(catalog: Catalog, exposures: pd.DataFrame, out: Path) -> list[Path]:
    """Write the polynomials of distortion cubes that cover some rows of EXPOSURES as SIAF tables; returns the files.

    One file for each camera, calibration and chip, of ideal coordinates at the detector's nominal scale whose x rises
    with that of the detector.
    """
    cubes = _distortions(catalog, exposures)
    n_files = sum(len(cube.chips) for cube in cubes.values())
    written = []
    for (camera, calibration), cube in cubes.items():
        for chip in range(len(cube.chips)):
            end = f"_chip{chip}" if len(cube.chips) > 1 else ""
            path = file_in(out, f"SIAF_{'_'.join(camera)}_{calibration}{end}.csv", n_files)
            write_siaf(cube, path, nominal_scale(camera[1]) / 1000.0, chip=chip)
            written.append(path)
    return written


def _distortions(catalog: Catalog, exposures: pd.DataFrame) -> dict[_Key, DistortionCube]:
    """The newest distortion cube that covers each row of EXPOSURES, by camera and calibration."""
    cubes = _covering(catalog, exposures, "distortion", read_distortion)
    if not cubes:
        raise PiazziError(f"{catalog.store.url}: found no distortion cube for these exposures, expected at least one")
    return cubes


def _covering(catalog: Catalog, exposures: pd.DataFrame, dataset: str, read: Callable[..., Any]) -> dict[_Key, Any]:
    """The newest cube of a kind that covers each row of EXPOSURES, by camera and calibration."""
    cubes = {}
    for values, rows in exposures.groupby(["instrument", "detector", "filter"]):
        instrument, detector, filter = map(str, values)
        folder = f"cubes/{dataset}/{instrument}_{detector}_{filter}"
        folders = {path.rsplit("/", 1)[0] for path in catalog.store.list(folder, (".zmetadata", "zarr.json"))}
        found = [(name, read(catalog.store.locate_url(name), catalog.store.storage_options))
                 for name in sorted(folders, reverse=True) if name.count("/") == 3]  # fmt: skip
        for mjd in rows["mjd_mid"]:
            newest = next(((name, cube) for name, cube in found if cube.covers(mjd)), None)
            if newest:
                calibration = newest[0].rsplit("/", 1)[1].removesuffix(".zarr")
                cubes[(instrument, detector, filter), calibration] = newest[1]
    return cubes
