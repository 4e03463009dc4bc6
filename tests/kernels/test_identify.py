"""Detections of one star are one group; the group depends on the neighbourhood alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.kernels.frame.identify import dependence, identify


def slow(x, y, exposure, rank, radius, rounds):
    """The rules as they are written, pair by pair."""
    star = np.full(len(x), -1)
    alone = ~(np.isfinite(x) & np.isfinite(y))
    x, y = np.where(alone, 0.0, x), np.where(alone, 0.0, y)
    away = np.hypot(x[:, None] - x, y[:, None] - y)
    for _ in range(rounds):
        free = (star < 0) & ~alone
        near = (away <= radius) & free & free[:, None]
        founds = free & ~(near & (rank < rank[:, None])).any(1)
        chosen = {}
        for k in np.flatnonzero(free):
            reach = np.flatnonzero(founds & (away[k] <= radius))
            if len(reach):
                founder = min(reach, key=lambda m: (away[k, m], rank[m]))
                key, claim = (founder, exposure[k]), (away[k, founder], rank[k], k)
                chosen[key] = min(chosen.get(key, claim), claim)
        for (founder, _), (*_, k) in chosen.items():
            star[k] = founder
    return star


def scene(n_stars=300, n_exposures=6, size=60.0, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, size, (2, n_stars))
    star, exposure = np.tile(np.arange(n_stars), n_exposures), np.repeat(np.arange(n_exposures), n_stars)
    x, y = places[:, star] + rng.normal(0, noise, (2, star.size))
    return x, y, exposure, rng.permutation(star.size), star


def test_rules__fast_and_slow_agree_in_a_crowd():
    x, y, exposure, rank, _ = scene(noise=0.3)  # a star per 12 square radii, and noise of a third of the radius
    x[5], y[17] = np.nan, np.inf
    np.testing.assert_array_equal(identify(x, y, exposure, rank, 1.0), slow(x, y, exposure, rank, 1.0, 4))


def test_stars_apart__each_is_whole_and_alone():
    grid = np.arange(20) * 3.0
    star = np.tile(np.arange(400), 9)
    x, y = (axis.ravel()[star] for axis in np.meshgrid(grid, grid))
    rng = np.random.default_rng(3)
    x, y = x + rng.normal(0, 0.1, x.size), y + rng.normal(0, 0.1, y.size)
    found = identify(x, y, np.repeat(np.arange(9), 400), rng.permutation(x.size), 1.0)
    assert (star[found] == star).all()
    assert len(np.unique(found)) == 400


def test_close_pair__the_fainter_founds_its_own_star():
    x, y = np.tile([0.0, 0.6], 4), np.zeros(8)
    found = identify(x, y, np.repeat(np.arange(4), 2), np.tile([0, 10], 4) + np.arange(8), 1.0)
    assert len(np.unique(found[::2])) == len(np.unique(found[1::2])) == 1
    assert found[0] != found[1]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), left=st.floats(10, 30))
def test_margin__a_piece_of_the_sky_gives_what_the_whole_gives(seed, left):
    x, y, exposure, rank, _ = scene(seed=seed, noise=0.3)
    whole = identify(x, y, exposure, rank, 0.5, rounds=2)
    margin = dependence(0.5, rounds=2)
    inside = (x > left) & (x < left + 10)
    piece = np.flatnonzero((x > left - margin) & (x < left + 10 + margin))
    found = identify(x[piece], y[piece], exposure[piece], rank[piece], 0.5, rounds=2)
    found = np.where(found >= 0, piece[found], -1)
    np.testing.assert_array_equal(found[inside[piece]], whole[inside])


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_order_of_rows__does_not_matter(seed):
    x, y, exposure, rank, _ = scene(n_stars=60, noise=0.4, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(x.size)
    whole = identify(x, y, exposure, rank, 1.0)
    found = identify(x[shuffled], y[shuffled], exposure[shuffled], rank[shuffled], 1.0)
    back = np.empty_like(found)
    back[shuffled] = np.where(found >= 0, shuffled[found], -1)
    np.testing.assert_array_equal(back, whole)


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows__are_their_own_stars(n):
    found = identify(np.zeros(n), np.zeros(n), np.zeros(n, np.int64), np.arange(n), 1.0)
    np.testing.assert_array_equal(found, np.arange(n))
