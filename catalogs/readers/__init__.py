"""Calibrated frames of JWST and HST as :class:`catalogs.exposure.Exposure`.

A new instrument is one short module with ``read(file, root)`` and one line in `READERS`.
"""

from collections.abc import Callable

from catalogs.errors import UnusableError
from catalogs.exposure import Exposure
from catalogs.readers import acs, nircam, niriss, wfc3, wfpc2
from catalogs.readers._open import FitsFile, open_fits
from catalogs.readers.names import exposure_root, flag_file

__all__ = ["READERS", "exposure_root", "flag_file", "read_exposures"]

Reader = Callable[[FitsFile, str], tuple[Exposure, ...]]

READERS: dict[tuple[str, str], Reader] = {
    ("JWST", "NIRISS"): niriss.read,
    ("JWST", "NIRCAM"): nircam.read,
    ("HST", "ACS"): acs.read,
    ("HST", "WFC3"): wfc3.read,
    ("HST", "WFPC2"): wfpc2.read,
}


def read_exposures(path: str) -> tuple[Exposure, ...]:
    """Read a calibrated frame: one Exposure per detector in the file.

    Parameters
    ----------
    path
        Local path or any fsspec URL of a JWST ``_cal``, ACS or WFC3 ``_flt`` or ``_flc``, or WFPC2 ``c0m`` or ``c0f``
        file, gzipped or not.

    Raises
    ------
    UnusableError
        With one line that names file, extension or keyword, what was found and what was expected.
    """
    root = exposure_root(path)
    with open_fits(path) as file:
        primary = file.cards()
        telescope, instrument = primary.text("TELESCOP").upper(), primary.text("INSTRUME").upper()
        reader = READERS.get((telescope, instrument))
        if reader is None:
            known = ", ".join(" ".join(key) for key in READERS)
            raise UnusableError(f"{primary.place} TELESCOP, INSTRUME", f"{telescope} {instrument}", f"one of {known}")
        return reader(file, root)
