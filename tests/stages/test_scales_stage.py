"""Pixel scales: true ones in, true ones out, with errors that are neither too small nor too large."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from catalogs.masters import MATCHES
from catalogs.scales import SCALE_DIFFERENCES, SCALE_MEANS, SCALES
from catalogs.tables import MEASUREMENTS
from compute.kernels.motion.celestial import deproject, project
from compute.stages.scale_means import summary
from compute.stages.scales import Scales, central, pairs, scales, scales_within

RA, DEC, SCALE = 80.49, -69.5, 65.56


class Scene(NamedTuple):
    pairs: pd.DataFrame
    exposures: pd.DataFrame
    scale: np.ndarray


def scene(seed=0, n=300, n_exposures=4, noise=1.0, motion=1.5, drift=4e-6, movers=0.02) -> Scene:
    """Stars of an LMC-like field in dithered exposures: their errors differ, motions [mas] are in no error."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(-75e3, 75e3, (2, n))
    known, error = 10 ** rng.uniform(-0.8, 0, n), 10 ** rng.uniform(-2.7, -1.5, n)
    moved = motion * rng.normal(0, 1, (2, n))
    moved[:, rng.random(n) < movers] *= 20
    ra, dec = deproject(*(true + noise * known * rng.normal(0, 1, (2, n))), RA, DEC)
    now = deproject(*(true + moved), RA, DEC)
    rows, exposures = [], []
    scale = SCALE * (1 + drift * rng.normal(0, 1, n_exposures))
    for k in range(n_exposures):
        at_ra, at_dec = deproject(8e3 * (k % 2), 8e3 * (k // 2), RA, DEC)
        angle, va_scale = np.radians(94 + 0.1 * k), 1 + 2e-5 * k
        turn = np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        x, y = np.linalg.inv(scale[k] * va_scale * turn) @ np.array(project(*now, at_ra, at_dec)) + 1023.5
        x, y = np.array([x, y]) + noise * error * rng.normal(0, 1, (2, n))
        seen = (x > 0) & (x < 2047) & (y > 0) & (y < 2047)
        rows.append(pd.DataFrame({
            "exposure": f"e{k}", "detector": "NIS", "source": np.arange(n), "x_gdc": x, "y_gdc": y, "x_error": error,
            "y_error": error, "xy_corr": 0.0, "ra": ra, "dec": dec, "ra_error": known, "dec_error": known,
            "ra_dec_corr": 0.0,
        })[seen])  # fmt: skip
        exposures.append({
            "exposure": f"e{k}", "instrument": "NIRISS", "detector": "NIS", "filter": "F090W", "va_scale": va_scale,
            "mjd_mid": 59700 + k / 24, "ra": float(at_ra), "dec": float(at_dec),
        })  # fmt: skip
    return Scene(pd.concat(rows, ignore_index=True), pd.DataFrame(exposures), scale)


def missed(found: Scales, one: Scene) -> tuple[float, int]:
    """Chi2 of scales minus true ones with their whole covariance, and how many there are."""
    true = pd.Series(one.scale, one.exposures["exposure"])
    left = found.table["scale"].to_numpy() - true[found.table["exposure"]].to_numpy()
    covariance = np.diag(found.table["scale_error"] ** 2) + found.common
    return float(left @ np.linalg.solve(covariance, left)), left.size


def test_scales__without_noise_are_true_with_the_aberration_removed():
    one = scene(noise=0.0, motion=0.0)
    found = scales(one.pairs, one.exposures, "reference").table
    SCALES.check(found, "scales")
    # Rounding of degrees is 2e-7 mas over 1e5 mas.
    assert found["scale"].to_numpy() == pytest.approx(one.scale, rel=1e-9)
    within = scales_within(one.pairs, one.exposures).table
    assert len(within) == 3
    assert set(within["exposure"]) | {central(one.exposures)} == set(one.exposures["exposure"])
    assert within["scale"].to_numpy() == pytest.approx(one.scale[[int(name[1]) for name in within["exposure"]]], 1e-9)


@pytest.mark.parametrize("against", ["catalog", "central"])
def test_scales__misses_over_many_fields_are_as_large_as_claimed(against):
    fields = [scene(seed) for seed in range(10)]
    found = [scales(f.pairs, f.exposures, "reference") if against == "catalog" else scales_within(f.pairs, f.exposures)
             for f in fields]  # fmt: skip
    total, n = np.sum([missed(*one) for one in zip(found, fields, strict=True)], axis=0)
    assert 0.01 < chi2.sf(total, n) < 0.99
    # The motions, in no formal error, dominate what is common, and most of that is common to all four.
    table = found[0].table
    assert (table["common_error"] > 2 * table["scale_error"]).all()
    correlation = found[0].common / np.outer(table["common_error"], table["common_error"])
    assert 0.6 < correlation.min() < 1.0


def test_scales__are_the_same_in_any_order_of_rows():
    one = scene(1)
    found = scales(one.pairs, one.exposures, "reference")
    again = scales(one.pairs.sample(frac=1.0, random_state=1), one.exposures[::-1], "reference")
    pd.testing.assert_frame_equal(found.table, again.table, check_exact=True)
    assert np.array_equal(found.common, again.common)


def test_scales__an_exposure_with_too_few_stars_has_a_reason_and_no_part_in_the_rest():
    one = scene(2)
    few = one.pairs[(one.pairs["exposure"] != "e1") | (one.pairs["source"] < 20)]
    found = scales(few, one.exposures, "reference")
    SCALES.check(found.table, "scales")
    assert "expected at least 30" in found.table["status"][1]
    assert np.isnan(found.table[["scale", "scale_error", "common_error"]].to_numpy()[1]).all()
    assert (found.common[1] == 0).all()
    rest = one.exposures["exposure"] != "e1"
    alone = scales(few[few["exposure"] != "e1"], one.exposures[rest], "reference").table
    pd.testing.assert_frame_equal(found.table.drop(index=1).reset_index(drop=True), alone, check_exact=True)


def test_scales__of_no_exposure_that_can_be_linked_is_a_table_of_reasons():
    one = scene(3, n=10)
    assert scales(one.pairs, one.exposures, "reference").table["scale"].isna().all()
    assert len(scales_within(one.pairs, one.exposures).table) == 0


def test_pairs__joins_matches_measurements_and_sources():
    measured = MEASUREMENTS.empty().reindex(range(3)).assign(
        exposure="e0", star=[0, 1, 2], x_gdc=[1.0, 2.0, 3.0], y_gdc=0.0, flags=[0, 0, 1], detector="NIS"
    )  # fmt: skip
    rows = [(10, "e0", "NIS", 0, True), (11, "e0", "NIS", 1, True), (12, "e0", "NIS", 2, True),
            (10, "hst", "", 500, True), (12, "hst", "", 502, True), (11, "gaia", "", 501, True)]  # fmt: skip
    matches = MATCHES.empty().reindex(range(len(rows)))
    matches[["star_id", "exposure", "detector", "star", "used"]] = pd.DataFrame(rows)
    sources = pd.DataFrame({"id": [500, 501, 502], "row": [0, 1, 2], "ra": [80.0, 81.0, 82.0], "dec": -69.0,
                            "ra_error": 1.0, "dec_error": 1.0, "ra_dec_corr": 0.0})  # fmt: skip
    found = pairs(matches, measured, sources, "hst")
    assert found[["source", "x_gdc", "ra"]].to_numpy().tolist() == [[500, 1.0, 80.0]]


def table(scale, error=1e-5, mjd=None, camera="F090W") -> pd.DataFrame:
    scale = np.asarray(scale, float)
    mjd = 59700 + np.arange(scale.size) / 24 if mjd is None else mjd
    return SCALES.conform(pd.DataFrame({
        "exposure": [f"{camera}{k}" for k in range(scale.size)], "instrument": "NIRISS", "detector": "NIS",
        "filter": camera, "against": "hst", "mjd": mjd, "scale": scale, "scale_error": error, "common_error": 3e-5,
        "rms": 1.0, "n_used": 100, "status": "ok",
    }))  # fmt: skip


def test_summary__tells_a_steady_drift_with_its_error():
    rng, slope = np.random.default_rng(1), 4e-5
    steady = table(SCALE + slope * np.arange(12) + rng.normal(0, 1e-5, 12))
    means, differences = summary(steady, np.full((12, 12), 9e-10))
    SCALE_MEANS.check(means, "means")
    SCALE_DIFFERENCES.check(differences, "differences")
    (one,) = means.to_dict("records")
    assert abs(one["slope"] - slope) < 4 * one["slope_error"]
    assert one["slope_error"] == pytest.approx(1e-5 / np.sqrt(143), rel=0.5)  # formal, or with the scatter about it
    assert one["common_error"] == pytest.approx(3e-5, rel=1e-6)
    assert one["p"] < 1e-6
    # A drift looks like a scatter of the mean: 4e-5 times the spread of 0 to 11.
    assert one["scatter"] == pytest.approx(slope * np.std(np.arange(12)), rel=0.3)


def test_summary__what_filters_share_cancels_from_their_difference():
    rng = np.random.default_rng(2)
    blue, red = (SCALE + rng.normal(0, 1e-5, 9) for _ in range(2))
    both = pd.concat([table(blue), table(red + 1e-4, camera="F480M")], ignore_index=True)
    _, together = summary(both, np.full((18, 18), 9e-8))
    _, apart = summary(both, np.kron(np.eye(2), np.full((9, 9), 9e-8)))
    assert together["difference"][0] == pytest.approx(1e-4, abs=2e-5)  # 4 times 1e-5 sqrt(2 / 9)
    assert together["error"][0] < 1e-5
    assert apart["error"][0] == pytest.approx(np.sqrt(2) * 3e-4, rel=0.01)


def test_summary__visits_are_compared_filter_by_filter():
    rows = [table([SCALE] * 3, mjd=[m, m + 0.1, m + 0.2], camera=c) for m in (59700, 59900) for c in ("F090W", "F480M")]
    both = pd.concat(rows, ignore_index=True)
    means, differences = summary(both, np.zeros((12, 12)))
    assert len(means) == 4
    assert len(differences) == 4  # two of filters, two of visits, none of both
    assert (means["p"] == 1.0).all()
