"""Linear models of values that scatter more than their errors tell."""

import numpy as np
import pytest
from scipy.optimize import minimize

from compute.kernels.motion.scattered import fit

RNG = np.random.default_rng(5)
ONES = np.ones((30, 1))


def covariance(n: int) -> np.ndarray:
    loads = RNG.normal(0, 1, (n, 3))
    return np.diag(RNG.uniform(0.5, 2.0, n)) + loads @ loads.T


def test_fit__minimises_chi2_as_a_plain_minimiser_does():
    design, matrix = np.column_stack([np.ones(12), np.arange(12.0)]), covariance(12)
    values = design @ (3.0, 0.1) + RNG.multivariate_normal(np.zeros(12), matrix) / 3

    def squared(at):
        left = values - design @ at
        return left @ np.linalg.solve(matrix, left)

    found, plain = fit(design, values, matrix), minimize(squared, (0.0, 0.0), tol=1e-12)
    assert found.scatter == 0
    # BFGS stops by its finite differences.
    assert found.coefficients == pytest.approx(plain.x, abs=1e-5)
    assert found.chi2 == pytest.approx(plain.fun, rel=1e-9)
    assert found.weights @ values == pytest.approx(found.coefficients)


def test_fit__scatter_brings_chi2_to_its_degrees_of_freedom():
    matrix = covariance(30)
    values = 7.0 + RNG.normal(0, 20.0, 30)
    found = fit(ONES, values, matrix)
    again = fit(ONES, values, matrix + found.scatter**2 * np.eye(30))
    assert found.chi2 > 100
    assert again.chi2 == pytest.approx(29, rel=1e-6)  # halvings end far below this
    assert again.coefficients == pytest.approx(found.coefficients, rel=1e-6)
    # The scatter of 30 deviates is known to 13 %; four times that.
    assert found.scatter == pytest.approx(20.0, rel=0.52)


def test_fit__a_common_error_neither_is_scatter_nor_averages_out():
    values = 5.0 + RNG.normal(0, 1.0, 30)
    found = fit(ONES, values, np.eye(30) + 100.0)
    alone = fit(ONES, values, np.eye(30))
    assert found.chi2 == pytest.approx(alone.chi2, rel=1e-6)
    assert found.coefficients == pytest.approx(alone.coefficients, rel=1e-9)


def test_fit__as_many_values_as_coefficients_tell_no_scatter():
    found = fit(np.ones((1, 1)), np.array([2.0]), np.eye(1))
    assert np.isnan(found.scatter)
    assert (found.chi2, found.dof) == (0.0, 0)


def test_fit__too_few_values_is_told():
    with pytest.raises(ValueError, match="found 1 values, expected at least 2"):
        fit(np.ones((1, 2)), np.ones(1), np.eye(1))
