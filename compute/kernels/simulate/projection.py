"""The tangent plane, accurate to the rounding of the coordinates."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def tangent(ra: ArrayLike, dec: ArrayLike, ra0: float, dec0: float) -> tuple[NDArray, NDArray]:
    """Gnomonic projection: (ra, dec) [deg] to offsets east and north of (ra0, dec0) [rad]; NaN 90 degrees away.

    Only differences from the tangent point enter, so that a microarcsecond stays one in a field of some arcminutes.
    """
    step = np.radians((np.asarray(ra, float) - ra0 + 180.0) % 360.0 - 180.0)
    rise = np.radians(np.asarray(dec, float) - dec0)
    dec, dec0 = np.radians(dec), np.radians(dec0)
    bend = 2.0 * np.cos(dec) * np.sin(step / 2) ** 2
    toward = np.cos(rise) - np.cos(dec0) * bend
    toward = np.where(toward > 0, toward, np.nan)
    return np.cos(dec) * np.sin(step) / toward, (np.sin(rise) + np.sin(dec0) * bend) / toward
