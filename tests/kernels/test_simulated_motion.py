"""Motion and parallax of simulated stars: against astropy, the textbook, and vectors, up to the poles."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Distance, SkyCoord
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from compute.kernels.simulate.deviates import normals, uniforms
from compute.kernels.simulate.motion import MAS, apparent, displaced

BARYCENTRE = np.zeros(3)
ROUNDING = 1e-6  # of degrees near 360, of radians and of unit vectors in these tests, together [mas]


def basis(ra, dec):
    """Unit vectors outward, east and north."""
    a, d = np.radians(ra), np.radians(dec)
    return np.array(
        [
            [np.cos(a) * np.cos(d), np.sin(a) * np.cos(d), np.sin(d)],
            [-np.sin(a), np.cos(a), 0 * d],
            [-np.cos(a) * np.sin(d), -np.sin(a) * np.sin(d), np.cos(d)],
        ]
    )


def apart(one, other):
    """Angle between directions [mas]; `one` need not be a unit vector."""
    return np.linalg.norm(np.cross(one, other)) / np.linalg.norm(one) / MAS


def random_sky(n, rng, highest=90.0):
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n) * np.sin(np.radians(highest))))
    return rng.uniform(0, 360, n), dec


def offset(ra, dec, ra_0, dec_0):
    """Small offsets east and north [mas]."""
    turn = np.remainder(ra - ra_0 + 180, 360) - 180
    return turn * np.cos(np.radians(dec_0)) * 3.6e6, (dec - dec_0) * 3.6e6


@pytest.mark.parametrize("years", [-20.0, -9.61, 6.33, 20.0])
def test_apparent__motion_agrees_with_astropy(years):
    rng = np.random.default_rng(1)
    ra, dec = random_sky(500, rng, highest=89.9)
    pmra, pmdec = rng.uniform(-50, 50, (2, 500))
    parallax = rng.uniform(5, 100, 500)  # tangential speeds below 70 km/s, where light times matter less than 0.1 uas
    stars = SkyCoord(
        ra * u.deg, dec * u.deg, Distance(parallax=parallax * u.mas),
        pm_ra_cosdec=pmra * u.mas / u.yr, pm_dec=pmdec * u.mas / u.yr,
        obstime=Time(2016.0, format="jyear", scale="tdb"),
    )  # fmt: skip
    moved = stars.apply_space_motion(new_obstime=Time(2016.0 + years, format="jyear", scale="tdb"))
    found = apparent(ra, dec, pmra, pmdec, parallax, years, BARYCENTRE)
    east, north = offset(*found, moved.ra.deg, moved.dec.deg)
    assert np.abs(east).max() < 1e-3  # 1 uas, far below any error of measurement
    assert np.abs(north).max() < 1e-3


def test_apparent__parallax_agrees_with_the_textbook():
    rng = np.random.default_rng(2)
    ra, dec = random_sky(500, rng, highest=80.0)
    parallax = rng.uniform(0, 100, 500)
    x, y, z = observer = np.array([-0.7, 0.65, 0.28])
    found = apparent(ra, dec, 0.0, 0.0, parallax, 3.0, observer)
    a, d = np.radians(ra), np.radians(dec)
    east, north = offset(*found, ra, dec)
    # First order in the parallax: what is left is 100 mas squared, times tan 80 deg: 0.3 uas.
    assert east == pytest.approx(parallax * (x * np.sin(a) - y * np.cos(a)), abs=1e-3)
    first_order = parallax * (x * np.cos(a) * np.sin(d) + y * np.sin(a) * np.sin(d) - z * np.cos(d))
    assert north == pytest.approx(first_order, abs=1e-3)


def test_apparent__each_star_may_have_its_own_time_and_observer():
    rng = np.random.default_rng(3)
    ra, dec = random_sky(5, rng)
    years, observers = rng.uniform(-10, 10, 5), rng.uniform(-1, 1, (5, 3))
    together = apparent(ra, dec, 5.0, -3.0, 20.0, years, observers)
    one_by_one = [apparent(ra[k], dec[k], 5.0, -3.0, 20.0, years[k], observers[k]) for k in range(5)]
    assert np.array_equal(together, np.transpose(one_by_one))


@given(
    ra=st.floats(0, 360, exclude_max=True),
    dec=st.one_of(st.floats(-90, 90), st.floats(89.999, 90), st.floats(-90, -89.999)),
    east=st.floats(-1e4, 1e4),
    north=st.floats(-1e4, 1e4),
    outward=st.floats(-1e3, 1e3),
)
def test_displaced__same_direction_as_vectors_up_to_the_poles(ra, dec, east, north, outward):
    r, e, n = basis(ra, dec)
    vector = (1 + outward * MAS) * r + east * MAS * e + north * MAS * n
    moved = displaced(ra, dec, east * MAS, north * MAS, outward * MAS)
    assert 0 <= moved[0] <= 360
    assert apart(vector, basis(*moved)[0]) < ROUNDING


def test_displaced__small_steps_keep_their_digits():
    # 1 nas at declination 0, where degrees near zero have digits to spare: vectors would have lost it.
    ra, dec = displaced(0.0, 0.0, 1e-6 * MAS, 1e-6 * MAS)
    assert ra * 3.6e6 == pytest.approx(1e-6, rel=1e-9)
    assert dec * 3.6e6 == pytest.approx(1e-6, rel=1e-9)


def test_displaced__over_the_pole():
    ra, dec = displaced(30.0, 90 - 1 / 3600, 0.0, 3000 * MAS)
    assert ra == pytest.approx(210.0)
    assert (90 - dec) * 3600 == pytest.approx(2.0, abs=1e-6)  # 3 arcsec north from 1 arcsec below it


def test_displaced__is_the_inverse_gnomonic_projection():
    rng = np.random.default_rng(4)
    xi, eta = rng.uniform(-0.01, 0.01, (2, 200))
    r, e, n = basis(80.5, -69.5)
    places = basis(*displaced(80.5, -69.5, xi, eta))[0]
    depth = r @ places
    assert e @ places / depth == pytest.approx(xi, abs=ROUNDING * MAS)
    assert n @ places / depth == pytest.approx(eta, abs=ROUNDING * MAS)


def test_deviates__are_normal_and_belong_to_the_number():
    ids = 10**10 + np.arange(100_000)
    drawn = normals(ids, 7, "reference", "ra")
    # Five standard errors: 1/sqrt(N) of mean and correlation, 1/sqrt(2N) of the rms.
    assert abs(drawn.mean()) < 5 / np.sqrt(1e5)
    assert abs(drawn.std() - 1) < 5 / np.sqrt(2e5)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 5 / np.sqrt(1e5)
    for other in (normals(ids, 8, "reference", "ra"), normals(ids, 7, "reference", "dec")):
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 5 / np.sqrt(1e5)
    assert np.array_equal(normals(ids[::-7], 7, "reference", "ra"), drawn[::-7])


def test_deviates__fill_the_unit_interval_evenly():
    counts = np.histogram(uniforms(np.arange(100_000), 1, "x"), bins=100, range=(0, 1))[0]
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert 99 - 5 * np.sqrt(198) < chi2 < 99 + 5 * np.sqrt(198)
