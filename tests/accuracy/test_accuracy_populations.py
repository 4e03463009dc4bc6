"""Figures of motions and populations that are made up, with pulls and trends that are known."""

import numpy as np
import pandas as pd
import pytest

from compute.stages.simulate.plan import plan
from tests.accuracy.lmc import AXES, EPOCHS, GROUPS, Field, campaign, recipe
from tests.accuracy.populations import _agreement, mean_covariance, pulls, trend

N = 20_000


@pytest.fixture(scope="module")
def stars():
    """Pulls of 1.2 in pmra and 0.9 in pmdec on a link that is off; a hundred stars have flags and are far off."""
    rng = np.random.default_rng(5)
    made = pd.DataFrame({"east": rng.uniform(-60, 60, N), "north": rng.uniform(-60, 60, N), "flags": 0})
    for axis, size in zip(AXES, (1.2, 0.9), strict=True):
        error, true = rng.uniform(0.01, 0.05, N), rng.normal(0, 0.1, N)
        made[f"{axis}_error"], made[f"true_{axis}"] = error, true
        made[axis] = true + size * error * rng.standard_normal(N) + 1.9 + 1e-4 * made["east"] - 2e-4 * made["north"]
    made.loc[:99, ["flags", "pmra"]] = 1, 50.0
    return made


def test_pulls__what_alignment_leaves_free_is_taken_off(stars):
    found = pulls(stars)
    assert len(found) == N - 100
    assert found["pull_pmra"].std() == pytest.approx(1.2, rel=0.02)  # 20 000 stars: 0.5 percent
    assert found["pull_pmdec"].std() == pytest.approx(0.9, rel=0.02)


def test_trend__is_seen_where_there_is_one():
    rng = np.random.default_rng(6)
    against, pull = rng.uniform(0, 1, N), rng.standard_normal(N)
    against[:50] = np.nan
    flat, steep = trend(against, pull), trend(against, pull + 0.2 * np.nan_to_num(against - 0.5))
    assert flat.p > 1e-3
    assert steep.p < 1e-6
    assert flat.rms == pytest.approx(np.ones(10), abs=0.07)  # bins of 2 000
    assert flat.n == (N - 50) // 10


def test_mean_covariance__a_link_moves_all_groups_together():
    places = {"population": np.repeat(GROUPS, 2), "east": [0, 0, 30, 30, 0, 0], "north": [0, 0, 0, 0, -60, -60]}
    covariance = np.diag([1.0, 4.0, 9.0, 0.0, 0.0, 25.0])  # of both shifts and all gradients [mas2]
    motion = {"epochs": [{"name": "first"}, {"half_width": 30_000.0, "covariance": covariance.tolist()}]}
    numbers = {"young": {"mixture": {"covariance": np.zeros((17, 17)).tolist()}}}
    found = mean_covariance(Field(pd.DataFrame(places), np.zeros(2), pd.DataFrame(), motion, numbers))
    years = (EPOCHS[1] - EPOCHS[0]) ** 2
    assert years * np.diag(found) == pytest.approx([1, 0, 1 + 4, 0, 1 + 4 * 9, 100])
    assert years * found[0, 2] == pytest.approx(1.0)


def test_agreement__chi2_and_farthest_pull():
    p, farthest = _agreement("made", np.array([3.0, 0.0]), [np.array([1.0]), np.array([4.0])])
    assert p.value == pytest.approx(0.0111, abs=1e-4)  # chi2 of 9 with two degrees of freedom
    assert farthest.value == pytest.approx(3.0)


def test_scene__is_eighteen_exposures_and_colours(tmp_path):
    made = campaign(1)
    filters = [each.filter for each in plan(made)]
    assert (filters.count("F090W"), filters.count("F150W")) == (18, 8)
    assert recipe(tmp_path).motion.absolute
