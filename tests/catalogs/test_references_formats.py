"""One reference catalog in every format, read as the same sources."""

import gzip

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import reference_files as files
from astropy.io import fits

from catalogs.errors import UnusableError
from catalogs.parquet import write_table
from catalogs.references import read_reference
from catalogs.references.columns import SOURCES
from catalogs.references.cone import Cone
from catalogs.truth import GAIA, REFERENCE
from compute.kernels.motion.celestial import deproject

WRITERS = {
    "a.parquet": files.write_parquet,
    "folder": files.write_parquet_folder,
    "a.fits": files.write_fits,
    "a.ecsv": files.write_ecsv,
    "a.vot": files.write_votable,
    "hats": files.write_hats,
}


def assert_same(found, frame):
    """Sources are the rows of REFERENCE in canonical columns, bit for bit."""
    frame = frame.sort_values("source_id", ignore_index=True).rename(columns={"source_id": "id"})
    assert list(found.columns) == [column.name for column in SOURCES]
    assert found["id"].dtype == np.int64
    for name in frame:
        np.testing.assert_array_equal(found[name], frame[name])
    assert found["parallax"].isna().all()
    assert (found["pmra_pmdec_corr"] == 0).all()


@pytest.mark.parametrize("name", WRITERS)
def test_read_reference__every_format_gives_the_same(tmp_path, name):
    frame = files.make_sources()
    WRITERS[name](frame, tmp_path / name)
    reference = read_reference(tmp_path / name)
    assert_same(reference.sources, frame)
    assert reference.name == name
    assert reference.n_read == len(frame)
    assert reference.notes == ()
    assert reference.sources.attrs["units"]["pmra"] == "mas/yr"


@pytest.mark.parametrize("name", WRITERS)
def test_read_reference__every_format_keeps_missing_motions_and_gaias_rules(tmp_path, name):
    frame = files.make_gaia()
    WRITERS[name](frame, tmp_path / name)
    found = read_reference(tmp_path / name)
    pd.testing.assert_frame_equal(found.sources, _gaia_from_parquet(tmp_path / "again", frame))
    assert np.isnan(found.sources["pmra"]).tolist() == [True] + [False] * 59
    assert found.removed["ruwe"] == 0


def _gaia_from_parquet(folder, frame):
    folder.mkdir()
    write_table(frame, GAIA, folder / "gaia.parquet")
    return read_reference(folder / "gaia.parquet").sources


def test_read_reference__of_our_own_tables(tmp_path):
    frame = files.make_sources()
    write_table(frame, REFERENCE, tmp_path / "reference.parquet")
    assert_same(read_reference(tmp_path / "reference.parquet").sources, frame)


@pytest.mark.parametrize("key", ["astropy", "votable", "pandas"])
def test_read_reference__parquet_units_in_any_of_the_usual_places(tmp_path, key):
    frame, path = files.make_sources().assign(ra_error=1e-3), tmp_path / "a.parquet"
    units = files.UNITS | {"ra_error": "arcsec"}
    if key == "pandas":
        frame.attrs["units"] = units
        frame.to_parquet(path)
    elif key == "astropy":
        files.as_table(frame, units).write(path)
    else:
        metadata = {name: {"unit": units[name]} for name in frame}
        files.as_table(frame, units).write(path, format="parquet.votable", metadata=metadata)
    assert read_reference(path).sources["ra_error"].to_numpy() == pytest.approx(1.0, rel=1e-15)


def test_read_reference__of_an_object_store(memory_url):
    frame = files.make_sources()
    table = files.as_arrow(frame)
    with fsspec.open(f"{memory_url}/a.parquet", "wb") as file:
        pq.write_table(table, file)
    assert_same(read_reference(f"{memory_url}/a.parquet").sources, frame)
    assert_same(read_reference(memory_url).sources, frame)


def test_read_reference__compressed_fits(tmp_path):
    frame = files.make_sources()
    files.write_fits(frame, tmp_path / "a.fits")
    with gzip.open(tmp_path / "a.fits.gz", "wb") as file:
        file.write((tmp_path / "a.fits").read_bytes())
    assert_same(read_reference(tmp_path / "a.fits.gz").sources, frame)


@pytest.mark.parametrize("name", ["a.parquet", "a.fits", "a.ecsv", "a.vot"])
def test_read_reference__ids_may_be_words(tmp_path, name):
    frame = files.make_sources(20)
    frame["source_id"] = [f"star {number:03d}" for number in range(20)]
    WRITERS[name](frame, tmp_path / name)
    assert read_reference(tmp_path / name).sources["id"].tolist() == frame["source_id"].tolist()


def test_read_reference__rows_without_id_are_numbered_in_the_whole_catalog(tmp_path):
    frame = files.make_sources().drop(columns="source_id")
    files.write_parquet(frame, tmp_path / "a.parquet")
    whole, part = (read_reference(tmp_path / "a.parquet", cone=cone) for cone in (None, Cone(80.5, -69.5, 0.03)))
    assert whole.sources["id"].tolist() == list(range(60))
    assert 0 < len(part.sources) < 60
    rows = part.sources["id"]
    np.testing.assert_array_equal(part.sources["ra"], frame["ra"][rows])
    assert part.notes == ("no column id, rows numbered from 0",)


def test_read_reference__hats_collection_leads_to_its_main_catalog(tmp_path):
    frame = files.make_sources()
    files.write_hats(frame, tmp_path / "all" / "main")
    (tmp_path / "all" / "collection.properties").write_text("obs_collection=all\nhats_primary_table_url=main\n")
    assert_same(read_reference(tmp_path / "all").sources, frame)


def test_read_reference__hats_leaves_may_be_folders_and_properties_name_columns(tmp_path):
    frame = files.make_sources().rename(columns={"ra": "best_ra", "dec": "best_dec"})
    files.write_hats(frame.rename(columns={"best_ra": "ra"}), tmp_path / "hats")
    for leaf in sorted((tmp_path / "hats").rglob("Npix=*.parquet")):
        table = pq.read_table(leaf, partitioning=None).rename_columns({"ra": "best_ra"})
        leaf.unlink()
        leaf.with_suffix("").mkdir()
        pq.write_table(table, leaf.with_suffix("") / "part0.parquet")
    pq.write_metadata(table.schema, tmp_path / "hats" / "dataset" / "_common_metadata")
    text = (tmp_path / "hats" / "hats.properties").read_text()
    (tmp_path / "hats" / "hats.properties").write_text(text.replace("=ra", "=best_ra").replace("=dec", "=best_dec"))
    found = read_reference(tmp_path / "hats").sources
    np.testing.assert_array_equal(np.sort(found["ra"]), np.sort(frame["best_ra"]))


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (lambda hats: (hats / "dataset/Norder=1/Dir=0/Npix=34.parquet").unlink(), "1 of 3 pixels without a file"),
        (lambda hats: _edit(hats, "hats_nrows=60", "hats_nrows=61"), "found 60 rows, expected 61"),
        (lambda hats: _edit(hats, "=object", "=margin"), "found 'margin', expected object or source"),
    ],
)
def test_read_reference__hats_that_is_not_whole(tmp_path, harm, found):
    files.write_hats(files.make_sources(), tmp_path / "hats")
    harm(tmp_path / "hats")
    with pytest.raises(UnusableError, match=found):
        read_reference(tmp_path / "hats")


def _edit(hats, old, new):
    path = hats / "hats.properties"
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("ra", [80.5, 0.0, 359.99, 200.0])
@pytest.mark.parametrize("dec", [-69.5, 0.0, 89.95, -90.0])
@pytest.mark.parametrize("unit", ["deg", "rad"])
def test_read_reference__within_a_cone_is_all_that_is_there(tmp_path, ra, dec, unit):
    rng = np.random.default_rng(7)
    n = 4000
    frame = files.make_sources(n)
    frame["ra"], frame["dec"] = deproject(*rng.uniform(-5.4e6, 5.4e6, (2, n)), ra, dec)
    table = files.as_arrow(frame)
    if unit == "rad":
        table = files.as_arrow(frame.assign(ra=np.radians(frame["ra"])))
        table = table.cast(_with_unit(table.schema, "ra", "rad"))
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=200)
    cone = Cone(ra, dec, 0.8)
    whole = read_reference(tmp_path / "a.parquet").sources
    a, d = np.radians(whole["ra"]), np.radians(whole["dec"])
    a0, d0 = np.radians([ra, dec])
    cosine = np.sin(d) * np.sin(d0) + np.cos(d) * np.cos(d0) * np.cos(a - a0)
    inside = whole[cosine >= np.cos(np.radians(0.8))]
    assert 100 < len(inside) < n
    found = read_reference(tmp_path / "a.parquet", cone=cone)
    pd.testing.assert_frame_equal(found.sources, inside.reset_index(drop=True))
    assert found.n_read == len(inside)


def _with_unit(schema, name, unit):
    place = schema.get_field_index(name)
    return schema.set(place, schema.field(place).with_metadata({"unit": unit}))


def test_read_reference__ucds_tell_what_names_do_not(tmp_path):
    frame = files.make_sources(20)
    ucds = {column.name: column.ucd for column in REFERENCE.columns}
    letters = {name: f"c{number}" for number, name in enumerate(frame)}
    table = files.as_table(frame)
    for name, letter in letters.items():
        table.rename_column(name, letter)
    table.write(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", mode="update") as hdus:
        for number, name in enumerate(frame, 1):
            hdus[1].header[f"TUCD{number}"] = ucds[name]
    assert_same(read_reference(tmp_path / "a.fits").sources, frame)
    for name, letter in letters.items():
        table[letter].meta["ucd"] = ucds[name]
    for name in ("a.vot", "a.ecsv"):
        table.write(tmp_path / name, format="votable" if name == "a.vot" else "ascii.ecsv")
        assert_same(read_reference(tmp_path / name).sources, frame)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"PAR1 and nothing", "Parquet"),
        (b"SIMPLE  =                    T" + b" " * 50, "."),
        (b"# %ECSV 1.0\n# ---\n", "."),
        (b"ra,dec\n1,2\n", "begins with b'ra,dec"),
        (b"", "begins with b''"),
    ],
)
def test_read_reference__of_a_broken_file_is_one_line(tmp_path, content, found):
    (tmp_path / "a.cat").write_bytes(content)
    with pytest.raises(UnusableError, match=found) as error:
        read_reference(tmp_path / "a.cat")
    assert str(error.value).startswith("a.cat: found ")
    assert "\n" not in str(error.value)


def test_read_reference__of_nothing(tmp_path):
    with pytest.raises(UnusableError, match=r"lost\.fits: found nothing there"):
        read_reference(tmp_path / "lost.fits")
    with pytest.raises(UnusableError, match="found a folder without Parquet files"):
        read_reference(tmp_path)


def test_read_reference__truncated_files_are_one_line(tmp_path):
    frame = files.make_sources()
    for name in ("a.parquet", "a.fits", "a.vot"):
        WRITERS[name](frame, tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 3 // 4])
        with pytest.raises(UnusableError, match=f"{name}: found ") as error:
            read_reference(tmp_path / name)
        assert "\n" not in str(error.value)
