import numpy as np
import pandas as pd
import pytest

from compute.stages.report.moved import match_motions, motion_figure, motion_numbers
from compute.stages.report.style import png


def sky(n=600, seed=1):
    """True stars at J2016 some arcsec apart, and MOTIONS of them seven years later with a common shift."""
    rng = np.random.default_rng(seed)
    ra, dec = 80.5 + rng.uniform(-0.02, 0.02, n), -69.5 + rng.uniform(-0.01, 0.01, n)
    pmra, pmdec = rng.normal(1.9, 0.1, n), rng.normal(0.3, 0.1, n)
    truth = pd.DataFrame({"ra": ra, "dec": dec, "ref_epoch": 2016.0, "pmra": pmra, "pmdec": pmdec})
    error = rng.uniform(0.02, 0.2, n)
    moved = pd.DataFrame({
        "ra": ra + 7 * pmra / 3.6e6 / np.cos(np.radians(dec)), "dec": dec + 7 * pmdec / 3.6e6, "ref_epoch": 2023.0,
        "pmra": pmra - 1.9 + error * rng.normal(size=n), "pmdec": pmdec - 0.3 + error * rng.normal(size=n),
        "pmra_error": error, "pmdec_error": error, "flags": np.where(np.arange(n) < 20, 1, 0),
    })  # fmt: skip
    return truth, moved


def test_match_motions__finds_the_true_star_and_takes_off_the_common_motion():
    truth, moved = sky()
    found = match_motions(moved, truth)
    assert len(found) == 580  # flagged ones are left out
    told = motion_numbers(found)
    # 1 160 Gaussian pulls: their median deviation is known to 4 %.
    assert told["scatter of motions over their errors"] == pytest.approx(1.0, abs=0.12)
    assert told["error of the best 30 % of motions [mas/yr]"] < 0.08
    assert told["motions beyond 5 errors [%]"] == 0.0


def test_match_motions__too_small_errors_show():
    truth, moved = sky()
    told = motion_numbers(match_motions(moved.assign(pmra_error=0.3 * moved["pmra_error"]), truth))
    assert told["scatter of motions over their errors"] > 1.5


def test_match_motions__nothing_measured_is_no_number():
    truth, moved = sky()
    assert motion_numbers(match_motions(moved[:0], truth)) == {}


def test_motion_figure__is_a_picture():
    truth, moved = sky()
    assert png(motion_figure(match_motions(moved, truth))).startswith(b"\x89PNG")
