"""Histograms of resampled motions: what infinitely many samples would give, and Gaussians that are known."""

import numpy as np
import pytest
from scipy.stats import norm

from compute.kernels.kinematics.resampled import Histogram, fit_peaks, resampled


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(1)
    errors = rng.uniform(0.01, 0.03, 800)
    values = np.where(rng.random(800) < 0.3, rng.normal(-0.3, 0.05, 800), rng.normal(0.1, 0.1, 800))
    return values + errors * rng.standard_normal(800), errors


def test_resampled__mean_is_that_of_infinitely_many_samples(drawn):
    values, errors = drawn
    found = resampled(values, errors, 0.02, 1000, seed=4)
    share = np.diff(norm.cdf((found.edges[:, None] - values) / errors), axis=0)
    expected, variance = share.sum(axis=1), (share * (1 - share)).sum(axis=1)
    # A mean of 1000 is good to sqrt(variance / 1000); five of these in fifty-odd bins.
    assert (abs(found.counts - expected) < 5 * np.sqrt(variance / 1000) + 1e-3).all()
    np.testing.assert_allclose(found.errors**2, np.maximum(expected, 1) + variance, rtol=0.25)
    assert found.counts.sum() == pytest.approx(800, abs=0.1)


def test_resampled__same_seed_same_bytes(drawn):
    first, second, other = (resampled(*drawn, 0.02, 50, seed) for seed in (1, 1, 2))
    assert first.counts.tobytes() == second.counts.tobytes()
    assert (first.counts != other.counts).any()


def test_peaks__exact_counts_give_back_what_they_are_made_of():
    edges = np.arange(-1.0, 1.01, 0.02)
    shares, means, sigmas = np.array([0.2, 0.8]), np.array([-0.3, 0.2]), np.array([0.05, 0.12])
    counts = 5000 * np.diff(norm.cdf((edges[:, None] - means) / sigmas), axis=0) @ shares
    histogram = Histogram(edges, counts, np.sqrt(np.maximum(counts, 1.0)))
    found = fit_peaks(histogram, np.array([0.5, 0.5]), means[::-1] + 0.03, sigmas * 1.3)
    np.testing.assert_allclose(found.fractions, shares, atol=1e-4)
    np.testing.assert_allclose(found.means, means, atol=1e-4)
    np.testing.assert_allclose(found.sigmas, sigmas, atol=1e-4)
    assert found.chi2 < 1e-3
    assert found.dof == len(counts) - 6


def test_peaks__are_as_wide_as_stars_scatter_with_errors_twice(drawn):
    values, errors = drawn
    histogram = resampled(values, errors, 0.02, 300, seed=1)
    found = fit_peaks(histogram, np.array([0.5, 0.5]), np.array([-0.3, 0.1]), np.array([0.05, 0.1]))
    wide = np.sqrt(np.array([0.05, 0.1]) ** 2 + 2 * np.mean(errors**2))
    assert (abs(found.means - [-0.3, 0.1]) < 4 * found.mean_errors).all()
    assert (abs(found.sigmas - wide) < 4 * found.sigma_errors).all()
    assert (abs(found.fractions - [0.3, 0.7]) < 4 * found.fraction_errors).all()


def test_peaks__too_few_bins():
    with pytest.raises(ValueError, match="found 5 bins for 2"):
        fit_peaks(Histogram(np.arange(6.0), np.ones(5), np.ones(5)), *np.full((3, 2), 0.5))
