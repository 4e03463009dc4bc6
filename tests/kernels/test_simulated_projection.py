"""The tangent plane: against extended precision, vectors, and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.kernels.simulate.motion import MAS, displaced
from compute.kernels.simulate.projection import tangent
from tests.strategies import steady

MICRO = 1e-6 * MAS  # 1 nas [rad]
DECLINATIONS = (-90.0, -89.999, -69.5, -30.0, 0.0, 1e-9, 45.0, 89.0, 89.99)


def extended(ra, dec, ra0, dec0):
    """The textbook's formula in extended precision."""
    pi = np.longdouble("3.14159265358979323846264338327950288")
    a, d, a0, d0 = (np.asarray(each, np.longdouble) * pi / 180 for each in (ra, dec, ra0, dec0))
    toward = np.sin(d) * np.sin(d0) + np.cos(d) * np.cos(d0) * np.cos(a - a0)
    xi = np.cos(d) * np.sin(a - a0) / toward
    eta = (np.sin(d) * np.cos(d0) - np.cos(d) * np.sin(d0) * np.cos(a - a0)) / toward
    return np.array([xi, eta], float)


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long doubles are doubles here")
@pytest.mark.parametrize("dec", DECLINATIONS)
def test_tangent__is_the_gnomonic_projection(dec):
    rng = np.random.default_rng(1)
    stars = displaced(80.5, dec, *rng.uniform(-1.5e-3, 1.5e-3, (2, 300)))
    # 1 nas: degrees and not differences are rounded, and that before either formula sees them.
    assert np.array(tangent(*stars, 80.5, dec)) == pytest.approx(extended(*stars, 80.5, dec), abs=MICRO)


def test_tangent__of_vectors_far_from_the_centre():
    rng = np.random.default_rng(2)
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    a, d, a0, d0 = np.radians([ra, dec, np.full(500, 200.0), np.full(500, -40.0)])
    star = np.array([np.cos(a) * np.cos(d), np.sin(a) * np.cos(d), np.sin(d)])
    east = np.array([-np.sin(a0), np.cos(a0), 0 * a0])
    north = np.array([-np.cos(a0) * np.sin(d0), -np.sin(a0) * np.sin(d0), np.cos(d0)])
    depth = (star * np.cross(east.T, north.T).T).sum(axis=0)
    seen = depth > 0.01
    xi, eta = tangent(ra, dec, 200.0, -40.0)
    assert xi[seen] == pytest.approx(((star * east).sum(axis=0) / depth)[seen], rel=1e-9, abs=1e-9)
    assert eta[seen] == pytest.approx(((star * north).sum(axis=0) / depth)[seen], rel=1e-9, abs=1e-9)
    assert np.isnan(xi[depth < 0]).all()
    assert np.isnan(eta[depth < 0]).all()


@steady
@given(
    ra=st.floats(0, 360, exclude_max=True),
    dec=st.one_of(st.floats(-90, 90), st.sampled_from(DECLINATIONS), st.floats(89.9, 89.9999)),
    xi=st.floats(-1.5e-3, 1.5e-3),
    eta=st.floats(-1.5e-3, 1.5e-3),
)
def test_tangent__undoes_displaced(ra, dec, xi, eta):
    # 5 arcmin. Degrees near 360 are rounded to 2e-7 mas.
    assert tangent(*displaced(ra, dec, xi, eta), ra, dec) == pytest.approx((xi, eta), abs=MICRO)


def test_tangent__across_the_meridian():
    assert tangent(0.001, 0.0, 359.999, 0.0)[0] == pytest.approx(np.tan(np.radians(0.002)), rel=1e-9)
    assert tangent(359.999, 0.0, 0.001, 0.0)[0] == pytest.approx(-np.tan(np.radians(0.002)), rel=1e-9)
