"""Approximate gnomonic WCS: enough to point, orient and seed a match, never to measure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class TanWcs:
    """Linear tangent-plane WCS in 0-based full-detector pixels; distortion left out.

    `ra`, `dec` [deg] is the sky position of pixel (`x`, `y`); `cd` [deg/pix] maps pixel offsets to the tangent plane,
    ordered (cd11, cd12, cd21, cd22).
    """

    ra: float
    dec: float
    x: float
    y: float
    cd: tuple[float, float, float, float]

    @property
    def scale(self) -> float:
        """Geometric-mean pixel scale [mas/pix]."""
        a, b, c, d = self.cd
        return float(np.sqrt(abs(a * d - b * c))) * 3.6e6

    @property
    def position_angle(self) -> float:
        """Position angle of image +y [deg east of north, 0 to 360]."""
        return float(np.degrees(np.arctan2(self.cd[1], self.cd[3])) % 360.0)

    def sky(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        """Pixels to ICRS degrees (inverse gnomonic projection)."""
        dx, dy = np.asarray(x, float) - self.x, np.asarray(y, float) - self.y
        a, b, c, d = self.cd
        xi, eta = np.radians(a * dx + b * dy), np.radians(c * dx + d * dy)
        dec0 = np.radians(self.dec)
        down = np.cos(dec0) - eta * np.sin(dec0)
        ra = self.ra + np.degrees(np.arctan2(xi, down))
        dec = np.degrees(np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, down)))
        return ra % 360.0, dec

    def pixel(self, ra: ArrayLike, dec: ArrayLike) -> tuple[NDArray, NDArray]:
        """ICRS degrees to pixels; points 90 degrees or more away are NaN."""
        dra = np.radians(np.asarray(ra, float) - self.ra)
        dec, dec0 = np.radians(np.asarray(dec, float)), np.radians(self.dec)
        toward = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(dra)
        toward = np.where(toward > 0, toward, np.nan)
        xi = np.degrees(np.cos(dec) * np.sin(dra) / toward)
        eta = np.degrees((np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(dra)) / toward)
        a, b, c, d = self.cd
        det = a * d - b * c
        return self.x + (d * xi - b * eta) / det, self.y + (a * eta - c * xi) / det
