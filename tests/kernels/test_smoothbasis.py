"""Fields of shifts: splines against SciPy's, breaks, edges, and priors."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from compute.kernels.geometry.smoothbasis import Field, basis_of, evaluate, splines, stiffness, surface_stiffness, zero


def random_field(seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    field = zero(basis_of(60, 40, **({"order": 3, "cells": 5, "knot": 5.0} | kwargs)))
    return Field(field.basis, *(rng.normal(size=part.shape) for part in field[1:]))


def scipy_spline(axis, coefficients, at):
    """Values of a spline without breaks."""
    low, high, cells = axis.edges[0], axis.edges[-1], axis.cells[0]
    knots = low + (high - low) / cells * np.arange(-3, cells + 4)
    return BSpline(knots, coefficients, 3)(at)


def test_field__is_the_sum_of_its_parts():
    field = random_field()
    basis = field.basis
    x, y = np.random.default_rng(1).uniform(0, [[59], [39]], (2, 50))
    u, v = (x - 29.5) / 30, (y - 19.5) / 30
    terms = np.array([u ** (d - j) * v**j for d in range(4) for j in range(d + 1)])
    want = field.polynomial @ terms
    for axis in range(2):
        along = np.array([scipy_spline(basis.x, row, x) for row in field.surface[axis]])
        want[axis] += [scipy_spline(basis.y, column, at) for column, at in zip(along.T, y, strict=True)]
        want[axis] += scipy_spline(basis.columns, field.columns[axis], x)
        want[axis] += scipy_spline(basis.rows, field.rows[axis], y)
    np.testing.assert_allclose(evaluate(field, x, y), want, atol=1e-12)


def test_field__breaks_where_it_is_told():
    field = random_field(breaks_y=(20.5,))
    below, above, at = evaluate(field, 7.0, np.array([20.5 - 1e-9, 20.5 + 1e-9, 20.5])).T
    assert abs(above - below).min() > 0.1
    np.testing.assert_allclose(at, above, atol=1e-6)
    unbroken = evaluate(random_field(), 7.0, np.array([20.5 - 1e-9, 20.5 + 1e-9])).T
    np.testing.assert_allclose(*unbroken, atol=1e-7)


def test_field__splines_are_constant_beyond_the_detector():
    field = random_field()
    field.polynomial[:] = 0.0
    np.testing.assert_array_equal(
        evaluate(field, [-9.0, 99.0], [-3.0, 80.0]), evaluate(field, [-0.5, 59.5], [-0.5, 39.5])
    )


@pytest.mark.parametrize("position", [(np.nan, 1.0), (1.0, np.inf), (-np.inf, np.nan)])
def test_field__nowhere_is_not_a_number(position):
    assert np.isnan(evaluate(random_field(), *position)).all()


def test_field__keeps_the_shape_of_positions():
    assert evaluate(random_field(), np.zeros((3, 1)), np.zeros(4)).shape == (2, 3, 4)
    assert evaluate(random_field(), 1.0, 2.0).shape == (2,)


def test_stiffness__planes_cost_only_their_size():
    axis = splines(60, 5.0)
    line = np.arange(axis.size, dtype=float)
    assert line @ stiffness(axis, 0.01, 2.0) @ line == pytest.approx((line**2).sum() / 4)
    x, y = splines(60, 12.0, (30.5,)), splines(40, 10.0)
    surface = np.add.outer(np.arange(y.size), np.where(np.arange(x.size) < x.first[1], 5.0, -5.0)).ravel()
    cost = surface @ surface_stiffness(x, y, 0.01, 2.0) @ surface
    assert cost == pytest.approx((surface**2).sum() / 4)  # a step at the break is free


@pytest.mark.parametrize(("make", "match"), [
    (lambda: basis_of(60, 40, order=0), "order of the polynomial is 0"),
    (lambda: basis_of(60, 40, breaks_x=(70.0,)), "breaks of splines are"),
])  # fmt: skip
def test_basis__mistakes_are_told(make, match):
    with pytest.raises(ValueError, match=match):
        make()
