"""CCDs: where bleeding and trailing charge goes, noise and its error, the converter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import ndtr

from compute.kernels.simulate.ccd import bleed, ccd_error, digitise, expose_ccd, trail

WELL = 80_000.0


def rng(seed=1):
    return np.random.default_rng(seed)


def test_bleed__spills_both_ways_alike():
    image = np.zeros((11, 3))
    image[5, 1] = 4.5 * WELL
    after, saturated = bleed(image, WELL)
    assert np.allclose(after[:, 1] / WELL, [0, 0, 0, 0.75, 1, 1, 1, 0.75, 0, 0, 0])
    assert saturated[:, 1].nonzero()[0].tolist() == [4, 5, 6]
    assert not after[:, [0, 2]].any()


def test_bleed__passes_over_full_pixels_and_fills_what_room_there_is():
    column = np.array([0, 0.9, 1, 3.0, 1, 0.5, 0.2, 0.0])[:, None] * WELL
    after, saturated = bleed(column, WELL)
    assert np.allclose(after[:, 0] / WELL, [0.9, 1, 1, 1, 1, 1, 0.7, 0])
    assert saturated[:, 0].tolist() == [False, True, True, True, True, True, False, False]


def test_bleed__leaves_the_array_at_its_end():
    image = np.zeros((6, 1))
    image[1] = 7 * WELL
    after, _ = bleed(image, WELL)
    # Three wells each way; one fits below.
    assert np.allclose(after[:, 0] / WELL, [1, 1, 1, 1, 1, 0])


@given(arrays(np.float64, (40, 3), elements=st.floats(0, 0.5 * WELL)), st.floats(0, 8 * WELL))
def test_bleed__charge_is_kept(image, star):
    image[20, 1] += star
    after, saturated = bleed(image, WELL)
    assert after.max() <= WELL
    assert np.array_equal(saturated, after >= WELL)
    # Eight wells need at most 16 half-empty rows about row 20, which are there.
    assert np.allclose(after.sum(axis=0), image.sum(axis=0), rtol=1e-12)


def test_bleed__nothing_full_is_identity():
    image = rng().uniform(0, WELL, (20, 20)).astype(np.float32)
    after, saturated = bleed(image, WELL)
    assert np.array_equal(after, image)
    assert not saturated.any()


def star(flux, sky, side=240, y=40.0, x=40.0, sigma=0.85):
    edges = np.arange(side + 1) - 0.5
    return sky + flux * np.diff(ndtr((edges - y) / sigma))[:, None] * np.diff(ndtr((edges[:82] - x) / sigma))[None]


def excess(flux, sky, severity=1.0, rows=2000):
    """Light above the sky of a star some `rows` away, before and after."""
    transfers = rows - 40 + np.arange(240)
    before, nothing = star(flux, sky), star(0.0, sky)
    return before - nothing, trail(before, transfers, severity) - trail(nothing, transfers, severity)


def aperture_loss(flux, sky, severity=1.0, rows=2000):
    j, i = np.mgrid[:240, :81]
    inner = np.hypot(j - 40, i - 40) < 2.5
    before, after = excess(flux, sky, severity, rows)
    return 1 - after[inner].sum() / before[inner].sum()


def test_trail__end_of_a_long_mission():
    assert 0.10 < aperture_loss(1000, 30) < 0.15


def test_trail__faint_stars_dark_skies_and_far_rows_lose_more():
    assert aperture_loss(100, 30) > aperture_loss(1000, 30) > 2 * aperture_loss(30_000, 30) > 0
    assert aperture_loss(1000, 5) > aperture_loss(1000, 30) > aperture_loss(1000, 100)
    # Losses grow with the number of traps, a little slower than in proportion.
    assert 0.4 < aperture_loss(1000, 30, rows=1000) / aperture_loss(1000, 30, rows=2000) < 0.6
    assert 0.4 < aperture_loss(1000, 30, severity=0.5) / aperture_loss(1000, 30) < 0.6


def test_trail__no_severity_is_identity():
    image = rng().uniform(0, 1000, (50, 20))
    assert np.array_equal(trail(image, np.arange(50), 0.0), image)


def test_trail__charge_comes_back_within_sixty_rows():
    before, after = excess(1000, 30)
    assert after[:101].sum() == pytest.approx(before.sum(), rel=0.01)
    # A pixel wider than diffusion never gains ahead of the star.
    assert after[40 - 3 : 40, 40].sum() < before[40 - 3 : 40, 40].sum()
    assert np.all(after[44:101, 40] > before[44:101, 40])
    # Nothing moves sideways.
    assert np.allclose(after.sum(axis=0), before.sum(axis=0), atol=0.02 * before.sum(axis=0).max())


def test_trail__all_charge_but_what_leaves_the_array_is_kept():
    image = np.zeros((600, 4))
    image[:100] = rng().uniform(0, 500, (100, 4))
    after = trail(image, 1400 + np.arange(600), 1.0)
    # Pools are kept in single precision; after 500 rows of nothing the slow one holds exp(-23) of its charge.
    assert np.allclose(after.sum(axis=0), image.sum(axis=0), rtol=1e-5)
    assert after.min() >= 0


def test_trail__level_sky_stays_level():
    after = trail(np.full((2048, 3), 30.0), np.arange(2048), 1.0)
    # Each row loses a trifle more than the one before it, and gets back what rows some 20 nearer lost.
    assert np.allclose(after, 30, rtol=0.01)


def test_trail__downward_is_the_mirror_image():
    image = rng().uniform(0, 500, (80, 6)).astype(np.float32)
    rows = np.arange(80) + 1000
    down = trail(image[::-1], rows[::-1], 0.7, upward=False)
    assert down.dtype == np.float32
    assert np.array_equal(down[::-1], trail(image, rows, 0.7))


def test_expose__scatter_is_the_error():
    light = np.full((500, 500), 400.0, np.float32)
    electrons = expose_ccd(light, 5.0, rng())
    assert electrons.dtype == np.float32
    assert electrons.mean(dtype=np.float64) == pytest.approx(400, abs=0.16)
    # 250 000 pixels know the variance to 0.3 %, the rms of pulls to 0.0014; at 400 e noisy errors widen it by 0.002.
    assert electrons.var(dtype=np.float64) == pytest.approx(425, rel=0.012)
    assert ((electrons - light) / ccd_error(electrons, 5.0)).std() == pytest.approx(1, abs=0.008)


def test_expose__noise_can_be_switched_off():
    light = np.full((300, 300), 100.0)
    assert np.array_equal(expose_ccd(light, 5.0, rng(), photon=False, read=False), light)
    assert expose_ccd(light, 5.0, rng(), photon=False).std(dtype=np.float64) == pytest.approx(5, rel=0.01)
    photons = expose_ccd(light, 5.0, rng(), read=False)
    assert np.array_equal(photons, np.rint(photons))
    assert photons.std(dtype=np.float64) == pytest.approx(10, rel=0.01)


def test_expose__read_noise_may_be_a_map():
    noise = np.repeat([[2.0, 8.0]], 20_000, axis=0)
    electrons = expose_ccd(np.zeros(noise.shape), noise, rng())
    assert electrons.std(axis=0) == pytest.approx([2, 8], rel=0.02)


def test_error__negative_electrons_have_read_noise_alone():
    assert ccd_error(np.array([-50.0, 0.0, 75.0]), 5.0).tolist() == [5.0, 5.0, 10.0]


def test_digitise__whole_counts_clipped_at_the_limit():
    counts, clipped = digitise(np.array([-3.0, 0.0, 10.4, 14.0 * 4094.4, 14.0 * 4095, 1e7]), 14.0, 4095)
    assert counts.tolist() == [0, 0, 1, 4094, 4095, 4095]
    assert clipped.tolist() == [False, False, False, False, True, True]
    assert counts.dtype == np.float32
