"""Stage `ingest`: one file in, rows of EXPOSURES out, accepted or rejected with a reason."""

import hashlib
from dataclasses import asdict

import fsspec
import pandas as pd

from catalogs.errors import UnusableError
from catalogs.exposure import Exposure
from catalogs.readers import exposure_root, flag_file, read_exposures
from catalogs.tables import EXPOSURES


def file_digest(path: str) -> str:
    """SHA-256 of a file's bytes, in hex; those of a WFPC2 frame's flag file, where it is there, come after its own.

    Raises
    ------
    UnusableError
        If the file cannot be read.
    """
    digest = hashlib.sha256()
    flags = flag_file(path)
    try:
        for part in (path, flags) if flags and _exists(flags) else (path,):
            with fsspec.open(part, "rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
    except (OSError, ValueError) as error:
        raise UnusableError(path, getattr(error, "strerror", None) or error, "a readable file") from None
    return digest.hexdigest()


def _exists(path: str) -> bool:
    fs, place = fsspec.url_to_fs(path)
    return fs.exists(place)


def ingest(path: str, known: str | None = None) -> pd.DataFrame | None:
    """Read one file through and record what it holds, one row per detector.

    Parameters
    ----------
    path
        Local path or URL of a FITS frame.
    known
        SHA-256 under which the catalog already holds this file's exposures.

    Returns
    -------
    Rows of EXPOSURES; a single row with ``status = "rejected"`` and its reason where the file cannot be used; None
    where the bytes are the known ones.
    """
    sha256 = None
    try:
        sha256 = file_digest(path)
        if sha256 == known:
            return None
        rows = [accepted(exposure, path, sha256) for exposure in read_exposures(path)]
    except UnusableError as error:
        rows = [rejected(path, sha256, str(error))]
    return EXPOSURES.conform(pd.DataFrame(rows))


def accepted(exposure: Exposure, path: str, sha256: str) -> dict[str, object]:
    """The row of a usable exposure, before it is measured."""
    header = exposure.header
    return asdict(header) | {"epoch": header.epoch, "path": path, "sha256": sha256, "status": "ok"}


def rejected(path: str, sha256: str | None, reason: str | None) -> dict[str, object]:
    """The row of a file that cannot be used."""
    try:
        name = exposure_root(path)
    except UnusableError:
        name = "unnamed"
    line = " ".join((reason or "").split())
    return {"exposure": name, "path": path, "sha256": sha256, "status": "rejected", "reason": line}
