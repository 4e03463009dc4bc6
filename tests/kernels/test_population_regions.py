"""Regions of colour, magnitude and sky, and the clipped middle of motions."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path

from compute.kernels.kinematics.populations import clipped_median, in_circle, in_polygon, in_sky_polygon
from tests.strategies import steady

STAR = [(0, 0), (4, 0), (4, 3), (2, 1), (0, 3)]  # not convex


@steady
@given(seed=st.integers(0, 10_000), m=st.integers(3, 12))
def test_polygon__as_matplotlib_has_it(seed, m):
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, m))
    corners = rng.uniform(0.3, 1.0, m)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x, y = rng.uniform(-1, 1, (2, 200))
    np.testing.assert_array_equal(in_polygon(x, y, corners), Path(corners).contains_points(np.stack([x, y], axis=1)))


def test_polygon__notch_is_outside_and_so_is_nan():
    inside = in_polygon([1.0, 2.0, 2.0, np.nan, 3.9], [1.0, 0.5, 2.0, 1.0, 2.5], STAR)
    assert inside.tolist() == [True, True, False, False, True]
    assert (in_polygon([1.0, 2.0], [1.0, 2.0], STAR[::-1]) == [True, False]).all()


def test_polygon__two_vertices_are_none():
    with pytest.raises(ValueError, match="three at least"):
        in_polygon([0.0], [0.0], STAR[:2])


@pytest.mark.parametrize("dec", [-69.5, 0.0, 89.9])
def test_circle__as_astropy_has_it_across_zero(dec):
    rng = np.random.default_rng(1)
    ra = (rng.uniform(-100, 100, 500) / 3600 / np.cos(np.radians(dec))) % 360
    decs = np.minimum(dec + rng.uniform(-100, 100, 500) / 3600, 90.0)
    apart = SkyCoord(ra, decs, unit="deg").separation(SkyCoord(0.0, dec, unit="deg"))
    inside = in_circle(ra, decs, 0.0, dec, 60.0)
    np.testing.assert_array_equal(inside, apart <= 60 * u.arcsec)
    assert 0 < inside.sum() < 500


def test_sky_polygon__square_across_zero():
    corners = [(359.99, -69.51), (0.01, -69.51), (0.01, -69.49), (359.99, -69.49)]
    inside = in_sky_polygon([0.0, 359.995, 0.011, 180.0], [-69.5, -69.495, -69.5, 69.5], corners)
    assert inside.tolist() == [True, True, False, False]


def test_clipped_median__outliers_do_not_count_and_the_error_is_true():
    pulls, kept = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        values = np.vstack([rng.normal([1.0, -2.0], 0.1, (400, 2)), rng.uniform(-20, 20, (20, 2))])
        found = clipped_median(values, 3.0)
        pulls.append((found.median - [1.0, -2.0]) / found.error)
        kept.append(found.used[:400].mean())
        assert (found.used == (np.hypot(*(values - found.median).T) <= found.radius)).all()
        assert found.used[400:].sum() <= 2
    # 200 pulls: their scatter is good to 0.05. Beyond three deviations are 1.1 per cent of a Gaussian in the plane.
    assert 0.85 < np.std(pulls) < 1.15
    assert np.mean(kept) == pytest.approx(0.989, abs=0.005)


def test_clipped_median__of_two_is_refused():
    with pytest.raises(ValueError, match="found 2 values"):
        clipped_median(np.zeros((2, 2)), 3.0)
