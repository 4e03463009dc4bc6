"""Stamps evaluated and gathered; ePSF and positions solved together, against dense algebra and known truth."""

import numpy as np
import pytest

from compute.kernels.calibrate.epsf import gaussian_table
from compute.kernels.calibrate.joint import Links, Table, solve
from compute.kernels.calibrate.stamps import Stamps, gather_stamps, sample_stamps, shine_stamps
from compute.kernels.spline import coefficients, evaluate, taps

MIDDLE = np.array([500.0])
FIDUCIALS = np.array([0.0, 1000.0])


def sampled(coef, fx, fy, oversampling, order, x, y, at_x, at_y, side):
    """The ePSF and its gradients on stamps."""
    out = np.empty((3, x.size, side, side))
    sample_stamps(coef, fx, fy, oversampling, taps(order), x, y, at_x, at_y, *out)
    return out


@pytest.fixture(scope="module")
def random_table():
    rng = np.random.default_rng(1)
    return rng.normal(size=(2, 2, 61, 61)), *rng.uniform(-0.8, 0.8, (2, 30)), *rng.uniform(0, 1000, (2, 30))


def test_sample__agrees_with_the_fitter_pixel_by_pixel(random_table):
    coef, x, y, at_x, at_y = random_table
    psi, _, _ = sampled(coef, FIDUCIALS, FIDUCIALS, 4, 3, x, y, at_x, at_y, 9)
    j, i = np.mgrid[-4:5, -4:5]
    for k in range(5):
        there = np.full(81, at_x[k]), np.full(81, at_y[k])
        plain = evaluate(coef, FIDUCIALS, FIDUCIALS, 4, taps(3), *there, (i - x[k]).ravel(), (j - y[k]).ravel())
        np.testing.assert_allclose(psi[k].ravel(), plain, atol=1e-12)


def test_shine__is_the_value_without_the_gradients(random_table):
    coef, x, y, at_x, at_y = random_table
    psi, _, _ = sampled(coef, FIDUCIALS, FIDUCIALS, 4, 3, x, y, at_x, at_y, 9)
    for table, fiducials in ((coef, FIDUCIALS), (coef[:1, :1], MIDDLE)):
        value, (psi, _, _) = np.empty_like(psi), sampled(table, fiducials, fiducials, 4, 3, x, y, at_x, at_y, 9)
        shine_stamps(table, fiducials, fiducials, 4, taps(3), x, y, at_x, at_y, value)
        np.testing.assert_allclose(value, psi, atol=1e-12)


def test_sample__gradients_are_those_of_a_moved_star(random_table):
    coef, x, y, at_x, at_y = random_table
    psi, gx, gy = sampled(coef, FIDUCIALS, FIDUCIALS, 4, 5, x, y, at_x, at_y, 9)
    h = 1e-6
    right, _, _ = sampled(coef, FIDUCIALS, FIDUCIALS, 4, 5, x + h, y, at_x, at_y, 9)
    up, _, _ = sampled(coef, FIDUCIALS, FIDUCIALS, 4, 5, x, y + h, at_x, at_y, 9)
    np.testing.assert_allclose((right - psi) / h, gx, atol=2e-4)  # second derivatives of some 100 times half of h
    np.testing.assert_allclose((up - psi) / h, gy, atol=2e-4)


def test_sample__stamps_beyond_the_table_or_without_a_position_are_dark():
    coef = np.ones((1, 1, 21, 21))
    x = np.array([0.0, np.nan, 50.0])
    psi, _, _ = sampled(coef, MIDDLE, MIDDLE, 4, 3, x, 0 * np.nan_to_num(x), x * 0, x * 0, 9)
    assert psi[0, 4, 4] == pytest.approx(1.0)
    assert psi[0, 0, 0] == 0.0  # the table reaches 2.5 pix
    assert (psi[1:] == 0).all()


@pytest.mark.parametrize("order", [3, 5])
def test_gather__is_the_transpose_of_sampling(random_table, order):
    coef, x, y, at_x, at_y = random_table
    psi, _, _ = sampled(coef, FIDUCIALS, FIDUCIALS, 4, order, x, y, at_x, at_y, 9)
    pixels, out = np.random.default_rng(2).normal(size=psi.shape), np.zeros_like(coef)
    gather_stamps(pixels, FIDUCIALS, FIDUCIALS, 4, taps(order), x, y, at_x, at_y, out)
    assert np.vdot(pixels, psi) == pytest.approx(np.vdot(out, coef), rel=1e-12)


def test_solve__is_the_least_squares_solution_of_all_unknowns_at_once():
    rng = np.random.default_rng(3)
    n, side, stars, each = 25, 5, 6, 4
    k = stars * each
    table = Table(coefficients(gaussian_table(0.7, 4, n)[None, None], 3), MIDDLE, MIDDLE, 4, 3)
    x, y = rng.uniform(-0.4, 0.4, (2, k))
    psi, gx, gy = sampled(table.coef, MIDDLE, MIDDLE, 4, 3, x, y, x * 0, x * 0, side)
    flux = np.repeat(rng.uniform(5e3, 2e4, stars), each)
    light = flux[:, None, None] * psi + rng.normal(0, 30, psi.shape)
    weight = rng.uniform(0.5, 1.5, psi.shape) / 900 * (rng.random(psi.shape) > 0.1)
    slope, gain, slack = rng.normal(0, 0.1, (k, 2, 2)) + np.eye(2), rng.uniform(0.9, 1.1, k), 0.02
    stamps = Stamps(light.astype(np.float32), weight.astype(np.float32), x, y, flux, 0 * x, 0 * x)
    links = Links(np.arange(stars + 1) * each, slope, gain, slack)
    stiffness = np.full((n, n), 1e-3)
    found = solve(table, stamps, links, stiffness, radius=3.0, tolerance=1e-9, steps=2000)

    # Unknowns: coefficients, (X, Y, F) of each star, (x, y) of each stamp; rows: pixels, slack, stiffness.
    pixels = k * side * side
    design = np.zeros((pixels, n * n + 3 * stars + 2 * k))
    for c in range(n * n):
        unit = np.zeros((1, 1, n, n))
        unit.flat[c] = 1.0
        design[:, c] = (flux[:, None, None] * sampled(unit, MIDDLE, MIDDLE, 4, 3, x, y, 0 * x, 0 * x, side)[0]).ravel()
    for s in range(k):
        rows, star = slice(s * side**2, (s + 1) * side**2), n * n + 3 * (s // each)
        own = flux[s] * np.stack([gx[s].ravel(), gy[s].ravel()], 1)
        design[rows, star : star + 2] = own @ slope[s]
        design[rows, star + 2] = gain[s] * psi[s].ravel()
        design[rows, n * n + 3 * stars + 2 * s : n * n + 3 * stars + 2 * s + 2] = own
    w = stamps.weight.ravel().astype(float)
    normal = design.T @ (w[:, None] * design)
    right = design.T @ (w * (stamps.light - flux[:, None, None] * psi).ravel())
    normal[range(-2 * k, 0), range(-2 * k, 0)] += 1 / slack**2
    curvature = np.zeros((1, 1, n, n))
    gather_stamps(flux[:, None, None] ** 2 * stamps.weight, MIDDLE, MIDDLE, 4, taps(3), x, y, 0 * x, 0 * x, curvature)
    curvature *= 0.2
    spring = 1e-3 * np.median(curvature[curvature > 0.3 * curvature.max()])
    bend = np.diff(np.eye(n), 2, axis=0)
    rough = spring * (np.kron(np.eye(n), bend.T @ bend) + np.kron(bend.T @ bend, np.eye(n)))
    normal[: n * n, : n * n] += rough
    right[: n * n] -= rough @ table.coef.ravel()
    offset = np.arange(n) - n // 2
    held = (np.hypot(offset, offset[:, None]) <= 12.0).ravel()
    border = np.concatenate([held, np.zeros(3 * stars + 2 * k)])[:, None]  # the held sum, by a multiplier
    dense = np.linalg.solve(np.block([[normal, border], [border.T, np.zeros((1, 1))]]), np.append(right, 0.0))[:-1]
    np.testing.assert_allclose(found.coef.ravel(), dense[: n * n], atol=2e-5 * np.abs(dense[: n * n]).max())  # float32
    np.testing.assert_allclose(found.star[:, :2], dense[n * n :][: 3 * stars].reshape(-1, 3)[:, :2], atol=1e-6)
    assert abs(found.coef.ravel()[held].sum()) < 1e-12


def test_solve__without_links_is_the_least_squares_solution_for_the_epsf_alone():
    rng = np.random.default_rng(7)
    n, side, k = 25, 5, 40
    table = Table(coefficients(gaussian_table(0.7, 4, n)[None, None], 3), MIDDLE, MIDDLE, 4, 3)
    x, y, flux = *rng.uniform(-0.4, 0.4, (2, k)), rng.uniform(5e3, 2e4, k)
    psi, _, _ = sampled(table.coef, MIDDLE, MIDDLE, 4, 3, x, y, 0 * x, 0 * x, side)
    light = 1.1 * flux[:, None, None] * psi + rng.normal(0, 30, psi.shape)  # brighter: no sum is held
    stamps = Stamps(light.astype(np.float32), np.full(psi.shape, 1 / 900, np.float32), x, y, flux, 0 * x, 0 * x)
    found = solve(table, stamps, None, np.full((n, n), 1e-3), radius=3.0, tolerance=1e-9, steps=2000)

    design = np.zeros((psi.size, n * n))
    for c in range(n * n):
        unit = np.zeros((1, 1, n, n))
        unit.flat[c] = 1.0
        design[:, c] = (flux[:, None, None] * sampled(unit, MIDDLE, MIDDLE, 4, 3, x, y, 0 * x, 0 * x, side)[0]).ravel()
    curvature = np.zeros((1, 1, n, n))
    per_pixel = np.tile(flux[:, None, None] ** 2 / 900, (1, side, side))
    gather_stamps(per_pixel, MIDDLE, MIDDLE, 4, taps(3), x, y, 0 * x, 0 * x, curvature)
    curvature *= 0.2
    spring = 1e-3 * np.median(curvature[curvature > 0.3 * curvature.max()])
    bend = np.diff(np.eye(n), 2, axis=0)
    rough = spring * (np.kron(np.eye(n), bend.T @ bend) + np.kron(bend.T @ bend, np.eye(n)))
    right = design.T @ (stamps.light - flux[:, None, None] * psi).ravel() / 900 - rough @ table.coef.ravel()
    dense = np.linalg.lstsq(design.T @ design / 900 + rough, right, rcond=None)[0]
    assert found.star.shape == (0, 3)
    seen = curvature.ravel() > 0.01 * curvature.max()  # others are only held by their neighbours, loosely
    np.testing.assert_allclose(found.coef.ravel()[seen], dense[seen], atol=1e-4 * np.abs(dense[seen]).max())


@pytest.fixture(scope="module")
def dithered_stars():
    """Nine dithered images of 200 bright stars of a narrow ePSF, and where they are."""
    rng = np.random.default_rng(4)
    stars, each, half = 200, 9, 5
    fine = coefficients(gaussian_table(0.55, 8, 121)[None, None], 5)
    place, star = rng.uniform(0, 100, (2, stars)), np.repeat(np.arange(stars), each)
    dither = np.tile(rng.uniform(0, 1, (2, each)) + [np.arange(each) * 3.3, np.arange(each) * 2.7], stars)
    x, y = place[:, star] + dither
    flux = 10 ** rng.uniform(4.2, 5.5, stars)
    psi = sampled(fine, MIDDLE, MIDDLE, 8, 5, x - np.rint(x), y - np.rint(y), 0 * x, 0 * x, 2 * half + 1)[0]
    variance = flux[star][:, None, None] * psi + 100.0
    light = variance - 100.0 + rng.normal(0, np.sqrt(variance))
    return place, flux, star, dither, light, variance, fine


def test_joint__from_centroids_to_the_truth_in_three_updates(dithered_stars):
    place, flux, star, dither, light, variance, fine = dithered_stars
    stars, each, half = len(flux), 9, 5
    core = np.clip(light[:, half - 1 : half + 2, half - 1 : half + 2], 0, None)
    step, total = np.arange(-1, 2), core.sum((1, 2))
    middle = np.rint(place[:, star] + dither)
    seen = middle + np.array([(core.sum(1) * step).sum(1), (core.sum(2) * step).sum(1)]) / total - dither
    at = np.array([np.bincount(star, axis, stars) / each for axis in seen])
    light_of = np.bincount(star, light.sum((1, 2)), stars) / each
    assert np.std(at - place) > 0.009  # centroids average to no better than this
    n = int(2 * 6.5 * 4) + 1
    radius = np.hypot(*(np.mgrid[:n, :n] - n // 2)) / 4
    table = Table(coefficients(gaussian_table(0.8, 4, n)[None, None], 3), MIDDLE, MIDDLE, 4, 3)
    links = Links(np.arange(stars + 1) * each, np.tile(np.eye(2), (star.size, 1, 1)), np.ones(star.size), 0.003)
    for _ in range(3):
        x, y = at[:, star] + dither - middle
        stamps = Stamps(light.astype(np.float32), (1 / variance).astype(np.float32), x, y, light_of[star], 0 * x, 0 * x)
        update = solve(table, stamps, links, 1e-6 * (1 + radius**6), radius=5.0, tolerance=1e-3, steps=60)
        table = table._replace(coef=table.coef + update.coef)
        at, light_of = at + update.star[:, :2].T, light_of + update.star[:, 2]
    scatter = np.std(at - place, axis=1)  # without the mean: the centre of an ePSF is a convention
    assert (scatter < 0.0025).all()  # photons alone allow 0.0016
    shift = np.mean(at - place, axis=1)
    j, i = np.mgrid[-8:9, -8:9] / 4.0
    where = (i.ravel() - shift[0]) * 1.0, (j.ravel() - shift[1]) * 1.0
    true = evaluate(fine, MIDDLE, MIDDLE, 8, taps(5), 0 * where[0], 0 * where[0], i.ravel(), j.ravel())
    ours = evaluate(table.coef, MIDDLE, MIDDLE, 4, taps(3), 0 * where[0], 0 * where[0], *where)
    ours *= true.sum() / ours.sum()  # its scale is one, too
    assert np.abs(ours - true).max() < 0.004 * true.max()  # 1 800 images of S/N 120 to 560: noise of a fifth of this


def test_joint__threads_change_nothing(dithered_stars):
    place, flux, star, dither, light, variance, _ = dithered_stars
    x, y = place[:, star] + dither - np.rint(place[:, star] + dither)
    table = Table(coefficients(gaussian_table(0.8, 4, 53)[None, None], 3), MIDDLE, MIDDLE, 4, 3)
    stamps = Stamps(light.astype(np.float32), (1 / variance).astype(np.float32), x, y, flux[star], 0 * x, 0 * x)
    links = Links(np.arange(len(flux) + 1) * 9, np.tile(np.eye(2), (star.size, 1, 1)), np.ones(star.size), 0.01)
    stiffness = np.full((53, 53), 1e-4)
    one, two = (
        solve(table, stamps, links, stiffness, radius=5.0, tolerance=1e-2, steps=5, threads=threads)
        for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.coef, two.coef)
    np.testing.assert_array_equal(one.star, two.star)
