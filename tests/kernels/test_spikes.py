"""Spikes that a frame's bright stars have in common, beyond the reach of the ePSF."""

import numpy as np
import pytest

from compute.kernels.measure.chain import Fits
from compute.kernels.measure.columns import COLUMNS, FLUX
from compute.kernels.measure.spikes import far_flux, far_light
from tests.analytic import AnalyticEpsf, render, scatter
from tests.kernels.fitting import frame, model_of

EPSF = AnalyticEpsf(sigmas=(0.5, 1.4, 5.0), shares=(0.7, 0.2, 0.1))
MODEL = model_of(EPSF)
SHAPE, SKY, NOISE = (400, 400), 50.0, 3.0


def spike(x, y, flux):
    """A horizontal spike two pixels wide that falls as one over the distance, beyond the square of 10 pix."""
    j, i = np.mgrid[: SHAPE[0], : SHAPE[1]]
    r = abs(i - x)
    beyond = np.maximum(r, abs(j - round(y))) > 10
    return np.where(beyond, flux * 2e-4 * np.exp(-0.5 * (j - y) ** 2) / np.maximum(r, 10) * 10, 0.0)


def scene(n=12, seed=1):
    """Stars, their spikes alone, and noisy pixels of both."""
    rng = np.random.default_rng(seed)
    x, y = scatter(n, SHAPE, 50.0, rng, border=20.0)
    flux = 10 ** rng.uniform(5.5, 6.5, x.size)
    spikes = sum(spike(*star) for star in zip(x, y, flux, strict=True))
    stars = render(SHAPE, x, y, flux, EPSF, radius=10)
    return x, y, flux, spikes, stars, stars + spikes + SKY + rng.normal(0, NOISE, SHAPE)


def fits_of(x, y, flux, stars):
    rows = np.full((x.size, len(COLUMNS)), np.nan)
    rows[:, :3] = np.column_stack([x, y, flux])
    return Fits(rows, np.zeros(x.size), np.zeros(x.size), stars.astype(np.float32))


def test_far_light__spikes_are_what_bright_stars_share():
    x, y, flux, spikes, stars, image = scene()
    far = far_light(frame(image, floor=NOISE**2, poisson=0.01), MODEL, fits_of(x, y, flux, stars))
    lit = spikes > 10 * NOISE
    # Cut and spread between pixels, a spike of 1 pix sigma widens to 1.2 pix and loses as much at its ridge.
    assert np.sqrt(((far - spikes)[lit] ** 2).mean()) < 0.45 * np.sqrt((spikes[lit] ** 2).mean())
    # Charge is kept but for what lies beyond 64 pix.
    assert abs(far[lit].sum() / spikes[lit].sum() - 1) < 0.25
    # Elsewhere nothing is taken away.
    assert np.abs(far[spikes < 0.01]).mean() < 0.3 * NOISE


def test_far_light__companion_of_one_star_is_left_alone():
    x, y, flux, _, stars, image = scene()
    k = int(flux.argmax())
    companion = render(SHAPE, x[k] + 17.0, y[k] + 12.0, 0.01 * flux[k], EPSF, radius=10)
    maps = {"floor": NOISE**2, "poisson": 0.01}
    with_it, without = (
        far_light(frame(light, **maps), MODEL, fits_of(x, y, flux, stars)) for light in (image + companion, image)
    )
    assert np.abs(with_it - without).max() < 0.1 * companion.max()


def test_far_light__too_few_stars_tell_nothing():
    x, y, flux, _, stars, image = scene()
    far = far_light(frame(image, floor=NOISE**2), MODEL, fits_of(x[:5], y[:5], flux[:5], stars))
    assert not far.any()


def test_far_light__fits_that_failed_are_passed_over():
    x, y, flux, _, stars, image = scene()
    fits = fits_of(x, y, flux, stars)
    fits.rows[0, FLUX] = np.nan
    assert np.isfinite(far_light(frame(image, floor=NOISE**2), MODEL, fits)).all()


def test_far_flux__is_what_a_fit_would_find():
    far = render(SHAPE, [60.3, 90.0], [80.2, 99.6], [1e3, 5e3], EPSF).astype(np.float32)
    found = far_flux(far, MODEL, np.array([60.3, 90.0, 200.0]), np.array([80.2, 99.6, 200.0]))
    # The ring where the level is taken holds some of the star itself.
    assert found[:2] == pytest.approx([1e3, 5e3], rel=0.1)
    assert found[2] == 0


def test_far_flux__even_light_is_no_star():
    far = np.full(SHAPE, 30.0, np.float32)
    assert far_flux(far, MODEL, np.array([50.2, 0.0]), np.array([70.4, 399.0])) == pytest.approx([0, 0], abs=1e-3)
