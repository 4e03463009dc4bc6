"""Patterns of dithers, and what headers tell of those that were taken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad

from compute.kernels.calibrate import dithers
from compute.kernels.calibrate.dithers import box, line, pattern_damping, plan
from compute.kernels.calibrate.phases import damping, expected_damping, largest_gap, largest_hole

NIRISS, NIRCAM = 0.0656, 0.031  # [arcsec/pix]


def rms(offsets, scales):
    return np.sqrt(np.mean([pattern_damping(offsets, scale) ** 2 for scale in scales]))


def naive_gap(position):
    """Slow and plain: every phase's way up to the next."""
    phases = [p % 1.0 for p in position]
    return max(min((q - p) % 1.0 or 1.0 for q in phases) for p in phases)


def test_pattern_damping__is_that_of_stars_anywhere():
    offsets = np.random.default_rng(1).uniform(-0.3, 0.3, (7, 2))
    stars = np.random.default_rng(2).uniform(0, 2000, (50, 1))
    start = np.arange(51) * 7
    for axis in (0, 1):
        position = (stars + offsets[:, axis] / NIRISS).ravel()
        expected = [damping(position, start, k) for k in (1, 2, 3)]
        assert pattern_damping(offsets, NIRISS)[axis] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [4, 5, 9])
def test_plan__one_scale_leaves_almost_nothing(n):
    # Four points and more can bring three harmonics of both axes to zero; 0.015 is 1 % of a pixel of step.
    assert rms(plan(n, [NIRISS], 4 * NIRISS), [NIRISS]) < 0.015


def test_plan__two_scales_at_once():
    found = plan(9, [NIRISS, NIRCAM], 4 * NIRISS)
    assert rms(found, [NIRISS, NIRCAM]) < 0.06  # chance leaves 0.33; what 2 x 16 free offsets reach is 0.03
    for naive in (line, box):
        assert rms(found, [NIRISS, NIRCAM]) < 0.2 * rms(naive(9, 4 * NIRISS), [NIRISS, NIRCAM])
    for scale in (NIRISS, NIRCAM):
        assert max(largest_gap(axis / scale) for axis in found.T) < 0.35


def test_plan__fills_the_pixel_in_two_dimensions():
    phases = plan(9, [NIRISS], 4 * NIRISS) / NIRISS
    diagonal = np.arange(9) / 9  # as good along each axis alone: 0.36; a turned raster of 3 x 3 has 0.23
    assert largest_hole(*phases.T) < 0.3 < largest_hole(diagonal, diagonal)


@pytest.mark.parametrize(("n", "pixels", "seed"), [(2, 0.5, 0), (11, 6.0, 3)])
def test_plan__stays_within_reach_and_comes_again(n, pixels, seed):
    found = plan(n, [NIRISS], pixels * NIRISS, seed)
    assert found.shape == (n, 2)
    assert np.abs(found).max() <= pixels * NIRISS + 5e-5  # rounded to 0.1 mas
    assert (found[0] == 0).all()
    assert (np.diff(found[1:, 0]) >= 0).all()
    assert found.tobytes() == plan(n, [NIRISS], pixels * NIRISS, seed).tobytes()


BAD = [(1, [0.06], 1.0), (3, [], 1.0), (3, [0.0], 1.0), (3, [np.nan], 1.0), (3, [0.06], -1.0)]


@pytest.mark.parametrize("bad", BAD)
def test_plan__bad_arguments(bad):
    with pytest.raises(ValueError, match="expected 2 or more, all positive"):
        plan(*bad)


def test_slopes__are_those_of_the_sum():
    wave, weight = dithers._waves(np.array([1.0, 0.4]))
    place = np.random.default_rng(3).uniform(-2, 2, (5, 2))

    def value(flat):
        return dithers._left(flat.reshape(1, 5, 2), wave, weight)[0][0]

    def slope(flat):
        return dithers._left(flat.reshape(1, 5, 2), wave, weight)[1].ravel()

    size = np.abs(slope(place.ravel())).max()
    assert check_grad(value, slope, place.ravel()) < 1e-4 * size  # forward differences of 1.5e-8


@pytest.mark.parametrize("naive", [line, box])
@pytest.mark.parametrize("n", [2, 5, 9])
def test_naive_patterns__span_their_reach(naive, n):
    found = naive(n, 2.0)
    assert found.shape == (n, 2)
    assert (found.min(), found.max()) == (0.0, 2.0)
    assert len({tuple(place) for place in found.round(9).tolist()}) == n


def test_expected_damping__without_looseness_is_damping():
    x, y = np.array([100.0, 103.2, 107.9, 88.4]), np.array([5.0, 5.0, 9.0, 40.5])
    for k in (1, 2):
        found = expected_damping(x, y, np.zeros(4), 0.0, k)
        expected = [damping(axis, np.array([0, 4]), k) for axis in (x, y)]
        assert found == pytest.approx(expected, abs=1e-7)  # root of rounding where nothing is left


def test_expected_damping__is_the_rms_over_unknown_scales_and_visits():
    rng, x, y = np.random.default_rng(5), np.array([0.0, 20.4, 41.0, 7.7, 7.7]), np.array([0.0, 3.0, 60.2, 5.5, 5.5])
    visit, loose, n = np.array([0, 0, 0, 1, 1]), 0.01, 40_000
    local = x + rng.normal(0, loose, (n, 1)) * x + rng.normal(0, loose, (n, 1)) * y
    local += rng.uniform(0, 1, (n, 2))[:, visit]
    drawn = damping(local.ravel(), np.arange(n + 1) * 5)
    assert expected_damping(x, y, visit, loose)[0] == pytest.approx(drawn, rel=0.015)  # three sigma of 40 000 draws


def test_expected_damping__whole_pixels_stay_undithered_and_wide_steps_do_not():
    near, far = np.array([0.0, 3.0, -4.0]), np.array([0.0, 900.0, -1200.0])
    still, visit = np.zeros(3), np.zeros(3)
    assert expected_damping(near, still, visit, 0.001)[0] > 0.99
    assert expected_damping(far, still, visit, 0.001)[0] == pytest.approx(1 / np.sqrt(3), abs=0.01)
    assert expected_damping(near, still, np.arange(3), 0.001)[1] == pytest.approx(1 / np.sqrt(3))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_largest_gap__against_the_plain_way(position):
    assert largest_gap(np.array(position)) == pytest.approx(naive_gap(position), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(-3, 3))
def test_largest_gap__does_not_depend_on_the_origin(position, shift):
    assert largest_gap(np.array(position) + shift) == pytest.approx(largest_gap(np.array(position)), abs=1e-9)


def test_largest_hole__of_known_patterns():
    one, raster = np.zeros(1), np.array([[0.0, 0.5, 0.0, 0.5], [0.0, 0.0, 0.5, 0.5]])
    assert largest_hole(one, one) == pytest.approx(np.sqrt(0.5))
    assert largest_hole(*raster) == pytest.approx(np.sqrt(0.125))
    assert largest_hole(*(raster + [[3.0], [-7.0]])) == pytest.approx(np.sqrt(0.125))
