"""Stars, rays and galaxies told apart by how their light is spread, at every S/N."""

import numpy as np
import pytest

from compute.kernels.measure.chain import Frame, Model, Sources, fit_rounds
from compute.kernels.measure.classify import events, shapes, usual_chi2, widened
from compute.kernels.measure.columns import CHI2, COLUMNS, COV_XY, EVENT, FLUX, VAR_FLUX, VAR_X, VAR_Y, X, Y
from tests.analytic import AnalyticEpsf, expose, render
from tests.kernels.fitting import fit, model_of

STAR, SHARP, WIDE = AnalyticEpsf(), AnalyticEpsf((0.05,), (1.0,)), AnalyticEpsf((1.2, 2.5), (0.7, 0.3))
SIZE, SKY, READ_NOISE = 600, 50.0, 10.0


def places(rng):
    """Positions of 900 lone sources at random phases."""
    grid = np.arange(10.0, SIZE - 9.0, 20.0)
    return (axis.ravel() + rng.uniform(-0.5, 0.5, axis.size) for axis in np.meshgrid(grid, grid))


def rows(epsf, flux, seed):
    """Fits with the star's ePSF of 900 lone sources that have another one."""
    rng = np.random.default_rng(seed)
    x, y = places(rng)
    return dict(
        zip(COLUMNS, fitted(render((SIZE, SIZE), x, y, np.full(x.size, flux), epsf, 8), x, y, rng).T, strict=True)
    )


def fitted(light, x, y, rng):
    """Rows of fits with the star's ePSF, starting at `x`, `y`, to `light` and noise."""
    image = expose(light, SKY, READ_NOISE, rng)[0].astype(np.float32)
    one = np.zeros(1)
    frame = Frame(image, np.zeros(image.shape, np.uint8), np.ones_like(image), np.full_like(image, READ_NOISE**2))
    fits = fit_rounds(
        frame, Model.of(STAR.table()[None, None], one, one, 4, 5), Sources(x, y, np.zeros(x.size, np.int64)), rounds=2,
        half=2, taper=(0.0, 0.0), template_error=0.0, max_iterations=30, annulus=(4.0, 7.0),
    )  # fmt: skip
    return fits.rows


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


def tracks(flux, rng):
    """Light of 900 rays that cross 1.5 pix on average, blurred by 0.3 pix, and where they are."""
    x, y = places(rng)
    turn, length = rng.uniform(0.0, np.pi, x.size), rng.exponential(1.5, x.size)
    blur, light = AnalyticEpsf((0.3,), (1.0,)), np.zeros((SIZE, SIZE))
    for step in np.linspace(-0.5, 0.5, 9):
        at = x + step * length * np.cos(turn), y + step * length * np.sin(turn)
        light += render((SIZE, SIZE), *at, np.full(x.size, flux / 9), blur, radius=4)
    return light, x, y


@pytest.fixture(scope="module")
def stars_and_rays():
    """Rows of 900 stars and of 900 rays of S/N about 15."""
    rng = np.random.default_rng(6)
    x, y = places(rng)
    stars = fitted(render((SIZE, SIZE), x, y, np.full(x.size, 800.0), STAR, 8), x, y, rng)
    return tuple(rows[np.isfinite(rows[:, EVENT])] for rows in (stars, fitted(*tracks(800.0, rng), rng)))


def judged(rows):
    return events(rows[:, FLUX] / np.sqrt(rows[:, VAR_FLUX]), rows[:, EVENT])


@pytest.mark.parametrize(("n_stars", "n_rays", "lost", "left"), [
    (900, 20, 0.01, 0.25),  # few rays: a star has the benefit of the doubt
    (100, 100, 0.05, 0.08),
    (0, 300, 0.0, 0.06),  # rays alone: they have not
])  # fmt: skip
def test_events__are_judged_by_how_many_there_are(stars_and_rays, n_stars, n_rays, lost, left):
    stars, rays = stars_and_rays
    found = judged(np.concatenate([stars[:n_stars], rays[:n_rays]]))
    assert found[:n_stars].sum() <= lost * n_stars
    assert (~found[n_stars:]).mean() < left


def test_event__is_the_chi2_of_all_but_four_pixels():
    rng = np.random.default_rng(7)
    x, y = (axis[:50] for axis in places(rng))
    image = expose(render((SIZE, SIZE), x, y, np.full(x.size, 3e3), STAR, 8), SKY, READ_NOISE, rng)[0]
    found = fit(image, model_of(), x, y, sky=SKY, floor=READ_NOISE**2)
    for k, event in enumerate(found.event):
        above, right = np.mgrid[-2:3, -2:3]
        j, i = round(y[k]) + above, round(x[k]) + right
        star, light = found.flux[k] * STAR(i - found.x[k], j - found.y[k]), image[j, i] - SKY
        variance = np.maximum(star + SKY, 0.0) + READ_NOISE**2
        brightest = np.argsort(light.ravel() / np.sqrt(variance.ravel()))[-4:]
        expected = np.delete((light**2 / variance).ravel(), brightest).sum() - ((light - star) ** 2 / variance).sum()
        # The table's interpolation is true to 1e-4 of a star of 3000 e.
        assert event == pytest.approx(expected, rel=0.01, abs=0.1)


def test_events__nothing_to_judge():
    assert not events(np.array([np.nan, 10.0]), np.array([np.nan, np.nan])).any()
    assert events(np.zeros(0), np.zeros(0)).shape == (0,)
    assert events(np.array([500.0]), np.array([1e5])).tolist() == [False]


def pulls(rows, truth):
    return (rows[:, [X, Y, FLUX]] - truth) / np.sqrt(rows[:, [VAR_X, VAR_Y, VAR_FLUX]])


def test_widened__errors_of_lone_stars_hold_and_of_blends_grow():
    rng = np.random.default_rng(8)
    x, y = places(rng)
    flux, turn = 10 ** rng.uniform(3.2, 4.5, x.size), rng.uniform(0.0, 2 * np.pi, x.size)
    blended = np.arange(x.size) % 3 == 0
    other = 0.15 * flux * blended
    light = render((SIZE, SIZE), x, y, flux, STAR, 8)
    light += render((SIZE, SIZE), x + 1.4 * np.cos(turn), y + 1.4 * np.sin(turn), other, STAR, 8)
    found = fitted(light, x, y, rng)
    before, after = (pulls(rows, np.column_stack([x, y, flux])) for rows in (found, widened(found)))
    # 600 pulls are known to 3 %; noise alone passes for misfit in one of twenty.
    assert after[~blended].std(axis=0) == pytest.approx(before[~blended].std(axis=0), rel=0.05)
    assert (np.median(abs(before[blended]), axis=0) > 1.2).all()
    assert (np.median(abs(after[blended]), axis=0) < 0.75 * np.median(abs(before[blended]), axis=0)).all()


def test_widened__rows_that_fit_stay_as_they_are():
    rows = np.zeros((40, len(COLUMNS)))
    rows[:, FLUX], rows[:, VAR_FLUX], rows[:, VAR_X], rows[:, COV_XY] = 100.0, 100.0, 0.04, -0.01
    rows[:, CHI2] = 0.9
    rows[:3, CHI2] = 1.4, np.nan, 3.5
    wider = widened(rows)
    fine = np.arange(len(rows)) != 2
    np.testing.assert_array_equal(wider[fine], rows[fine])
    errors = [VAR_X, VAR_Y, COV_XY, VAR_FLUX]
    # chi2 is 3.5 and, where an ePSF one percent wrong is supposed, 1.01 usual at S/N 10.
    np.testing.assert_allclose(wider[2, errors], rows[2, errors] * (1 + 5 * (3.5 / 1.01 - 1.5)))
    np.testing.assert_array_equal(np.delete(wider[2], errors), np.delete(rows[2], errors))
