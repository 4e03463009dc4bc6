"""Pixels that cannot be used, and what must not matter: where, in which unit and in which order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.kernels.measure.columns import (
    AT_EDGE,
    BAD,
    BAD_CORE,
    CONVERGED,
    HAS_BAD,
    HAS_SATURATED,
    SATURATED,
    TOO_FEW,
)
from tests.analytic import AnalyticEpsf, render
from tests.kernels.fitting import fit, lattice, model_of
from tests.strategies import phases, steady

SHAPE = (40, 40)
X, Y = 20.3, 19.8
MODEL = model_of()


def star(x=X, y=Y, flux=1e5, shape=SHAPE):
    return render(shape, x, y, flux, AnalyticEpsf()) + 50.0


def masked(*pixels, value=BAD):
    mask = np.zeros(SHAPE, np.uint8)
    for i, j in pixels:
        mask[j, i] = value
    return mask


@pytest.mark.parametrize("value", [1e9, -1e9, np.nan, np.inf])
def test_fit__a_masked_pixel_may_hold_anything(value):
    image, mask = star(), masked((21, 20))
    expected = fit(image, MODEL, 20.0, 20.0, sky=50.0, mask=mask)
    image[20, 21] = value
    found = fit(image, MODEL, 20.0, 20.0, sky=50.0, mask=mask)
    assert found.state == CONVERGED | HAS_BAD | BAD_CORE
    assert found.n_pix == 24
    different = found.rows != expected.rows
    # The highest pixel is taken from the image as it is.
    assert [k for k in np.flatnonzero(different[0]) if k != 12] == []
    assert found.x == pytest.approx(X, abs=1e-4)


def test_fit__a_bad_pixel_away_from_the_core_is_not_a_bad_core():
    found = fit(star(), MODEL, 20.0, 20.0, sky=50.0, mask=masked((18, 20)))
    assert found.state == CONVERGED | HAS_BAD


@pytest.mark.parametrize("n_good", [0, 3, 4])
def test_fit__needs_four_good_pixels(n_good):
    mask = np.full(SHAPE, BAD, np.uint8)
    mask.ravel()[[20 * 40 + 20, 20 * 40 + 21, 19 * 40 + 20, 19 * 40 + 21][:n_good]] = 0
    found = fit(star(), MODEL, 20.2, 19.9, sky=50.0, mask=mask)
    assert bool(int(found.state[0]) & TOO_FEW) == (n_good < 4)
    assert bool(int(found.state[0]) & CONVERGED) == (n_good == 4)
    assert found.n_pix == n_good
    if n_good < 4:
        assert (found.x, found.y) == (20.2, 19.9)
        assert np.isnan(found.flux)
        assert np.isnan(found.var_x)


def test_fit__saturated_pixel_in_the_window_is_told():
    found = fit(star(), MODEL, 20.0, 20.0, sky=50.0, mask=masked((22, 21), value=SATURATED))
    assert found.state == CONVERGED | HAS_BAD | HAS_SATURATED


@pytest.mark.parametrize(("x", "y"), [(1.2, 20.0), (38.4, 20.0), (20.0, 1.3), (20.0, 38.0)])
def test_fit__star_at_the_edge_is_told_and_fitted(x, y):
    found = fit(star(x, y), MODEL, round(x), round(y), sky=50.0)
    assert found.state == CONVERGED | AT_EDGE
    assert found.n_pix == 20
    # A column of the window is missing; the ePSF's interpolation, 1e-5 pix, is still all that is wrong.
    assert (found.x[0], found.y[0]) == pytest.approx((x, y), abs=1e-4)


def test_fit__no_light_no_star():
    found = fit(np.full(SHAPE, 10.0), MODEL, 20.2, 20.0, sky=50.0)
    assert int(found.state[0]) & CONVERGED == 0
    assert (found.x, found.y) == (20.2, 20.0)


@steady
@given(dx=st.integers(0, 25), dy=st.integers(0, 25), phase_x=phases, phase_y=phases)
def test_fit__does_not_depend_on_where_the_frame_begins(dx, dy, phase_x, phase_y):
    image = star(10 + phase_x, 10 + phase_y, shape=(21, 21))
    wide = np.zeros((46, 46))
    wide[dy : dy + 21, dx : dx + 21] = image
    here = fit(image, MODEL, 10.0, 10.0, sky=50.0)
    there = fit(wide, MODEL, 10.0 + dx, 10.0 + dy, sky=50.0)
    # Rounding of positions of order ten.
    assert there.x - dx == pytest.approx(here.x, abs=1e-9)
    assert there.y - dy == pytest.approx(here.y, abs=1e-9)
    np.testing.assert_allclose(there.rows[:, 2:], here.rows[:, 2:], rtol=1e-7, atol=1e-9)


@steady
@given(power=st.integers(-20, 20), phase_x=phases, phase_y=phases)
def test_fit__does_not_depend_on_the_unit(power, phase_x, phase_y):
    unit = 2.0**power
    image = star(20 + phase_x, 20 + phase_y)
    plain = fit(image, MODEL, 20.0, 20.0, sky=50.0, template=0.01)
    scaled = fit(image * unit, MODEL, 20.0, 20.0, sky=50.0 * unit, template=0.01, poisson=unit, floor=100.0 * unit**2)
    # Powers of two scale without rounding; sums of squares may still be ordered by the compiler.
    np.testing.assert_allclose([scaled.x, scaled.y], [plain.x, plain.y], atol=1e-9)
    assert scaled.flux / unit == pytest.approx(plain.flux, rel=1e-9)
    np.testing.assert_allclose(scaled.var_x, plain.var_x, rtol=1e-9)
    np.testing.assert_allclose(scaled.chi2, plain.chi2, rtol=1e-7, atol=1e-12)


@steady
@given(st.permutations(range(16)))
def test_fit__order_of_the_stars_does_not_matter(order):
    x, y, shape = lattice(4, seed=6)
    image = render(shape, x, y, np.geomspace(1e2, 1e5, 16), AnalyticEpsf())
    expected = fit(image, MODEL, np.round(x), np.round(y)).rows
    found = fit(image, MODEL, np.round(x)[order], np.round(y)[order]).rows
    assert found.tobytes() == expected[order].tobytes()
