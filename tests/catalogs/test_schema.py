"""Declarations: what they refuse, and what each reader of a file learns from them."""

import io
import pickle

import astropy.table
import astropy.units as u
import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy.io.votable.ucd import check_ucd
from astropy.utils.exceptions import AstropyWarning
from hypothesis import given
from hypothesis import strategies as st

from catalogs.parquet import read_table, write_table
from catalogs.schema import Column, Table, TableError

COLUMNS = (
    Column("name", "string", "", "meta.id", "a name"),
    Column("note", "string", "", "meta.note", "perhaps a note | or none", nullable=True),
    Column("star", "int32", "", "meta.id;meta.main", "a number", low=0),
    Column("source", "int64", "", "meta.id", "a 64-bit number", nullable=True),
    Column("x", "float64", "pix", "pos.cartesian.x", "a place", low=0, high=10),
    Column("error", "float32", "mas", "stat.error", "an error", low=0, nan=True),
    Column("distance", "float64", "km", "pos.distance", "a distance", nullable=True),
    Column("flags", "uint32", "", "meta.code.qual", "bits"),
    Column("used", "bool", "", "meta.code", "yes or no"),
)
TOY = Table("TOY", COLUMNS, keys=(Column("program", "int32", "", "meta.id", "a program"),))
BIG = 2**53 + 1  # the first integer a float cannot hold


def toy(**replaced):
    columns = {
        "name": ["a", "b", "c"],
        "note": ["one", None, "three"],
        "star": [1, 2, 3],
        "source": pd.array([BIG, None, 3], dtype="Int64"),
        "x": [0.5, 1.5, 10.0],
        "error": [0.1, np.nan, 0.3],
        "distance": [1.0, np.nan, 3.0],
        "flags": [0, 2**32 - 1, 4],
        "used": [True, False, True],
    }
    return TOY.conform(pd.DataFrame(columns | replaced))


@pytest.fixture
def path(tmp_path):
    write_table(toy(), TOY, tmp_path / "toy.parquet")
    return tmp_path / "toy.parquet"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.astype({"x": "float32"}), "fit: column x is float32, TOY wants float64"),
        (lambda f: f.astype({"source": "float64"}), "fit: column source is float64, TOY wants Int64"),
        (lambda f: f.drop(columns="x"), "fit: column x is absent, TOY wants it"),
        (lambda f: f.assign(extra=1), "fit: column extra is there, TOY has none of that name"),
        (lambda f: f[["note", "name", *f.columns[2:]]], "fit: column note stands where TOY wants name"),
        (lambda f: f.assign(x=[1.0, 11.0, 12.0]), "fit: column x row 1 is 11.0, TOY wants 0 to 10"),
        (lambda f: f.assign(x=[1.0, 2.0, np.nan]), "fit: column x row 2 is nan, TOY wants a value"),
        (lambda f: f.assign(error=np.float32([-1, 0, 0])), "fit: column error row 0 is -1.0, TOY wants at least 0"),
        (lambda f: f.assign(name=pd.Series(["a", None, "c"], dtype="str")), "fit: column name row 1 is nan, TOY wants"),
    ],
)
def test_check__a_wrong_frame_is_named_in_one_line(spoil, message):
    with pytest.raises(TableError) as caught:
        TOY.check(spoil(toy()), "fit")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_check__missing_values_are_fine_where_declared():
    TOY.check(toy(), "fit")
    TOY.check(TOY.empty(), "fit")


def test_conform__orders_casts_and_fills_nullable_columns():
    frame = toy().drop(columns=["note", "source", "distance"])[::-1].astype({"star": "int64", "error": "float64"})
    conformed = TOY.conform(frame[frame.columns[::-1]])
    TOY.check(conformed, "fit")
    assert conformed["source"].isna().all()
    assert list(conformed.index) == [0, 1, 2]
    assert conformed.attrs["units"]["error"] == "mas"


def test_conform__a_column_that_is_absent_or_cannot_be_cast_is_named():
    with pytest.raises(TableError, match="TOY column x is absent"):
        TOY.conform(toy().drop(columns="x"))
    with pytest.raises(TableError, match="column star is float64, TOY wants int32"):
        TOY.conform(toy().assign(star=[1.0, np.nan, 3.0]))


def test_table__survives_pickling():
    assert pickle.loads(pickle.dumps(TOY)) == TOY


def test_empty__keys_come_last_and_units_are_attached():
    assert list(TOY.empty(keys=True).columns) == [*TOY.names, "program"]
    assert TOY.empty().attrs["units"]["x"] == "pix"


def test_markdown__a_bar_in_a_description_does_not_open_a_cell():
    rows = [line for line in TOY.markdown().splitlines() if line.startswith("| `")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {8}


def test_pandas__dtypes_values_and_units_return(path):
    frame = pd.read_parquet(path)
    pd.testing.assert_frame_equal(frame, toy())
    assert frame["source"].dtype == "Int64"
    assert frame["source"][0] == BIG
    assert frame.attrs["units"]["x"] == "pix"


def test_pyarrow__fields_tell_unit_ucd_and_meaning_and_nan_is_no_null(path):
    table = pq.read_table(path)
    metadata = table.schema.field("x").metadata
    assert metadata == {b"unit": b"pix", b"ucd": b"pos.cartesian.x", b"description": b"a place"}
    assert table["error"].null_count == 0
    assert table["distance"].null_count == 1
    assert table["note"].null_count == 1


def test_astropy__table_and_qtable_have_units_and_descriptions(path):
    table = astropy.table.Table.read(path)
    assert table["x"].unit == u.pix
    assert table["x"].description == "a place"
    assert table["error"].unit == u.mas
    assert list(table["name"]) == ["a", "b", "c"]
    assert table["flags"].dtype == np.uint32
    assert astropy.table.QTable.read(path)["distance"][0] == 1 * u.km


def test_astropy__the_votable_inside_describes_every_column(path):
    table = astropy.table.Table.read(path, format="parquet.votable")
    assert len(table) == 3
    assert table["x"].unit == u.pix
    assert table["x"].meta["ucd"] == "pos.cartesian.x"
    assert table["x"].description == "a place"
    assert table.colnames == TOY.names


def test_astropy__text_without_values_or_rows_is_read_quietly(tmp_path, recwarn):
    for frame in (toy(note=[None, None, None]), TOY.empty()):
        write_table(frame, TOY, tmp_path / "few.parquet")
        assert len(astropy.table.Table.read(tmp_path / "few.parquet")) == len(frame)
    assert not [w for w in recwarn if issubclass(w.category, AstropyWarning)]


def test_dask__units_and_dtypes_are_known_before_and_after_computing(path):
    frame = dd.read_parquet(path)
    assert frame._meta.attrs["units"]["x"] == "pix"
    computed = frame.compute()
    assert computed.attrs["units"]["x"] == "pix"
    assert computed["source"].tolist()[0] == BIG


def test_duckdb__opens_the_file(path):
    rows = duckdb.sql(f"select source, flags from '{path}' where x < 1").fetchall()
    assert rows == [(BIG, 0)]


def test_declaration__units_and_ucds_are_the_communitys():
    for column in COLUMNS:
        u.Unit(column.unit, parse_strict="raise")
        assert check_ucd(column.ucd, check_controlled_vocabulary=True)


def test_read_table__a_column_of_another_type_is_refused(path):
    other = Table("TOY", (Column("x", "float32", "pix", "", ""),))
    with pytest.raises(TableError, match=r"column x is double, TOY wants float"):
        read_table(path, other)
    with pytest.raises(TableError, match=r"column y is absent"):
        read_table(path, Table("TOY", (Column("y", "float32", "pix", "", ""),)))


def test_read_table__some_columns(path):
    frame = read_table(path, TOY, ["x", "star"])
    assert list(frame.columns) == ["star", "x"]


def test_write_table__rows_that_break_the_declaration_are_not_written(tmp_path):
    with pytest.raises(TableError, match="write: column x row 0 is -1.0"):
        write_table(toy(x=[-1.0, 2.0, 3.0]), TOY, tmp_path / "bad.parquet")
    assert not (tmp_path / "bad.parquet").exists()


finite = st.floats(0, 10)
rows = st.tuples(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    st.none() | st.sampled_from(["", "a", "é"]),
    st.integers(0, 2**31 - 1),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    finite,
    st.just(np.nan) | st.floats(0, 2.0**100, width=32),
    st.just(np.nan) | finite,
    st.integers(0, 2**32 - 1),
    st.booleans(),
)


@given(st.lists(rows, max_size=20))
def test_write_table__rows_return_as_they_were(values):
    columns = (
        dict(zip(TOY.names, zip(*values, strict=True), strict=True)) if values else {name: [] for name in TOY.names}
    )
    columns["source"] = pd.array(list(columns["source"]), dtype="Int64")
    frame = TOY.conform(pd.DataFrame(columns))
    first, again = io.BytesIO(), io.BytesIO()
    write_table(frame, TOY, first)
    write_table(frame.copy(), TOY, again)
    assert first.getvalue() == again.getvalue()
    pd.testing.assert_frame_equal(read_table(first, TOY), frame)
