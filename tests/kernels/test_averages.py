"""Means with honest errors; outliers stay out of them."""

import numpy as np

from compute.kernels.frame.averages import Common, mean_positions, mean_values, medians


def stack(n_stars=4000, n=9, seed=1):
    rng = np.random.default_rng(seed)
    start = np.arange(n_stars + 1) * n
    errors = rng.uniform(0.01, 0.05, (2, n_stars * n))
    x, y = rng.normal(0, errors)
    return rng, start, x, y, errors[0] ** 2, errors[1] ** 2


def plain(start, x, var):
    """Weighted mean and its variance, star by star."""
    rows = [slice(a, b) for a, b in zip(start[:-1], start[1:], strict=True)]
    weight = np.array([np.sum(1 / var[r]) for r in rows])
    return np.array([np.sum(x[r] / var[r]) for r in rows]) / weight, 1 / weight


def test_no_outliers__weighted_mean_with_its_variance():
    _, start, x, y, vx, vy = stack(n_stars=50)
    means, used = mean_positions(start, x + 1000, y, vx, vy, np.zeros_like(x), 100.0)
    assert used.all()
    for found, variance, (mean, expected) in (
        (means.x - 1000, means.var_x, plain(start, x, vx)),
        (means.y, means.var_y, plain(start, y, vy)),
    ):
        np.testing.assert_allclose(found, mean, atol=1e-12)  # rounding of numbers near 1000
        np.testing.assert_allclose(variance, expected, rtol=1e-12)
    np.testing.assert_allclose(means.rms_x, x.reshape(50, 9).std(1, ddof=1), rtol=0.2)  # about another mean


def test_gaussian_noise__pulls_of_the_means_are_one():
    _, start, x, y, vx, vy = stack()
    means, used = mean_positions(start, x, y, vx, vy, np.zeros_like(x), 4.0)
    assert used.mean() > 0.9995  # 1 in 16 000 beyond 4 sigma on either axis
    for mean, var in ((means.x, means.var_x), (means.y, means.var_y)):
        assert abs(np.std(mean / np.sqrt(var)) - 1) < 0.04  # 4 000 stars tell it to 0.011


def test_outliers__are_not_used_and_do_not_move_the_mean():
    rng, start, x, y, vx, vy = stack(n_stars=1000)
    wrong = start[:-1] + rng.integers(0, 9, 1000)
    x[wrong] += rng.choice([-1, 1], 1000) * rng.uniform(0.5, 3.0, 1000)
    means, used = mean_positions(start, x, y, vx, vy, np.zeros_like(x), 4.0)
    assert not used[wrong].any()
    assert abs(np.std(means.x / np.sqrt(means.var_x)) - 1) < 0.08  # 1 000 stars, to 0.022


def test_errors_too_small__the_scatter_widens_the_limit():
    _, start, x, y, vx, vy = stack(n_stars=500)
    _, used = mean_positions(start, x, y, vx / 25, vy / 25, np.zeros_like(x), 4.0)
    assert used.mean() > 0.97  # taken at their word they would lose 42 % beyond 0.8 sigma


def test_covariance__of_the_mean_is_that_of_the_rows_over_their_number():
    start, var = np.array([0, 4]), np.full(4, 0.04)
    means, _ = mean_positions(start, np.zeros(4), np.zeros(4), var, var, np.full(4, 0.02), 4.0)
    assert np.isclose(means.cov_xy[0], 0.02 / 4)
    assert np.isclose(means.var_x[0], 0.01)


def test_unusable_rows__nan_and_zero_variance_never_count():
    x = np.array([1.0, np.nan, 3.0, 5.0])
    var = np.array([1.0, 1.0, 0.0, np.nan])
    means, used = mean_positions(np.array([0, 2, 4, 4]), x, x, var, var, np.zeros(4), 4.0)
    np.testing.assert_array_equal(used, [True, False, False, False])
    np.testing.assert_array_equal(means.n_used, [1, 0, 0])
    assert means.x[0] == 1.0
    assert np.isnan(means.rms_x).all()
    assert np.isnan(means.x[1:]).all()


def test_values_and_medians__one_quantity():
    start, value = np.array([0, 3, 5]), np.array([1.0, 2.0, 6.0, 4.0, np.nan])
    mean, variance, rms = mean_values(start, value, np.full(5, 9.0), 4.0)
    np.testing.assert_allclose(mean, [3.0, 4.0])
    np.testing.assert_allclose(variance, [3.0, 9.0])
    assert np.isclose(rms[0], np.sqrt(7.0))
    np.testing.assert_array_equal(medians(start, value, np.array([True, True, True, True, True])), [2.0, 4.0])
    assert np.isnan(medians(start, value, np.zeros(5, bool))).all()


def test_common_errors__do_not_average_out():
    rng, start, x, y, vx, vy = stack()
    group, error = np.tile([3, 3, 3, 0, 0, 0, 7, 7, 7], 4000), np.tile([0.02, 0.02, 0.04], 3 * 4000)
    x, y = (a + np.repeat(rng.normal(size=12_000), 3) * error for a in (x, y))
    told = start, x, y, vx + error**2, vy + error**2, np.zeros_like(x), 5.0
    means, _ = mean_positions(*told, Common(group, error))
    for mean, var in ((means.x, means.var_x), (means.y, means.var_y)):
        assert abs(np.std(mean / np.sqrt(var)) - 1) < 0.04  # 4 000 stars tell it to 0.011
    alone, _ = mean_positions(*told)
    assert np.std(alone.x / np.sqrt(alone.var_x)) > 1.1
    np.testing.assert_array_equal(alone.x, means.x)
    apart, _ = mean_positions(*told, Common(np.tile(np.arange(9), 4000), error))
    np.testing.assert_array_equal(apart.var_x, alone.var_x)
