"""The master frame's pixels: a tangent plane, north up, east left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels.motion.celestial import deproject, jacobian, project

__all__ = ["CENTRE", "TILE", "Plane"]

CENTRE = 10_000.0  # [pix] the tangent point, so that positions in a field of a few arcminutes are positive
TILE = 1024.0  # [pix] side of a tile, the stars of which one task looks after


@dataclass(frozen=True)
class Plane:
    """Pixels of a field: x to the west, y to the north, exactly `scale` [mas/pix] at (`ra`, `dec`) [deg].

    The tangent point is at (CENTRE, CENTRE).
    """

    ra: float
    dec: float
    scale: float = 50.0

    def pixel(self, ra: ArrayLike, dec: ArrayLike) -> tuple[NDArray, NDArray]:
        """ICRS degrees to frame pixels; NaN on the far half of the sky."""
        xi, eta = project(ra, dec, self.ra, self.dec)
        return CENTRE - xi / self.scale, CENTRE + eta / self.scale

    def sky(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        """Frame pixels to ICRS degrees."""
        return deproject(
            (CENTRE - np.asarray(x)) * self.scale, (np.asarray(y) - CENTRE) * self.scale, self.ra, self.dec
        )

    def sky_covariance(self, ra: NDArray, dec: NDArray, covariance: NDArray) -> NDArray:
        """Covariances (n, 2, 2) [pix2] of frame positions as those of ra cos dec and dec [mas2]."""
        flip = np.diag([-self.scale, self.scale]) @ covariance @ np.diag([-self.scale, self.scale])
        back = np.linalg.inv(jacobian(ra, dec, self.ra, self.dec))
        return back @ flip @ back.swapaxes(-1, -2)

    def pixel_covariance(self, ra: NDArray, dec: NDArray, covariance: NDArray) -> NDArray:
        """Inverse of :meth:`sky_covariance`."""
        turned = jacobian(ra, dec, self.ra, self.dec)
        flip = np.diag([-1.0, 1.0]) / self.scale
        return flip @ turned @ covariance @ turned.swapaxes(-1, -2) @ flip
