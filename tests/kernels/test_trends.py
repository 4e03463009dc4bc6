"""Judges of residuals: trends against any coordinate, features in narrow bands."""

import numpy as np
import pytest
from scipy import stats

from compute.kernels.geometry.trends import scan, trend
from compute.stages.simulate.geometry import _void

EDGES = np.linspace(0, 1000, 11)


def test_trend__without_one_has_even_probabilities():
    rng, p = np.random.default_rng(1), []
    for _ in range(400):
        where, scatter = rng.uniform(0, 1000, 120), 0.03
        p.append(trend(rng.normal(0, scatter, 120), 0.001, where, EDGES).p)
    # Formal errors thirty times too small do not matter, nor that bins have a dozen stars.
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_trend__is_found():
    rng = np.random.default_rng(2)
    where = rng.uniform(0, 1000, 4000)
    found = trend(rng.normal(0.01 * where / 1000, 0.02), 0.02, where, EDGES)
    assert found.p < 1e-10
    # Each of ten means of 400 is within four of its errors of 1 mpix.
    np.testing.assert_allclose(found.mean, 0.01 * (EDGES[1:] + EDGES[:-1]) / 2000, atol=0.004)
    np.testing.assert_allclose(found.error, 0.001, rtol=0.2)
    assert found.n.sum() == 4000


def test_trend__weights_by_errors():
    rng = np.random.default_rng(3)
    errors = np.where(rng.random(20000) < 0.5, 0.01, 0.1)
    found = trend(rng.normal(0, errors), errors, np.zeros(20000), [0, 1])
    assert found.error[0] == pytest.approx(0.01 / np.sqrt(10000 * 1.01), rel=0.05)


def test_trend__leaves_out_what_is_not_finite_and_bins_of_few():
    values, where = np.array([1.0, 1.1, 0.9, np.nan, 5.0, 5.1, 9.0]), np.array([0.1, 0.2, 0.3, 0.4, 1.5, 1.5, 7.0])
    found = trend(values, 1.0, where, [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(found.n, [3, 2])
    assert found.mean[0] == pytest.approx(1.0)
    assert np.isnan(found.mean[1])
    assert found.dof == 1
    t = 1.0 / (0.1 / np.sqrt(3))
    assert found.p == pytest.approx(2 * stats.t.sf(t, 2))


@pytest.fixture(scope="module")
def places():
    """Positions of 60 000 stars on a detector."""
    return np.random.default_rng(4).uniform(0, 2047, (2, 60_000))


def covers(feature, u, v):
    return feature.extent[0] < u < feature.extent[1] and feature.band[0] < v < feature.band[1]


def test_scan__finds_the_void(places):
    x, y = places
    shifts = _void(x / 2048, y / 2048)
    found = scan(x, y, *(shifts + np.random.default_rng(5).normal(0, 0.02, shifts.shape)), 0.02)
    for (u, v), sign in (((0.61, 0.44), 1), ((0.76, 0.39), -1)):  # where the void shifts x most, by 0.05 pix
        there = [one for one in found if one.axis == one.along == "x" and covers(one, 2048 * u, 2048 * v)]
        assert len(there) == 1
        assert 0.02 < sign * there[0].mean < 0.05
        assert abs(there[0].significance) > 20
        assert there[0].false_alarm < 1e-6
    # The void is an oval of some 180 by 410 pix to either side of its middle, and fades away from there.
    for one in found:
        middle = np.mean([one.extent, one.band][:: 1 if one.along == "x" else -1], axis=1)
        assert (abs(middle - (1400, 850)) < (400, 600)).all()


def test_scan__finds_nothing_in_noise(places):
    x, y = places
    rng = np.random.default_rng(6)
    noise = rng.standard_t(5, (2, len(x))) * 0.02
    assert scan(x, y, *noise, 0.001) == []


def test_scan__false_alarms_are_as_many_as_told():
    rng, alarms = np.random.default_rng(7), 0
    for _ in range(150):
        x, y = rng.uniform(0, 511, (2, 4000))
        alarms += bool(scan(x, y, *rng.normal(0, 0.02, (2, 4000)), 0.02, false_alarm=0.05))
    # 7.5 expected if runs were independent; they are not, and fewer come. 18 is beyond a chance of 1e-3.
    assert alarms < 18


def test_scan__a_star_seen_again_at_its_place_does_not_count_twice():
    rng, alarms = np.random.default_rng(8), 0
    for _ in range(40):
        x, y = np.repeat(rng.uniform(0, 511, (2, 2000)), 4, axis=1)
        noise = np.repeat(rng.normal(0, 0.02, (2, 2000)), 4, axis=1) + rng.normal(0, 0.002, (2, 8000))
        alarms += bool(scan(x, y, *noise, 0.02, false_alarm=0.05))
    # Taken as independent, means would be two of their errors off: nearly every scan would have a feature.
    assert alarms < 8


def test_scan__of_nothing():
    assert scan([], [], [], [], []) == []
