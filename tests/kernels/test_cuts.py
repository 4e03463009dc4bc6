"""Running medians and spreads: what they follow, and what does not disturb them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.kernels.measure.cuts import running

MAG = np.sort(np.random.default_rng(1).uniform(-12.0, -2.0, 6000))


def noise(mag):
    return 0.02 + 10 ** (0.3 * (mag + 2.0))


def test_running__follows_the_noise_in_spite_of_galaxies():
    rng = np.random.default_rng(2)
    value = 0.1 * MAG + noise(MAG) * rng.normal(size=MAG.size)
    odd = rng.random(MAG.size) < 0.1
    value[odd] += 20 * noise(MAG[odd])
    at = np.linspace(-11.5, -2.5, 50)
    middle, spread = running(MAG, value, at, 201, 3.5)
    # Medians of 200 are known to 0.09 spreads and spreads to 8 %, four of these; bends within a window add to both.
    assert (abs(middle - 0.1 * at) < 0.45 * noise(at)).all()
    assert spread == pytest.approx(noise(at), rel=0.4)
    assert np.mean(spread / noise(at)) == pytest.approx(1.0, abs=0.06)


def test_running__is_what_a_slow_one_finds_in_its_windows():
    rng = np.random.default_rng(3)
    x, value = np.sort(rng.uniform(0.0, 1.0, 90)), rng.standard_t(2, 90)
    for start in (0, 10, 50):
        inside = value[start : start + 40]
        for _ in range(3):
            middle = np.median(inside)
            spread = 1.4826 * np.median(abs(inside - middle))
            inside = inside[abs(inside - middle) <= 2.5 * spread]
        at = np.array([np.median(x[start : start + 40])])
        np.testing.assert_allclose(running(x, value, at, 40, 2.5), [[middle], [spread]], rtol=1e-12)


def test_running__constant_beyond_the_ends_and_nothing_nowhere():
    value = np.random.default_rng(4).normal(size=MAG.size)
    middle, spread = running(MAG, value, np.array([-99.0, MAG[0], MAG[-1], 99.0, np.nan]), 201, 3.5)
    assert middle[0] == middle[1]
    assert spread[2] == spread[3]
    assert np.isnan([middle[4], spread[4]]).all()


@pytest.mark.parametrize("n", [1, 2, 19])
def test_running__fewer_than_a_window(n):
    value = np.arange(n, dtype=float)
    middle, spread = running(np.arange(n), value, np.array([0.0, 50.0]), 100, 9.0)
    assert (middle == np.median(value)).all()
    assert (spread == 1.4826 * np.median(abs(value - np.median(value)))).all()


def test_running__where_all_are_alike_the_spread_is_zero():
    middle, spread = running(MAG, np.full(MAG.size, 0.3), MAG[::100], 51, 3.0)
    assert (middle == 0.3).all()
    assert (spread == 0.0).all()


pairs = st.tuples(st.integers(-20, 20), st.floats(-10, 10))


@given(st.lists(pairs, min_size=1, max_size=80), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_running__order_of_sources_does_not_matter(sources, random):
    at = np.linspace(-21.0, 21.0, 7)
    shuffled = random.sample(sources, len(sources))
    one, other = (running(*np.array(each, float).T, at, 20, 3.0) for each in (sources, shuffled))
    np.testing.assert_array_equal(one, other)
