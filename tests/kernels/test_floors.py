"""The noise that formal errors do not tell is found, whatever outliers say."""

import numpy as np
import pytest

from compute.kernels.floors import floor


def rows(true_floor, n=6000, seed=2):
    rng = np.random.default_rng(seed)
    formal = rng.uniform(0.002, 0.05, n) ** 2
    kept = np.full(n, 8 / 9)  # nine rows of equal weight
    return rng, rng.normal(0, np.sqrt((formal + true_floor**2) * kept)), formal, kept


@pytest.mark.parametrize("truth", [0.005, 0.01, 0.05])
def test_extra_noise__is_found(truth):
    _, residual, formal, kept = rows(truth)
    # 2 000 rows tell a standard deviation to 2.6 % by their median; formal errors of up to 0.018 count in it too
    assert floor(residual, formal, kept) == pytest.approx(truth, rel=0.2 if truth < 0.02 else 0.08)


def test_honest_errors__no_floor_to_speak_of():
    _, residual, formal, kept = rows(0.0)
    assert floor(residual, formal, kept) < 0.004  # a quarter of the median formal error among those asked


def test_errors_too_large__zero():
    _, residual, formal, kept = rows(0.0)
    assert floor(residual, 4 * formal, kept) == 0.0


def test_outliers__a_tenth_changes_little():
    rng, residual, formal, kept = rows(0.02)
    residual[rng.choice(6000, 600, replace=False)] = 5.0
    assert floor(residual, formal, kept) == pytest.approx(0.02, rel=0.3)


def test_few_rows__nan():
    assert np.isnan(floor(np.ones(19), np.ones(19), np.ones(19)))
    assert np.isnan(floor(np.full(50, np.nan), np.ones(50), np.ones(50)))
