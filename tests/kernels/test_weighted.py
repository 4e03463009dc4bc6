"""Weighted means of groups against plain arithmetic; how chi2 of nested means add up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compute.kernels.motion.weighted import weighted_means


def simulated(rng, n, groups, axes=2, spread=0.0):
    """Values, errors and groups, every group met; the groups' own means scatter by `spread`."""
    group = rng.permutation(np.concatenate([np.arange(groups), rng.integers(0, groups, n - groups)]))
    error = rng.uniform(0.01, 0.1, (n, axes))
    return rng.normal(0.0, error) + rng.normal(0.0, spread, (groups, axes))[group], error, group


def plain(value, error, group):
    """Means, errors and chi2, group by group."""
    mean, sigma, chi2 = [], [], 0.0
    for g in range(group.max() + 1):
        v, w = value[group == g], error[group == g] ** -2.0
        mean.append(np.average(v, axis=0, weights=w))
        sigma.append(np.sqrt(1 / w.sum(0)))
        chi2 += np.sum(w * (v - mean[-1]) ** 2)
    return np.array(mean), np.array(sigma), chi2


@pytest.mark.parametrize("axes", [1, 2, 5])
def test_weighted_means__are_those_of_each_group(axes):
    value, error, group = simulated(np.random.default_rng(1), 60, 7, axes)
    means = weighted_means(value, error, group)
    mean, sigma, chi2 = plain(value, error, group)
    np.testing.assert_allclose(means.value, mean, rtol=1e-12)  # the order of sums differs
    np.testing.assert_allclose(means.error, sigma, rtol=1e-12)
    np.testing.assert_array_equal(means.n, np.bincount(group))
    assert means.agreement.chi2 == pytest.approx(chi2, rel=1e-12)
    assert means.agreement.dof == axes * (60 - 7)
    assert means.agreement.p == pytest.approx(stats.chi2.sf(chi2, axes * 53), rel=1e-9)


def test_weighted_means__one_axis_needs_no_columns():
    value, error, group = simulated(np.random.default_rng(2), 30, 4, 1)
    flat, columns = (weighted_means(v, e, group) for v, e in ((value[:, 0], error[:, 0]), (value, error)))
    np.testing.assert_array_equal(flat.value, columns.value[:, 0])
    assert flat.agreement == columns.agreement


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_agreement__two_values_have_that_of_their_difference(seed):
    (a, b), (u, v) = np.random.default_rng(seed).uniform(0.1, 1.0, (2, 2))
    found = weighted_means([a, b], [u, v], np.zeros(2, int)).agreement
    assert found.chi2 == pytest.approx((a - b) ** 2 / (u**2 + v**2), rel=1e-9, abs=1e-25)
    assert found.dof == 1


@given(st.integers(0, 2**32 - 1), st.integers(4, 40))
@settings(max_examples=50, deadline=None)
def test_agreement__of_levels_adds_up_to_that_about_the_last_mean(seed, n):
    rng = np.random.default_rng(seed)
    value, error, group = simulated(rng, n, 4)
    field = np.array([0, 0, 1, 1])
    first = weighted_means(value, error, group)
    second = weighted_means(first.value, first.error, field)
    third = weighted_means(second.value, second.error, np.zeros(2, int))
    at_once = weighted_means(value, error, np.zeros(n, int))
    levels = first.agreement, second.agreement, third.agreement
    assert sum(one.chi2 for one in levels) == pytest.approx(at_once.agreement.chi2, rel=1e-9)
    assert sum(one.dof for one in levels) == at_once.agreement.dof
    np.testing.assert_allclose(third.value, at_once.value, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(third.error, at_once.error, rtol=1e-12)


def test_noise__pulls_are_one_and_chi2_is_what_its_distribution_says():
    value, error, group = simulated(np.random.default_rng(3), 20_000, 4000)
    means = weighted_means(value, error, group)
    assert abs(np.std(means.value / means.error) - 1) < 0.03  # 8 000 means tell it to 0.008
    assert 0.001 < means.agreement.p < 0.999


def test_noise__means_that_differ_are_told_by_the_next_level():
    value, error, group = simulated(np.random.default_rng(4), 200, 10, spread=0.1)
    means = weighted_means(value, error, group)
    assert means.agreement.p > 0.001
    assert weighted_means(means.value, means.error, np.zeros(10, int)).agreement.p < 1e-6


def test_agreement__of_single_values_is_none():
    means = weighted_means([0.1, 0.3], [0.2, 0.1], [0, 1])
    np.testing.assert_allclose(means.value, [0.1, 0.3], rtol=1e-15)
    np.testing.assert_allclose(means.error, [0.2, 0.1], rtol=1e-15)
    assert means.agreement.chi2 == pytest.approx(0.0, abs=1e-25)  # rounding, squared
    assert means.agreement.dof == 0
    assert np.isnan(means.agreement.p)


@pytest.mark.parametrize(
    ("value", "error", "group", "said"),
    [
        ([1.0, 2.0], [1.0], [0, 0], "shapes"),
        ([1.0, 2.0], [1.0, 1.0], [0], "shapes"),
        ([1.0, np.nan], [1.0, 1.0], [0, 0], "not numbers"),
        ([1.0, 2.0], [1.0, 0.0], [0, 0], "not positive"),
        ([1.0, 2.0], [1.0, -1.0], [0, 0], "not positive"),
        ([1.0, 2.0], [1.0, np.inf], [0, 0], "not numbers"),
        ([1.0, 2.0], [1.0, 1.0], [0, 2], "group 1 of 3 is empty"),
    ],
)
def test_weighted_means__refuses(value, error, group, said):
    with pytest.raises(ValueError, match=said):
        weighted_means(value, error, group)
