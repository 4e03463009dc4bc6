"""Pixels that no star explains count for nothing; those of a wrong ePSF count less."""

import numpy as np

from compute.kernels.calibrate.explained import cores_left, pulls, unexplained_out


def stamps():
    rng = np.random.default_rng(3)
    light = rng.normal(100, 30, (7, 9, 9)).astype(np.float32)
    weight = rng.uniform(0.001, 0.01, light.shape).astype(np.float32)
    weight[rng.random(light.shape) < 0.1] = 0.0
    light[2, 1, 1], weight[2, 1, 1] = np.nan, 0.0
    return light, weight, rng.uniform(50, 150, light.shape)


def test_pulls_and_weights__as_written_out():
    light, weight, model = stamps()
    pull, out = np.empty_like(light), np.empty_like(weight)
    pulls(light, weight, model, 0.01, 0.3, pull)
    unexplained_out(weight, model, pull, 0.01, 1.0, out)
    with np.errstate(divide="ignore"):
        variance = 1.0 / weight + (0.01 * model) ** 2
    expected = np.abs(light - model) / np.sqrt(variance + (0.3 * model) ** 2)
    good = np.isfinite(light)
    np.testing.assert_allclose(pull[good], expected[good], rtol=1e-6)  # results are single
    assert 0 < (out > 0).sum() < good.sum()
    np.testing.assert_allclose(out, np.where(expected < 1.0, 1.0 / variance, 0.0), rtol=1e-6)


def test_cores__what_is_left_of_the_middle():
    light, _, model = stamps()
    out = np.empty(light.shape[0])
    cores_left(light, model, out)
    core = np.s_[:, 2:7, 2:7]
    np.testing.assert_allclose(out, np.abs(light - model)[core].sum((1, 2)) / model[core].sum((1, 2)), rtol=1e-12)
