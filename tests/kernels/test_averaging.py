"""Averages of residuals about grid points against a plain reference, and ePSFs made from them against known truth."""

import numpy as np
import pytest

from compute.kernels.calibrate.averaging import _Region, average
from compute.kernels.calibrate.epsf import gaussian_table
from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stampfit import conform, samples
from compute.kernels.calibrate.stamps import Stamps, sample_stamps
from compute.kernels.spline import coefficients
from tests.analytic import AnalyticEpsf

N, HALF = 2 * int(4 * 6.5) + 1, 5
MIDDLE, ENDS = np.array([500.0]), np.array([0.0, 1000.0])
WIDE = AnalyticEpsf(tilt=0.2, span=1000.0)


def gaussian(fx=MIDDLE, fy=MIDDLE, sigma=0.8):
    values = np.tile(gaussian_table(sigma, 4, N), (fy.size, fx.size, 1, 1))
    return Table(coefficients(values, 3), fx, fy, 4, 3)


def stamps_of(epsf, k, seed=1, at=None, noise=True):
    """Stars of S/N 60 to 400 at known places, `at` columns of the detector."""
    rng = np.random.default_rng(seed)
    x, y, flux = *rng.uniform(-0.5, 0.5, (2, k)), 10 ** rng.uniform(4.0, 5.3, k)
    at = np.full(k, 500.0) if at is None else at
    j, i = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]
    light = np.array([f * epsf(i - a, j - b, c) for a, b, f, c in zip(x, y, flux, at, strict=True)])
    variance = light + 100.0
    light += rng.normal(0, np.sqrt(variance)) * noise
    return Stamps(light.astype(np.float32), (1 / variance).astype(np.float32), x, y, flux, at, np.full(k, 500.0))


def plain(table, stamps):
    """Clipped means about all grid points, star by star and point by point."""
    psi, gx, gy = (np.empty(stamps.light.shape) for _ in range(3))
    where = (stamps.x, stamps.y, stamps.at_x, stamps.at_y)
    sample_stamps(table.coef, table.fx, table.fy, 4, table.taps, *where, psi, gx, gy)
    flux = stamps.flux[:, None, None]
    residual, weight = stamps.light / flux - psi, stamps.weight * flux**2
    side = np.arange(-HALF, HALF + 1.0)
    u = np.floor((side - stamps.x[:, None, None]) * 4) + 0 * psi
    v = np.floor((side[:, None] - stamps.y[:, None, None]) * 4) + 0 * psi
    out = np.zeros((N, N))
    for b, a in np.ndindex(N, N):
        if b % 4:
            continue  # slow
        near = ((u == a - N // 2) | (u == a - N // 2 - 1)) & ((v == b - N // 2) | (v == b - N // 2 - 1)) & (weight > 0)
        r, w, kept = residual[near], weight[near], np.ones(near.sum(), bool)
        for _ in range(4):
            if not kept.any():
                break
            out[b, a] = np.average(r[kept], weights=w[kept])
            sigma = np.sqrt(np.average((r[kept] - out[b, a]) ** 2, weights=w[kept]))
            kept = np.abs(r - out[b, a]) <= 2.5 * sigma
    return out


def core_error(table, x=500.0):
    """The largest error within 1.5 pix, over the peak, of a conformed table of one place."""
    found, true = samples(conform(table, 5.0))[0], WIDE.table(4, (N - 1) / 8, x)
    near = np.hypot(*(np.mgrid[:N, :N] - N // 2)) < 6
    return np.abs(found - true)[..., near].max(-1) / true.max()


def test_mean__as_point_by_point():
    table, stamps = gaussian(), stamps_of(WIDE, 30)
    stamps.light[7, 3, 3] += 1e5
    stamps.weight[9, 5, 5] = 0.0
    mean = _Region(table, stamps, np.arange(30)).mean(table)
    np.testing.assert_allclose(mean[::4], plain(table, stamps)[::4], atol=1e-7)  # samplings are kept in float32
    assert (mean == 0).sum() > 100  # beyond the stamps


def test_average__the_truth_from_samplings_at_true_places():
    made = average(gaussian(), stamps_of(WIDE, 2000))
    assert core_error(made)[0] < 0.012  # what a quartic on 5x5 points blunts, and noise; 0.3 at the start
    assert core_error(gaussian())[0] > 0.1


def test_average__five_rounds_go_on_where_one_leaves_off():
    stamps = stamps_of(WIDE, 500)
    one, again = average(gaussian(), stamps, rounds=1), gaussian()
    for _ in range(5):
        again = average(again, stamps, rounds=1)
    np.testing.assert_allclose(again.coef, average(gaussian(), stamps, rounds=5).coef, atol=1e-9)
    assert core_error(again)[0] < core_error(one)[0]


def test_average__each_fiducial_from_its_region_and_stars_against_the_epsf_at_their_place():
    """The ePSF is 20 % wider at the right; stars stand everywhere between the fiducials."""
    at = np.random.default_rng(5).uniform(0, 1000, 3000)
    made = average(gaussian(ENDS, MIDDLE), stamps_of(WIDE, 3000, at=at), rounds=12)
    for k, x in enumerate(ENDS):
        one = made._replace(coef=made.coef[:, k : k + 1], fx=MIDDLE)
        assert core_error(one, x)[0] < 0.02
    blind = average(gaussian(), stamps_of(WIDE, 3000, at=at), rounds=12)  # one for all
    assert core_error(blind, 0.0)[0] > 0.05


def test_average__outliers_and_useless_stamps_do_no_harm():
    clean = stamps_of(WIDE, 800)
    other = clean._replace(**{name: getattr(clean, name).copy() for name in clean._fields})
    hit = np.random.default_rng(3).integers(0, 121, 80)
    other.light.reshape(800, -1)[np.arange(80), hit] += 0.3 * other.flux[:80]
    other.x[90], other.flux[91], other.weight[92], other.flux[93] = np.nan, 0.0, 0.0, np.nan
    other.light[94], other.weight[94] = np.nan, 0.0
    assert core_error(average(gaussian(), other))[0] < 1.3 * core_error(average(gaussian(), clean))[0] + 0.002


def test_average__a_region_without_stars_stays_nearly_as_it_was():
    stamps = stamps_of(WIDE, 300, at=np.full(300, 10.0))
    made = average(gaussian(ENDS, MIDDLE), stamps, rounds=1)
    before, after = samples(gaussian())[0, 0], samples(made)[0, 1]
    np.testing.assert_allclose(after, before, atol=0.01 * before.max())  # smoothed, no more


@pytest.mark.parametrize("threads", [2, 3])
def test_average__threads_change_nothing(threads):
    at = np.random.default_rng(5).uniform(0, 1000, 300)
    stamps = stamps_of(WIDE, 300, at=at)
    one, two = (average(gaussian(ENDS, MIDDLE), stamps, rounds=2, threads=n) for n in (1, threads))
    np.testing.assert_array_equal(one.coef, two.coef)
