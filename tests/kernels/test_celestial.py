"""Places on the sky: against astropy, extended precision and finite differences, up to the poles and across 0 h."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Distance, SkyCoord, get_body_barycentric
from astropy.time import Time
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from compute.kernels.motion.celestial import (
    AU,
    MAS,
    deproject,
    jacobian,
    parallax_factors,
    project,
    propagate,
    propagate_covariance,
)
from tests.strategies import steady

ARCMIN = 60_000.0  # [mas]
NANO = 1e-6  # 1e-9 arcsec [mas]: what every coordinate must reach; degrees near 360 are rounded to 2e-7 mas
CENTRES = [(80.5, -69.5), (0.0, 0.0), (359.9999, 12.0), (10.68, 41.27), (123.0, 89.99), (200.0, -90.0), (5.0, 90.0)]


def offsets(n, reach, seed):
    return np.random.default_rng(seed).uniform(-reach, reach, (2, n))


def apart(ra, dec, ra_0, dec_0):
    """Offsets east and north of neighbours [mas]; plain differences, so not near a pole."""
    turn = np.remainder(ra - ra_0 + 180, 360) - 180
    return turn * np.cos(np.radians(dec_0)) / np.degrees(MAS), (dec - dec_0) / np.degrees(MAS)


def extended(ra, dec, ra0, dec0):
    """The textbook's gnomonic projection in extended precision [mas]."""
    pi = np.longdouble("3.14159265358979323846264338327950288")
    a, d, a0, d0 = (np.asarray(each, np.longdouble) * pi / 180 for each in (ra, dec, ra0, dec0))
    depth = np.sin(d) * np.sin(d0) + np.cos(d) * np.cos(d0) * np.cos(a - a0)
    xi = np.cos(d) * np.sin(a - a0) / depth
    eta = (np.sin(d) * np.cos(d0) - np.cos(d) * np.sin(d0) * np.cos(a - a0)) / depth
    return np.array([xi, eta], float) / MAS


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long doubles are doubles here")
@pytest.mark.parametrize(("ra0", "dec0"), CENTRES)
def test_project__is_the_gnomonic_projection(ra0, dec0):
    stars = deproject(*offsets(500, 10 * ARCMIN, 1), ra0, dec0)
    assert np.array(project(*stars, ra0, dec0)) == pytest.approx(extended(*stars, ra0, dec0), abs=NANO)


@steady
@given(
    ra0=st.floats(0, 360, exclude_max=True),
    dec0=st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 0.0, -89.99999, 89.99999])),
    xi=st.floats(-10 * ARCMIN, 10 * ARCMIN),
    eta=st.floats(-10 * ARCMIN, 10 * ARCMIN),
)
def test_project__undoes_deproject(ra0, dec0, xi, eta):
    ra, dec = deproject(xi, eta, ra0, dec0)
    assert 0 <= ra < 360
    assert -90 <= dec <= 90
    assert project(ra, dec, ra0, dec0) == pytest.approx((xi, eta), abs=NANO)


@pytest.mark.parametrize(("ra0", "dec0"), CENTRES)
def test_project__agrees_with_astropys_tan(ra0, dec0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [ra0, dec0], [1, 1]
    wcs.wcs.cdelt, wcs.wcs.lonpole = [1 / 3.6e6, 1 / 3.6e6], 180  # which at the north pole is not the default
    plane = offsets(300, 10 * ARCMIN, 2)
    assert np.array(project(*wcs.all_pix2world(*plane, 0), ra0, dec0)) == pytest.approx(plane, abs=NANO)
    assert np.array(wcs.all_world2pix(*deproject(*plane, ra0, dec0), 0)) == pytest.approx(plane, abs=NANO)


def test_project__on_the_far_side_is_nan():
    assert np.isnan(project([200.0, 80.5, np.nan], [69.5, 80.0, 1.0], 80.5, -69.5)).all()


def test_jacobian__is_the_derivative_of_the_projection():
    ra, dec = deproject(*offsets(200, 60 * ARCMIN, 3), 80.5, -69.5)
    step = 1000.0  # [mas]: curvature of third order leaves 1e-11, rounding 1e-10
    east = np.subtract(
        project(*deproject(step, 0.0, ra, dec), 80.5, -69.5), project(*deproject(-step, 0.0, ra, dec), 80.5, -69.5)
    )
    north = np.subtract(
        project(*deproject(0.0, step, ra, dec), 80.5, -69.5), project(*deproject(0.0, -step, ra, dec), 80.5, -69.5)
    )
    numeric = np.stack([east, north]).transpose(2, 1, 0) / (2 * step)
    assert jacobian(ra, dec, 80.5, -69.5) == pytest.approx(numeric, abs=1e-9)


def test_jacobian__turns_axes_by_the_convergence_of_meridians():
    ra, dec = deproject(3 * ARCMIN, 0.0, 80.5, -69.0)
    north = jacobian(ra, dec, 80.5, -69.0)[:, 1]
    # South of the equator meridians spread northwards: east of the centre a star's north leans to the east.
    assert np.arctan2(*north) == pytest.approx(-np.radians(3 / 60) * np.tan(np.radians(-69.0)), rel=1e-3)
    assert jacobian(80.5, -69.0, 80.5, -69.0) == pytest.approx(np.eye(2), abs=1e-15)


@pytest.mark.parametrize("years", [-20.0, -9.61, 6.33, 20.0])
def test_propagate__agrees_with_astropy(years):
    rng = np.random.default_rng(4)
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-0.999, 0.999, 500)))
    pmra, pmdec, parallax = *rng.uniform(-50, 50, (2, 500)), rng.uniform(5, 100, 500)
    stars = SkyCoord(
        ra * u.deg, dec * u.deg, Distance(parallax=parallax * u.mas),
        pm_ra_cosdec=pmra * u.mas / u.yr, pm_dec=pmdec * u.mas / u.yr,
        obstime=Time(2016.0, format="jyear", scale="tdb"),
    )  # fmt: skip
    moved = stars.apply_space_motion(new_obstime=Time(2016.0 + years, format="jyear", scale="tdb"))
    found = propagate(ra, dec, pmra, pmdec, years)
    # Light times and the speed of light, which ERFA counts, make less than 0.1 uas at these speeds, below 50 km/s.
    assert np.abs(apart(*found, moved.ra.deg, moved.dec.deg)).max() < 1e-4


def test_propagate__differs_from_linear_by_the_square_of_the_motion():
    ra, dec, pm, years = 80.5, -69.5, 100.0, 16.0
    straight = ra + pm * years * np.degrees(MAS) / np.cos(np.radians(dec)), dec
    east, north = apart(*propagate(ra, dec, pm, 0.0, years), *straight)
    # The parallel bends away from the great circle: (mu t)^2 tan(dec) / 2, 16.6 uas for 1.6 arcsec at dec -69.5.
    assert north == pytest.approx(-((pm * years) ** 2) * MAS * np.tan(np.radians(dec)) / 2, rel=1e-3)
    assert abs(east) < 1e-6


def test_propagate__crosses_the_pole_and_returns():
    ra, dec = propagate(30.0, 89.9999, 0.0, 1000.0, 1.0)  # the pole is 360 mas away
    assert (ra, dec) == pytest.approx((210.0, 90 - 640 / 3.6e6), abs=1e-9)
    assert propagate(ra, dec, 0.0, 1000.0, 1.0) == pytest.approx((30.0, 89.9999), abs=1e-9)


def test_propagate__of_nothing_is_the_place_itself():
    ra, dec = np.array([0.0, 80.5, 359.999999]), np.array([-90.0, -69.5, 89.9])
    found = propagate(ra, dec, 0.0, 0.0, 16.0)
    assert np.abs(np.subtract(found, (ra, dec))).max() < np.degrees(NANO * MAS)


def test_propagate__nan_stays_with_its_star():
    ra, dec = propagate([1.0, 2.0, 3.0], [1.0, np.nan, 3.0], [1.0, 1.0, np.nan], 1.0, 5.0, 0.1, (AU, 0.0, 0.0))
    assert np.isfinite(ra).tolist() == np.isfinite(dec).tolist() == [True, False, False]


def test_parallax_factors__are_those_of_a_body_seen_from_the_earth():
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(0, 360, 200), rng.uniform(-85, 85, 200)
    earth = get_body_barycentric("earth", Time(2022.4, format="jyear")).xyz.to_value("km")
    parallax = 50.0
    star = SkyCoord(ra * u.deg, dec * u.deg, Distance(parallax=parallax * u.mas)).cartesian.xyz.to_value("km").T
    seen = SkyCoord(*(star - earth).T * u.km, representation_type="cartesian").represent_as("unitspherical")
    found = propagate(ra, dec, 0.0, 0.0, 3.0, parallax, earth)
    # Linear in the parallax: 50 mas squared is 0.012 uas, and tan 85 makes 0.14 of it.
    assert np.abs(apart(*found, seen.lon.deg, seen.lat.deg)).max() < 2e-4
    assert np.hypot(*parallax_factors(ra, dec, earth)).max() < 1.02


def test_parallax_factors__take_an_observer_for_each_star():
    ra, dec, observers = np.array([10.0, 200.0]), np.array([-5.0, 60.0]), np.array([[AU, 0, 0], [0, AU, 0.5 * AU]])
    each = [parallax_factors(ra[k], dec[k], observers[k]) for k in range(2)]
    np.testing.assert_array_equal(np.transpose(parallax_factors(ra, dec, observers)), each)


def test_propagate_covariance__is_the_scatter_of_propagated_stars():
    rng = np.random.default_rng(6)
    root = rng.normal(size=(5, 5)) * np.array([0.3, 0.3, 0.4, 0.1, 0.1])[:, None]
    covariance, observer, n = root @ root.T, np.array([0.4, -0.8, -0.3]) * AU, 40_000
    noise = root @ rng.normal(size=(5, n))
    ra, dec = deproject(noise[0], noise[1], 80.5, -69.5)
    # Motions of a few tenths of a mas/yr: axes at the scattered places are those of the true one to 1e-9.
    ra, dec = propagate(ra, dec, 2.0 + noise[3], noise[4], -9.6, 1.0 + noise[2], observer)
    found = propagate_covariance(covariance[None], np.array([80.5]), np.array([-69.5]), -9.6, observer)[0]
    # Covariances of 40 000 draws are good to sqrt(2 / n), 0.7 %; five times that.
    assert np.cov(project(ra, dec, 80.5, -69.5)) == pytest.approx(found, abs=0.035 * np.sqrt(found.diagonal().prod()))


def test_propagate_covariance__without_correlations_adds_squares():
    errors = np.array([0.2, 0.3, 0.5, 0.05, 0.07])
    found = propagate_covariance(np.diag(errors**2)[None], np.zeros(1), np.zeros(1), 10.0)[0]
    assert found == pytest.approx(np.diag([0.04 + 0.25, 0.09 + 0.49]))
