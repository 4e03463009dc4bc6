"""Where a star is seen: motion through space and parallax, without small differences of large numbers."""

import numpy as np

MAS = np.pi / 648_000_000  # one milliarcsecond [rad]


def displaced(ra, dec, east, north, outward=0.0):
    """Directions of r + east * e + north * n + outward * r, where r, e, n are the unit vectors of (ra, dec).

    With `outward` zero this is the inverse gnomonic projection about (ra, dec).

    Parameters
    ----------
    ra, dec : array_like [deg]
    east, north, outward : array_like [rad]
        Components of the displacement; all five broadcast.

    Returns
    -------
    ra, dec : ndarray [deg]
        ra in [0, 360]. Only differences from the given direction are computed, so that small displacements are good
        to the rounding of the degrees themselves, 2e-7 mas, up to the poles and across them.
    """
    sin, cos = np.sin(np.radians(dec)), np.cos(np.radians(dec))
    meridian = (1 + outward) * cos - north * sin  # from the pole's axis, in the plane of the old meridian
    axis = np.hypot(east, meridian)
    bend = axis - meridian  # of the parallel from its tangent
    turned = np.degrees(np.arctan2(east, meridian))
    raised = np.degrees(np.arctan2(north - bend * sin, 1 + outward + bend * cos))
    return np.mod(ra + turned, 360.0), np.clip(dec + raised, -90.0, 90.0)


def apparent(ra, dec, pmra, pmdec, parallax, years, observer_au):
    """Where stars are seen from `observer_au`, `years` after the epoch of `ra` and `dec`.

    Uniform motion in space without a radial part: the direction of r + t (mu_ra e + mu_dec n) - parallax * observer
    (Hipparcos and Tycho Catalogues, vol. 1, sect. 1.2). No aberration, no deflection of light. As good as `displaced`.

    Parameters
    ----------
    ra, dec : array_like [deg, ICRS]
    pmra, pmdec : array_like [mas/yr]
        `pmra` with cos dec.
    parallax : array_like [mas]
    years : array_like [yr]
    observer_au : array_like, shape (3,) or (..., 3) [au]
        Barycentric, equatorial axes.

    Returns
    -------
    ra, dec : ndarray [deg]
    """
    x, y, z = np.moveaxis(np.asarray(observer_au, float), -1, 0)
    sin_ra, cos_ra = np.sin(np.radians(ra)), np.cos(np.radians(ra))
    sin_dec, cos_dec = np.sin(np.radians(dec)), np.cos(np.radians(dec))
    equator = x * cos_ra + y * sin_ra
    east = MAS * (pmra * years - parallax * (y * cos_ra - x * sin_ra))
    north = MAS * (pmdec * years - parallax * (z * cos_dec - equator * sin_dec))
    outward = -MAS * parallax * (equator * cos_dec + z * sin_dec)
    return displaced(ra, dec, east, north, outward)
