"""Mixtures of Gaussians behind errors: known truth, a plain reference, and what the errors promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, multivariate_normal

from compute.kernels.kinematics.deconvolution import Model, climb_by_em, gradient_of
from compute.kernels.kinematics.mixtures import fit_mixture
from compute.kernels.warm.kinematics import warm
from tests.kinematic import YOUNG, errors
from tests.strategies import steady

SHARES = np.array([one.share for one in YOUNG])
MOTIONS = np.array([one.motion for one in YOUNG])
SIGMAS = np.array([one.sigma for one in YOUNG])


def young(seed, n=2000):
    """Motions (n, 2) of the three groups, and their error covariances."""
    rng = np.random.default_rng(seed)
    group = rng.choice(3, n, p=SHARES)
    covariance, _ = errors(n, rng)
    spread = covariance + SIGMAS[group][:, None, None] ** 2 * np.eye(2)
    draws = np.einsum("nij,nj->ni", np.linalg.cholesky(spread), rng.standard_normal((n, 2)))
    return MOTIONS[group] + draws, covariance


def plain(values, covariance, mixture):
    """Log-likelihood, star by star."""
    total = 0.0
    for value, error in zip(values, covariance, strict=True):
        parts = zip(mixture.fractions, mixture.means, mixture.dispersions, strict=True)
        total += np.log(sum(f * multivariate_normal.pdf(value, m, error + v) for f, m, v in parts))
    return total


@pytest.fixture(scope="module")
def fitted():
    values, covariance = young(3, n=1000)
    return values, covariance, fit_mixture(values, covariance, 3, axis=60.0)


def test_groups__means_pull_as_their_errors_say():
    pulls = []
    for seed in range(12):
        found = fit_mixture(*young(seed), 3, axis=60.0, starts=6)
        assert found.converged
        for k in range(3):
            half = np.linalg.cholesky(found.mean_covariance(k))
            pulls.append(np.linalg.solve(half, found.means[k] - MOTIONS[k]))
    pulls = np.concatenate(pulls)
    assert 0.01 < chi2.sf((pulls**2).sum(), pulls.size) < 0.99
    assert abs(pulls).max() < 4.0


def test_groups__fractions_and_dispersions_within_their_errors(fitted):
    _, _, found = fitted
    assert found.fractions.sum() == pytest.approx(1.0, abs=1e-12)
    assert (abs(found.fractions - SHARES) < 3.5 * found.fraction_errors).all()
    for k in range(3):
        error = np.sqrt(np.diag(found.dispersion_covariance(k)))
        expected = SIGMAS[k] ** 2 * np.array([1.0, 0.0, 1.0])
        assert (abs(found.dispersions[k].ravel()[[0, 1, 3]] - expected) < 3.5 * error).all()


def test_likelihood__is_that_of_a_plain_sum_and_at_its_summit(fitted):
    values, covariance, found = fitted
    assert found.log_likelihood == pytest.approx(plain(values, covariance, found), abs=1e-6)
    for step in (-1e-3, 1e-3):
        moved = found._replace(means=found.means + step)
        assert plain(values, covariance, moved) < found.log_likelihood
        wider = found._replace(dispersions=found.dispersions * (1 + 20 * step))
        assert plain(values, covariance, wider) < found.log_likelihood


def test_one_group__equal_errors_have_the_answer_of_the_textbook():
    rng = np.random.default_rng(1)
    values = rng.multivariate_normal([1.0, 2.0], [[0.09, 0.03], [0.03, 0.04]], 500)
    error = np.array([[0.004, 0.001], [0.001, 0.009]])
    found = fit_mixture(values, np.broadcast_to(error, (500, 2, 2)), 1)
    seen = np.cov(values.T, bias=True)
    np.testing.assert_allclose(found.means[0], values.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.dispersions[0], seen - error, atol=1e-9)
    np.testing.assert_allclose(found.mean_covariance(0), seen / 500, rtol=1e-4)
    # Of a sample variance s2: 2 s2^2 / n; finite differences cost a relative 1e-3 or so.
    assert found.dispersion_covariance(0)[0, 0] == pytest.approx(2 * seen[0, 0] ** 2 / 500, rel=5e-3)


def scattered_about(seed, share, n=1500):
    """Motions of two groups and a share of stars anywhere within 8 mas/yr, their covariances, and who those are."""
    rng = np.random.default_rng(seed)
    covariance, _ = errors(n, rng)
    group, anywhere = rng.integers(0, 2, n), rng.random(n) < share
    spread = covariance + 0.05**2 * np.eye(2)
    values = 0.4 * group[:, None] + np.einsum("nij,nj->ni", np.linalg.cholesky(spread), rng.standard_normal((n, 2)))
    values[anywhere] = rng.uniform(-4, 4, (anywhere.sum(), 2))
    return values, covariance, anywhere


def test_background__takes_what_belongs_nowhere():
    pulls = []
    for seed in range(8):
        values, covariance, anywhere = scattered_about(seed, 0.02)
        found = fit_mixture(values, covariance, 2, starts=4, background=True)
        assert found.converged
        assert found.fractions.sum() + found.background == pytest.approx(1.0, abs=1e-12)
        # Of 30 stars anywhere, one in 300 or so lies within a group's reach.
        assert found.background == pytest.approx(anywhere.mean(), abs=0.1 * found.background_error + 2e-3)
        for k in range(2):
            pulls += list((found.means[k] - 0.4 * k) / np.sqrt(np.diag(found.mean_covariance(k))))
            assert np.sqrt(np.trace(found.dispersions[k]) / 2) == pytest.approx(0.05, abs=0.005)
    assert 0.01 < chi2.sf((np.array(pulls) ** 2).sum(), len(pulls)) < 0.99


def test_background__likelihood_is_that_of_a_plain_sum():
    values, covariance, _ = scattered_about(1, 0.05, n=300)
    found = fit_mixture(values, covariance, 2, starts=4, background=True)
    parts = [
        f
        * np.array(
            [multivariate_normal.pdf(value, m, error + v) for value, error in zip(values, covariance, strict=True)]
        )
        for f, m, v in zip(found.fractions, found.means, found.dispersions, strict=True)
    ]
    even = 0.5 * found.background / np.prod(np.ptp(values, axis=0))
    assert found.log_likelihood == pytest.approx(np.log(sum(parts) + even).sum(), abs=1e-6)


def test_background__without_such_stars_is_none():
    values, covariance = young(4, n=800)
    found = fit_mixture(values, covariance, 3, axis=60.0, starts=6, background=True)
    plain = fit_mixture(values, covariance, 3, axis=60.0, starts=6)
    assert found.converged
    assert found.background * 800 < 3
    assert (abs(found.means - plain.means) < 0.2 * np.sqrt(np.diag(plain.mean_covariance(2)))).all()


@pytest.mark.parametrize("n", [100, 400])
def test_background__takes_no_wings_of_a_gaussian(n):
    ratios, taken = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        covariance = np.broadcast_to(0.05**2 * np.eye(2), (n, 2, 2))
        found = fit_mixture(rng.normal(0, np.hypot(0.2, 0.05), (n, 2)), covariance, 1, background=True)
        assert found.converged
        ratios.append(np.sqrt(np.trace(found.dispersions[0]) / 2) / 0.2)
        taken.append(found.background * n)
    # A dispersion of n stars is known to 1 / sqrt(4 n), the mean of twenty to a fifth of it: 1.1 % for 100.
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.035)
    assert np.mean(taken) < 2


def test_background__of_values_on_a_line_is_refused():
    values, covariance = young(1, n=100)
    values[:, 1] = 0.3
    with pytest.raises(ValueError, match="span .* by 0, expected more for a background"):
        fit_mixture(values, covariance, 1, background=True)


def test_em__no_step_lowers_the_likelihood():
    values, covariance = young(5, n=600)
    c = covariance.reshape(-1, 4)[:, [0, 1, 3]].copy()
    model = Model(np.full(3, 1 / 3), values[:3].copy(), np.tile([0.01, 0.0, 0.01], (3, 1)))
    likelihoods = []
    for _ in range(50):
        model, likelihood = climb_by_em(values, c, model, 1)
        likelihoods.append(likelihood)
    assert np.diff(likelihoods).min() > -1e-9
    assert likelihoods[-1] > likelihoods[0] + 10


@settings(steady, max_examples=10)
@given(shift=st.tuples(st.floats(-20, 20), st.floats(-20, 20)), scale=st.floats(0.01, 100.0))
def test_units_and_origin__do_not_matter(shift, scale):
    values, covariance = young(7, n=300)
    here = fit_mixture(values, covariance, 2, starts=2)
    there = fit_mixture(scale * values + shift, scale**2 * covariance, 2, starts=2)
    # Both end within 1e-8 of the summit in log-likelihood: 1e-4 of an error.
    tolerance = 1e-3 * scale * np.sqrt(np.diag(here.mean_covariance(0))).max()
    np.testing.assert_allclose(there.means, scale * here.means + shift, atol=tolerance)
    np.testing.assert_allclose(there.fractions, here.fractions, atol=1e-3 * here.fraction_errors[0])


def test_axis__numbers_the_components_and_their_covariance(fitted):
    values, covariance, found = fitted
    back = fit_mixture(values, covariance, 3, axis=240.0)
    np.testing.assert_allclose(back.means, found.means[::-1], atol=1e-5)
    for k in range(3):
        np.testing.assert_allclose(back.mean_covariance(k), found.mean_covariance(2 - k), rtol=1e-3, atol=1e-12)
    np.testing.assert_allclose(back.fraction_errors, found.fraction_errors[::-1], rtol=1e-3)


def test_no_dispersion__is_none_and_the_fit_ends():
    rng = np.random.default_rng(2)
    covariance, _ = errors(400, rng)
    values = np.einsum("nij,nj->ni", np.linalg.cholesky(covariance), rng.standard_normal((400, 2)))
    found = fit_mixture(values, covariance, 1)
    # Errors of 15 to 60 uas/yr tell a dispersion of 400 stars to some uas/yr.
    assert np.sqrt(np.linalg.eigvalsh(found.dispersions[0]).max()) < 0.010
    assert np.isfinite(found.means).all()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda v, c: (v[:25], c[:25]), "25 stars for 3 components"),
        (lambda v, c: (np.where(np.arange(len(v))[:, None] == 4, np.nan, v), c), "row 4"),
        (lambda v, c: (v, 0 * c), "row 0"),
        (lambda v, c: (v, c[:9]), r"errors \(9, 2, 2\)"),
    ],
)
def test_unusable__one_line_with_the_numbers(spoil, said):
    with pytest.raises(ValueError, match=said):
        fit_mixture(*spoil(*young(1, n=100)), 3)


def test_a_group_without_dispersion__beside_one_with__has_errors_of_its_mean():
    rng = np.random.default_rng(4)
    covariance, _ = errors(800, rng)
    covariance[0] *= 1e-4  # one star far better than the others
    still = np.arange(800) < 300
    spread = covariance + np.where(still, 0.0, 0.15**2)[:, None, None] * np.eye(2)
    values = np.einsum("nij,nj->ni", np.linalg.cholesky(spread), rng.standard_normal((800, 2)))
    found = fit_mixture(values, covariance, 2)
    narrow = np.argmin(np.trace(found.dispersions, axis1=1, axis2=2))
    assert found.converged
    assert found.fractions[narrow] == pytest.approx(300 / 800, abs=0.1)
    assert np.sqrt(np.trace(found.dispersions[narrow]) / 2) < 0.010
    error = np.sqrt(np.diag(found.mean_covariance(narrow)))
    assert (error < 0.004).all()  # NaN is not
    assert (abs(found.means[narrow]) < 4 * error).all()


def test_warm__leaves_nothing_to_compile():
    warm()
    values, covariance = young(6, n=21_000)  # more than starting places are tried with
    values.flags.writeable = False
    fit_mixture(np.asfortranarray(values), covariance, 2, starts=1)
    assert len(gradient_of.signatures) == 1
