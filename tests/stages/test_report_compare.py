"""Comparison with truth, on tables whose answer is known by hand."""

import numpy as np
import pandas as pd
import pytest

from compute.stages.report import compare


def sources(*rows, kind="star", exposure="a") -> pd.DataFrame:
    """True sources at (x, y, flux), far from any edge."""
    frame = pd.DataFrame(rows, columns=["x", "y", "flux"])
    return frame.assign(kind=kind, exposure=exposure, detector="NIS", saturated=False, edge=100.0)


def measured(*rows, exposure="a", error=1.0) -> pd.DataFrame:
    """Measured stars at (x, y, flux, flags)."""
    frame = pd.DataFrame(rows, columns=["x", "y", "flux", "flags"])
    return frame.assign(exposure=exposure, detector="NIS", flux_error=error)


def test_match_truth__takes_the_brightest_within_the_radius_of_its_own_exposure():
    truth = pd.concat([sources((10, 10, 5), (10.4, 10, 50), (30, 30, 9)), sources((30, 30, 7), exposure="b")])
    stars = pd.concat([measured((10.1, 10, 48, 0), (20, 20, 3, 0)), measured((30.1, 30, 7, 0), exposure="b")])
    matched = compare.match_truth(stars, truth)
    assert list(matched["x"]) == [10.1, 30.1]
    assert list(matched["true_flux"]) == [50, 7]
    assert list(matched["kind"]) == ["star", "star"]


def test_match_truth__what_lies_beyond_the_radius_has_no_match():
    matched = compare.match_truth(measured((10, 10, 5, 0), (20, 20, 5, 0)), sources((10, 10.69, 5), (20, 20.71, 5)))
    assert list(matched["y"]) == [10]


def test_false_detections__are_clean_and_near_no_star_galaxy_or_target():
    truth = pd.concat([sources((10, 10, 5)), sources((20, 20, 5), kind="galaxy"), sources((30, 30, 5), kind="target")])
    stars = measured((10, 10.5, 5, 0), (20, 20, 5, 0), (30, 30, 5, 0), (40, 40, 5, 0), (50, 50, 5, 4))
    false = compare.false_detections(stars, truth)
    assert list(false["x"]) == [40]


def test_alone__a_neighbour_counts_by_its_share_and_distance():
    # 8 pix and a tenth: the first has one of a twentieth, the second one of a fifth, the last two are too far apart.
    crowd = sources((10, 10, 100), (17, 10, 5), (50, 50, 100), (57, 50, 20), (80, 80, 10), (88.1, 80, 10))
    assert list(compare.alone(crowd)) == [True, False, False, False, True, True]


def test_findable__leaves_out_what_may_be_missed():
    truth = sources((10, 10, 100), (30, 30, 11), (50, 50, 9), (70, 70, 100), (90, 90, 100), (110, 110, 100))
    truth.loc[3, "saturated"] = True
    truth.loc[4, "edge"] = 5.0
    truth.loc[5, "kind"] = "galaxy"
    stars = measured((10, 10, 100, 4), (50, 50, 10, 0), (200, 200, 9, 0))
    due = compare.findable(stars, truth)
    # Errors are 1, so S/N 10 is a flux of 10.
    assert list(due["x"]) == [10, 30]
    assert list(due["found"]) == [True, False]
    assert list(due["found_clean"]) == [False, False]


@pytest.fixture
def waving():
    """Two exposures of 2 000 stars, shifted by 0.02 and -0.01 pix, with a wave of 0.01 pix along x."""
    rng, parts = np.random.default_rng(3), []
    for exposure, shift in (("a", 0.02), ("b", -0.01)):
        x, y = rng.uniform(0, 1000, (2, 2000))
        frame = pd.DataFrame({"true_x": x, "true_y": y, "y": y, "true_flux": 500.0, "flux": 500.0, "flux_error": 1.0})
        frame["x"] = x + shift + 0.01 * np.sin(2 * np.pi * x)
        parts.append(frame.assign(exposure=exposure, detector="NIS", kind="star", flags=0))
    return pd.concat(parts, ignore_index=True)


def test_residuals__leave_out_the_shift_of_each_exposure(waving):
    compared = compare.residuals(waving)
    # The median of a wave over even phases is zero, to the noise of 2 000 draws of 0.007 pix rms.
    assert compared.groupby("exposure")["offset_x"].first().to_numpy() == pytest.approx([0.02, -0.01], abs=6e-4)
    assert compared["dx"].abs().max() == pytest.approx(0.01, abs=6e-4)


def test_residuals__are_those_of_clean_stars(waving):
    waving.loc[:9, "flags"] = 1
    waving.loc[10:14, "kind"] = "galaxy"
    assert len(compare.residuals(waving)) == 4000 - 15


def test_phase_curve__is_the_wave(waving):
    curve = compare.phase_curve(compare.residuals(waving), "x")
    # Medians over bins a tenth of a wave wide.
    np.testing.assert_allclose(curve, 10 * np.sin(2 * np.pi * curve.index.to_numpy()), atol=1.2)
    assert compare.phase_curve(compare.residuals(waving), "y").abs().max() < 1e-6


def test_numbers__of_a_perfect_measurement_meet_every_bar():
    rng = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), -1).reshape(-1, 2) * 20 + rng.uniform(
        -5, 5, (400, 2)
    )
    flux = rng.uniform(11.0, 1000.0, 400)
    truth = sources(*np.column_stack([grid, flux]))
    said = compare.numbers(measured(*np.column_stack([grid, flux, np.zeros(400)])).astype({"flags": "uint32"}), truth)
    assert all(low <= said[name] <= high for name, (low, high) in compare.BARS.items())
    assert (said["measured"], said["with a true source"], said["isolated true stars above S/N 10"]) == (400, 400, 400)
    assert said["clean ones with no true source [%]"] == 0


def test_numbers__of_a_bad_one_miss_them():
    rng = np.random.default_rng(5)
    x, y = (axis.ravel() * 20.0 for axis in np.meshgrid(np.arange(20), np.arange(20)))
    truth = sources(*np.column_stack([x, y, np.full(400, 500.0)]))
    wrong = np.column_stack([x + rng.normal(0, 0.05, 400), y + rng.normal(0, 0.05, 400), np.full(400, 450.0), x * 0])
    wrong[:40, :2] += 10
    said = compare.numbers(measured(*wrong), truth)
    assert not any(low <= said[name] <= high for name, (low, high) in compare.BARS.items())
    # A tenth of all is somewhere else: as many are missed as are false.
    assert said["isolated stars above S/N 10 found [%]"] == said["found and clean [%]"] == 90
    assert said["clean ones with no true source [%]"] == 10
    assert said["median flux ratio above S/N 100"] == pytest.approx(0.9)
    # 50 mpix to the noise of 360 draws.
    assert said["x scatter above S/N 100 [mpix]"] == pytest.approx(50, abs=8)
