"""Where a telescope is and how it moves."""

from typing import Literal

import numpy as np
from astropy.coordinates import get_body_barycentric_posvel
from astropy.time import Time

AU = 149_597_870.7  # [km]
# TDB - UTC [d] since 2017. In HST's first years it was 11 s less: 300 km of the Earth's way, nothing to a parallax.
_TDB_UTC = 69.184 / 86400
_L2 = 0.01  # distance of JWST beyond the Earth, in units of the Earth's from the Sun


def observer(telescope: Literal["JWST", "HST"], mjd: float) -> tuple[np.ndarray, np.ndarray]:
    """Barycentric position (3,) [km] and velocity (3,) [km/s], equatorial axes of the ICRS, at `mjd` [d UTC].

    HST is at the Earth's centre, JWST at L2 itself: their orbits are left out. From the ephemeris inside astropy.
    """
    time = Time(mjd + _TDB_UTC, format="mjd", scale="tdb")
    with_sun = [get_body_barycentric_posvel(body, time, ephemeris="builtin") for body in ("earth", "sun")]
    (earth, earth_rate), (sun, sun_rate) = [(p.xyz.to_value("km"), v.xyz.to_value("km/s")) for p, v in with_sun]
    if telescope == "HST":
        return earth, earth_rate
    return earth + _L2 * (earth - sun), earth_rate + _L2 * (earth_rate - sun_rate)
