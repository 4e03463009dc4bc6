"""Library ePSFs by path: opened once per worker, matched to exposures by instrument, detector and filter."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import numpy as np

from catalogs.cubes import EpsfCube, read_epsf
from catalogs.errors import UnusableError
from catalogs.exchange.stdpsf import read_stdpsf
from catalogs.exposure import HeaderRecord
from catalogs.store import Store


class Library(NamedTuple):
    """Where a library ePSF is, and the digest of its bytes."""

    path: str
    sha256: str
    required: bool = True  # False: an exposure it is not made for builds its own


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
    try:
        fs, place = fsspec.url_to_fs(path)
        files = sorted(fs.find(place))
    except (ImportError, OSError, ValueError) as error:  # also of unknown protocols, and of those not installed
        raise UnusableError(path, error, "an STDPSF file or an ePSF cube") from None
    if not files:
        raise UnusableError(path, "nothing", "an STDPSF file or an ePSF cube")
    digest = hashlib.sha256()
    for file in files:
        digest.update(Path(file).name.encode() + fs.cat_file(file))
    return Library(path, digest.hexdigest())


def own_libraries(store: Store) -> tuple[Library, ...]:
    """The ePSF cubes of a catalog, newest first; none is required."""
    roots = (".zmetadata", "zarr.json")
    folders = {path.rsplit("/", 1)[0] for path in store.list("cubes/epsf", roots)}
    cubes = sorted((path for path in folders if path.count("/") == 3), reverse=True)  # not those of single exposures
    return tuple(find_library(store.locate_url(path))._replace(required=False) for path in cubes)


class _Made(NamedTuple):
    """What a library was made for: instrument, detector, filter, and its times [MJD]."""

    key: tuple[str, str, str]
    since: float
    until: float


@lru_cache(maxsize=1024)
def _made_for(library: Library, detector: str) -> _Made | UnusableError:
    """What a library is for, or why it cannot be used for a detector."""
    try:
        cube = open_library(library, detector)
    except UnusableError as error:
        return error
    return _Made(cube.key, cube.valid_from or -np.inf, cube.valid_to or np.inf)


def pick_library(libraries: Sequence[Library], exposure: Any) -> Library | None:
    """The first library made for an exposure's instrument, detector, filter and time; names a library lacks match all.

    `exposure` is its header, or a row of EXPOSURES as a tuple with names. None where no library is for it, and none is
    required.

    Raises
    ------
    UnusableError
        If none of those required is for this exposure.
    """
    wanted = (exposure.instrument, exposure.detector, exposure.filter)
    met = []
    for library in libraries:
        made = _made_for(library, exposure.detector)
        if isinstance(made, UnusableError):
            if len(libraries) == 1 and library.required:
                raise made
            met.append(str(made))
            continue
        suits = all(have in ("", want) for have, want in zip(made.key, wanted, strict=True))
        if suits and (library.required or made.since <= exposure.mjd_mid <= made.until):
            return library
        met.append("/".join(made.key))
    if not any(library.required for library in libraries):
        return None
    place = f"measure: {exposure.exposure} {exposure.detector} ePSF"
    raise UnusableError(place, " and ".join(met), f"one for {'/'.join(wanted)}")


def choose_library(libraries: Sequence[Library], header: HeaderRecord) -> EpsfCube | None:
    """The cube of the library that :func:`pick_library` finds."""
    library = pick_library(libraries, header)
    return library and open_library(library, header.detector)
