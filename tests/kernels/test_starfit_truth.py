"""Noiseless stars in, their positions and fluxes out: from the same table, and from an analytic ePSF."""

import numpy as np
import pytest

from compute.kernels.measure.chain import Frame, draw
from compute.kernels.measure.columns import CONVERGED
from tests.analytic import AnalyticEpsf, render
from tests.kernels.fitting import TAPERED, WINDOW, fit, full, lattice, model_of, phase_amplitude

APERTURES = pytest.mark.parametrize("taper", [WINDOW, TAPERED], ids=["window", "tapered"])
FLUX = 1e5


def drawn(model, x, y, shape):
    """The stars as the model itself draws them."""
    return draw(Frame(*(full(0, shape) for _ in range(4))), model, x, y, np.full(x.size, FLUX))


@APERTURES
@pytest.mark.parametrize("order", [3, 5])
def test_fit__undoes_its_own_drawing(order, taper):
    x, y, shape = lattice(20)
    model = model_of(order=order)
    start = np.random.default_rng(5).uniform(-0.3, 0.3, (2, x.size))
    found = fit(drawn(model, x, y, shape), model, x + start[0], y + start[1], taper=taper)
    assert (found.state == CONVERGED).all()
    # Measured 2e-8: float32 pixels, and what is left of a last step below 1e-5.
    np.testing.assert_allclose(found.x, x, atol=1e-6)
    np.testing.assert_allclose(found.y, y, atol=1e-6)
    np.testing.assert_allclose(found.flux, FLUX, rtol=1e-6)


@APERTURES
def test_fit__window_follows_a_star_that_starts_a_pixel_and_a_half_away(taper):
    x, y, shape = lattice(6)
    model = model_of()
    found = fit(drawn(model, x, y, shape), model, x + 1.1, y - 1.0, taper=taper)
    assert (found.state == CONVERGED).all()
    np.testing.assert_allclose([found.x, found.y], [x, y], atol=1e-6)


@APERTURES
@pytest.mark.parametrize(("order", "allowed"), [(5, 1e-4), (3, 5e-4)])
def test_fit__undersampled_star_has_no_pixel_phase_error(order, allowed, taper):
    x, y, shape = lattice(30)
    image = render(shape, x, y, np.full(x.size, FLUX), AnalyticEpsf())
    found = fit(image, model_of(order=order), np.round(x), np.round(y), taper=taper)
    assert (found.state == CONVERGED).all()
    # The target of A&K-like fits is 1e-3 pix; measured 6e-6 (quintic) and 1e-4 (cubic): interpolation of the table.
    assert phase_amplitude(found.x - x, x) < allowed
    assert phase_amplitude(found.y - y, y) < allowed
    # Five samples across a core of 0.48 pix: the quintic interpolant is good to 1e-5 of the flux.
    np.testing.assert_allclose(found.flux, FLUX, rtol=allowed)


@APERTURES
def test_fit__field_dependent_star_on_three_by_three_fiducials(taper):
    x, y, shape = lattice(30)
    epsf = AnalyticEpsf(tilt=0.1, span=shape[1])
    image = render(shape, x, y, np.full(x.size, FLUX), epsf)
    fiducials = np.linspace(0.0, shape[1] - 1.0, 3)
    found = fit(image, model_of(epsf, fx=fiducials, fy=fiducials), np.round(x), np.round(y), taper=taper)
    # Widths change by w = 5 % from one fiducial to the next; halfway between, a straight line misses psi by w^2 / 8 of
    # its second derivative by log width, at most some 2 psi: 6e-4 of the flux, and by symmetry less in position.
    assert phase_amplitude(found.x - x, x) < 2e-4
    assert phase_amplitude(found.y - y, y) < 2e-4
    np.testing.assert_allclose(found.flux, FLUX, rtol=1e-3)


def test_fit__quality_of_a_perfect_star():
    x, y, shape = lattice(5)
    model = model_of()
    found = fit(drawn(model, x, y, shape), model, x, y)
    # float32 pixels.
    assert (found.qfit < 1e-6).all()
    assert (abs(found.radxs) < 1e-6).all()
    assert (found.chi2 < 1e-6).all()
    assert (abs(found.excess) < 1e-6).all()
    assert (found.neighbour == 0.0).all()
    assert (found.n_pix == 25).all()
