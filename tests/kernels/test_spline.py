"""B-splines on ePSF tables against finite differences and SciPy's own evaluation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from compute.kernels.spline import basis, coefficients, evaluate, taps
from tests.strategies import fractions, steady


def weights(t, order):
    w, d = np.empty(order + 1), np.empty(order + 1)
    basis(t, w, d, taps(order))
    return w, d


def at(tables, x, y, dx, dy, fx=(0.0,), fy=(0.0,), order=3):
    where = [np.array(a, float).ravel() for a in np.broadcast_arrays(x, y, dx, dy)]
    return evaluate(coefficients(tables, order), np.array(fx, float), np.array(fy, float), 4, taps(order), *where)


@pytest.mark.parametrize("order", [3, 5])
@steady
@given(t=fractions)
def test_basis__partition_of_unity(order, t):
    w, d = weights(t, order)
    # Rounding of half a dozen terms of order one.
    assert w.sum() == pytest.approx(1.0, abs=1e-14)
    assert d.sum() == pytest.approx(0.0, abs=1e-14)
    assert (w >= 0.0).all()


@pytest.mark.parametrize("order", [3, 5])
@steady
@given(t=fractions)
def test_basis__reproduces_a_straight_line(order, t):
    w, d = weights(t, order)
    knots = np.arange(order + 1) - order // 2
    assert w @ knots == pytest.approx(t, abs=1e-14)
    assert d @ knots == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("order", [3, 5])
@steady
@given(t=st.floats(0.001, 0.999))
def test_basis__derivative_is_the_finite_difference(order, t):
    step = 1e-4
    numeric = (weights(t + step, order)[0] - weights(t - step, order)[0]) / (2 * step)
    # Central differences err by step^2 / 6 times a third derivative of at most 3.
    np.testing.assert_allclose(weights(t, order)[1], numeric, atol=1e-8)


@pytest.mark.parametrize("order", [3, 5])
def test_evaluate__agrees_with_scipy(order):
    rng = np.random.default_rng(1)
    table = rng.normal(size=(1, 1, 41, 41))
    dx, dy = rng.uniform(-4.2, 4.2, (2, 500))
    expected = map_coordinates(table[0, 0], [4 * dy + 20, 4 * dx + 20], order=order, mode="mirror")
    # Same polynomials, another order of summation.
    np.testing.assert_allclose(at(table, 0.0, 0.0, dx, dy, order=order), expected, atol=1e-12)


@pytest.mark.parametrize("order", [3, 5])
def test_evaluate__passes_through_the_samples(order):
    table = np.random.default_rng(2).normal(size=(1, 1, 41, 41))
    v, u = np.mgrid[-12:13, -12:13]
    values = at(table, 0.0, 0.0, u / 4, v / 4, order=order)
    # Two poles of the quintic prefilter leave 1e-13 of rounding.
    np.testing.assert_allclose(values, table[0, 0, 8:33, 8:33].ravel(), atol=1e-11)


def test_evaluate__is_zero_beyond_the_table():
    table = np.ones((1, 1, 41, 41))
    offsets = np.array([-7.0, -5.01, 5.01, 7.0])
    assert (at(table, 0.0, 0.0, offsets, 0.0) == 0.0).all()
    assert (at(table, 0.0, 0.0, 0.0, offsets) == 0.0).all()


def ramp(fx, fy):
    """Tables that are linear in position: flat ones of height 1 + 2 fx - 3 fy."""
    return np.ones((21, 21)) * (1.0 + 2.0 * np.array(fx) - 3.0 * np.array(fy)[:, None])[..., None, None]


@steady
@given(x=st.floats(0.0, 30.0), y=st.floats(-5.0, 20.0))
def test_field__linear_tables_are_interpolated_exactly(x, y):
    fx, fy = (0.0, 7.0, 30.0), (-5.0, 20.0)
    value = at(ramp(fx, fy), x, y, 0.1, -0.3, fx, fy)
    assert value[0] == pytest.approx(1.0 + 2.0 * x - 3.0 * y, abs=1e-11)


@steady
@given(x=st.floats(-1e3, 1e3), y=st.floats(-1e3, 1e3))
def test_field__is_clamped_beyond_the_fiducials(x, y):
    fx, fy = (0.0, 7.0, 30.0), (-5.0, 20.0)
    value = at(ramp(fx, fy), x, y, 0.0, 0.0, fx, fy)
    assert value[0] == pytest.approx(1.0 + 2.0 * np.clip(x, 0.0, 30.0) - 3.0 * np.clip(y, -5.0, 20.0), abs=1e-11)


@pytest.mark.parametrize(("y", "chip"), [(0.0, 2.0), (2046.9, 2.0), (2047.0, 2.0), (2048.0, 1.0), (2048.1, 1.0)])
def test_field__two_chips_never_mix(y, chip):
    fy = (0.0, 2047.0, 2048.0, 4095.0)
    tables = np.array([2.0, 2.0, 1.0, 1.0])[:, None, None, None] * np.ones((21, 21))
    assert at(tables, 5.0, y, 0.0, 0.0, fy=fy)[0] == pytest.approx(chip, abs=1e-14)


@pytest.mark.parametrize("order", [1, 2, 4, 7])
def test_coefficients__other_orders_are_refused(order):
    with pytest.raises(ValueError, match=f"spline order is {order}, expected one of"):
        coefficients(np.ones((1, 1, 21, 21)), order)
