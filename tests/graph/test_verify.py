"""Damage done to a catalog's files is found, and named."""

import json
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest

from catalogs import open_catalog
from catalogs.catalog import measurement_path, own_epsf_path
from catalogs.parquet import read_table, write_table
from catalogs.tables import MEASUREMENTS
from compute.graph.verify import verify
from tests.graph.running import name_of


def faults(folder) -> list[str]:
    catalog = open_catalog(folder)
    return verify(catalog, catalog.exposures).faults


def place_of(folder, k=0):
    row = open_catalog(folder).exposures.iloc[k].to_dict()
    return folder / measurement_path(row), folder / own_epsf_path(row)


def test_verify__nothing_is_wrong(measured):
    catalog = open_catalog(measured)
    found = verify(catalog, catalog.exposures)
    assert (found.faults, found.files, found.unrecorded) == ([], 6, 0)  # three tables, three ePSFs


def test_verify__flipped_byte(measured):
    table, _ = place_of(measured)
    data = bytearray(table.read_bytes())
    data[len(data) // 3] ^= 4
    table.write_bytes(data)
    (fault,) = faults(measured)
    assert fault.startswith(f"{table.relative_to(measured)}: found sha256 ")
    assert "as it was published" in fault


def test_verify__truncated(measured):
    table, _ = place_of(measured)
    table.write_bytes(table.read_bytes()[:-100])
    (fault,) = faults(measured)
    assert "expected a Parquet file" in fault


def test_verify__missing(measured):
    table, cube = place_of(measured)
    table.unlink()
    shutil.rmtree(cube)
    assert (
        sorted(line.split(": ", 1)[1] for line in faults(measured))
        == ["found nothing, expected a file, for there is a record of it"] * 2
    )


def test_verify__another_exposures_table(measured):
    (mine, _), (other, _) = place_of(measured, 0), place_of(measured, 1)
    shutil.copy(other, mine)
    (fault,) = faults(measured)
    assert f"found stars of {name_of(2)}, expected those of {name_of(1)}" in fault


def test_verify__rows_and_columns_without_a_digest(measured):
    from compute.graph.run import writing

    table, _ = place_of(measured)
    with writing(str(measured)) as catalog:
        rows = catalog.exposures
        rows["table_sha256"] = None
        catalog.write_exposures(rows)
    catalog = open_catalog(measured)
    assert verify(catalog, catalog.exposures)[::2] == ([], 3)
    stars = read_table(table, MEASUREMENTS)
    write_table(stars.iloc[1:].reset_index(drop=True), MEASUREMENTS, table)
    (fault,) = faults(measured)
    assert fault.endswith(f"found {len(stars) - 1} rows, expected {len(stars)}, as EXPOSURES tells")
    plain = stars.drop(columns="peak").assign(colour=1.0, star=stars["star"].astype("int64"))
    plain.to_parquet(table, index=False)
    (fault,) = faults(measured)
    for words in ("no column peak", "column star as int64, expected int32", "found column colour, expected none"):
        assert words in fault


def test_verify__damaged_cube(measured):
    _, cube = place_of(measured)
    (chunk,) = (cube / "epsf").glob("0*")
    chunk.write_bytes(chunk.read_bytes()[:-1])
    (fault,) = faults(measured)
    assert fault.startswith(f"{cube.relative_to(measured)}: found sha256 ")


@pytest.mark.parametrize(
    "alien", ["measurements/notes.txt", "measurements/program=1/x.parquet", "thesis.tex", "master/field=a/x.parquet"]
)
def test_verify__file_that_belongs_to_nothing(measured, alien):
    (measured / alien).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(place_of(measured)[0], measured / alien)
    assert faults(measured) == [f"{alien}: found a file that no record knows, expected none"]


def test_verify__damaged_exposures(measured):
    path = measured / "exposures" / "part-0.parquet"
    data = bytearray(path.read_bytes())
    page = pq.ParquetFile(path).metadata.row_group(0).column(0)
    data[(page.dictionary_page_offset or page.data_page_offset) + 40] ^= 1
    before = open_catalog(measured).exposures
    path.write_bytes(data)
    catalog = open_catalog(measured)
    (fault, *_) = [line for line in verify(catalog, before).faults if line.startswith("exposures/")]
    assert fault.startswith("exposures/part-0.parquet: found ")


def test_status__verify_tells_each_fault_and_fails(measured):
    from click.testing import CliRunner

    from cli.status import command

    ended = CliRunner().invoke(command, [str(measured), "--verify"])
    assert (ended.exit_code, ended.output.splitlines()[-1]) == (0, "verified 6 files: 0 faults")
    place_of(measured)[0].unlink()
    (measured / "alien").write_text("x")
    ended = CliRunner().invoke(command, [str(measured), "--verify"])
    assert ended.exit_code == 1
    lines = [line for line in ended.output.splitlines() if line.startswith("fault ")]
    assert len(lines) == 2
    assert ended.output.splitlines()[-1] == "verified 6 files: 2 faults"
    said = json.loads(CliRunner().invoke(command, [str(measured), "--verify", "--json"]).stdout)
    assert [f"fault {line}" for line in said["faults"]] == lines
    assert pd.notna(said["verified"]["files"])
