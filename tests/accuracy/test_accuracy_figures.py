"""Figures of made-up measurements whose scatter, bias and phase are known."""

import numpy as np
import pandas as pd
import pytest

from tests.accuracy.figures import Figure, bins, farthest, largest, phase, share
from tests.accuracy.matching import _matches

N = 40_000


@pytest.fixture(scope="module")
def stars():
    """S/N 200, x scattered by 1.1 bounds of 2e-3 pix, a phase of 1e-3 pix in y, flux 5 mmag too bright."""
    rng = np.random.default_rng(7)
    x, y = rng.uniform(0, 2000, (2, N))
    z = rng.normal(0, 1, (3, N)) * [[1.1], [0.0], [0.0]]
    made = pd.DataFrame({"x": x, "y": y, "sn": 200.0, "bound_x": 2e-3, "bound_y": 2e-3})
    made["dx"], made["dy"] = z[0] * 2e-3, 1e-3 * np.sin(2 * np.pi * y)
    made["flux_off"] = 10 ** (0.4 * 5e-3) - 1
    for axis, off in (("x", z[0]), ("y", made["dy"] / 2e-3), ("flux", made["flux_off"] * 200)):
        made[f"z_{axis}"] = made[f"pull_{axis}"] = off
    return made


def test_bins__scatter_and_bias_are_those_put_in(stars):
    (row,) = bins("made", stars, (150.0, 300.0))
    assert row["n"] == N
    assert row["x"] == pytest.approx(1.1, rel=0.02)  # five standard errors of 40 000 numbers
    assert row["bias"] == pytest.approx(5.0, rel=3e-3)  # mmag are not quite thousandths


def test_bins__few_stars_make_no_row(stars):
    assert bins("made", stars.head(49), (150.0, 300.0)) == []


def test_worst__of_an_upper_limit_is_the_largest_and_of_an_interval_the_farthest():
    rows = [{"low": 20.0, "high": 40.0, "n": 2000, "x": 0.97}, {"low": 40.0, "high": 80.0, "n": 900, "x": 1.02}]
    assert largest(rows, 20, 80, ("x",)) == (1.02, 900)
    assert farthest(rows, 20, 80, ("x",), 1) == (0.97, 2000)
    assert farthest(rows, 40, 80, ("x",), 1) == (1.02, 900)
    assert np.isnan(farthest(rows, 40, 80, ("x",), 1000)[0])


def test_phase__amplitude_is_found_and_noise_is_not_taken_for_it(stars):
    found = phase("made", stars, 100, 2.0)
    # The mean of a sine over a tenth of its period about its top is 0.984 of it; 4 000 positions sample that to 1 %.
    assert found.value == pytest.approx(0.984, abs=0.02)
    quiet = phase("made", stars.assign(dy=0.0), 100, 2.0)
    assert quiet.value < 2 * quiet.error < 0.2


def test_share__goal_is_an_interval():
    found = share("made", "found", np.repeat([True, False], [97, 3]), low=98.0)
    assert found.value == pytest.approx(97.0)
    assert found.goal == ">= 98"
    assert found.met is False
    assert Figure("made", "pull", 1.0, 0.0, 1, 0.95, 1.05).met is True
    assert Figure("made", "told only", 1.0, 0.0, 1).met is None


def test_matches__a_measured_star_belongs_to_one_true_star():
    true = np.array([[10.0, 10.0], [10.5, 10.0], [30.0, 30.0]])
    row, found = _matches(true, np.array([[10.1, 10.0], [30.0, 31.0]]))
    assert found.tolist() == [True, False, False]
    assert row[0] == 0
