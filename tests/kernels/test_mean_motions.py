"""Means of motions: known mean and dispersion in, the same out, whatever else moves there."""

import numpy as np
import pytest

from compute.kernels.motion.meanmotions import mean_motion

MEAN = np.array([1.9, 0.3])


def stars(n=2000, dispersion=0.12, outliers=0.0, seed=1):
    """Motions and covariances of `n` stars, a share of which belongs to others."""
    rng = np.random.default_rng(seed)
    ex, ey = rng.uniform(0.01, 0.2, (2, n))
    rho = rng.uniform(-0.6, 0.6, n)
    covariance = np.array([[ex**2, rho * ex * ey], [rho * ex * ey, ey**2]]).transpose(2, 0, 1)
    noise = np.einsum("nij,nj->ni", np.linalg.cholesky(covariance), rng.normal(size=(n, 2)))
    motion = MEAN + dispersion * rng.normal(size=(n, 2)) + noise
    strange = rng.random(n) < outliers
    motion[strange] += rng.normal([1.0, -2.0], 3.0, (strange.sum(), 2))
    return motion, covariance


@pytest.mark.parametrize("outliers", [0.0, 0.2])
def test_mean_motion__mean_dispersion_and_errors(outliers):
    pulls, dispersions = [], []
    for seed in range(60):
        found = mean_motion(*stars(400, outliers=outliers, seed=seed), clip=3.0)
        pulls.append((found.mean - MEAN) / np.sqrt(np.diag(found.covariance)))
        dispersions.append(found.dispersion)
    # 120 pulls: their rms is known to 6.5 percent, to 1.3 times that with some outliers inside the limit.
    assert np.std(pulls) == pytest.approx(1.0, abs=0.25)
    assert abs(np.mean(pulls)) < 0.4
    assert np.mean(dispersions) == pytest.approx(0.12, rel=0.05 if outliers == 0.0 else 0.15)


def test_mean_motion__no_dispersion_is_found_where_errors_explain_all():
    found = mean_motion(*stars(dispersion=0.0), clip=3.0)
    assert found.dispersion < 0.02
    assert found.chi2 / found.dof == pytest.approx(1.0, abs=0.1)  # 4000 values: 2 percent; clipping takes off 3


def test_mean_motion__outliers_and_stars_without_errors_are_left_out():
    motion, covariance = stars(200)
    motion[3] += 5.0
    motion[7] = np.nan
    covariance[11] = 0.0
    covariance[12, 0, 0] = np.nan
    found = mean_motion(motion, covariance, clip=4.0)
    assert not found.used[[3, 7, 11, 12]].any()
    assert found.used.sum() >= 190
    assert found.dof == 2 * found.used.sum() - 2


def test_mean_motion__one_star_is_its_own_mean():
    motion, covariance = stars(1)
    found = mean_motion(motion, covariance, clip=3.0)
    np.testing.assert_allclose(found.mean, motion[0])
    np.testing.assert_allclose(found.covariance, covariance[0], rtol=1e-10)


def test_mean_motion__without_stars_is_refused():
    with pytest.raises(ValueError, match="found none of 1 stars"):
        mean_motion(np.full((1, 2), np.nan), np.eye(2)[None], clip=3.0)
