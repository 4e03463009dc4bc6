"""The tables of a catalog: public names, notation, documentation, and other programs reading them from a tree."""

import io
from pathlib import Path

import astropy.table
import astropy.units as u
import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from astropy.io.votable.ucd import check_ucd
from sample import FILTERS, NAMES, make_exposures, make_stars

from catalogs import truth
from catalogs.parquet import read_table, write_table
from catalogs.tables import EXPOSURES, MEASUREMENTS, page

TABLES = (EXPOSURES, MEASUREMENTS)
PUBLIC = {
    "EXPOSURES": "exposure program observation visit instrument detector filter subarray readout n_x n_y x_start "
    "y_start exptime mjd_start mjd_mid mjd_end epoch ra dec position_angle va_scale photmjsr observer_x observer_y "
    "observer_z cal_ver crds_ctx sdp_ver prd_ver path sha256 n_stars n_saturated qfit_median core_fraction status "
    "reason image_unit measured_with corrected_with table_sha256 epsf_sha256",
    "MEASUREMENTS": "exposure star x y x_error y_error xy_corr flux flux_error mag mag_error sky sky_error qfit radxs "
    "chi2 peak n_pix neighbour x_gdc y_gdc mag_area mjd flags",
}


@pytest.fixture
def tree(tmp_path):
    """A measurements folder of two exposures in two filters."""
    for seed, (name, filter) in enumerate(zip(NAMES, FILTERS, strict=True)):
        folder = tmp_path / f"measurements/program=1086/instrument=NIRISS/detector=NIS/filter={filter}"
        folder.mkdir(parents=True)
        write_table(make_stars(name, seed=seed), MEASUREMENTS, folder / f"{name}.parquet")
    return tmp_path / "measurements"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns__public_names_in_order(table):
    assert table.names == PUBLIC[table.name].split()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns__units_and_ucds_are_the_communitys(table):
    for column in (*table.columns, *table.keys):
        u.Unit(column.unit, parse_strict="raise")
        assert check_ucd(column.ucd, check_controlled_vocabulary=True), column.ucd


def test_columns__errors_have_the_unit_of_what_they_are_errors_of():
    units = MEASUREMENTS.units
    for name in ("x", "y", "flux", "mag", "sky"):
        assert units[f"{name}_error"] == units[name]


def test_exposures__a_rejected_row_needs_no_more_than_its_reason():
    row = {"exposure": "broken", "path": "broken_cal.fits", "status": "rejected", "reason": "truncated"}
    frame = EXPOSURES.conform(pd.DataFrame([row]))
    EXPOSURES.check(frame, "ingest")
    assert str(frame["program"].dtype) == "Int32"
    assert set(frame.columns[frame.notna().iloc[0]]) == set(row)


def test_measurements__a_source_without_a_fit_keeps_its_position_only(stars):
    stars.loc[3, ["flux", "mag", "x_error", "chi2", "qfit"]] = np.nan
    MEASUREMENTS.check(stars, "measure")


def test_exposures__return_as_they_were(tmp_path):
    write_table(make_exposures(), EXPOSURES, tmp_path / "e.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "e.parquet", EXPOSURES), make_exposures())
    table = astropy.table.QTable.read(tmp_path / "e.parquet")
    assert table["ra"][0] == 80.5 * u.deg


def test_measurements__floats_are_split_and_rows_grouped(tmp_path):
    stars = pd.concat([make_stars(n=250_001)])
    stars.attrs = {}
    write_table(stars, MEASUREMENTS, tmp_path / "m.parquet")
    metadata = pq.ParquetFile(tmp_path / "m.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [250_000, 1]
    group = metadata.row_group(0)
    encodings = {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}
    assert "BYTE_STREAM_SPLIT" in encodings["x"]
    assert "RLE_DICTIONARY" not in encodings["x"]
    assert "RLE_DICTIONARY" in encodings["exposure"]
    assert "DELTA_BINARY_PACKED" in encodings["star"]
    assert {group.column(i).compression for i in range(group.num_columns)} == {"ZSTD"}
    assert group.column(encodings_index(group, "qfit")).statistics.has_min_max


def encodings_index(group, name):
    return next(i for i in range(group.num_columns) if group.column(i).path_in_schema == name)


def test_measurements__same_rows_same_bytes(stars):
    files = [io.BytesIO(), io.BytesIO()]
    write_table(stars, MEASUREMENTS, files[0])
    write_table(stars.iloc[::-1].iloc[::-1].copy(), MEASUREMENTS, files[1])  # another memory layout
    assert files[0].getvalue() == files[1].getvalue()


def test_tree__pandas_filters_by_path_and_by_column(tree):
    frame = pd.read_parquet(tree, filters=[("filter", "==", "F090W"), ("qfit", "<", 0.1)])
    assert len(frame) == 40
    assert set(frame["exposure"]) == {NAMES[0]}
    assert set(frame["filter"]) == {"F090W"}
    assert frame.attrs["units"]["x"] == "pix"


def test_tree__duckdb_reads_the_keys(tree):
    query = f"select filter, program, count(*) from read_parquet('{tree}/**/*.parquet', hive_partitioning=true)"
    rows = duckdb.sql(f"{query} where qfit < 0.1 group by all order by filter").fetchall()
    assert rows == [("F090W", 1086, 40), ("F150W", 1086, 40)]


def test_tree__pyarrow_with_the_declared_partitioning(tree):
    keys = pa.schema([(key.name, key.arrow_type) for key in MEASUREMENTS.keys])
    dataset = ds.dataset(tree, partitioning=ds.partitioning(keys, flavor="hive"))
    found = dataset.to_table(filter=(ds.field("program") == 1086) & (ds.field("filter") == "F150W"))
    assert found.num_rows == 50
    assert found.schema.field("program").type == pa.int32()
    assert found.schema.field("mag").metadata[b"unit"] == b"mag"


def test_tree__astropy_reads_one_file_with_units_and_without_keys(tree):
    table = astropy.table.QTable.read(next(tree.rglob("*.parquet")))
    assert table["x"].unit == u.pix
    assert table["mjd"].unit == u.d
    assert table.colnames == MEASUREMENTS.names


def test_tree__dask_reads_a_partition_per_file_with_units(tree):
    frame = dd.read_parquet(tree, filters=[("filter", "==", "F090W")])
    assert frame._meta.attrs["units"]["y"] == "pix"
    assert dd.read_parquet(tree).npartitions == 2
    assert set(frame.compute()["exposure"]) == {NAMES[0]}


def test_page__the_documentation_is_in_step():
    written = Path(__file__).parents[2] / "docs" / "tables.md"
    assert written.read_text() == page(), "run: python -m catalogs.tables > docs/tables.md"
    written = written.with_name("truth.md")
    assert written.read_text() == truth.page(), "run: python -m catalogs.truth > docs/truth.md"
