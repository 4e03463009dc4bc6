"""One file in, rows of EXPOSURES out: accepted, rejected with a reason, or known already."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from catalogs.errors import UnusableError
from catalogs.tables import EXPOSURES
from compute.stages.ingest import file_digest, ingest
from tests.frames import write_jwst

NAME = "jw01086001001_01101_00001_nis"


@pytest.fixture
def path(tmp_path):
    return write_jwst(tmp_path / f"{NAME}_cal.fits")


def test_ingest__good_file_is_a_row_of_what_it_tells(path):
    rows = ingest(path)
    pd.testing.assert_frame_equal(EXPOSURES.conform(rows), rows)
    (row,) = rows.to_dict("records")
    assert (row["exposure"], row["status"], row["path"]) == (NAME, "ok", path)
    assert (row["program"], row["instrument"], row["detector"], row["filter"]) == (1086, "NIRISS", "NIS", "F090W")
    assert (row["x_start"], row["y_start"]) == (100, 200)
    # MJD 59700.001 UTC.
    assert row["epoch"] == pytest.approx(2000.0 + (59700.001 - 51544.5) / 365.25, abs=1e-9)
    assert row["sha256"] == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    for later in ("reason", "n_stars", "n_saturated", "qfit_median", "core_fraction", "measured_with"):
        assert pd.isna(row[later])


def test_ingest__known_bytes_are_left_alone(path):
    assert ingest(path, known=file_digest(path)) is None
    assert len(ingest(path, known="0" * 64)) == 1


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:5000]), ""),
        (lambda p: p.write_bytes(b"not a FITS file\nat all"), ""),
        (lambda p: write_jwst(p, primary={"EXP_TYPE": "NIS_WFSS"}), "NIS_WFSS"),
        (lambda p: write_jwst(p, arrays={"ERR": None}), "ERR"),
    ],
    ids=["truncated", "other format", "grism", "no ERR"],
)
def test_ingest__unusable_file_is_one_rejected_row(path, damage, reason):
    damage(Path(path))
    rows = ingest(path)
    pd.testing.assert_frame_equal(EXPOSURES.conform(rows), rows)
    (row,) = rows.to_dict("records")
    assert (row["exposure"], row["status"], row["path"]) == (NAME, "rejected", path)
    assert row["sha256"] == file_digest(path)
    assert "\n" not in row["reason"]
    assert "found" in row["reason"]
    assert "expected" in row["reason"]
    assert reason in row["reason"]
    assert pd.isna(row["detector"])


def test_ingest__missing_file_is_rejected_without_a_digest(tmp_path):
    (row,) = ingest(str(tmp_path / f"{NAME}_cal.fits")).to_dict("records")
    assert row["status"] == "rejected"
    assert pd.isna(row["sha256"])
    assert "expected a readable file" in row["reason"]


def test_ingest__name_that_cannot_be_a_path_is_not_used(tmp_path):
    (row,) = ingest(str(tmp_path / "..fits")).to_dict("records")
    assert (row["exposure"], row["status"]) == ("unnamed", "rejected")


def test_digest__is_that_of_the_bytes(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"abc" * 3_000_000)
    assert file_digest(str(file)) == hashlib.sha256(b"abc" * 3_000_000).hexdigest()
    with pytest.raises(UnusableError, match="expected a readable file"):
        file_digest(str(tmp_path / "absent"))


def test_file_digest__knows_the_flag_file_of_a_wfpc2_frame(tmp_path):
    path = tmp_path / "u2g40102t_c0m.fits"
    path.write_bytes(b"frame")
    alone = file_digest(str(path))
    (tmp_path / "u2g40102t_c1m.fits").write_bytes(b"flags")
    assert alone == hashlib.sha256(b"frame").hexdigest()
    assert file_digest(str(path)) == hashlib.sha256(b"frameflags").hexdigest()
