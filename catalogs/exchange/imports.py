"""Calibrations made elsewhere, as cubes of a catalog: public libraries, and cubes of other catalogs."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePath

from catalogs.catalog import calibration_path
from catalogs.cubes import EpsfCube, open_cube, read_epsf, write_epsf
from catalogs.distortion import DistortionCube, read_distortion, write_distortion
from catalogs.errors import UnusableError
from catalogs.exchange.cameras import MOSAICS
from catalogs.exchange.stdgdc import read_stdgdc
from catalogs.exchange.stdpsf import read_stdpsf, split_stdpsf
from catalogs.store import Store

__all__ = ["IMPORTED", "import_cubes", "read_cubes"]

IMPORTED = "0000.00-imported"  # before all cubes that a catalog makes itself: these are named by their epochs
_OWN = re.compile(r".*-(built|solved|updated)")

Cube = EpsfCube | DistortionCube


def import_cubes(
    store: Store,
    paths: Iterable[str],
    name: str = IMPORTED,
    valid: tuple[float | None, float | None] = (None, None),
    replace_there: bool = False,
) -> list[str]:
    """Write libraries of ePSFs and distortions into a catalog; returns the cubes' paths in it.

    Everything is read and checked before anything is written.

    Parameters
    ----------
    name
        Name of the calibration. Of those valid for an exposure the last in alphabetical order counts.
    valid
        First and last MJD it is good for; None leaves an end as the file has it, open in public libraries.
    replace_there
        Write over cubes of that name.

    Raises
    ------
    UnusableError
        For files that are no library, or do not tell their camera and filter; for a name that is taken, by a cube there
        or by what `calibrate` makes.
    """
    if _OWN.fullmatch(name):
        raise UnusableError("import: name", name, "one that does not end as the catalog's own: built, solved, updated")
    found: dict[str, Cube] = {}
    for path in paths:
        for cube in read_cubes(path):
            if "" in cube.key:
                told = "/".join(one or "?" for one in cube.key)
                raise UnusableError(f"import: {path}", told, "a name like STDPSF_<camera>_<filter>.fits")
            first, last = (new if new is not None else old for new, old in zip(valid, _validity(cube), strict=True))
            if first is not None and last is not None and first > last:
                raise UnusableError(f"import: {path} validity", f"MJD {first} to {last}", "an end after the start")
            kind = "epsf" if isinstance(cube, EpsfCube) else "distortion"
            place = calibration_path(kind, *cube.key, name)
            if place in found:
                raise UnusableError(f"import: {path}", f"a second {kind} of {'/'.join(cube.key)}", "one of a kind")
            if store.exists(place) and not replace_there:
                raise UnusableError(f"import: {path}", f"{place} there already", "another --name, or --replace")
            found[place] = replace(cube, valid_from=first, valid_to=last)
    for place, cube in found.items():
        if isinstance(cube, EpsfCube):
            write_epsf(store, place, cube)
        else:
            write_distortion(store, place, cube)
    return sorted(found)


def read_cubes(path: str) -> list[Cube]:
    """The cubes of one file or folder: an STDPSF or STDGDC file, or a cube; one of each detector of a whole camera.

    UnusableError where it is none of these.
    """
    if path.rstrip("/").endswith(".zarr"):
        with open_cube(path) as dataset:
            is_epsf = "epsf" in dataset
        return [read_epsf(path) if is_epsf else read_distortion(path)]
    if "STDGDC" in PurePath(path).name.upper():
        return [read_stdgdc(path)]
    cube = read_stdpsf(path)
    if cube.instrument in MOSAICS and not cube.detector:
        names = sorted(name for row in MOSAICS[cube.instrument][1] for name in row)
        return [split_stdpsf(cube, name) for name in names]
    return [cube]


def _validity(cube: Cube) -> tuple[float | None, float | None]:
    return cube.valid_from, cube.valid_to
