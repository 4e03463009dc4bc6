"""Ramps: slopes, variances that tell the scatter, full wells; charge that crowds itself out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from compute.kernels.simulate.ramp import brighter_fatter, expose_ramp, grow

WELL, NOISE, T = 80_000.0, 15.0, 10.0


def rng(seed=1):
    return np.random.default_rng(seed)


def level(rate, side=500):
    return np.full((side, side), rate, np.float32)


@given(arrays(np.float64, (7, 5), elements=st.floats(0, 2e5)), st.floats(0, 0.1))
def test_brighter_fatter__sum_is_kept(charge, strength):
    after = brighter_fatter(charge, strength, WELL)
    assert after.sum() == pytest.approx(charge.sum(), rel=1e-12)
    assert after.min() >= 0


def test_brighter_fatter__sum_of_a_frame_in_single_precision():
    charge = rng().uniform(0, WELL, (500, 500)).astype(np.float32)
    after = brighter_fatter(charge, 0.05, WELL)
    assert after.dtype == np.float32
    # Roundings of up to 0.004 e, eight a pixel, add up at random: 3 e in 1e10.
    assert after.sum(dtype=np.float64) == pytest.approx(charge.sum(dtype=np.float64), rel=3e-9)


@given(arrays(np.float64, (4, 4), elements=st.floats(0, 1e5)))
def test_brighter_fatter__no_strength_is_identity(charge):
    assert np.array_equal(brighter_fatter(charge, 0.0, WELL), charge)


def test_brighter_fatter__lone_pixel_at_full_well_loses_the_strength():
    charge = np.zeros((5, 5))
    charge[2, 2] = WELL
    after = brighter_fatter(charge, 0.02, WELL)
    assert after[2, 2] == pytest.approx(0.98 * WELL)
    assert after[1, 2] == after[3, 2] == after[2, 1] == after[2, 3] == pytest.approx(0.005 * WELL)


def test_brighter_fatter__star_loses_by_its_neighbours():
    charge = np.zeros((5, 5))
    charge[2, 2] = WELL
    charge[[1, 3, 2, 2], [2, 2, 1, 3]] = 0.25 * WELL
    assert brighter_fatter(charge, 0.02, WELL)[2, 2] == pytest.approx((1 - 0.02 * (1 - 0.25**2)) * WELL)


def test_brighter_fatter__loss_grows_with_brightness():
    losses = []
    for peak in (0.1, 1.0):
        charge = np.zeros((3, 3))
        charge[1, 1] = peak * WELL
        losses.append(1 - brighter_fatter(charge, 0.02, WELL)[1, 1] / charge[1, 1])
    assert losses == pytest.approx([0.002, 0.02])


def test_brighter_fatter__level_light_stays():
    assert np.array_equal(brighter_fatter(level(5e4, 9), 0.1, WELL), level(5e4, 9))


@pytest.mark.parametrize("n_groups", [2, 5, 20])
@pytest.mark.parametrize("read_noise", [0.1, 15.0, 60.0])
def test_ramp__scatter_is_the_true_variance(n_groups, read_noise):
    rate = level(100.0 / T)
    ramp = expose_ramp(rate, T, n_groups, WELL, read_noise, rng())
    pulls = (ramp.rate - rate) / np.sqrt(rate / ((n_groups - 1) * T) + ramp.var_rnoise)
    # 250 000 pixels know the mean pull to 0.002 and the rms to 0.0014.
    assert pulls.mean() == pytest.approx(0, abs=0.008)
    assert pulls.std() == pytest.approx(1, abs=0.006)


@pytest.mark.parametrize("electrons", [100, 300, 10_000])
def test_ramp__scatter_is_the_variance_told_from_the_data(electrons):
    rate = level(electrons / (4 * T))
    ramp = expose_ramp(rate, T, 5, WELL, NOISE, rng())
    pulls = (ramp.rate - rate) / np.sqrt(ramp.var_poisson + ramp.var_rnoise)
    # At 100 e the noisy variance widens the pulls by half a percent, more than their rms is uncertain by.
    assert pulls.std() == pytest.approx(1, abs=0.01)


def test_ramp__variance_from_the_data_is_right_on_average():
    ramp = expose_ramp(level(2.5), T, 5, WELL, NOISE, rng())
    assert ramp.var_poisson.mean() == pytest.approx(2.5 / 40, rel=0.002)


def test_ramp__variance_from_the_data_is_too_large_below_the_read_noise():
    ramp = expose_ramp(level(0.05), T, 5, WELL, NOISE, rng())
    assert ramp.var_poisson.min() == 0
    # The mean of a Gaussian cut at zero, of which 250 000 pixels know 0.2 %; 2 e are not quite Gaussian.
    sigma = np.sqrt(0.05 / 40 + float(ramp.var_rnoise[0, 0]))
    cut = sigma * norm.pdf(0.05 / sigma) + 0.05 * norm.cdf(0.05 / sigma)
    assert ramp.var_poisson.mean() == pytest.approx(cut / 40, rel=0.01)
    assert cut > 2 * 0.05


def test_ramp__read_noise_is_that_of_a_least_squares_slope():
    reads = np.random.default_rng(3).normal(0, NOISE / np.sqrt(2), (6, 100_000))
    slopes = np.polyfit(T * np.arange(1, 7), reads, 1)[0]
    ramp = expose_ramp(level(0.0, 4), T, 6, WELL, NOISE, rng())
    # 100 000 slopes know their variance to 0.45 %.
    assert ramp.var_rnoise[0, 0] == pytest.approx(slopes.var(), rel=0.02)


def test_ramp__pair_of_groups_has_the_noise_of_a_pair():
    ramp = expose_ramp(level(0.0, 4), T, 2, WELL, NOISE, rng())
    assert np.allclose(ramp.var_rnoise, (NOISE / T) ** 2)


def test_ramp__bright_pixels_keep_the_groups_within_full_well():
    # Full well after 9, 3, 2, 1.5 and 0.5 groups.
    rate = np.array([[WELL / 9, WELL / 3.01, WELL / 2.01, WELL / 1.5, WELL / 0.5]]) / T
    ramp = expose_ramp(rate, T, 5, WELL, NOISE, rng())
    assert ramp.good_groups.tolist() == [[5, 3, 2, 1, 0]]
    for part in ramp[:3]:
        assert np.isfinite(part).tolist() == [[True, True, True, False, False]]
    assert np.allclose(ramp.var_rnoise[0, :3], 6 * NOISE**2 / (T**2 * np.array([120, 24, 6])))
    assert np.allclose(ramp.var_poisson[0, :3], ramp.rate[0, :3] / (T * np.array([4, 2, 1])))
    # The charge is large: slopes are good to half a percent.
    assert np.allclose(ramp.rate[0, :3], rate[0, :3], rtol=0.025)


def test_ramp__full_well_and_read_noise_may_be_maps():
    wells, noises = np.array([[4.5, 2.5]]), np.array([[10.0, 20.0]])
    ramp = expose_ramp(np.ones((1, 2)), 1.0, 4, wells, noises, rng())
    assert ramp.good_groups.tolist() == [[4, 2]]
    assert np.allclose(ramp.var_rnoise, 6 * noises**2 / [[60, 6]])


def test_ramp__effects_switched_off_leave_the_light():
    rate = np.array([[0.0, 3.0, 1e6]])
    ramp = expose_ramp(rate, T, 5, WELL, NOISE, rng(), photon=False, read=False, saturate=False)
    assert np.array_equal(ramp.rate, rate)
    assert np.all(ramp.good_groups == 5)
    assert np.all(ramp.var_rnoise > 0)


@pytest.mark.parametrize("kind", ["photon", "read"])
def test_ramp__one_noise_alone(kind):
    rate = level(20.0)
    ramp = expose_ramp(rate, T, 5, WELL, NOISE, rng(), photon=kind == "photon", read=kind == "read")
    variance = 20.0 / 40 if kind == "photon" else ramp.var_rnoise[0, 0]
    assert ramp.rate.var(dtype=np.float64) == pytest.approx(variance, rel=0.012)


@pytest.mark.parametrize("n_groups", [0, 1, 256])
def test_ramp__too_few_or_too_many_groups_is_refused(n_groups):
    with pytest.raises(ValueError, match=f"n_groups is {n_groups}"):
        expose_ramp(level(1.0, 4), T, n_groups, WELL, NOISE, rng())


def test_ramp__same_seed_same_slopes():
    first, second = (expose_ramp(level(3.0, 50), T, 5, WELL, NOISE, rng()) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_grow__box_about_a_pixel():
    mask = np.zeros((7, 6), bool)
    mask[0, 4] = True
    for by in (0, 1, 2):
        j, i = np.mgrid[:7, :6]
        assert np.array_equal(grow(mask, by), (np.abs(j) <= by) & (np.abs(i - 4) <= by))
    assert mask.sum() == 1
