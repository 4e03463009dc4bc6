"""From dithered exposures to an ePSF: which stars are cut out and how, and what is solved from them."""

import numpy as np
import pytest

from catalogs.errors import UnusableError
from compute.kernels.joint import Table
from compute.kernels.spline import coefficients
from compute.kernels.stampfit import fit_stamps
from compute.kernels.stamps import Stamps
from compute.settings import CalibrateSettings, EpsfSettings, FrameSettings
from compute.stages.calibrate.build import build
from compute.stages.cutting import HALF, cut
from compute.stages.epsf import epsf
from compute.stages.frame.groups import lay_plane
from tests.analytic import render
from tests.dithers import EPSF, SKY, dithered, rows_of, taken
from tests.stages.synthetic import X_START, Y_START, cube, exposure, noisy

SETTINGS = CalibrateSettings(grid=1, transform="poly2", steps=20)
QUICK = SETTINGS.model_copy(update={"least": 50, "transform": "affine", "half": 4, "passes": 3, "steps": 10})
MIDDLE = np.array([500.0])


def solve(scene, cuts, settings, order=None, threads=1):
    rows = rows_of(scene, order)
    return build(rows, cuts, lay_plane(rows, FrameSettings()), settings, "test", threads)


@pytest.fixture(scope="module")
def field():
    """Nine dithers, their stamps cut out with an ePSF of one exposure's own, and what is built from them."""
    scene = dithered(n=9, size=160, stars=200)
    exposures = [taken(scene, k) for k in range(9)]
    first = epsf(exposures[4], EpsfSettings(grid=1, passes=3))
    cuts = [cut(one, first, SETTINGS) for one in exposures]
    return scene, first, cuts, solve(scene, cuts, SETTINGS)


@pytest.fixture(scope="module")
def few():
    """Four dithers of a small field, cut out with the true ePSF."""
    scene = dithered(n=4, size=110, stars=130, step=3.0)
    cuts = [cut(taken(scene, k), cube(EPSF), QUICK) for k in range(4)]
    return scene, cuts, solve(scene, cuts, QUICK)


def crowd(*stars, size=100):
    """An exposure of stars (x, y, flux), and its noiseless light."""
    light = render((size, size), *np.transpose(stars), EPSF)
    return light, noisy(light + SKY)


def middles(found):
    """Where stamps are, in the array."""
    return set(zip(found.x_pixel - X_START, found.y_pixel - Y_START, strict=True))


# --- cut ---


def test_cut__bright_lonely_stars_far_from_edges_and_saturated_pixels():
    stars = {
        "good": (30.2, 30.3, 1e5), "faint": (60.0, 30.0, 2e3), "edge": (8.0, 60.0, 1e5), "corner": (86.6, 87.4, 1e5),
        "brighter": (70.3, 70.1, 2e5), "crowded": (73.0, 72.3, 5e4), "close": (40.0, 70.0, 8e4), "full": (34, 76, 1e5),
    }  # fmt: skip
    _, data = crowd(*stars.values())
    saturated = np.zeros(data.shape, bool)
    saturated[75:78, 33:36] = True
    found = cut(exposure(data, saturated=saturated), cube(EPSF), SETTINGS)
    assert middles(found) == {(30, 30), (70, 70)}
    assert list(found.flux) == sorted(found.flux, reverse=True)
    assert found.light.shape == found.weight.shape == (2, 2 * HALF + 1, 2 * HALF + 1)
    near = SETTINGS.model_copy(update={"isolation": 2.0})
    assert middles(cut(exposure(data, saturated=saturated), cube(EPSF), near)) == {(30, 30), (70, 70), (73, 72)}


def test_cut__most_stars_are_the_brightest():
    rng = np.random.default_rng(3)
    stars = [(20.0 + 15 * i, 20.0 + 15 * j, 10 ** rng.uniform(4, 5)) for i in range(5) for j in range(5)]
    settings = SETTINGS.model_copy(update={"stars": 7})
    found = cut(exposure(crowd(*stars)[1]), cube(EPSF), settings)
    assert found.flux.size == 7
    assert found.flux.min() > sorted(star[2] for star in stars)[-8] * 0.98  # 1 % errors of the faintest


@pytest.mark.parametrize("flux", [2e4, 1e6])
def test_cut__the_stars_own_light_is_left_and_nothing_else(flux):
    star, neighbours = (50.3, 49.8, flux), [(56.1, 51.0, 0.8 * flux), (44.0, 43.0, 0.5 * flux), (52.0, 61.0, flux)]
    data = noisy(crowd(star, *neighbours)[0] + SKY)
    good = np.ones(data.shape, bool)
    good[53, 51] = False
    data[53, 51] = 1e7
    found = cut(exposure(data, good=good), cube(EPSF), SETTINGS)
    k = list(zip(found.x_pixel - X_START, found.y_pixel - Y_START, strict=True)).index((50, 50))
    own = render(data.shape, *star, EPSF, radius=30)[50 - HALF : 50 + HALF + 1, 50 - HALF : 50 + HALF + 1]
    pull = (found.light[k] - own) * np.sqrt(found.weight[k])
    used = found.weight[k] > 0
    assert np.count_nonzero(~used) == 1
    assert found.light[k][~used] == 0.0
    # Noise and a little of the fits' own errors, under the cores of the neighbours too; the sky is its annulus' alone.
    assert abs(pull[used].mean()) < 0.35
    assert 0.9 < pull[used].std() < 1.15
    assert np.abs(pull[used]).max() < 6.0
    assert np.hypot(found.x[k] - 0.3, found.y[k] + 0.2) < 0.02


# --- build ---


def test_build__from_no_epsf_to_the_truth(field):
    _, first, _, built = field
    true = EPSF.table(4)
    ours, rough = (np.abs(one.values[0, 0] - true).max() / true.max() for one in (built.cube, first))
    assert ours < 0.005  # photons of 1 100 stamps allow a third of this
    assert ours < 0.6 * rough
    assert built.cube.values.shape == (1, 1, 101, 101)
    assert built.cube.key == ("NIRISS", "NIS", "F090W")
    assert built.cube.source == "test"
    assert built.cube.n_samples.sum() == built.passes["stamps"].iloc[-1]


def test_build__no_pixel_phase_error_is_left(field):
    """Noiseless stars of the true ePSF at all phases, fitted with the one that was built."""
    phase = np.linspace(-0.5, 0.5, 9)
    x, y = (grid.ravel() for grid in np.meshgrid(phase, phase))
    j, i = np.mgrid[-5:6, -5:6]
    light = 1e5 * EPSF(i - x[:, None, None], j - y[:, None, None])
    stamps = Stamps(light.astype(np.float32), 1 / (light + 100).astype(np.float32), x, y, 1e5 + 0 * x, x * 0, y * 0)
    worst = []
    for one in (field[3].cube, field[1]):
        table = Table(coefficients(one.values, 3), one.fx, one.fy, one.oversampling, 3)
        fits = fit_stamps(table, stamps, template=0.0)
        worst.append(np.abs([fits.x - x - np.mean(fits.x - x), fits.y - y - np.mean(fits.y - y)]).max())
    assert worst[0] < 0.003  # [pix]
    assert worst[0] < worst[1]


def test_build__passes_tell_how_it_settles(field):
    passes = field[3].passes
    assert list(passes["pass"]) == list(range(1, len(passes) + 1))
    assert len(passes) < SETTINGS.passes
    # The first step must come near: no core is taken for an outlier because the first ePSF is too wide.
    assert (passes["scatter"].iloc[1:] < 0.5 * passes["scatter"].iloc[0]).all()
    assert passes["scatter"].iloc[-1] < 0.004  # [pix], the noise of the stars
    change = passes["change"].to_numpy()
    assert (change[1:3] < 0.3 * change[:2]).all()
    assert passes["change"].iloc[-1] < SETTINGS.settled
    assert passes["stamps"].iloc[-1] > 600


def test_build__threads_change_no_byte(few):
    scene, cuts, one = few
    two = solve(scene, cuts, QUICK, threads=2)
    assert one.cube.values.tobytes() == two.cube.values.tobytes()
    assert one.passes.equals(two.passes)


def test_build__order_of_exposures_and_stamps_does_not_matter(few):
    scene, cuts, built = few
    plain = built.cube.values
    rng, order = np.random.default_rng(5), [2, 0, 3, 1]
    mixed = []
    for k in order:
        rows = rng.permutation(cuts[k].x.size)
        mixed.append(cuts[k]._make(part[rows] for part in cuts[k]))
    other = solve(scene, mixed, QUICK, order).cube.values
    np.testing.assert_allclose(other, plain, atol=2e-3 * plain.max())  # conjugate gradients stop at 1e-3


def test_build__a_stamp_without_a_pixel_hurts_nothing(few):
    scene, cuts, plain = few
    broken = list(cuts)
    weight, light = cuts[1].weight.copy(), cuts[1].light.copy()
    weight[3], light[3] = 0.0, 0.0
    broken[1] = cuts[1]._replace(weight=weight, light=light)
    found = solve(scene, broken, QUICK)
    assert found.passes["stamps"].iloc[-1] >= plain.passes["stamps"].iloc[-1] - 4
    np.testing.assert_allclose(found.cube.values, plain.cube.values, atol=5e-3 * plain.cube.values.max())


def test_build__a_grid_of_fiducials(few):
    scene, cuts, _ = few
    made = solve(scene, cuts, QUICK.model_copy(update={"grid": 2, "per_fiducial": 20})).cube
    assert made.values.shape[:2] == (2, 2)
    assert list(made.fx) == [X_START, X_START + 109]
    assert list(made.fy) == [Y_START, Y_START + 109]
    assert made.n_samples.min() > 20


# --- what cannot be built ---


def test_error__too_few_stars(few):
    scene, cuts, _ = few
    n = sum(one.x.size for one in cuts)
    with pytest.raises(UnusableError, match=f"calibrate: found {n} images of bright, lonely stars.*, expected 1000"):
        solve(scene, cuts, QUICK.model_copy(update={"least": 1000}))
    none = [one._make(part[:0] for part in one) for one in cuts]
    with pytest.raises(UnusableError, match="found 0 images"):
        solve(scene, none, QUICK)


def test_error__exposures_that_share_no_star(few):
    scene, cuts, _ = few
    apart = [
        cut(taken(dithered(n=4, size=110, stars=130, step=3.0, seed=seed), k), cube(EPSF), QUICK)
        for k, seed in enumerate((1, 12, 13, 14))
    ]
    with pytest.raises(UnusableError, match=r"found \d+ images .* expected"):
        solve(scene, apart, QUICK)


@pytest.mark.parametrize("n", [1, 2])
def test_error__fewer_than_three_exposures_tell_no_epsf_from_positions(few, n):
    scene, cuts, _ = few
    with pytest.raises(
        UnusableError,
        match=rf"found \d+ images of stars in {n} exposures, {n} of which could be placed, "
        "expected stars common to 3 dithered exposures",
    ):
        solve(scene, cuts[:n], QUICK, range(n))


def test_error__exposures_without_dithers(few):
    scene, cuts, _ = few
    with pytest.raises(UnusableError, match=r"same pixel phases in x, .* 1.00 of a single one's bias, .* dithers"):
        solve(scene, [cuts[0]] * 4, QUICK, [0, 0, 0, 0])


def test_build__what_dithers_leave_of_a_bias_stands_beside_every_pass(field):
    passes = field[3].passes
    assert (passes[["damping_x", "damping_y"]] < 0.8).all(axis=None)
    assert (passes[["damping_x", "damping_y"]] > 0).all(axis=None)
