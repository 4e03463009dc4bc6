"""The joint fit against a slow one, and its errors against the scatter of many noisy pairs."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares

from compute.kernels.measure.columns import BAD, COLUMNS, CONVERGED, SATURATED
from compute.kernels.measure.groupfit import fit_groups
from tests.analytic import AnalyticEpsf, render
from tests.kernels.fitting import EPSF, TAPERED, WINDOW, columns, frame, full, lattice, model_of

MODEL = model_of()
SKY, READ_NOISE, TEMPLATE = 100.0, 5.0, 0.01
MIDDLE = (28, 32)  # of a 61x64 frame


def fit(maps, start, *, members=None, was=None, drawn=0.0, sky_error=0.0, half=2, taper=WINDOW, template=TEMPLATE):
    """Groups of `members` stars each, all in one unless told."""
    start = np.array(start, float)
    members = len(start) if members is None else members
    n, first = len(start), np.arange(0, len(start) + 1, members)
    out, chi2 = np.empty((n, len(COLUMNS))), np.empty((first.size - 1, 2))
    was = start * (1, 1, 0) if was is None else was
    fit_groups(
        maps.image, full(drawn, maps.image.shape), *maps[1:], first, was, start, np.full(n, SKY),
        np.full(n, sky_error), *MODEL, half, taper, template, 1e-8, 50, out, chi2,
    )  # fmt: skip
    return columns(out), chi2


class SlowGroup:
    """Several stars on the union of their windows; weights of the model variance, renewed until they settle."""

    def __init__(self, image, stars, half, taper):
        self.table, self.taper = AnalyticEpsf().table(), taper
        windows = [(np.round(y), np.round(x)) for x, y, _ in stars]
        j, i = np.indices(image.shape)
        inside = np.any([(abs(j - b) <= half) & (abs(i - a) <= half) for b, a in windows], axis=0)
        self.i, self.j, self.light = i[inside], j[inside], image[inside].astype(float) - SKY
        p = np.array(stars, float).ravel()
        scale = np.tile([1.0, 1.0, p[2]], len(stars))
        for _ in range(50):
            root = np.sqrt(self.weight(p) / self.variance(p))
            last, p = p, scale * least_squares(
                lambda q, root=root: root * (self.light - self.total(q * scale)), p / scale,
                xtol=1e-10, ftol=1e-12, gtol=1e-12,
            ).x  # fmt: skip
            if (abs(p - last) < 1e-7 * scale).all():
                break
        self.solution = p

    def total(self, p):
        return sum(
            flux * map_coordinates(self.table, [4 * (self.j - y) + 50, 4 * (self.i - x) + 50], order=5)
            for x, y, flux in p.reshape(-1, 3)
        )

    def variance(self, p):
        total = self.total(p)
        return np.maximum(total + SKY, 0.0) + READ_NOISE**2 + (TEMPLATE * total) ** 2

    def weight(self, p):
        inner, outer = self.taper
        if outer <= 0.0:
            return np.ones(self.i.size)
        distance = np.min([np.hypot(self.i - x, self.j - y) for x, y, _ in p.reshape(-1, 3)], axis=0)
        return np.clip((outer - distance) / (outer - inner), 0.0, 1.0)

    def covariance(self, sky_error):
        """Of all parameters: linear propagation of every pixel's variance and of the common sky's."""
        p, v = self.solution, self.variance(self.solution)
        steps = np.diag(np.tile([1e-4, 1e-4, 1.0], p.size // 3))
        d = np.array([(self.total(p + s) - self.total(p - s)) / (2 * s.sum()) for s in steps])
        w = self.weight(p) / v
        gain = np.linalg.inv(d * w @ d.T) @ (d * w)
        return gain * v @ gain.T + sky_error**2 * np.outer(gain.sum(1), gain.sum(1))


SCENES = {
    "pair": [(-1.1, 0.3, 3e4), (0.9, -0.2, 2e4)],
    "faint companion": [(0.2, 0.4, 1e5), (2.6, 1.9, 3e3)],
    "triangle": [(-1.3, -0.4, 2e4), (1.2, -0.9, 3e4), (0.1, 1.7, 2.5e4)],
    "chain of six": [(3.3 * k - 8.2, 1.1 * (k % 2) + 0.15 * k, 1e4 * (1 + k)) for k in range(6)],
}


def scene(name, seed=1):
    """Noisy stars on a frame, and where they truly are, (n, 3)."""
    stars = np.array(SCENES[name]) + (*MIDDLE, 0.0)
    light = render((61, 64), *stars.T, EPSF) + SKY
    rng = np.random.default_rng(seed)
    return rng.poisson(light) + rng.normal(0.0, READ_NOISE, light.shape), stars


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize(("taper", "half"), [(WINDOW, 2), (TAPERED, 2), (WINDOW, 3)], ids=["window", "tapered", "7x7"])
def test_group__agrees_with_a_slow_one(name, taper, half):
    image, stars = scene(name)
    shown = render(image.shape, *stars.T, EPSF)
    how = {"was": stars, "drawn": shown, "taper": taper, "half": half, "sky_error": 2.0}
    found, _ = fit(frame(image, floor=READ_NOISE**2), stars, **how)
    assert (found.state == CONVERGED).all()
    slow = SlowGroup(image, stars, half, taper)
    solution = slow.solution.reshape(-1, 3)
    # A hundredth of the errors. Farther than 7 pix from itself a member stays as drawn.
    np.testing.assert_allclose(found.rows[:, :2], solution[:, :2], atol=1e-4)
    np.testing.assert_allclose(found.flux, solution[:, 2], rtol=3e-4)
    expected = slow.covariance(2.0)
    variances = np.column_stack([found.var_x, found.var_y, found.var_flux])
    np.testing.assert_allclose(variances.ravel(), np.diag(expected), rtol=2e-3)
    cov_xy = np.diag(expected, 1)[::3]
    np.testing.assert_allclose(found.cov_xy, cov_xy, atol=2e-3 * found.var_x.max())


def test_group__stars_that_are_drawn_are_taken_away_first():
    image, stars = scene("triangle")
    fresh, before = fit(frame(image, floor=READ_NOISE**2), stars)
    was = stars + (0.2, -0.3, 1e3)
    shown = render(image.shape, *was.T, EPSF)
    again, after = fit(frame(image, floor=READ_NOISE**2), stars, was=was, drawn=shown)
    # The frame is drawn as single precision and with the true ePSF, which the table's interpolation meets to 1e-5.
    np.testing.assert_allclose(again.rows[:, :2], fresh.rows[:, :2], atol=1e-4)
    np.testing.assert_allclose(again.flux, fresh.flux, rtol=1e-4)
    np.testing.assert_allclose(again.neighbour, fresh.neighbour, atol=1e-4)
    assert after[0, 1] == pytest.approx(before[0, 1], rel=1e-2)
    assert after[0, 0] < before[0, 0]  # as drawn they explain much of the light


def test_group__starts_a_pixel_off():
    image, stars = scene("triangle")
    maps = frame(image, floor=READ_NOISE**2)
    right, _ = fit(maps, stars)
    moved, _ = fit(maps, stars + np.array([(-1.1, 0.3, 9e3), (0.8, -0.8, -9e3), (0.3, 1.0, 5e3)]))
    assert (moved.state == CONVERGED).all()
    # Windows follow, but need not end on the very same pixels; errors are 0.005 pix.
    np.testing.assert_allclose(moved.rows[:, :2], right.rows[:, :2], atol=2e-3)


def test_group__errors_of_close_pairs_hold():
    x, y, shape = lattice(24, step=24, seed=5)
    rng = np.random.default_rng(5)
    turn, flux = rng.uniform(0.0, 2 * np.pi, x.size), 10 ** rng.uniform(3.3, 4.8, x.size)
    one = np.column_stack([x, y, flux])
    other = np.column_stack([x + 2 * np.cos(turn), y + 2 * np.sin(turn), flux * rng.uniform(0.4, 1.0, x.size)])
    truth = np.stack([one, other], axis=1).reshape(-1, 3)
    light = render(shape, *truth.T, EPSF) + SKY
    image = rng.poisson(light) + rng.normal(0.0, READ_NOISE, shape)
    found, _ = fit(frame(image, floor=READ_NOISE**2), truth, members=2, template=0.0)
    assert (found.state == CONVERGED).all()
    pull = (found.rows[:, :3] - truth) / np.sqrt(np.column_stack([found.var_x, found.var_y, found.var_flux]))
    # The scatter of 1152 pulls is known to 2.1 %, a little more as members of a pair are correlated.
    assert pull.std(axis=0) == pytest.approx(1.0, abs=0.07)
    assert pull.mean(axis=0) == pytest.approx(0.0, abs=0.1)
    # Both stars' parameters fit the pixels that windows share: 25 - 5.5 instead of 25 - 3 degrees of freedom.
    assert found.chi2.mean() == pytest.approx(19.5 / 22, abs=0.03)


def test_group__member_without_light_goes_and_the_others_stay():
    image, stars = scene("pair")
    maps = frame(image, floor=READ_NOISE**2)
    alone, _ = fit(maps, stars)
    found, chi2 = fit(maps, [*stars, (stars[0, 0] - 2.5, stars[0, 1] + 2.0, 3e3)])
    assert found.state[2] == 0
    assert np.isnan(found.flux[2])
    np.testing.assert_array_equal(found.rows[:2], alone.rows)
    assert np.isfinite(chi2).all()


def test_group__two_members_in_one_place_cannot_be_told_apart():
    image, stars = scene("pair")
    found, chi2 = fit(frame(image, floor=READ_NOISE**2), [stars[0], stars[0]])
    assert (found.state == 0).all()
    assert np.isnan(chi2).all()


def test_group__bad_pixels_count_nothing_and_are_told():
    image, stars = scene("pair")
    mask = np.zeros(image.shape, np.uint8)
    column, row = np.round(stars[0, :2]).astype(int)
    image[row - 2, column - 2], mask[row - 2, column - 2] = np.nan, BAD
    image[row, column + 4], mask[row, column + 4] = 1e6, SATURATED
    found, _ = fit(frame(image, mask=mask, floor=READ_NOISE**2), stars)
    assert found.n_pix.tolist() == [24, 24]
    assert (found.state.astype(int) & CONVERGED == CONVERGED).all()
    assert (found.state != CONVERGED).all()
    assert (abs(found.rows[:, 0] - stars[:, 0]) < 5 * np.sqrt(found.var_x)).all()
