"""Places on the sky: the tangent plane both ways, epochs, and parallax.

Everything here rests on one picture: a plane that touches the unit sphere, with axes to the east and to the north.
A star that moves uniformly through space moves uniformly on the plane that touches the sphere where it was.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["deproject", "jacobian", "parallax_factors", "project", "propagate", "propagate_covariance"]

MAS = np.pi / 648_000_000  # one milliarcsecond [rad]
AU = 149_597_870.7  # [km]


def project(ra: ArrayLike, dec: ArrayLike, ra0: ArrayLike, dec0: ArrayLike) -> tuple[NDArray, NDArray]:
    """Gnomonic projection (Calabretta & Greisen 2002, section 5.1.3).

    Parameters
    ----------
    ra, dec, ra0, dec0 : array_like [deg]
        Places, and where the plane touches the sphere; all four broadcast.

    Returns
    -------
    xi, eta : ndarray [mas]
        East and north; NaN at 90 degrees and beyond. Made of differences from the tangent point, so that they are as
        good as the rounding of the degrees: 2e-7 mas.
    """
    east, north, outward = _components(ra, dec, ra0, dec0)
    outward = np.where(outward > 0, outward, np.nan) * MAS
    return east / outward, north / outward


def deproject(xi: ArrayLike, eta: ArrayLike, ra0: ArrayLike, dec0: ArrayLike) -> tuple[NDArray, NDArray]:
    """Inverse of :func:`project`: offsets east and north [mas] to ra in [0, 360) and dec [deg]."""
    east, north = np.asarray(xi, np.float64) * MAS, np.asarray(eta, np.float64) * MAS
    sin0, cos0 = _sin_cos(dec0)
    meridian = cos0 - north * sin0
    ra = np.mod(np.asarray(ra0, np.float64) + np.degrees(np.arctan2(east, meridian)), 360.0)
    dec = np.degrees(np.arctan2(sin0 + north * cos0, np.hypot(east, meridian)))
    return np.where(ra == 360.0, 0.0, ra), dec  # what is left of zero by less than a rounding comes out as 360


def jacobian(ra: ArrayLike, dec: ArrayLike, ra0: ArrayLike, dec0: ArrayLike) -> NDArray:
    """How the plane is turned and stretched at a star, against the star's own east and north.

    Motions and errors of catalogs are along the star's own axes. With J of shape (..., 2, 2), ``J @ (pmra, pmdec)`` is
    the motion on the plane, ``J @ C @ J.T`` the covariance there. The turn is xi tan(dec0) near the tangent point:
    0.13 degrees 3 arcmin from it at dec -69.
    """
    east, north, outward = _components(ra, dec, ra0, dec0)
    outward = np.where(outward > 0, outward, np.nan)
    sin_step, cos_step = _sin_cos(_turn(ra, ra0))
    (sin, cos), (sin0, cos0) = _sin_cos(dec), _sin_cos(dec0)
    # The star's unit vectors to the east and to the north, along the plane's axes and outward.
    to_east = cos_step, sin0 * sin_step, -cos0 * sin_step
    to_north = -sin * sin_step, cos * cos0 + sin * sin0 * cos_step, cos * sin0 - sin * cos0 * cos_step
    columns = [
        np.stack([(e - east / outward * o) / outward, (n - north / outward * o) / outward], axis=-1)
        for e, n, o in (to_east, to_north)
    ]
    return np.stack(columns, axis=-1)


def parallax_factors(ra: ArrayLike, dec: ArrayLike, observer: ArrayLike) -> tuple[NDArray, NDArray]:
    """Offsets east and north of a star of unit parallax.

    Parameters
    ----------
    ra, dec : array_like [deg]
    observer : array_like, shape (3,) or (..., 3) [km]
        Barycentric, equatorial axes.
    """
    x, y, z = np.moveaxis(np.asarray(observer, np.float64) / AU, -1, 0)
    (sin_ra, cos_ra), (sin_dec, cos_dec) = _sin_cos(ra), _sin_cos(dec)
    return x * sin_ra - y * cos_ra, (x * cos_ra + y * sin_ra) * sin_dec - z * cos_dec


def propagate(
    ra: ArrayLike,
    dec: ArrayLike,
    pmra: ArrayLike,
    pmdec: ArrayLike,
    years: ArrayLike,
    parallax: ArrayLike = 0.0,
    observer: ArrayLike = (0.0, 0.0, 0.0),
) -> tuple[NDArray, NDArray]:
    """Directions `years` after the epoch of `ra` and `dec`: uniform motion in space without a radial part.

    Rigorous in the motion (Hipparcos and Tycho Catalogues, vol. 1, section 1.5.5, with zero radial velocity), linear
    in the parallax, whose square is 0.05 uas at 100 mas. Whatever is NaN makes that star NaN.

    Parameters
    ----------
    ra, dec : array_like [deg, ICRS]
    pmra, pmdec : array_like [mas/yr]
        `pmra` with cos dec.
    years : array_like [yr]
    parallax : array_like [mas]
    observer : array_like, shape (3,) or (..., 3) [km]
        Barycentric, equatorial axes; without one the direction is that from the barycentre.

    Returns
    -------
    ra, dec : ndarray [deg]
    """
    east, north = parallax_factors(ra, dec, observer)
    years, parallax = np.asarray(years, np.float64), np.asarray(parallax, np.float64)
    xi = np.asarray(pmra, np.float64) * years + parallax * east
    eta = np.asarray(pmdec, np.float64) * years + parallax * north
    return deproject(xi, eta, ra, dec)


def propagate_covariance(
    covariance: NDArray, ra: NDArray, dec: NDArray, years: ArrayLike, observer: ArrayLike = (0.0, 0.0, 0.0)
) -> NDArray:
    """Covariance of directions `years` after the epoch, on the plane that touches the sky where the star was.

    Its axes are those of the star's first place; they turn by tan(dec) times the way along ra, 1e-4 rad in 8 arcsec at
    dec -69.

    Parameters
    ----------
    covariance : (N, 5, 5) [mas, mas, mas, mas/yr, mas/yr]
        Of ra (with cos dec), dec, parallax, pmra, pmdec.
    ra, dec : (N,) [deg]
    years : (N,) or scalar [yr]
    observer : as for :func:`propagate`

    Returns
    -------
    (N, 2, 2) [mas2]
    """
    path = np.zeros((len(covariance), 2, 5))
    path[:, 0, 0] = path[:, 1, 1] = 1.0
    path[:, 0, 2], path[:, 1, 2] = parallax_factors(ra, dec, observer)
    path[:, 0, 3] = path[:, 1, 4] = years
    return path @ covariance @ path.swapaxes(1, 2)


def _components(ra: ArrayLike, dec: ArrayLike, ra0: ArrayLike, dec0: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """Unit vectors of (ra, dec) along east, north and outward of (ra0, dec0), free of cancellation near it."""
    half_step = np.radians(_turn(ra, ra0)) / 2
    rise = np.radians(np.asarray(dec, np.float64) - np.asarray(dec0, np.float64))
    (_, cos), (sin0, cos0) = _sin_cos(dec), _sin_cos(dec0)
    bend = 2 * cos * np.sin(half_step) ** 2
    return cos * np.sin(2 * half_step), np.sin(rise) + bend * sin0, np.cos(rise) - bend * cos0


def _turn(ra: ArrayLike, ra0: ArrayLike) -> NDArray:
    """Right ascension less another, in [-180, 180] [deg]."""
    step = np.asarray(ra, np.float64) - np.asarray(ra0, np.float64)
    return step - 360.0 * np.round(step / 360.0)


def _sin_cos(degrees: ArrayLike) -> tuple[NDArray, NDArray]:
    angle = np.radians(np.asarray(degrees, np.float64))
    return np.sin(angle), np.cos(angle)
