"""Intrinsic dispersions: known truth, circles that cut tails off, and dispersions that are not there."""

import numpy as np
import pytest

from compute.kernels.kinematics.dispersion import KMS, fit_dispersion, root, velocity
from tests.kinematic import errors


def drawn(seed, sigma, n=300):
    """Motions (n, 2) about zero of a population, and their error covariances."""
    rng = np.random.default_rng(seed)
    covariance, _ = errors(n, rng)
    spread = covariance + sigma**2 * np.eye(2)
    return np.einsum("nij,nj->ni", np.linalg.cholesky(spread), rng.standard_normal((n, 2))), covariance


def within(values, covariance, radius):
    inside = np.hypot(*values.T) <= radius
    return values[inside], covariance[inside], np.full(inside.sum(), radius)


@pytest.mark.parametrize("sigma", [0.024, 0.144])
def test_dispersion__pulls_are_those_of_its_errors(sigma):
    found = [fit_dispersion(*drawn(seed, sigma)) for seed in range(24)]
    pulls = np.array([(one.sigma - sigma) / one.sigma_error for one in found])
    means = np.array([np.linalg.solve(np.linalg.cholesky(one.mean_covariance), one.mean) for one in found])
    # Pulls of 24: their mean is good to 0.2, their scatter to 0.15; means are twice as many.
    assert abs(pulls.mean()) < 0.7
    assert 0.6 < pulls.std() < 1.5
    assert 0.75 < means.std() < 1.25


def test_equal_errors__textbook():
    values, _ = drawn(1, 0.1, n=1000)
    found = fit_dispersion(values, np.broadcast_to(0.03**2 * np.eye(2), (1000, 2, 2)))
    seen = values.var(axis=0).mean()
    assert found.sigma == pytest.approx(np.sqrt(seen - 0.03**2), rel=1e-5)
    # Of 2 n values: the variance has the error seen / sqrt(n).
    assert found.sigma_error == pytest.approx(seen / np.sqrt(1000) / (2 * found.sigma), rel=1e-2)
    np.testing.assert_allclose(found.mean, values.mean(axis=0), atol=1e-6)
    assert (found.share, found.share_error) == (1.0, 0.0)


def test_circle__tails_that_were_cut_off_are_not_missed():
    values, covariance = drawn(4, 0.024, n=20_000)
    bright = np.sqrt(covariance[:, 0, 0]) < 0.03
    cut = within(values[bright], covariance[bright], 0.06)
    naive = fit_dispersion(*cut[:2])
    found = fit_dispersion(*cut[:2], centre=np.zeros(2), radii=cut[2], others=False)
    assert naive.sigma < 0.024 - 5 * naive.sigma_error
    assert abs(found.sigma - 0.024) < 3 * found.sigma_error


def test_circle__others_inside_are_told_apart():
    rng, pulls, shares = np.random.default_rng(8), [], []
    for seed in range(8):
        (members, c1), (_, c2) = drawn(seed, 0.024), drawn(seed + 100, 0.0)
        field = rng.uniform(-0.2, 0.2, (300, 2))
        values, covariance, radii = within(np.vstack([members, field]), np.concatenate([c1, c2]), 0.15)
        found = fit_dispersion(values, covariance, centre=np.zeros(2), radii=radii)
        pulls.append((found.sigma - 0.024) / found.sigma_error)
        true = np.mean(np.flatnonzero(np.hypot(*np.vstack([members, field]).T) <= 0.15) < 300)
        shares.append((found.share - true) / found.share_error)
        assert fit_dispersion(values, covariance).sigma > 0.03  # as if all were members
    assert abs(np.mean(pulls)) < 1.0
    assert abs(np.array(pulls)).max() < 4.0
    assert abs(np.mean(shares)) < 1.0


def test_no_dispersion__is_zero_within_its_error():
    found = [fit_dispersion(*drawn(seed, 0.0)) for seed in range(20)]
    for one in found:
        assert one.sigma >= 0.0
        assert one.sigma < 2 * 3.5 * one.sigma_error  # 3.5 errors of the variance, which are 2 sigma sigma_error
        assert one.sigma_error < 0.015
    assert np.median([one.sigma for one in found]) < 0.006


@pytest.mark.parametrize("shift", [0.0, 1e3])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_and_origin__do_not_matter(shift, scale):
    values, covariance = drawn(2, 0.05)
    here = fit_dispersion(values, covariance)
    there = fit_dispersion(scale * (values + shift), scale**2 * covariance)
    # Numbers of 1e3 leave thirteen digits of what differs.
    assert there.sigma == pytest.approx(scale * here.sigma, rel=1e-4)
    assert there.sigma_error == pytest.approx(scale * here.sigma_error, rel=1e-3)


def test_root__is_safe_at_zero_and_linear_far_from_it():
    assert root(0.04, 1e-6) == (0.2, pytest.approx(1e-6 / 0.4, rel=1e-6))
    assert root(0.0, 0.01) == (0.0, 0.1)
    assert root(-0.01, 0.01)[0] == 0.0


def test_velocity__with_the_error_of_the_distance():
    v, error = velocity(0.144, 0.003, 49.5, 0.5)
    assert v == pytest.approx(33.8, abs=0.05)  # as Libralato et al. (2023) have it for the same numbers
    assert error == pytest.approx(KMS * np.hypot(0.003 * 49.5, 0.144 * 0.5), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v, c: {"values": v[:9], "errors": c[:9]}, "found 9 stars"),
        (lambda v, c: {"values": v + np.nan, "errors": c}, "not usable"),
        (lambda v, c: {"values": v, "errors": 0 * c}, "not usable"),
        (lambda v, c: {"values": v, "errors": c, "centre": np.zeros(2), "radii": np.full(len(v), 1e-3)}, "outside"),
    ],
)
def test_unusable__one_line(change, said):
    with pytest.raises(ValueError, match=said):
        fit_dispersion(**change(*drawn(1, 0.1)))
