"""Populations of a simulated field beside the true ones, and the recipe that asks for them."""

import numpy as np
import pandas as pd
import pytest

from catalogs.store import Store
from compute.campaign import read_campaign
from compute.recipe import read_recipe
from compute.settings import KinematicsSettings, PopulationSettings
from compute.stages.kinematics.measure import measure
from compute.stages.report.grouped import population_table, populations_beside
from compute.stages.simulate.truth import write_recipe

_CIRCLE = (80.5, -69.5, 9.0)


def field(seed=1):
    """STARS with a cluster, and MOTIONS of them whose zero point is not theirs."""
    rng, scale = np.random.default_rng(seed), np.cos(np.radians(-69.5))
    away = rng.normal(0, 3.0, (300, 2)), rng.uniform(-30, 30, (900, 2))
    east, north = np.concatenate(away).T / 3600
    motion = np.concatenate([rng.normal((3.4, -0.9), 0.05, (300, 2)), rng.normal((1.9, 0.3), 0.12, (900, 2))])
    truth = pd.DataFrame({
        "population": np.repeat(["cluster", "old"], [300, 900]), "ra": 80.5 + east / scale, "dec": -69.5 + north,
        "ref_epoch": 2016.0, "pmra": motion[:, 0], "pmdec": motion[:, 1],
    })  # fmt: skip
    seen = motion - (1.9, 0.3) + rng.normal(0, 0.05, motion.shape)
    motions = truth.assign(
        star_id=np.arange(1200), pmra=seen[:, 0], pmdec=seen[:, 1], pmra_error=0.05, pmdec_error=0.05,
        pmra_pmdec_corr=0.0, flags=np.uint32(0),
    )  # fmt: skip
    return truth, motions


def test_populations_beside__shares_means_and_dispersions_are_the_true_ones():
    truth, motions = field()
    west = ((80.47, -69.51), (80.49, -69.51), (80.49, -69.49), (80.47, -69.49))
    populations = {
        "cluster": PopulationSettings(circle=_CIRCLE, components=2),
        "field": PopulationSettings(sky=west),
        "nobody": PopulationSettings(circle=(10.0, 0.0, 1.0)),
    }
    settings = KinematicsSettings(populations=populations, samplings=0)
    rows = [measure(motions, name, populations[name], settings).rows for name in ("cluster", "field")]
    told = populations_beside(pd.concat(rows), motions, truth, settings)
    assert [one.name.split(":")[0] for one in told] == ["cluster"] * 4 + ["field"] * 3
    true = {one.name: one.true for one in told}
    assert true["cluster: pmra [mas/yr]"] == pytest.approx(1.5, abs=0.03)  # on the zero point of the motions
    assert true["cluster: dispersion [mas/yr]"] == pytest.approx(0.05, rel=0.15)
    assert true["field: dispersion [mas/yr]"] == pytest.approx(0.12, rel=0.15)
    for one in told:
        assert abs(one.found - one.true) < 4 * one.error, one
    assert [row["off [errors]"] for row in population_table(told)] == [
        f"{(one.found - one.true) / one.error:.1f}" for one in told
    ]


def test_recipe__of_the_demo_shares_calibrations_and_looks_at_its_cluster(tmp_path):
    campaign = read_campaign("demo")
    write_recipe(Store(tmp_path), campaign)
    recipe = read_recipe(tmp_path / "recipe.toml")
    assert "kinematics" in recipe.stages
    assert recipe.geometry.epoch_gap == recipe.calibrate.epoch_gap == 6.0
    cluster, around = (recipe.kinematics.populations[name] for name in ("cluster", "field"))
    ra, dec, radius = cluster.circle
    assert (ra - 80.49) * 3600 * np.cos(np.radians(-69.5)) == pytest.approx(6.0, abs=0.01)
    assert ((dec + 69.5) * 3600, radius) == (pytest.approx(-4.0, abs=0.01), 9.0)
    assert max(corner[0] for corner in around.sky) < ra - 2 * radius / 3600


def test_recipe__of_one_epoch_without_a_cluster_asks_for_neither(tmp_path):
    write_recipe(Store(tmp_path), read_campaign("tiny"))
    recipe = read_recipe(tmp_path / "recipe.toml")
    assert "kinematics" not in recipe.stages
    assert recipe.geometry.epoch_gap == 0.25
