"""Nominal pixel scales: good to a percent, enough to start a match."""

from catalogs.errors import UnusableError
from catalogs.readers import acs, nircam, niriss, wfc3, wfpc2

__all__ = ["nominal_scale"]

_TABLES = (nircam.CAMERA.detectors, niriss.CAMERA.detectors, acs.CAMERAS, wfc3.CAMERAS, wfpc2.DETECTORS)
_SCALES = {detector: entry.scale for table in _TABLES for detector, entry in table.items()}


def nominal_scale(detector: str) -> float:
    """Scale of a detector [mas/pix]; UnusableError for one that is not known."""
    if detector not in _SCALES:
        raise UnusableError("detector", detector, f"one of {', '.join(sorted(_SCALES))}")
    return _SCALES[detector]
