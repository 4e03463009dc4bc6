"""Single stamps fitted against truth and against the fitter of whole frames; what an ePSF table must conform to."""

import numpy as np
import pytest

from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stampfit import conform, fit_stamps, light_centres, samples
from compute.kernels.calibrate.stamps import Stamps
from compute.kernels.measure import columns
from compute.kernels.measure.starfit import fit_stars
from compute.kernels.spline import coefficients, evaluate, taps
from tests.analytic import AnalyticEpsf

EPSF = AnalyticEpsf(sigmas=(0.6, 1.4), shares=(0.75, 0.25))  # wide enough for a spline of 8 samples to be exact
MIDDLE, HALF = np.array([500.0]), 5


def table_of(epsf=EPSF, oversampling=8, order=5, radius=8.0):
    values = epsf.table(oversampling, radius)[None, None]
    return Table(coefficients(values, order), MIDDLE, MIDDLE, oversampling, order)


def value(table, u, v):
    """The ePSF at offsets."""
    u, v = np.atleast_1d(u).astype(float), np.atleast_1d(v).astype(float)
    where = np.zeros(u.size), np.zeros(u.size), u, v
    return evaluate(table.coef, table.fx, table.fy, table.oversampling, taps(table.order), *where)


@pytest.fixture(scope="module")
def stars():
    """Six hundred stamps of S/N 30 to 400 and their true positions and fluxes."""
    rng, k = np.random.default_rng(1), 600
    x, y, flux = *rng.uniform(-0.5, 0.5, (2, k)), 10 ** rng.uniform(3.3, 5.3, k)
    j, i = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]
    model = flux[:, None, None] * EPSF(i - x[:, None, None], j - y[:, None, None])
    variance = model + 100.0
    light = model + rng.normal(0, np.sqrt(variance))
    start = light_centres(Stamps(light, variance, x, y, flux, x, y))
    stamps = Stamps(light.astype(np.float32), (1 / variance).astype(np.float32), *start, 0 * x, 0 * x)
    return stamps, x, y, flux


def test_fit__truth_within_errors(stars):
    stamps, x, y, flux = stars
    fits = fit_stamps(table_of(), stamps, template=0.0)
    for found, true, var in ((fits.x, x, fits.var_x), (fits.y, y, fits.var_y), (fits.flux, flux, fits.var_flux)):
        pull = (found - true) / np.sqrt(var)
        assert abs(pull.mean()) < 4 / np.sqrt(x.size)
        assert abs(pull.std() - 1) < 4 / np.sqrt(2 * x.size)
    assert abs(np.mean(fits.chi2) - 1) < 4 * np.sqrt(2 / 22 / x.size)  # 25 pixels, three numbers
    assert (fits.qfit > 0).all()
    assert np.corrcoef(fits.qfit, 1 / np.sqrt(flux))[0, 1] > 0.7


def test_fit__as_the_fitter_of_frames_on_the_same_pixels(stars):
    stamps, table = stars[0], table_of()
    fits = fit_stamps(table, stamps, template=0.01)
    zero, out = np.zeros(1), np.empty((1, 18))
    for k in range(40):
        light, weight = stamps.light[k], stamps.weight[k]
        mask, model = np.zeros(light.shape, np.uint8), np.zeros(light.shape, np.float32)
        fit_stars(
            light, model, mask, 0 * light, 1 / weight, stamps.x[k : k + 1] + HALF, stamps.y[k : k + 1] + HALF, zero,
            zero, zero, table.coef, table.fx, table.fy, table.oversampling, table.taps, 2, (0.0, 0.0), 0.01, 50, out,
        )  # fmt: skip
        assert int(out[0, columns.STATE]) & columns.CONVERGED
        sigma = np.sqrt([fits.var_x[k], fits.var_y[k], fits.var_flux[k]])
        ours = np.array([fits.x[k] + HALF, fits.y[k] + HALF, fits.flux[k]])
        # Either stops when its steps are small against the errors.
        np.testing.assert_allclose((ours - out[0, [columns.X, columns.Y, columns.FLUX]]) / sigma, 0, atol=0.02)
        np.testing.assert_allclose(out[0, columns.VAR_FLUX], fits.var_flux[k], rtol=0.02)


def test_fit__masked_pixels_tell_nothing(stars):
    stamps = stars[0]
    light, weight = stamps.light.copy(), stamps.weight.copy()
    light[:, HALF + 1, HALF - 1], weight[:, HALF + 1, HALF - 1] = 1e7, 0.0
    fits, clean = fit_stamps(table_of(), stamps._replace(light=light, weight=weight)), fit_stamps(table_of(), stamps)
    assert (np.abs(fits.x - clean.x) < 6 * np.sqrt(fits.var_x)).all()
    assert (fits.var_x > clean.var_x).all()
    np.testing.assert_allclose(fits.qfit, clean.qfit, atol=0.1)


@pytest.mark.parametrize("what", ["masked", "nan", "lost"])
def test_fit__a_useless_stamp_is_nan_and_hurts_no_other(stars, what):
    stamps = Stamps(*(part[:20].copy() for part in stars[0]))
    clean = fit_stamps(table_of(), stamps)
    if what == "masked":
        stamps.weight[7] = 0.0
    elif what == "nan":
        stamps.light[7] = np.nan
    else:
        stamps.x[7] = np.nan
    with np.errstate(all="raise", under="ignore"):
        fits = fit_stamps(table_of(), stamps)
    others = np.arange(20) != 7
    for name in fits._fields:
        np.testing.assert_allclose(getattr(fits, name)[others], getattr(clean, name)[others], rtol=1e-9, atol=1e-12)
    assert np.isnan([fits.x[7], fits.y[7], fits.flux[7]]).all()


@pytest.mark.parametrize("order", [3, 5])
def test_conform__symmetric_at_half_a_pixel_and_of_unit_sum(order):
    rng = np.random.default_rng(2)
    n, u = 69, (np.arange(69) - 34) / 4
    values = np.array([
        np.exp(-((u - a) ** 2) / 1.1)[None] * np.exp(-((u[:, None] - b) ** 2) / 0.9) * c
        + 0.02 * np.exp(-((u - 1.2) ** 2 + (u[:, None] + 0.7) ** 2))
        for a, b, c in rng.uniform([-0.4, -0.4, 0.5], [0.4, 0.4, 2.0], (4, 3))
    ])  # fmt: skip
    table = Table(coefficients(values.reshape(2, 2, n, n), order), np.array([0.0, 1.0]), np.array([0.0, 1.0]), 4, order)
    made = conform(table, 5.0)
    j, i = np.mgrid[-5:6, -5:6]
    inside = i**2 + j**2 <= 25
    for index in np.ndindex(2, 2):
        one = made._replace(coef=made.coef[index][None, None], fx=MIDDLE, fy=MIDDLE)
        left, right, below, above = value(one, [-0.5, 0.5, 0, 0], [0, 0, -0.5, 0.5])
        assert abs(left - right) < 1e-6
        assert abs(below - above) < 1e-6
        assert value(one, i[inside], j[inside]).sum() == pytest.approx(1.0, abs=1e-6)
    again = conform(made, 5.0)
    np.testing.assert_allclose(again.coef, made.coef, atol=1e-6 * made.coef.max())


def test_conform__moves_and_scales_but_does_not_reshape():
    u = np.arange(-64, 65) / 8
    shifted = 3.0 * EPSF(u[None, :] - 0.2, u[:, None] + 0.15)
    table = table_of()
    made = conform(table._replace(coef=coefficients(shifted[None, None], 5)), 5.0)
    np.testing.assert_allclose(samples(made)[0, 0], EPSF.table(8, 8.0), atol=1e-5)  # the spline's own error


@pytest.mark.parametrize("order", [3, 5])
def test_samples__undo_coefficients(order):
    values = np.random.default_rng(3).normal(size=(2, 1, 31, 31))
    table = Table(coefficients(values, order), MIDDLE, np.array([0.0, 9.0]), 4, order)
    np.testing.assert_allclose(samples(table), values, atol=1e-9)


def test_light_centres__a_star_in_the_middle_and_stamps_without_light():
    j, i = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]
    light = np.stack([1e4 * EPSF(i, j), -np.ones(i.shape), 1e4 * EPSF(i - 0.3, j)])
    nothing = np.zeros(3)
    x, y, flux = light_centres(Stamps(light, light, *[nothing] * 5))
    np.testing.assert_allclose([x[0], y[0]], 0, atol=1e-12)
    assert 0.1 < x[2] < 0.3  # centroids fall short
    assert y[2] == pytest.approx(0, abs=1e-12)
    assert flux[0] == pytest.approx(light[0, 3:8, 3:8].sum())
    assert np.isfinite([x[1], y[1]]).all()
    assert flux[1] > 0
