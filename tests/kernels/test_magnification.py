"""What single stars do to the magnification of an affine fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.kernels.frame import planefit
from compute.kernels.motion.magnification import influence

MATRIX = np.array([[-4.3, 65.4], [65.3, 4.4]])


def scene(n: int, seed: int):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, 2048, (2, n))
    a, b, rho = *rng.uniform(0.5, 2.0, (2, n)), rng.uniform(-0.6, 0.6, n)
    there = MATRIX @ (x, y) + rng.normal(0, 1.0, (2, n))
    xx, xy, yy = a * a, rho * a * b, b * b
    weight = np.array([yy, -xy, xx]) / (xx * yy - xy**2)
    return x, y, there, (a, b, rho), weight


def magnification(x, y, there, errors) -> planefit.Fit:
    return planefit.fit("affine", x, y, *there, *errors, clip=50.0, formal=True)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(0, 49), st.sampled_from([0, 1]))
def test_influence__is_the_change_of_a_fit_when_one_star_is_moved(seed, star, axis):
    x, y, there, errors, weight = scene(50, seed)
    start = magnification(x, y, there, errors)
    found = influence(x, y, weight, start.transform.matrix)[axis, star]
    moved = there.copy()
    moved[axis, star] += 0.5
    change = magnification(x, y, moved, errors).transform.magnification - start.transform.magnification
    # The root of a determinant is not quite linear: second order in 0.5 / 1e5.
    assert change == pytest.approx(0.5 * found, rel=1e-3, abs=1e-10)


def test_influence__gives_the_variance_that_the_covariance_of_the_fit_gives():
    x, y, there, errors, weight = scene(300, 1)
    transform = magnification(x, y, there, errors).transform
    push = influence(x, y, weight, transform.matrix)
    a, b, rho = errors
    variance = (push[0] ** 2 * a**2 + 2 * push[0] * push[1] * rho * a * b + push[1] ** 2 * b**2).sum()
    slope = np.zeros((2, 3))
    slope[:, 1:] = transform.magnification / 2 * np.linalg.inv(transform.matrix).T / transform.scale
    # Both are the same product of matrices, summed in different order.
    assert variance == pytest.approx(slope.ravel() @ transform.covariance @ slope.ravel(), rel=1e-9)


def test_influence__stars_without_weight_have_none():
    x, y, _, _, weight = scene(40, 2)
    weight[:, :5] = 0.0
    assert (influence(x, y, weight, MATRIX)[:, :5] == 0).all()
