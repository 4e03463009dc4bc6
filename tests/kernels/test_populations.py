"""Populations: ridge lines, luminosity functions, colours of black bodies, clusters."""

import numpy as np
import pytest
from scipy import constants, stats

from compute.kernels.simulate.populations import (
    CLUMP,
    CLUMP_SHARE,
    RIDGES,
    TEFF_SCATTER,
    colour,
    draw_magnitudes,
    plummer,
    power_law,
)


def rng(seed=5):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", RIDGES)
def test_ridges__one_temperature_for_each_magnitude(kind):
    magnitude, teff = RIDGES[kind].T
    assert np.all(np.diff(magnitude) > 0)
    assert np.all((teff >= 2500) & (teff <= 25000))


def test_ridges__the_turn_off_of_the_old_is_their_hottest_point():
    magnitude, teff = RIDGES["old"].T
    assert magnitude[teff.argmax()] == pytest.approx(3.6)
    assert np.all(np.diff(RIDGES["young"][:, 1]) < 0)


@pytest.mark.parametrize("slope", [0.0, 0.15, 0.4])
def test_power_law__slope_comes_back(slope):
    mag = power_law(20_000, 14.0, 26.0, slope, rng())
    steep = slope * np.log(10)

    def cumulative(m):
        return (m - 14) / 12 if slope == 0 else np.expm1(steep * (m - 14)) / np.expm1(steep * 12)

    assert stats.kstest(mag, cumulative).pvalue > 1e-3
    assert stats.kstest(power_law(20_000, 14.0, 26.0, slope + 0.03, rng()), cumulative).pvalue < 1e-6


def test_draw__magnitudes_lie_between_the_bright_end_and_the_faint_limit():
    mag, teff = draw_magnitudes("young", 50_000, 18.5, 24.0, 0.2, rng())
    assert mag.min() >= 13.5
    assert mag.max() <= 24.0
    ratio = teff / np.interp(mag - 18.5, *RIDGES["young"].T)
    assert ratio.mean() == pytest.approx(1, abs=5 * TEFF_SCATTER / np.sqrt(50_000))
    assert ratio.std() == pytest.approx(TEFF_SCATTER, rel=5 / np.sqrt(100_000))


def test_draw__the_old_have_a_red_clump():
    mag, _ = draw_magnitudes("old", 100_000, 18.5, 25.0, 0.3, rng())
    near = np.abs(mag - 18.5 - CLUMP) < 0.36  # three sigma of the clump
    beside = (np.abs(mag - 18.5 - CLUMP) < 0.72) & ~near  # as wide as `near`; the power law is straight enough
    excess = near.sum() - beside.sum()
    expected = CLUMP_SHARE * 100_000
    assert excess == pytest.approx(expected, abs=5 * np.sqrt(near.sum() + beside.sum()) + 0.01 * expected)


def test_draw__each_star_may_have_its_own_distance():
    modulus = rng().normal(18.5, 0.3, 1000)
    mag, teff = draw_magnitudes("dwarfs", 1000, modulus, 26.0, 0.2, rng(6))
    assert np.all(mag - modulus >= 2)
    ridge = np.interp(mag - modulus, *RIDGES["dwarfs"].T)
    assert teff == pytest.approx(ridge, rel=6 * TEFF_SCATTER)


def test_draw__a_faint_limit_brighter_than_any_star_is_refused():
    with pytest.raises(ValueError, match="faint limit is 12, expected fainter than 13.50"):
        draw_magnitudes("young", 3, 18.5, 12.0, 0.2, rng())


@pytest.mark.parametrize("teff", [3000.0, 5772.0, 24000.0])
@pytest.mark.parametrize("wavelength", [0.28, 0.6, 0.9, 1.5, 4.8])
def test_colour__is_that_of_planck(teff, wavelength):
    def planck(micron):
        nu = constants.c / (micron * 1e-6)
        return nu**3 / np.expm1(constants.h * nu / (constants.k * teff))

    expected = -2.5 * np.log10(planck(wavelength) / planck(0.9))
    assert colour(teff, wavelength) == pytest.approx(expected, abs=1e-6)  # digits of the constant used


def test_colour__temperatures_and_wavelengths_broadcast():
    found = colour(np.array([[3500.0], [24000.0]]), np.array([0.6, 0.9, 1.5]))
    assert np.array_equal(np.sign(found), [[1, 0, -1], [-1, 0, 1]])  # cool stars are red and hot ones blue


def test_plummer__half_of_the_stars_are_within_the_radius():
    dx, dy = plummer(40_000, 12.0, rng())
    distance = np.hypot(dx, dy)
    assert distance.max() <= 120 * (1 + 1e-12)
    # The cut takes 1 of 101 stars, all outside: 0.505 remain inside. Five binomial errors.
    assert np.mean(distance < 12) == pytest.approx(0.505, abs=5 * 0.5 / np.sqrt(40_000))
    assert stats.kstest(distance, lambda r: (101 / 100) * r**2 / (r**2 + 144)).pvalue > 1e-3
    assert stats.kstest(np.arctan2(dy, dx) / (2 * np.pi) % 1, "uniform").pvalue > 1e-3
