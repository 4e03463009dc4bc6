"""Nominal pixel scales, good to a percent, enough to start a match; and the pixels that detectors have."""

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.readers import acs, nircam, niriss, wfc3, wfpc2
from catalogs.readers.wfpc2_geometry import SIZE

__all__ = ["amplifier_edges", "detector_chips", "nominal_scale"]

_JWST, _STRIPES = 2048, 4
_ACROSS = {name: abs(entry.fast) for table in (nircam, niriss) for name, entry in table.CAMERA.detectors.items()}
_HST = acs.CAMERAS | wfc3.CAMERAS
_TABLES = (nircam.CAMERA.detectors, niriss.CAMERA.detectors, _HST, wfpc2.DETECTORS)
_SCALES = {detector: entry.scale for table in _TABLES for detector, entry in table.items()}


def nominal_scale(detector: str) -> float:
    """Scale of a detector [mas/pix]; UnusableError for one that is not known."""
    if detector not in _SCALES:
        raise UnusableError("detector", detector, f"one of {', '.join(sorted(_SCALES))}")
    return _SCALES[detector]


def detector_chips(detector: str) -> tuple[NDArray[np.int64], int]:
    """Rows [first, end) of each chip of the whole detector (n_chips, 2), bottom up, and its columns."""
    nominal_scale(detector)
    if detector in _HST:
        camera = _HST[detector]
        rows = sorted((chip.y, chip.y + chip.kept) for chip in camera.chips.values())
        return np.array(rows, np.int64), camera.width
    side = SIZE if detector in wfpc2.DETECTORS else _JWST
    return np.array([[0, side]], np.int64), side


def amplifier_edges(detector: str) -> tuple[list[float], list[float]]:
    """Columns, and rows, between two of which another amplifier begins to read, halves [pix]; none of HST's.

    Those of a JWST detector read stripes, which lie side by side along the fast axis.
    """
    if detector not in _ACROSS:
        return [], []
    edges = [_JWST * k / _STRIPES - 0.5 for k in range(1, _STRIPES)]
    return (edges, []) if _ACROSS[detector] == 1 else ([], edges)
