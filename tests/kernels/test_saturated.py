"""Saturated stars with known truth, and their honest errors."""

import numpy as np
import pytest

from compute.kernels.measure import columns
from compute.kernels.measure.chain import Fits, Sources
from compute.kernels.measure.saturated import refit_saturated
from tests.analytic import AnalyticEpsf, expose, render
from tests.kernels.fitting import EPSF, frame, lattice, model_of

SKY, READ_NOISE, WELL = 60.0, 5.0, 30_000.0
MODEL = model_of()


def scene(side=5, low=5.3, high=6.8, seed=1, bleed=0):
    """Saturated stars on a lattice of 32 pix: truth, noisy pixels, and which of them are full."""
    x, y, shape = lattice(side, step=32, seed=seed)
    rng = np.random.default_rng(seed)
    flux = 10 ** rng.uniform(low, high, x.size)
    light = render(shape, x, y, flux, EPSF)
    image = expose(light, SKY, READ_NOISE, rng)[0]
    full = light > WELL
    for i, j in zip(np.rint(x).astype(int), np.rint(y).astype(int), strict=True):
        full[j - bleed : j + bleed + 1, i] |= bleed > 0
    image[full] = WELL
    return x, y, flux, image, full


def refit(image, full, x, y, n=None, rows=None, drawn=None, model=MODEL, template=0.002):
    mask = np.where(full, columns.SATURATED, columns.GOOD).astype(np.uint8)
    if rows is None:
        rows = np.full((x.size, len(columns.COLUMNS)), np.nan)
        rows[:, 0], rows[:, 1] = x, y
    drawn = np.zeros(image.shape, np.float32) if drawn is None else drawn
    n = np.full(x.size, 9) if n is None else n
    fits = Fits(rows, np.zeros(x.size), np.zeros(x.size), drawn)
    noise = {"poisson": 1.0, "floor": READ_NOISE**2}
    return refit_saturated(
        frame(image, mask, **noise), model, Sources(x, y, n), fits, template_error=template, max_iterations=30
    )


def pulls(fits, x, y, flux):
    row = dict(zip(columns.COLUMNS, fits.rows.T, strict=True))
    place = np.append((row["x"] - x) / np.sqrt(row["var_x"]), (row["y"] - y) / np.sqrt(row["var_y"]))
    return place, (row["flux"] - flux) / np.sqrt(row["var_flux"])


def test_refit_saturated__truth_from_the_wings_with_honest_errors():
    x, y, flux, image, full = scene(side=8)
    fits = refit(image, full, np.rint(x), np.rint(y))
    assert (fits.rows[:, columns.STATE].astype(int) & columns.CONVERGED).all()
    place, light = pulls(fits, x, y, flux)
    # 128 and 64 numbers; errors are never made smaller by residuals, only larger.
    assert place.std() == pytest.approx(0.95, abs=0.17)
    assert light.std() == pytest.approx(0.95, abs=0.22)
    # The sky is fitted too.
    np.testing.assert_allclose(fits.sky, SKY, atol=6 * fits.sky_error.max())


def test_refit_saturated__same_answer_from_starts_three_pixels_away():
    x, y, _, image, full = scene(side=4)
    near = refit(image, full, np.rint(x), np.rint(y)).rows
    for dx, dy in ((3, 0), (-2, 2), (0, -3)):
        far = refit(image, full, np.rint(x) + dx, np.rint(y) + dy).rows
        # Both stop within a fiftieth of the errors.
        np.testing.assert_allclose(far[:, :2], near[:, :2], atol=0.1 * np.sqrt(near[:, [columns.VAR_X]]).max())


def test_refit_saturated__charge_spilt_beside_full_pixels_does_no_harm():
    x, y, flux, image, full = scene(side=5, bleed=7)
    ends = full ^ (full | np.roll(full, 1, 0) | np.roll(full, -1, 0))
    image[ends] += 0.5 * WELL
    place, light = pulls(refit(image, full, np.rint(x), np.rint(y)), x, y, flux)
    assert abs(place).max() < 5
    assert abs(light).max() < 5


def test_refit_saturated__wrong_template_has_larger_errors():
    x, y, flux, image, full = scene(side=6, low=6.0)
    wide = model_of(AnalyticEpsf(sigmas=(0.48, 1.3, 3.4)))
    right, wrong = (refit(image, full, np.rint(x), np.rint(y), model=each) for each in (MODEL, wide))
    assert np.median(wrong.rows[:, columns.VAR_X] / right.rows[:, columns.VAR_X]) > 3
    # Wings that are wrong alike on all sides shift fluxes, which no residual can tell, but no positions.
    assert pulls(wrong, x, y, flux)[0].std() < 1.3


def test_refit_saturated__stars_in_one_anothers_wings_are_told_apart():
    x, y, flux = np.array([40.2, 50.7]), np.array([40.4, 44.1]), np.array([4e6, 6e5])
    light = render((84, 90), x, y, flux, EPSF)
    image = expose(light, SKY, READ_NOISE, np.random.default_rng(3))[0]
    full = light > WELL
    image[full] = WELL
    fits = refit(image, full, np.rint(x), np.rint(y), n=np.array([30, 9]))
    place, shine = pulls(fits, x, y, flux)
    assert abs(place).max() < 4
    assert abs(shine).max() < 4
    # What is drawn is what was found: the wings are gone.
    left = (image - fits.drawn - SKY)[~full]
    assert np.abs(left).mean() < 1.1 * np.sqrt(light + SKY + READ_NOISE**2)[~full].mean()


def test_refit_saturated__others_keep_their_rows_and_their_light():
    x, y, flux, image, full = scene(side=2)
    first = refit(image, full, np.rint(x), np.rint(y))
    rows, n = first.rows.copy(), np.array([9, 0, 9, 9])
    again = refit(image, full, x, y, n=n, rows=rows, drawn=first.drawn)
    np.testing.assert_array_equal(again.rows[1], rows[1])
    np.testing.assert_allclose(again.drawn, first.drawn, atol=1e-3 * flux.max())
    assert refit(image, full, x, y, n=np.zeros(4, int), rows=rows, drawn=first.drawn).rows is rows


def test_refit_saturated__nothing_left_to_fit_is_told():
    x, y, _, image, full = scene(side=2)
    full[:32, :32] = True
    state = refit(image, full, np.rint(x), np.rint(y)).rows[:, columns.STATE].astype(int)
    assert state[0] & columns.TOO_FEW
    assert not state[0] & columns.CONVERGED
    assert (state[1:] & columns.CONVERGED).all()
