"""From dithered exposures to an ePSF: which stars are cut out and how, and what is solved from them."""

import numpy as np
import pytest

from catalogs.errors import UnusableError
from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stampfit import fit_stamps
from compute.kernels.calibrate.stamps import Stamps
from compute.kernels.spline import coefficients
from compute.settings import CalibrateSettings, EpsfSettings, FrameSettings
from compute.stages.calibrate.build import build
from compute.stages.calibrate.judged import numbers
from compute.stages.calibrate.stars import pool_of
from compute.stages.cutting import HALF, cut
from compute.stages.epsf import epsf
from compute.stages.frame.groups import lay_plane
from tests.analytic import render
from tests.dithers import EPSF, SKY, dithered, rows_of, taken
from tests.stages.synthetic import X_START, Y_START, cube, exposure, noisy

SETTINGS = CalibrateSettings(grid=1, transform="poly2", steps=20)
QUICK = SETTINGS.model_copy(update={"least": 50, "transform": "affine", "half": 4, "passes": 3, "steps": 10})
RESERVED = QUICK.model_copy(update={"reserve": 0.3})
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


@pytest.fixture(scope="module")
def watched(few):
    """The same built with more stars kept out, and a control beside it."""
    scene, cuts, _ = few
    return solve(scene, cuts, RESERVED.model_copy(update={"control": True}))


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
    judged = field[3].judged
    start = numbers(judged[judged["pass"] == 0])
    assert (passes["scatter"] < 0.5 * start["scatter"]).all()
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


def test_passes__say_what_judged_rows_do(few):
    _, _, built = few
    passes, judged = built.passes, built.judged
    assert sorted(set(judged["pass"])) == [0, *passes["pass"]]
    for told in passes.to_dict("records"):
        rows = judged[judged["pass"] == told["pass"]]
        off = np.concatenate([rows["dx"][~rows["reserved"]], rows["dy"][~rows["reserved"]]])
        assert told["scatter"] == 1.4826 * np.median(np.abs(off))
        assert told["reserved"] == rows["reserved"].sum()
    before, after = (numbers(judged[judged["pass"] == k]) for k in (0, 3))
    assert before["phase_x"] > 0.02  # light centres of undersampled stars [pix]
    assert after["phase_x"] < 0.1 * before["phase_x"]
    assert np.isnan(after["phase_worst"])  # too few stars for parts of the field
    rows = judged[judged["pass"] == 3]
    images = rows.groupby("star")
    assert (images["exposure"].nunique() == images.size()).all()
    assert (images["reserved"].nunique() == 1).all()


def test_samplings__lie_on_the_model_within_their_errors(few):
    found = few[2].samplings
    assert set(found["axis"]) == {"x", "y"}
    near = found[found["offset"].abs() < 4]
    pull = (near["value"] - near["model"]) / near["error"]
    assert 0.7 < 1.4826 * pull.abs().median() < 1.5  # positions and fluxes have errors of their own
    core = found[found["offset"].abs() < 0.1]
    assert core["model"].median() == pytest.approx(EPSF(0.0, 0.0), rel=0.05)


# --- stars kept out, and stars too many ---


def test_reserved__their_pixels_are_never_in_the_epsf(few, watched):
    """Beyond the middle 5x5 pixels, from which positions and fluxes come, anything may stand there."""
    scene, cuts, _ = few
    kept = watched.judged[(watched.judged["pass"] == 0) & watched.judged["reserved"]]
    assert 20 < len(kept) < 200
    spoilt, outer = [], np.ones((2 * HALF + 1,) * 2, bool)
    outer[HALF - 2 : HALF + 3, HALF - 2 : HALF + 3] = False
    for k, one in enumerate(cuts):
        mine, light = kept[kept["exposure"] == k], one.light.copy()
        gap = np.hypot(one.x_pixel[:, None] - mine["x"].to_numpy(), one.y_pixel[:, None] - mine["y"].to_numpy())
        light[gap.min(1) < 1.5] *= np.where(outer, 7, 1)
        spoilt.append(one._replace(light=light))
    found = solve(scene, spoilt, RESERVED)
    assert found.cube.values.tobytes() == watched.cube.values.tobytes()
    assert found.control is None


def test_reserved__judge_as_well_as_the_used(watched):
    last = watched.passes.iloc[-1]
    assert last["reserved"] > 20
    assert last["scatter_reserved"] < 1.6 * last["scatter"]
    assert last["qfit_reserved"] < 1.6 * last["qfit"]


def test_most__the_brightest_of_every_region_evenly_over_exposures(few):
    scene, cuts, _ = few
    settings = QUICK.model_copy(update={"grid": 2, "most": 40})
    pool = pool_of(iter(cuts), rows_of(scene), settings)
    left, below = pool.x_pixel < X_START + 54.5, pool.y_pixel < Y_START + 54.5
    counts = np.bincount(pool.exposure * 4 + 2 * left + below)
    assert (counts == 10).all()
    for k, one in enumerate(cuts):
        region = 2 * (one.x_pixel < X_START + 54.5) + (one.y_pixel < Y_START + 54.5)
        bright = np.concatenate([-np.sort(-one.flux[region == r])[:10] for r in range(4)])
        kept = np.isin(one.flux, bright)
        np.testing.assert_array_equal(one.light[kept], pool.light[pool.exposure == k])


# --- solvers ---


@pytest.mark.parametrize("solver", ["direct", "averaging"])
def test_solver__the_others_come_near_the_truth_too(few, solver):
    scene, cuts, _ = few
    built = solve(scene, cuts, QUICK.model_copy(update={"solver": solver, "passes": 4}))
    true = EPSF.table(4)
    error = np.abs(built.cube.values[0, 0] - true).max() / true.max()
    assert error < 0.025  # 350 images; how they are weighted changes it by 0.002
    start = numbers(built.judged[built.judged["pass"] == 0])
    assert built.passes["phase_x"].iloc[-1] < 0.15 * start["phase_x"]


def test_control__own_positions_keep_the_bias_that_averages_take_away(watched):
    assert list(watched.control.columns) == list(watched.judged.columns)
    amplitude = [
        [numbers(rows)["phase_x"] for _, rows in table.groupby("pass")] for table in (watched.control, watched.judged)
    ]
    assert amplitude[0][2] > 0.6 * amplitude[0][0]
    assert amplitude[1][2] < 0.3 * amplitude[1][0]


# --- what cannot be built ---


def test_error__too_few_stars(few):
    scene, cuts, _ = few
    n = sum(one.x.size for one in cuts)
    with pytest.raises(
        UnusableError, match=f"found {n} images of bright, lonely stars in 4 exposures, expected 1000 images"
    ):
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
