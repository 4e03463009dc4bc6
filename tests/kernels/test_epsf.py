"""The pieces an ePSF is built from: smoothing, centring, scale, and evenness over pixel phases."""

import numpy as np
import pytest
from scipy.ndimage import shift

from compute.kernels.calibrate import epsf
from compute.kernels.measure.chain import draw
from tests.analytic import AnalyticEpsf
from tests.kernels.fitting import EPSF, frame, lattice, model_of

# Anderson & King 2000, eq. 8, the quartic through 5x5 points; the printed table errs in places and does not sum to 1.
CORNER, BESIDE, SIDE = 0.041632, -0.080816, 0.078368
DIAGONAL, ADJACENT, MIDDLE = -0.019592, 0.200816, 0.441632
QUARTIC = np.array([
    [CORNER, BESIDE, SIDE, BESIDE, CORNER],
    [BESIDE, DIAGONAL, ADJACENT, DIAGONAL, BESIDE],
    [SIDE, ADJACENT, MIDDLE, ADJACENT, SIDE],
    [BESIDE, DIAGONAL, ADJACENT, DIAGONAL, BESIDE],
    [CORNER, BESIDE, SIDE, BESIDE, CORNER],
])  # fmt: skip


def half_pixel_asymmetry(table):
    """psi(0.5, 0) - psi(-0.5, 0) and the same in y, in units of the peak."""
    c = table.shape[0] // 2
    return np.array([table[c, c + 2] - table[c, c - 2], table[c + 2, c] - table[c - 2, c]]) / table.max()


def phase_sums(table):
    """Sum within 5 pix of a star at each of the 16 phases."""
    u = (np.arange(101) - 50) / 4
    inside = np.hypot(u, u[:, None]) <= 5.5
    kept = np.where(inside, table, 0.0)
    return np.array([kept[(50 + b) % 4 :: 4, (50 + a) % 4 :: 4].sum() for b in range(4) for a in range(4)])


def test_smoothing__quartic_of_anderson_and_king():
    # Six printed digits, some of them cut off.
    np.testing.assert_allclose(epsf.smoothing_kernel(5, 4), QUARTIC, atol=1e-6)


@pytest.mark.parametrize(("size", "degree"), [(5, 4), (5, 2), (7, 1)])
def test_smoothing__leaves_polynomials_of_its_degree_alone(size, degree):
    kernel = epsf.smoothing_kernel(size, degree)
    j, i = np.mgrid[:size, :size] - size // 2
    for a in range(degree + 1):
        for b in range(degree + 1 - a):
            assert (kernel * i**a * j**b).sum() == pytest.approx(1.0 if a == b == 0 else 0.0, abs=1e-11)


def test_smooth__takes_noise_away_and_keeps_a_well_sampled_core():
    truth = AnalyticEpsf(sigmas=(0.8, 1.8, 3.5)).table()
    noise = np.random.default_rng(1).normal(0.0, 0.01 * truth.max(), truth.shape)
    clean, noisy = epsf.smooth(truth, 4), epsf.smooth(truth + noise, 4)
    # A quartic over 5 samples of a Gaussian of 3.2 samples errs by its sixth derivative: under a thousandth.
    assert abs(clean - truth).max() < 1e-3 * truth.max()
    # The kernels' noise gains are sqrt(0.44) in the core and 1 / 7 in the wings.
    v, u = np.indices(truth.shape) - 50
    r = np.hypot(u, v) / 4
    assert (noisy - clean)[r < 2].std() == pytest.approx(np.sqrt(0.4416) * 0.01 * truth.max(), rel=0.15)
    assert (noisy - clean)[r > 7].std() == pytest.approx(0.01 / 7 * truth.max(), rel=0.15)


@pytest.mark.parametrize("off", [(0.3, -0.2), (1.0, 0.0), (-1.7, 1.2)])
def test_recentre__brings_a_shifted_table_back(off):
    moved = shift(EPSF.table(), off, order=5, mode="nearest")
    assert abs(half_pixel_asymmetry(moved)).max() > 0.05
    back = epsf.recentre(moved, 4)
    # The convention itself, A&K 2000 eq. 9: 1e-4 of a pixel where the flanks fall by 2 peaks per pixel.
    assert abs(half_pixel_asymmetry(back)).max() < 2e-4
    # What shifting twice by splines costs a core of 2 samples.
    np.testing.assert_allclose(back, EPSF.table(), atol=5e-3 * EPSF.table().max())


def test_recentre__leaves_a_centred_table_as_it_is():
    table = EPSF.table()
    assert epsf.recentre(table, 4) is table


@pytest.mark.parametrize("oversampling", [2, 4, 5])
def test_normalise__unit_sum_within_five_pixels_of_a_centred_star(oversampling):
    table = epsf.normalise(7.0 * EPSF.table(oversampling), oversampling)
    c = table.shape[0] // 2
    j, i = np.mgrid[-6:7, -6:7]
    inside = np.hypot(i, j) <= 5.0
    assert table[c + oversampling * j[inside], c + oversampling * i[inside]].sum() == pytest.approx(1.0, abs=1e-14)
    # The scene's ePSF keeps the same convention.
    np.testing.assert_allclose(table, EPSF.table(oversampling), rtol=1e-12)


def test_even_phases__every_phase_holds_the_same_light():
    v, u = np.indices((101, 101))
    uneven = EPSF.table() * (1.0 + 0.02 * np.sin(2 * np.pi * u / 4) + 0.03 * np.cos(2 * np.pi * v / 4))
    before, after = phase_sums(uneven), phase_sums(epsf.even_phases(uneven, 4))
    assert np.ptp(before) > 0.04
    assert np.ptp(after) < 1e-12
    assert after.mean() == pytest.approx(before.mean(), rel=1e-12)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5])
def test_gaussian__is_centred_scaled_and_falls_outwards(sigma):
    table = epsf.gaussian_table(sigma, 4, 101)
    assert epsf.pixel_sum(table, 4, 5.0) == pytest.approx(1.0, abs=1e-14)
    assert (table == table.T).all()
    assert (np.diff(table[50, 50:]) < 0).all()


@pytest.mark.parametrize("amplitudes", [(0.05, 0.0), (-0.04, 0.015), (0.0, 0.02)])
def test_phases__a_sine_bias_is_undone(amplitudes):
    rng = np.random.default_rng(2)
    true = rng.uniform(0.0, 1000.0, 20000)
    measured = true - amplitudes[0] * np.sin(2 * np.pi * true) - amplitudes[1] * np.sin(4 * np.pi * true)
    flat = measured
    for _ in range(12):
        flat = epsf.flatten_phases(flat, epsf.phase_harmonics(flat))
    # 20000 stars tell the harmonics to 0.0016 and 0.0008 pix; third ones, of the order of pi a^2 = 0.008, stay.
    assert abs(flat - true).max() < 0.01
    assert abs(measured - true).max() > 0.019


def test_phases__few_unbiased_stars_are_hardly_moved():
    rng = np.random.default_rng(4)
    first = np.array([epsf.phase_harmonics(rng.uniform(0.0, 1000.0, 100))[0] for _ in range(500)])
    noise = 1.0 / (np.sqrt(200.0) * np.pi)
    # Two thirds of chance amplitudes lie below one sigma and become nothing; the others shrink.
    assert (first == 0.0).mean() == pytest.approx(0.683, abs=0.06)
    assert first.std() < 0.75 * noise


def test_phases__evenly_spread_stars_are_not_moved():
    assert epsf.phase_harmonics(np.arange(1000) * 0.01) == (0.0, 0.0)


def test_average__residuals_against_a_wrong_table_are_what_it_lacks():
    x, y, shape = lattice(30, step=30, seed=3)
    truth, guess = model_of(), model_of(AnalyticEpsf(sigmas=(0.6, 1.3, 3.0)))
    flux = np.full(x.size, 1e5)
    blank = frame(np.zeros(shape), floor=1.0)
    maps = frame(draw(blank, truth, x, y, flux), floor=1.0)
    mean, count = np.zeros((1, 101, 101)), np.zeros((1, 101, 101))
    epsf.average_residuals(
        maps.image, draw(blank, guess, x, y, flux), *maps[1:], x, y, flux, np.zeros(x.size),
        np.zeros(x.size, np.int64), 4, 10, 4, mean, count,
    )  # fmt: skip
    lacking = EPSF.table() - AnalyticEpsf(sigmas=(0.6, 1.3, 3.0)).table()
    inner = slice(22, 79)
    # 900 samplings spread over 16 phases, four of which a point takes in.
    assert np.median(count[0, inner, inner]) == pytest.approx(900 / 4, rel=0.2)
    # Averaging over half a sample either way blunts the core; the shape and size of the correction stand.
    assert abs(mean[0] - lacking)[inner, inner].max() < 0.25 * abs(lacking).max()
    assert mean[0, 50, 50] == pytest.approx(lacking[50, 50], rel=0.25)
