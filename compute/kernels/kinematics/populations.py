"""Which stars belong to a population: regions of a plane and of the sky, and the middle of what is left."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels.motion.celestial import project

__all__ = ["Middle", "clipped_median", "in_circle", "in_polygon", "in_sky_polygon"]

_MEDIAN = np.sqrt(np.pi / 2)  # error of a median of normal values, in units of that of their mean
_RAYLEIGH = np.sqrt(2 * np.log(2))  # median distance from the middle, in standard deviations per axis


class Middle(NamedTuple):
    """Median (2,) of the values used, its standard error (2,), within what `radius` of it they are, and which (n,)."""

    median: NDArray[np.float64]
    error: NDArray[np.float64]
    radius: float
    used: NDArray[np.bool_]


def in_polygon(x: ArrayLike, y: ArrayLike, vertices: ArrayLike) -> NDArray[np.bool_]:
    """Points (n,) inside a closed polygon with `vertices` (m, 2), by the parity of edges to one side.

    Points without a place are outside. Where the polygon crosses itself, what is enclosed twice is outside.

    Raises
    ------
    ValueError
        Fewer than three vertices.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    corners = np.asarray(vertices, np.float64)
    if corners.ndim != 2 or corners.shape[0] < 3 or corners.shape[1] != 2:
        raise ValueError(f"polygon: found vertices of shape {corners.shape}, expected (m, 2) with three at least")
    inside = np.zeros(x.shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside & np.isfinite(x) & np.isfinite(y)


def in_circle(ra: ArrayLike, dec: ArrayLike, ra0: float, dec0: float, radius: float) -> NDArray[np.bool_]:
    """Places [deg] within `radius` [arcsec] of one."""
    xi, eta = project(ra, dec, ra0, dec0)
    return np.arctan(np.hypot(xi, eta) * np.pi / 648e6) * 648e3 / np.pi <= radius


def in_sky_polygon(ra: ArrayLike, dec: ArrayLike, vertices: ArrayLike) -> NDArray[np.bool_]:
    """Places [deg] inside a polygon of great circles with `vertices` (m, 2) [deg], smaller than half the sky."""
    corners = np.asarray(vertices, np.float64)
    ra0, dec0 = corners[0]
    xi, eta = project(ra, dec, ra0, dec0)
    return in_polygon(xi, eta, np.stack(project(corners[:, 0], corners[:, 1], ra0, dec0), axis=1))


def clipped_median(values: NDArray, clip: float) -> Middle:
    """Median of values (n, 2) that lie in a circle about it of `clip` of their standard deviations, mean of both axes.

    The first deviation is that which the median distance from the median tells, so that a few outliers do not hide the
    others.

    Raises
    ------
    ValueError
        Fewer than three values.
    """
    v = np.asarray(values, np.float64)
    if len(v) < 3:
        raise ValueError(f"clipped median: found {len(v)} values, expected three at least")
    off = np.hypot(*(v - np.median(v, axis=0)).T)
    used = off <= clip * np.median(off) / _RAYLEIGH
    while True:
        median, deviation = np.median(v[used], axis=0), v[used].std(axis=0)
        radius = float(clip * np.sqrt((deviation**2).mean()))
        closer = used & (np.hypot(*(v - median).T) <= radius)
        if closer.sum() in (used.sum(), 0):
            return Middle(median, _MEDIAN * deviation / np.sqrt(used.sum()), radius, used)
        used = closer
