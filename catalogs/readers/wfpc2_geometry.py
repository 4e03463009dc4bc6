"""WFPC2 pixel geometry: the narrow rows, the optical distortion, and the pixel areas that follow from both.

Every 34.1333 rows the mask that drew the CCDs left a row 3 % narrower than the others (Anderson & King 1999, PASP 111,
1095, whose formula is used here). The optics are third-order polynomials per chip (Anderson & King 2003, PASP 115,
113, F555W), valid for positions already corrected for the narrow rows.
"""

import numpy as np
from numpy.polynomial.polynomial import polyder, polygrid2d, polyval2d
from numpy.typing import ArrayLike, NDArray

SIZE = 800
_CENTRE, _HALF = 424.0, 375.0  # 0-based pixel that stays fixed, normalisation

_PERIOD, _PHASE = 34.1333, 3.70

# Terms in the order of the source: x y xx xy yy xxx xxy xyy yyy, in pixels; first for x, then for y.
_POWERS = ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
_TERMS = {
    "PC1": (
        (0.000, 0.000, -0.525, -0.268, -0.249, -1.902, 0.024, -1.890, -0.004),
        (0.418, -0.016, -0.280, -0.292, -0.470, -0.011, -1.907, 0.022, -1.923),
    ),
    "WF2": (
        (0.000, 0.000, -0.624, -0.411, -0.092, -1.762, 0.016, -1.825, 0.010),
        (0.051, -0.015, -0.038, -0.568, -0.444, 0.003, -1.832, 0.011, -1.730),
    ),
    "WF3": (
        (0.000, 0.000, -0.349, -0.353, 0.009, -1.791, 0.006, -1.841, 0.021),
        (-0.028, -0.036, -0.027, -0.423, -0.373, 0.004, -1.848, 0.006, -1.788),
    ),
    "WF4": (
        (0.000, 0.000, -0.489, -0.391, -0.066, -1.821, 0.022, -1.875, -0.006),
        (0.070, 0.059, -0.050, -0.485, -0.406, -0.015, -1.890, 0.022, -1.821),
    ),
}


def _coefficients(detector: str, axis: int) -> NDArray[np.float64]:
    """Polynomial of one coordinate's correction, indexed [power of x, power of y]."""
    found = np.zeros((4, 4))
    for (i, j), term in zip(_POWERS, _TERMS[detector][axis], strict=True):
        found[i, j] = term
    return found


def row34_shift(y: ArrayLike) -> NDArray[np.float64]:
    """Correction to add to a raw y for the narrow rows: a sawtooth of 0.03 pix every 34.1333 rows.

    Parameters
    ----------
    y
        Raw row coordinates of one chip [pix, 0-based].

    Returns
    -------
    dy
        Corrected minus raw [pix], of the shape of `y`.
    """
    phase = (np.asarray(y, float) + 1 + _PHASE) % _PERIOD
    return np.where(phase <= 0.5, 0.06 * (0.25 - phase), 0.000892 * (phase - 17.3167))


def optical_shift(detector: str, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
    """Correction to add to positions for the optical distortion of one chip; zero at pixel (424, 424).

    Parameters
    ----------
    detector
        PC1, WF2, WF3 or WF4.
    x, y
        Positions on the chip, y corrected for the narrow rows [pix, 0-based].

    Returns
    -------
    dx, dy
        Corrected minus given [pix].
    """
    u, v = (np.asarray(x, float) - _CENTRE) / _HALF, (np.asarray(y, float) - _CENTRE) / _HALF
    return polyval2d(u, v, _coefficients(detector, 0)), polyval2d(u, v, _coefficients(detector, 1))


def pixel_area(detector: str) -> NDArray[np.float32]:
    """Areas of a chip's pixels relative to an ordinary row at its centre; (800, 800)."""
    edges = np.arange(SIZE + 1) - 0.5
    height = np.diff(edges + row34_shift(edges))
    u = (np.arange(SIZE) - _CENTRE) / _HALF
    (dx_x, dx_y), (dy_x, dy_y) = (
        [polygrid2d(u, u, polyder(_coefficients(detector, axis), axis=along)) / _HALF for along in (0, 1)]
        for axis in (0, 1)
    )
    jacobian = (1 + dx_x) * (1 + dy_y) - dx_y * dy_x  # [x, y]
    return np.ascontiguousarray(jacobian.T * height[:, None], dtype=np.float32)
