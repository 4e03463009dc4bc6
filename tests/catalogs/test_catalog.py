"""A catalog: opened, versioned, and read as one whole."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoints, version

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sample import FILTERS, NAMES, fill, make_exposures, make_stars

from catalogs import open_catalog
from catalogs.catalog import Catalog, create_or_open, field_path, frame_path, measurement_path, read_part
from catalogs.cubes import write_cube
from catalogs.errors import CatalogError, UnusableError
from catalogs.manifest import Manifest
from catalogs.masters import MASTER
from catalogs.motions import MOTIONS, with_magnitudes
from catalogs.parquet import read_table, write_table
from catalogs.schema import TableError
from catalogs.tables import EXPOSURES, MEASUREMENTS
from compute.graph.frames import lazy_table


def put_cube(catalog, path, **attrs):
    write_cube(catalog.store, path, xr.Dataset({"epsf": (("v", "u"), np.ones((3, 3)))}, attrs=attrs))


def test_import__stays_cheap():
    code = "import sys, catalogs; print([m for m in ('pandas', 'pyarrow', 'xarray', 'dask') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_import__the_catalog_needs_no_dask():
    code = "import sys, catalogs; catalogs.open_catalog; print('dask' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_import__unknown_names_are_attribute_errors():
    import catalogs

    assert catalogs.Catalog is Catalog
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        catalogs.nothing  # noqa: B018


def test_open__nothing_there(tmp_path):
    with pytest.raises(CatalogError, match=r"no piazzi catalog at .*smc"):
        open_catalog(tmp_path / "smc")
    assert not (tmp_path / "smc").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 1}', '{"format_version": "one"}', "null"])
def test_open__a_corrupt_manifest_is_one_clear_line(tmp_path, text):
    (tmp_path / "catalog.json").write_text(text)
    with pytest.raises(CatalogError, match=r"catalog.json is no piazzi manifest") as caught:
        open_catalog(tmp_path)
    assert "\n" not in str(caught.value)


def write_format(tmp_path, format_version):
    manifest = json.loads(Manifest().to_json()) | {"format_version": format_version}
    (tmp_path / "catalog.json").write_text(json.dumps(manifest))


def test_open__a_newer_major_format_is_refused_naming_both(tmp_path):
    write_format(tmp_path, "2.0")
    with pytest.raises(CatalogError, match=r"has format 2.0, this piazzi reads up to 1.0"):
        open_catalog(tmp_path)


@pytest.mark.parametrize("format_version", ["0.9", "1.0", "1.7"])
def test_open__older_and_newer_minor_formats_are_read(tmp_path, format_version):
    write_format(tmp_path, format_version)
    assert open_catalog(tmp_path).manifest.format_version == format_version


def test_create__a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(CatalogError, match=r"is no piazzi catalog and not empty: it holds thesis.tex"):
        create_or_open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_create__then_open_and_the_same_bytes_again(tmp_path):
    first, second = create_or_open(tmp_path / "a"), create_or_open(tmp_path / "b")
    assert create_or_open(tmp_path / "a").manifest == first.manifest
    assert first.store.read_bytes("catalog.json") == second.store.read_bytes("catalog.json")
    assert len(first.exposures) == 0
    assert len(first.measurements.compute()) == 0


def test_manifest__provenance_of_a_stage_returns(tmp_path):
    catalog = create_or_open(tmp_path / "lmc")
    record = {"inputs": "abc", "settings": {"threshold": 5.0}, "versions": {"numpy": "2"}, "rows": {"ok": 3}}
    catalog.write_manifest(catalog.manifest.with_stage("measure", record))
    manifest = open_catalog(tmp_path / "lmc").manifest
    assert manifest.provenance == {"measure": record}
    assert manifest.piazzi == version("piazzi")


def test_exposures__sorted_whatever_the_order_they_came_in(catalog):
    before = catalog.store.read_bytes("exposures/part-0.parquet")
    catalog.write_exposures(make_exposures().iloc[[3, 1, 0, 2]])
    assert catalog.store.read_bytes("exposures/part-0.parquet") == before
    assert list(catalog.exposures["exposure"]) == [*NAMES, "unmeasured", "broken"]
    EXPOSURES.check(catalog.exposures, "read")
    assert catalog.exposures.attrs["units"]["ra"] == "deg"


def test_measurement_path__keys_are_unpadded():
    row = make_exposures().iloc[0]
    expected = f"measurements/program=1086/instrument=NIRISS/detector=NIS/filter=F090W/{NAMES[0]}.parquet"
    assert measurement_path(row) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filter", "../../F090W"),
        ("filter", ""),
        ("filter", "F090W/x"),
        ("exposure", ".hidden"),
        ("detector", "NIS=1"),
        ("program", 1086.0),
        ("program", "01086"),
        ("program", pd.NA),
        ("instrument", "NIRISS\n"),
    ],
)
def test_measurement_path__a_value_that_is_no_name_is_refused(name, value):
    row = make_exposures().to_dict("records")[0] | {name: value}
    with pytest.raises(UnusableError, match=f"path key {name}"):
        measurement_path(row)


def test_measurements__a_partition_per_measured_exposure_with_keys(catalog):
    frame = catalog.measurements
    assert frame.npartitions == 2
    assert list(frame.columns) == [*MEASUREMENTS.names, "program", "instrument", "detector", "filter"]
    rows = frame.compute(scheduler="sync")
    assert list(zip(rows["exposure"], rows["filter"], strict=True)) == [
        pair for pair in zip(NAMES, FILTERS, strict=True) for _ in range(50)
    ]
    pd.testing.assert_series_equal(rows.dtypes, MEASUREMENTS.empty(keys=True).dtypes)
    pd.testing.assert_series_equal(rows.dtypes, frame.dtypes)
    assert rows.attrs["units"] == frame._meta.attrs["units"] == MEASUREMENTS.units
    pd.testing.assert_frame_equal(rows[MEASUREMENTS.names].iloc[:50], make_stars(NAMES[0], seed=0))


def test_measurements__files_exposures_does_not_vouch_for_are_not_read(catalog):
    files = catalog.store.list("measurements")
    assert len(files) == 3  # one of a stage that has not finished
    assert "unmeasured" not in set(catalog.measurements["exposure"].compute(scheduler="sync"))


def test_measurements__nothing_is_read_before_computing(catalog):
    catalog.store.remove("measurements")
    frame = catalog.measurements
    bright = frame[frame["mag"] < -10][["x", "y"]]
    with pytest.raises(FileNotFoundError):
        bright.compute(scheduler="sync")


def test_measurements__only_the_columns_used_are_read(catalog, monkeypatch):
    asked = []

    def spy(source, table, columns=None):
        asked.append(columns)
        return read_table(source, table, columns)

    monkeypatch.setattr("catalogs.catalog.read_table", spy)
    frame = catalog.measurements
    asked.clear()
    rows = frame[["y", "filter", "x"]].compute(scheduler="sync")
    assert [sorted(columns) for columns in asked] == [["filter", "x", "y"]] * 2
    assert list(rows.columns) == ["y", "filter", "x"]


def test_measurements__task_names_change_with_what_was_measured(catalog):
    def name():
        return catalog.measurements[["x"]].optimize()._name

    before = name()
    assert name() == before
    catalog.write_exposures(catalog.exposures.assign(measured_with="other settings"))
    assert name() != before


def test_measurements__without_an_engine_says_what_to_install(catalog, monkeypatch):
    monkeypatch.setattr("catalogs.catalog.entry_points", lambda group: EntryPoints())
    with pytest.raises(CatalogError, match=r"install dask\[dataframe\]"):
        catalog.measurements  # noqa: B018


def test_measurements__pandas_filters_the_folder_as_it_stands(catalog):
    folder = f"{catalog.store.url}/measurements"
    frame = pd.read_parquet(folder, filters=[("filter", "==", "F150W"), ("qfit", "<", 0.1)])
    assert len(frame) == 40
    assert set(frame["exposure"]) == {NAMES[1]}


def test_catalog__lives_on_an_object_store(memory_url):
    fill(create_or_open(memory_url))
    catalog = open_catalog(memory_url)
    assert len(catalog.exposures) == 4
    assert len(catalog.measurements.compute(scheduler="sync")) == 100
    put_cube(catalog, "cubes/epsf/NIRISS_NIS_F090W/pass-1.zarr")
    assert float(catalog.epsf("NIRISS", "NIS", "F090W")["epsf"].sum()) == 9


def test_epsf__the_newest_that_covers_the_date(catalog):
    folder = "cubes/epsf/NIRISS_NIS_F090W"
    put_cube(catalog, f"{folder}/a.zarr", calibration="a")
    put_cube(catalog, f"{folder}/b.zarr", calibration="b", valid_from=59000.0, valid_to=59500.0)
    put_cube(catalog, f"{folder}/c.zarr", calibration="c", valid_from=59400.0)
    put_cube(catalog, f"{folder}/perturbed/z.zarr", calibration="of one exposure")

    def chosen(mjd):
        return catalog.epsf("NIRISS", "NIS", "F090W", mjd=mjd).attrs["calibration"]

    assert [chosen(mjd) for mjd in (None, 58000.0, 59000.0, 59450.0, 60000.0)] == ["c", "a", "b", "c", "c"]


def test_epsf__what_is_missing_and_what_there_is(catalog):
    with pytest.raises(CatalogError, match=r"no calibration in cubes/epsf/NIRISS_NIS_F090W; there are none"):
        catalog.epsf("NIRISS", "NIS", "F090W")
    put_cube(catalog, "cubes/epsf/ACS_WFC_F606W/a.zarr", valid_from=59000.0)
    with pytest.raises(CatalogError, match=r"no calibration in cubes/epsf/NIRISS_NIS_F090W; there are ACS_WFC_F606W"):
        catalog.epsf("NIRISS", "NIS", "F090W")
    with pytest.raises(CatalogError, match=r"no cubes/epsf/ACS_WFC_F606W covers MJD 58000.0; there are a.zarr"):
        catalog.epsf("ACS", "WFC", "F606W", mjd=58000.0)
    with pytest.raises(UnusableError, match="path key filter"):
        catalog.epsf("ACS", "WFC", "../F606W")


def test_distortion__is_found_in_its_own_folder(catalog):
    put_cube(catalog, "cubes/distortion/NIRISS_NIS_F090W/a.zarr", calibration="d")
    assert catalog.distortion("NIRISS", "NIS", "F090W").attrs["calibration"] == "d"


def test_master__before_and_after_there_is_one(catalog):
    with pytest.raises(CatalogError, match=r"no master frames yet"):
        catalog.master  # noqa: B018
    with pytest.raises(CatalogError, match=r"no motions yet"):
        catalog.motions  # noqa: B018
    row = {column.name: 1 for column in MASTER.columns} | {"star_id": 2**53 + 1, "mean_epoch": 2022.331}
    table = MASTER.conform(pd.DataFrame([row]))
    path = f"{frame_path('lmc', 'NIRISS', 'F090W', '2022.33')}/part-0.parquet"
    catalog.store.commit(path, lambda file: write_table(table, MASTER, file))
    frame = catalog.master.compute(scheduler="sync")
    assert frame["star_id"].tolist() == [2**53 + 1]
    keys = frame[["field", "instrument", "filter", "epoch"]].to_dict("records")
    assert keys == [{"field": "lmc", "instrument": "NIRISS", "filter": "F090W", "epoch": 2022.33}]
    assert frame.attrs["units"]["x"] == "pix"


def test_motions__fields_of_unlike_filters_are_one_table(catalog):
    for field, filter in (("lmc", "F090W"), ("m31", "F606W")):
        known = dict.fromkeys(MOTIONS.names, 2) | {"source_id": 2**53 + 1, "ref_epoch": 2022.33}
        known |= {name: 0.5 for name in known if name.endswith("_corr")}
        table = with_magnitudes([filter])
        rows = table.conform(pd.DataFrame([known | {f"mag_{filter}": 20.0}]))
        path = f"{field_path('motions', field)}/part-0_0.parquet"
        catalog.store.commit(path, lambda file, rows=rows, table=table: write_table(rows, table, file))
    frame = catalog.motions.compute(scheduler="sync").set_index("field")
    assert frame["source_id"].tolist() == [2**53 + 1, 2**53 + 1]
    assert frame.loc["lmc", "mag_F090W"] == frame.loc["m31", "mag_F606W"] == 20.0
    assert frame["mag_F606W"].isna().tolist() == [True, False]
    assert frame.attrs["units"]["pmra"] == "mas/yr"


def test_lazy_table__no_files_is_an_empty_frame(catalog):
    frame = lazy_table([], [], MEASUREMENTS, catalog.store)
    assert list(frame.columns) == list(MEASUREMENTS.empty(keys=True).columns)
    assert len(frame.compute(scheduler="sync")) == 0


def test_read_part__a_file_of_another_kind_is_refused(catalog):
    catalog.store.commit("x.parquet", lambda file: write_table(make_exposures(), EXPOSURES, file))
    with pytest.raises(TableError, match=r"column star is absent, MEASUREMENTS wants int32"):
        read_part("x.parquet", {}, MEASUREMENTS, catalog.store)


def test_stars__one_exposure_without_an_engine(catalog, monkeypatch):
    monkeypatch.setattr("catalogs.catalog.entry_points", lambda group: EntryPoints())
    row = catalog.exposures[catalog.exposures["n_stars"].notna()].iloc[0]
    stars = catalog.stars(row["exposure"], row["detector"])
    assert len(stars) == row["n_stars"]
    assert set(stars["exposure"]) == {row["exposure"]}
    assert (stars["program"] == row["program"]).all()
    assert list(catalog.stars(row["exposure"], row["detector"], ["x", "filter"])) == ["x", "filter"]
    with pytest.raises(CatalogError, match="nosuch: found no such measured exposure, expected one"):
        catalog.stars("nosuch")
