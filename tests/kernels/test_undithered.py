"""An ePSF built from one noisy exposure, judged by the one the stars were drawn with."""

import numpy as np
import pytest

from compute.kernels.calibrate.undithered import build
from compute.kernels.measure.chain import Model
from compute.kernels.measure.columns import CONVERGED
from compute.settings import EpsfSettings
from tests.analytic import AnalyticEpsf, expose, render, scatter
from tests.kernels.fitting import EPSF, fit, frame, phase_amplitude

SKY, READ_NOISE = 100.0, 5.0
SHARP = AnalyticEpsf(sigmas=(0.35, 1.3, 3.0))


def field(epsf, n, shape, seed):
    """Positions and noisy pixels of stars of 5000 to 200 000 electrons, none nearer than 14 pix to another."""
    rng = np.random.default_rng(seed)
    x, y = scatter(n, shape, 14.0, rng)
    light = render(shape, x, y, 10 ** rng.uniform(3.7, 5.3, x.size), epsf)
    return x, y, expose(light, SKY, READ_NOISE, rng)[0].astype(np.float32)


def built_from(image, mask=None, **settings):
    return build(frame(image, mask, floor=READ_NOISE**2), **EpsfSettings(**settings).model_dump())


def offsets():
    u = (np.arange(101) - 50) / 4
    return np.hypot(u, u[:, None])


@pytest.mark.parametrize("epsf", [EPSF, pytest.param(SHARP, marks=pytest.mark.slow)], ids=["undersampled", "sharper"])
def test_build__recovers_the_epsf_of_an_undithered_exposure(epsf):
    x, y, image = field(epsf, 1200, (700, 700), seed=1)
    built = built_from(image, grid=1)
    truth = epsf.table()
    error = (built.tables[0, 0] - truth) / truth.max()
    # Measured 0.003; the flanks fall by 2 peaks per pixel, so that 0.005 pix of phase bias left are 0.01.
    assert np.sqrt(np.mean(error[offsets() <= 1.5] ** 2)) < 0.015
    assert np.sqrt(np.mean(error[offsets() <= 2.5] ** 2)) < 0.01

    model = Model.of(built.tables, built.fx, built.fy, 4, 5)
    found = fit(image, model, np.round(x), np.round(y), sky=SKY, floor=READ_NOISE**2, template=0.002)
    bright = (found.state == CONVERGED) & (found.flux**2 > 50**2 * found.var_flux)
    assert bright.mean() > 0.9
    # A&K 2000 section 5.2 reach 0.01 pix without dithers. Measured 0.001 to 0.007: 1180 stars know the harmonics of
    # their phases to 0.0066 and 0.0033 pix, and nothing else tells them.
    assert phase_amplitude((found.x - x)[bright], x[bright]) < 0.02
    assert phase_amplitude((found.y - y)[bright], y[bright]) < 0.02
    # The convention of the centre is the scene's own, by symmetry.
    assert abs(np.median((found.x - x)[bright])) < 0.003
    assert abs(np.median((found.y - y)[bright])) < 0.003


def test_build__follows_its_conventions():
    _, _, image = field(EPSF, 300, (360, 360), seed=2)
    built = built_from(image, grid=1, passes=2)
    table = built.tables[0, 0]
    j, i = np.mgrid[-5:6, -5:6]
    inside = np.hypot(i, j) <= 5.0
    assert table[50 + 4 * j[inside], 50 + 4 * i[inside]].sum() == pytest.approx(1.0, abs=1e-12)
    # Evening out the phases last moves the half-pixel values a little again.
    assert table[50, 52] - table[50, 48] == pytest.approx(0.0, abs=5e-3 * table.max())
    assert table[52, 50] - table[48, 50] == pytest.approx(0.0, abs=5e-3 * table.max())
    assert built.n_samples.tolist() == [[pytest.approx(300, abs=20)]]
    assert (built.fx, built.fy) == (179.5, 179.5)


def test_build__few_stars_give_a_width_alone():
    truth = AnalyticEpsf(sigmas=(0.9, 2.7, 2.7), shares=(0.8, 0.2, 0.0))
    _, _, image = field(truth, 5, (120, 120), seed=3)
    built = built_from(image)
    assert "Gaussian width from" in built.how
    assert built.tables.shape == (1, 1, 101, 101)
    # Trial widths are 30 % apart and narrower than the pixel-integrated star: the right one or its neighbour.
    assert built.tables.max() == pytest.approx(truth.table().max(), rel=0.3)


def test_build__no_star_is_an_error():
    noise = np.random.default_rng(4).normal(SKY, 10.0, (100, 100)).astype(np.float32)
    with pytest.raises(ValueError, match="no star above 10 sigma"):
        built_from(noise)


def test_build__saturated_stars_and_their_surroundings_do_not_count():
    _, _, image = field(EPSF, 300, (360, 360), seed=2)
    plain = built_from(image, grid=1, passes=1)
    mask = np.zeros(image.shape, np.uint8)
    image[170:190, 170:190], mask[170:190, 170:190] = 1e5, 2
    built = built_from(image, mask, grid=1, passes=1)
    assert built.n_samples.sum() < plain.n_samples.sum()
    # A twentieth of the stars fewer, the same ePSF but for noise.
    assert abs(built.tables - plain.tables).max() < 0.02 * plain.tables.max()


@pytest.mark.slow
def test_build__follows_a_width_that_grows_across_the_field():
    epsf = AnalyticEpsf(sigmas=(0.55, 1.3, 3.0), tilt=0.3, span=900.0)
    _, _, image = field(epsf, 2500, (900, 900), seed=5)
    built = built_from(image, grid=3, stars=2500)
    assert built.tables.shape == (3, 3, 101, 101)
    assert built.fx.tolist() == [0.0, 449.5, 899.0]
    peaks = built.tables[:, :, 50, 50].mean(axis=0)
    # Residuals are taken against the model interpolated to each star, so that fiducials at the edge are told by stars
    # well inside. Measured 1 %; some 280 stars each know a width to 0.3 %, the edges extrapolate.
    np.testing.assert_allclose(peaks, [epsf.table(x=x).max() for x in built.fx], rtol=0.02)
