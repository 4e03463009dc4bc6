"""The fit against a slow one, and its errors against the scatter of many noisy stars."""

import numpy as np
import pytest

from compute.kernels.measure.columns import CONVERGED
from tests.analytic import AnalyticEpsf, render
from tests.kernels.fitting import TAPERED, WINDOW, fit, lattice, model_of
from tests.kernels.reference import SlowFit

APERTURES = pytest.mark.parametrize("taper", [WINDOW, TAPERED], ids=["window", "tapered"])
SKY, READ_NOISE = 100.0, 5.0


def noisy(side, low, high, seed):
    """Poisson and read noise on stars of 10^low to 10^high electrons over a flat sky; positions, fluxes, image."""
    x, y, shape = lattice(side, seed=seed)
    rng = np.random.default_rng(seed)
    flux = 10 ** rng.uniform(low, high, x.size)
    light = render(shape, x, y, flux, AnalyticEpsf()) + SKY
    return x, y, flux, (rng.poisson(light) + rng.normal(0.0, READ_NOISE, shape)).astype(np.float32)


@APERTURES
@pytest.mark.parametrize("order", [3, 5])
def test_fit__agrees_with_a_slow_one(order, taper):
    x, y, _, image = noisy(4, 4.5, 5.5, seed=1)
    table = AnalyticEpsf().table()
    noise = {"sky": SKY, "poisson": 1.0, "floor": READ_NOISE**2, "template": 0.01, "taper": taper}
    found = fit(image, model_of(order=order), np.round(x), np.round(y), sky_error=2.0, **noise)
    slow = [SlowFit(image, table, a, b, order=order, **noise) for a, b in zip(x, y, strict=True)]
    # Below the fit's own tolerance, a last step of 1e-5 pix, because the step after it is a hundred times shorter.
    np.testing.assert_allclose(found.rows[:, :2], [s.solution[:2] for s in slow], atol=1e-6)
    np.testing.assert_allclose(found.flux, [s.solution[2] for s in slow], rtol=1e-6)
    expected = np.array([s.covariance(2.0)[[0, 1, 0, 2], [0, 1, 1, 2]] for s in slow])
    errors = np.column_stack([found.var_x, found.var_y, found.cov_xy, found.var_flux])
    # Numerical derivatives are good to 1e-7; the fit's variances date from its last step but one.
    np.testing.assert_allclose(errors[:, [0, 1, 3]], expected[:, [0, 1, 3]], rtol=1e-4)
    np.testing.assert_allclose(errors[:, 2], expected[:, 2], atol=1e-4 * expected[:, 0].max())


def pulls(found, x, y, flux):
    return np.array([
        (found.x - x) / np.sqrt(found.var_x),
        (found.y - y) / np.sqrt(found.var_y),
        (found.flux - flux) / np.sqrt(found.var_flux),
    ])  # fmt: skip


@pytest.mark.parametrize(("taper", "allowed"), [(WINDOW, 0.05), (TAPERED, 0.07)], ids=["window", "tapered"])
def test_errors__hold_for_two_thousand_stars(taper, allowed):
    x, y, flux, image = noisy(45, 3.15, 5.05, seed=3)
    found = fit(image, model_of(), np.round(x), np.round(y), taper=taper, sky=SKY, floor=READ_NOISE**2)
    assert (found.state == CONVERGED).all()
    signal_to_noise = found.flux / np.sqrt(found.var_flux)
    assert np.percentile(signal_to_noise, 1) > 25
    assert np.percentile(signal_to_noise, 99) < 330
    pull = pulls(found, x, y, flux)
    # The scatter of 2025 pulls is known to 1.6 %, their mean to 0.022.
    assert pull.std(axis=1) == pytest.approx(1.0, abs=allowed)
    assert pull.mean(axis=1) == pytest.approx(0.0, abs=0.07)
    # 22 degrees of freedom in the window put the median at 0.97, about 6 in the taper at 0.9.
    assert 0.88 < np.median(found.chi2) < 1.03
    assert found.chi2.mean() == pytest.approx(1.0, abs=0.03)


@APERTURES
def test_errors__include_that_of_the_sky(taper):
    x, y, flux, image = noisy(45, 3.5, 4.0, seed=4)
    error = 8.0
    sky = SKY + np.random.default_rng(5).normal(0.0, error, x.size)
    settled = {"taper": taper, "floor": READ_NOISE**2}
    found = fit(image, model_of(), np.round(x), np.round(y), sky=sky, sky_error=error, **settled)
    without = fit(image, model_of(), np.round(x), np.round(y), sky=sky, **settled)
    # As above; the sky's error is a good part of the whole here.
    assert pulls(found, x, y, flux)[2].std() == pytest.approx(1.0, abs=0.07)
    assert pulls(without, x, y, flux)[2].std() > 1.15
