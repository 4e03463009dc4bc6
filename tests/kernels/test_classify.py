"""Stars, rays and galaxies told apart by how their light is spread, at every S/N."""

import numpy as np
import pytest

from compute.kernels.chain import Frame, Model, Sources, fit_rounds
from compute.kernels.classify import shapes, usual_chi2
from compute.kernels.columns import COLUMNS
from tests.analytic import AnalyticEpsf, expose, render

STAR, SHARP, WIDE = AnalyticEpsf(), AnalyticEpsf((0.05,), (1.0,)), AnalyticEpsf((1.2, 2.5), (0.7, 0.3))
SIZE, SKY, READ_NOISE = 600, 50.0, 10.0


def rows(epsf, flux, seed):
    """Fits with the star's ePSF of 900 lone sources that have another one."""
    rng = np.random.default_rng(seed)
    grid = np.arange(10.0, SIZE - 9.0, 20.0)
    x, y = (axis.ravel() + rng.uniform(-0.5, 0.5, axis.size) for axis in np.meshgrid(grid, grid))
    light = render((SIZE, SIZE), x, y, np.full(x.size, flux), epsf, radius=8)
    image = expose(light, SKY, READ_NOISE, rng)[0].astype(np.float32)
    one = np.zeros(1)
    frame = Frame(image, np.zeros(image.shape, np.uint8), np.ones_like(image), np.full_like(image, READ_NOISE**2))
    fits = fit_rounds(
        frame, Model.of(STAR.table()[None, None], one, one, 4, 5), Sources(x, y, np.zeros(x.size, np.int64)), rounds=2,
        half=2, taper=(0.0, 0.0), template_error=0.0, max_iterations=30, annulus=(4.0, 7.0),
    )  # fmt: skip
    return dict(zip(COLUMNS, fits.rows.T, strict=True))


@pytest.mark.parametrize(("flux", "most"), [(400.0, 15), (2000.0, 4), (2e4, 4), (5e5, 4)])
def test_stars__are_hardly_ever_taken_for_anything_else(flux, most):
    sharp, wide = shapes(rows(STAR, flux, 1))
    # Of 900: noise alone gives less than one, Poisson leaves room for four; at S/N 7 QFIT is no longer Gaussian.
    assert sharp.sum() + wide.sum() <= most


@pytest.mark.parametrize(("flux", "least"), [(2000.0, 0.6), (2e4, 0.97)])
def test_rays__in_one_pixel_are_sharp(flux, least):
    sharp, wide = shapes(rows(SHARP, flux, 2))
    assert sharp.mean() > least
    assert wide.mean() < 0.05


@pytest.mark.parametrize(("flux", "least"), [(4000.0, 0.5), (2e4, 0.99)])
def test_galaxies__are_wide(flux, least):
    sharp, wide = shapes(rows(WIDE, flux, 3))
    assert wide.mean() > least
    assert sharp.mean() < 0.01


def test_usual_chi2__follows_bright_stars_and_not_rays():
    rng = np.random.default_rng(4)
    significance = np.sort(10 ** rng.uniform(0.7, 3.0, 5000))
    chi2 = (1 + (significance / 100) ** 2) * rng.chisquare(22, 5000) / 22  # an ePSF that is 1 % wrong
    chi2[rng.random(5000) < 0.2] *= 5.0
    usual = usual_chi2(significance, chi2)
    ratio = usual / (1 + (significance / 100) ** 2)
    # A lower quartile lies 0.2 below the median; where stars are few, at the ends, the window is one-sided.
    assert np.median(ratio[significance > 100]) == pytest.approx(0.85, abs=0.15)
    assert usual[significance < 15].max() < 1.4
    assert (usual_chi2(np.full(50, 10.0), np.full(50, 8.0)) <= 1.17).all()


def test_usual_chi2__passes_over_what_is_not_a_number():
    chi2 = np.array([np.nan, 2.0, np.nan])
    assert np.isfinite(usual_chi2(np.array([np.nan, 50.0, 60.0]), chi2)).all()
    assert usual_chi2(np.zeros(0), np.zeros(0)).size == 0
