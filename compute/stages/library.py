"""Library ePSFs by path: opened once per worker, matched to exposures by instrument, detector and filter."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import fsspec

from catalogs.cubes import EpsfCube, read_epsf
from catalogs.errors import UnusableError
from catalogs.exchange.stdpsf import read_stdpsf
from catalogs.exposure import HeaderRecord


class Library(NamedTuple):
    """Where a library ePSF is, and the digest of its bytes."""

    path: str
    sha256: str


@lru_cache(maxsize=16)
def open_library(library: Library, detector: str) -> EpsfCube:
    """An ePSF cube (a ``.zarr`` folder) or an STDPSF file; `detector` picks a chip from a mosaic file."""
    path = library.path
    return read_epsf(path) if path.rstrip("/").endswith(".zarr") else read_stdpsf(path, detector)


def find_library(path: str) -> Library:
    """A library with the SHA-256 of its bytes, those of every file where it is a cube's folder.

    Raises
    ------
    UnusableError
        If there is nothing at `path`.
    """
    fs, place = fsspec.url_to_fs(path)
    try:
        files = sorted(fs.find(place))
    except OSError as error:
        raise UnusableError(path, error, "an STDPSF file or an ePSF cube") from None
    if not files:
        raise UnusableError(path, "nothing", "an STDPSF file or an ePSF cube")
    digest = hashlib.sha256()
    for file in files:
        digest.update(Path(file).name.encode() + fs.cat_file(file))
    return Library(path, digest.hexdigest())


def choose_library(libraries: tuple[Library, ...], header: HeaderRecord) -> EpsfCube:
    """The first library made for an exposure's instrument, detector and filter; names a library lacks match all.

    Raises
    ------
    UnusableError
        If none of them is for this exposure.
    """
    wanted = (header.instrument, header.detector, header.filter)
    met = []
    for library in libraries:
        try:
            cube = open_library(library, header.detector)
        except UnusableError as error:
            if len(libraries) == 1:
                raise
            met.append(str(error))
            continue
        if all(have in ("", want) for have, want in zip(cube.key, wanted, strict=True)):
            return cube
        met.append("/".join(cube.key))
    place = f"measure: {header.exposure} {header.detector} ePSF"
    raise UnusableError(place, " and ".join(met), f"one for {'/'.join(wanted)}")
