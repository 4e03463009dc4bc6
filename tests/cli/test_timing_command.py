"""``piazzi timing``: what it prints, and how it refuses."""

import json

import pytest

from tests.frames import write_hst, write_jwst

FULL = {"SUBARRAY": "FULL", "SUBSTRT1": 1, "SUBSTRT2": 1, "SUBSIZE1": 2048, "SUBSIZE2": 2048}


@pytest.fixture
def frame(tmp_path):
    """Pixels 700 to 763, 1050 to 1113 of a full NRCB1 frame."""
    sci = {"CRPIX1": 324.5, "CRPIX2": -25.5}
    return write_jwst(tmp_path / "a_cal.fits", instrument="NIRCAM", primary=FULL, sci=sci)


def test_timing__json(piazzi, frame):
    ended = piazzi("timing", frame, "--x", 742, "--y", 1084, "--json")
    assert (ended.code, ended.err) == (0, "")
    said = json.loads(ended.out)
    assert said["delay_s"] == pytest.approx(5.048, abs=0.0005)
    assert said["mjd_mid_utc"] == pytest.approx(59700.001 + said["delay_s"] / 86400, abs=1e-10)
    assert said["uncertainty_s"] == pytest.approx(3.1014, abs=1e-3)
    assert said["budget"].keys() == {
        "message_transfers_s", "reference_pixel_s", "clock_offset_s", "clock_drift_limit_s",
    }  # fmt: skip
    assert (said["time_source"], said["integration"]) == ("EXPMID", None)
    assert len(said["notes"]) == 2


def test_timing__text(piazzi, frame):
    ended = piazzi("timing", frame, "--x", 742, "--y", 1084, "--clock-offset", 0.04)
    assert ended.code == 0
    assert ended.out.splitlines() == [
        "delay: 5.04842 s after the first pixel",
        f"mid-time: MJD {59700.001 + (5.04842 - 0.04) / 86400:.9f} UTC, from EXPMID",
        "uncertainty: 3.101 s",
    ]
    assert ended.err.startswith("note EXPMID taken as the time of the first pixel")


def test_timing__alternating(piazzi, frame):
    # Column 742 is in the second amplifier: 230 from its left edge, 281 from its right one.
    late = [
        json.loads(piazzi("timing", frame, "--x", 742, "--y", 1084, "--json", *words).out)["delay_s"]
        for words in ((), ("--alternating",))
    ]
    assert late == pytest.approx([963 * 5.24e-3 + 230e-5, 963 * 5.24e-3 + 281e-5], abs=1e-9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--x", 100, "--y", 1084), "piazzi: a_cal.fits position: found (100.0, 1084.0), expected 0-based"),
        (("--x", "nan", "--y", 1084), "piazzi: a_cal.fits position: found (nan, 1084.0)"),
        (("--x", 742, "--y", 1084, "--integration", 2), "piazzi: a_cal.fits[INT_TIMES]"),
        (("--x", 742, "--y", 1084, "--integration", 0), "piazzi: --integration: "),
        (("--x", 742, "--y", 1084, "--clock-offset", 40000), "piazzi: --clock-offset: "),
    ],
)
def test_timing__one_clear_line(piazzi, frame, words, message):
    ended = piazzi("timing", frame, *words, "--json")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(message)
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("words", [(), ("--x", 742), ("--x", 742, "--y", "middle")])
def test_timing__positions_are_required(piazzi, frame, words):
    ended = piazzi("timing", frame, *words)
    assert (ended.code, ended.out) == (2, "")
    assert "Error: " in ended.err


def test_timing__no_such_file_and_hst(piazzi, tmp_path):
    ended = piazzi("timing", tmp_path / "a_cal.fits", "--x", 1, "--y", 1)
    assert (ended.code, ended.err) == (2, "piazzi: a_cal.fits: found no such file, expected a FITS file\n")
    ended = piazzi("timing", write_hst(tmp_path / "a_flt.fits"), "--x", 1, "--y", 1)
    assert ended.code == 2
    assert "found HST WFC3, expected JWST NIRCAM or JWST NIRISS" in ended.err
