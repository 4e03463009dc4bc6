import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.errors import UnusableError
from catalogs.exchange.lists import read_xymq, write_ecsv, write_fits, write_xymq


@dataclass(frozen=True)
class Spec:
    name: str
    unit: str | None
    description: str


@dataclass(frozen=True)
class Declaration:
    columns: tuple[Spec, ...]
    keys: tuple[Spec, ...] = ()


DECLARED = Declaration(
    (
        Spec("exposure", None, "file root"),
        Spec("source_id", None, "Gaia DR3 source"),
        Spec("x", "pix", "position along x"),
        Spec("pmra", "mas/yr", "proper motion in right ascension, times cos dec, a description longer than one card"),
        Spec("mag", "mag", "-2.5 log10 flux"),
        Spec("flags", None, "bits"),
        Spec("not_here", "deg", "a column the frame does not have"),
    )
)
META = {"exposure": "jw01086001001_01101_00001_nis", "instrument": "NIRISS", "photmjsr": None, "epoch": 2022.5}
BIG_ID = 2**60 + 1


def frame():
    return pd.DataFrame(
        {
            "exposure": ["a", "bb", None],
            "source_id": pd.array([BIG_ID, None, 7], dtype="Int64"),
            "x": [0.5, 1024.25, np.nan],
            "pmra": np.array([-1.5, 2.5, 0.0], dtype=np.float32),
            "mag": pd.array([-10.5, None, -8.0], dtype="Float64"),
            "flags": np.array([0, 1, 2**31], dtype=np.uint32),
            "absolute": [True, False, True],
            "filter": pd.Categorical(["F090W"] * 3),
        }
    )


@pytest.mark.parametrize(("write", "name"), [(write_fits, "stars.fits"), (write_ecsv, "stars.ecsv")])
def test_tables__astropy_reads_values_units_and_meanings(tmp_path, write, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        write(frame(), DECLARED, tmp_path / name, META)
        write(frame(), DECLARED, tmp_path / name, META)
    table = Table.read(tmp_path / name)
    assert table.colnames == list(frame().columns)
    words = [["" if v is np.ma.masked else str(v) for v in table[name]] for name in ("exposure", "filter")]
    assert words == [["a", "bb", ""], ["F090W"] * 3]
    assert table["x"].unit == u.pix
    assert table["pmra"].unit == u.mas / u.yr
    assert table["pmra"].dtype.newbyteorder("=") == np.float32
    assert table["mag"].unit == u.mag
    assert table["pmra"].description == DECLARED.columns[3].description
    # 64-bit numbers keep their last bit, and a missing one does not turn the others into floats.
    assert table["source_id"].dtype.newbyteorder("=") == np.int64
    assert table["source_id"].tolist() == [BIG_ID, None, 7]
    assert table["flags"].tolist() == [0, 1, 2**31]
    assert table["absolute"].tolist() == [True, False, True]
    assert table["x"][:2].tolist() == [0.5, 1024.25]
    assert not np.isfinite(np.ma.filled(table["x"], np.nan)[2])
    meta = {key.lower(): value for key, value in table.meta.items()}
    assert meta["instrument"] == "NIRISS"
    assert meta["exposure"] == META["exposure"]
    assert meta["epoch"] == 2022.5
    assert "photmjsr" not in meta
    assert QTable.read(tmp_path / name)["pmra"].to_value("uas/yr")[0] == pytest.approx(-1500)


def test_fits__plain_header_tells_units_and_meanings(tmp_path):
    write_fits(frame(), DECLARED, tmp_path / "a.fits", META)
    header = fits.getheader(tmp_path / "a.fits", 1)
    assert header["TUNIT4"] == "mas yr-1"
    assert header["TCOMM3"] == "position along x"
    assert "DATE" not in header


@pytest.mark.parametrize(("write", "name"), [(write_fits, "a.fits"), (write_ecsv, "a.ecsv")])
def test_tables__same_frame_same_bytes(tmp_path, write, name):
    write(frame(), DECLARED, tmp_path / name, META)
    first = (tmp_path / name).read_bytes()
    write(frame(), DECLARED, tmp_path / name, META)
    assert (tmp_path / name).read_bytes() == first


@pytest.mark.parametrize(("write", "name"), [(write_fits, "a.fits"), (write_ecsv, "a.ecsv")])
def test_tables__no_stars(tmp_path, write, name):
    write(frame()[:0], DECLARED, tmp_path / name)
    table = Table.read(tmp_path / name)
    assert len(table) == 0
    assert table["x"].unit == u.pix


def stars(**changes):
    columns = {"x": [0.0, 1023.123456], "y": [2047.0, 5.5], "mag": [-12.34567, -7.0], "qfit": [0.0123, 0.5]}
    return pd.DataFrame(columns | changes)


def test_xymq__header_says_where_columns_are(tmp_path):
    write_xymq(stars(), tmp_path / "a.xymq")
    lines = (tmp_path / "a.xymq").read_text().splitlines()
    ranges = {line.split()[2]: line.split()[-1] for line in lines if line.startswith("# (")}
    assert list(ranges) == list("xymq")
    x, y, m, q = (slice(int(r[1:4]) - 1, int(r[6:9])) for r in ranges.values())
    data = [line for line in lines if not line.startswith("#")]
    assert [line[x].strip() for line in data] == ["1.000000", "1024.123456"]
    assert [line[y].strip() for line in data] == ["2048.000000", "6.500000"]
    assert [line[m].strip() for line in data] == ["-12.34567", "-7.00000"]
    assert [line[q].strip() for line in data] == ["0.0123", "0.5000"]


def test_xymq__missing_magnitudes_keep_the_columns(tmp_path):
    odd = stars(mag=[np.nan, np.inf], qfit=[np.nan, -1e30])
    write_xymq(odd, tmp_path / "a.xymq")
    data = [line for line in (tmp_path / "a.xymq").read_text().splitlines() if not line.startswith("#")]
    assert [line.split()[2] for line in data] == ["99.99999", "99.99999"]
    assert {len(line) for line in data} == {49}
    back = read_xymq(tmp_path / "a.xymq")
    assert back["m"].isna().all()
    assert np.isnan(back["q"][0])


def test_xymq__stars_without_position_are_left_out(tmp_path):
    write_xymq(stars(x=[np.nan, 3.0]), tmp_path / "a.xymq")
    assert read_xymq(tmp_path / "a.xymq")["x"].tolist() == [3.0]
    write_xymq(stars()[:0], tmp_path / "a.xymq")
    assert read_xymq(tmp_path / "a.xymq").shape == (0, 4)


finite = st.floats(-100, 9000)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(finite, finite, st.floats(-40, 40), st.floats(0, 98)), max_size=20))
def test_xymq__round_trip(tmp_path_factory, rows):
    frame = pd.DataFrame(rows, columns=["x", "y", "mag", "qfit"], dtype=float)
    path = tmp_path_factory.mktemp("xymq") / "a.xymq"
    write_xymq(frame, path)
    back = read_xymq(path)
    assert list(back) == list("xymq")
    # Half a unit in the last decimal printed, and rounding.
    for letter, name, half in (("x", "x", 5e-7), ("y", "y", 5e-7), ("m", "mag", 5e-6), ("q", "qfit", 5e-5)):
        np.testing.assert_allclose(back[letter], frame[name], rtol=0, atol=half * 1.001)


def test_read_xymq__real_list_of_the_one_pass_code(shared_data):
    frame = read_xymq(shared_data / "hst1pass_lists/ie8j01xlq_flt.uvwXYMpq")
    assert list(frame) == list("uvwXYMpq")
    assert len(frame) == 1805
    lines = (shared_data / "hst1pass_lists/ie8j01xlq_flt.uvwXYMpq").read_text().splitlines()
    first = next(line for line in lines if not line.startswith("#")).split()
    assert frame["X"][0] == float(first[3]) - 1
    assert frame["u"][0] == float(first[0]) - 1
    assert frame["M"][0] == float(first[5])
    assert frame["p"][0] == float(first[6])
    # A 1024-pixel subarray: raw positions lie inside it, 0-based.
    assert frame[["X", "Y"]].to_numpy().min() > 0
    assert frame[["X", "Y"]].to_numpy().max() < 1026
    assert frame.notna().all(axis=None)


def test_read_xymq__letters_tell_the_kind(tmp_path):
    (tmp_path / "a.xmkKN").write_text("# header\n 5.0 99.9 1 K1 N0000007\n\n 6.5 -3.0 2 K2 N0000008 # trailer\n")
    frame = read_xymq(tmp_path / "a.xmkKN")
    assert frame["x"].tolist() == [4.0, 5.5]
    assert np.isnan(frame["m"][0])
    assert frame["k"].tolist() == [1.0, 2.0]
    assert frame["N"].tolist() == ["N0000007", "N0000008"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xyx", "1 2 3\n", "extension: found .xyx"),
        ("a.x?", "1 2\n", "extension"),
        ("a", "1 2\n", "extension: found none"),
        ("a.xym", "1 2 3\n4 5\n", r"a\.xym line 2: found 2 fields, expected 3"),
        ("a.xy", "1 two\n", "could not convert string to float: 'two'"),
    ],
)
def test_read_xymq__unusable_lists_say_why(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(UnusableError, match=message):
        read_xymq(tmp_path / name)


def test_read_xymq__no_such_list(tmp_path):
    with pytest.raises(UnusableError, match=r"absent\.xymq: found No such file"):
        read_xymq(tmp_path / "absent.xymq")
