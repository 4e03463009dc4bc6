"""The noise that formal errors do not tell is found, whatever outliers say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from compute.kernels.frame.floors import _root, floor, left


def rows(true_floor, n=6000, seed=2):
    rng = np.random.default_rng(seed)
    formal = rng.uniform(0.002, 0.05, n) ** 2
    kept = np.full(n, 8 / 9)  # nine rows of equal weight
    return rng, rng.normal(0, np.sqrt((formal + true_floor**2) * kept)), formal, kept


@pytest.mark.parametrize("truth", [0.005, 0.01, 0.05])
def test_extra_noise__is_found(truth):
    _, residual, formal, kept = rows(truth)
    # At 0.005 some 600 rows have formal errors as small as the floor, and tell it to 5 %
    assert floor(residual, formal * kept, kept) == pytest.approx(truth, rel=0.15 if truth < 0.02 else 0.08)


def test_honest_errors__no_floor_to_speak_of():
    _, residual, formal, kept = rows(0.0)
    assert floor(residual, formal * kept, kept) < 0.002  # the smallest formal errors


def test_errors_too_large__zero():
    _, residual, formal, kept = rows(0.0)
    assert floor(residual, 4 * formal * kept, kept) == 0.0


def test_outliers__a_tenth_changes_little():
    rng, residual, formal, kept = rows(0.02)
    residual[rng.choice(6000, 600, replace=False)] = 5.0
    assert floor(residual, formal * kept, kept) == pytest.approx(0.02, rel=0.1)


def test_few_rows__nan():
    assert np.isnan(floor(np.ones(19), np.ones(19), np.ones(19)))
    assert np.isnan(floor(np.full(50, np.nan), np.ones(50), np.ones(50)))


def test_few_good_rows__decide():
    rng = np.random.default_rng(4)
    formal = np.r_[np.full(150, 0.001), np.full(6000, 0.05)] ** 2
    residual = rng.normal(0, np.sqrt(formal + 0.003**2))
    # 150 rows tell a standard deviation to 6 %
    assert floor(residual, formal, np.ones(6150)) == pytest.approx(0.003, rel=0.2)


def test_left__what_exposures_share_is_found_from_residuals():
    rng = np.random.default_rng(5)
    n, extra = 3000, 0.02
    star, group = np.repeat(np.arange(n), 6), np.tile([0, 0, 1, 1, 2, 2], n)
    formal = rng.uniform(0.005, 0.02, star.size) ** 2
    shared = rng.normal(0, extra, (n, 3))
    place = rng.normal(0, np.sqrt(formal)) + shared[star, group]
    weight = 1 / (formal + extra**2)
    mean = np.bincount(star, weight * place) / np.bincount(star, weight)
    of_formal, share = left(star, group, formal, formal + extra**2)
    assert np.mean(share) == pytest.approx(2 / 3, abs=0.02)  # three errors, and not six, about their mean
    residual = place - mean[star]
    assert np.mean(residual**2) == pytest.approx(np.mean(of_formal + share * extra**2), rel=0.05)
    assert floor(residual, of_formal, share) == pytest.approx(extra, rel=0.05)
    alone = left(star, np.tile(np.arange(6), n), formal, formal + extra**2)
    assert floor(residual, *alone) < 0.95 * extra  # as if they shared nothing


@given(
    st.integers(1, 400), st.floats(-10, -1), st.sampled_from([(4.0, 0.920537), (9.0, 0.973337)]),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_root__is_that_of_scipy(n, extra, cut, seed):
    rng, (most, usual) = np.random.default_rng(seed), cut
    formal, share = 10 ** rng.uniform(-8, -3, n), rng.uniform(0.06, 1, n)
    square = rng.normal(0, 1, n) ** 2 * (formal + share * 10**extra)
    square[rng.random(n) < 0.05] *= 1000

    def excess(extra):
        variance = formal + share * extra
        return np.sum((np.minimum(square / variance, most) - usual) * share / variance)

    high = 2 * (square / share).max()
    found = _root(square, formal, share, most, usual)
    if excess(0.0) <= 0:
        assert found == 0.0
    else:  # cut squares: of one row there are several roots, and any will do
        expected = brentq(excess, 0.0, high, xtol=1e-15 * high, rtol=1e-12)
        slope = abs(excess(found * (1 - 1e-6)) - excess(found * (1 + 1e-6)))
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-14 * high) or abs(excess(found)) <= slope
