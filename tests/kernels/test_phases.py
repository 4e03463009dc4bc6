"""What is left of a pixel-phase bias after averaging over dithers."""

import numpy as np
import pytest

from compute.kernels.calibrate.phases import damping


def stars(dither, n=2000, seed=1):
    places = np.random.default_rng(seed).uniform(0, 1000, n)
    position = (places[:, None] + np.asarray(dither)).ravel()
    return position, np.arange(n + 1) * len(dither)


@pytest.mark.parametrize(
    ("dither", "first", "second"),
    [
        ([0.0, 0.0, 0.0], 1.0, 1.0),
        ([0.0, 5.0, -3.0], 1.0, 1.0),  # whole pixels
        ([0.0, 0.5], 0.0, 1.0),
        ([0.0, 1 / 3, 2 / 3], 0.0, 0.0),
        ([0.0, 0.25], np.cos(np.pi / 4), 0.0),
    ],
)
def test_damping__of_known_patterns(dither, first, second):
    assert damping(*stars(dither), 1) == pytest.approx(first, abs=1e-9)
    assert damping(*stars(dither), 2) == pytest.approx(second, abs=1e-9)


def test_damping__is_what_averages_do_to_a_bias():
    dither = [0.03, 0.41, 0.62, 7.95]
    position, start = stars(dither)
    bias = 0.05 * np.cos(2 * np.pi * position)
    left = np.add.reduceat(bias, start[:-1]) / 4
    assert np.std(left) / np.std(bias) == pytest.approx(damping(position, start), rel=0.02)  # 2 000 stars


def test_damping__random_phases_leave_one_over_root_n():
    rng = np.random.default_rng(2)
    assert damping(rng.uniform(0, 1, 9000), np.arange(1001) * 9) == pytest.approx(1 / 3, rel=0.05)
