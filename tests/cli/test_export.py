"""``piazzi export``: files that other programs open."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import votable
from astropy.table import Table

from catalogs import open_catalog
from catalogs.cubes import read_epsf
from catalogs.distortion import write_distortion
from catalogs.exchange.siaf import evaluate, read_siaf
from catalogs.exchange.stdgdc import read_stdgdc
from catalogs.exchange.stdpsf import read_stdpsf
from catalogs.readers.scales import nominal_scale
from catalogs.references.hats import open_hats
from catalogs.store import Store
from compute.graph import pipeline
from compute.graph.frame import frame
from compute.graph.run import writing
from compute.settings import FrameSettings
from tests.distortions import make_cube
from tests.graph.running import enter, name_of


@pytest.fixture(scope="module")
def catalog(client, frames, tmp_path_factory):
    """Two measured exposures, and one that is only read in."""
    folder = tmp_path_factory.mktemp("export")
    enter(folder / "lmc", client, frames[:2])
    with writing(str(folder / "lmc")) as catalog:
        pipeline.ingest(catalog, client, frames[2:])
    return catalog


@pytest.fixture(scope="module")
def framed(catalog, client):
    """The same, with the frame of a field named far."""
    frame(catalog, client, "far", FrameSettings())
    return catalog


@pytest.fixture
def stars(catalog):
    rows = catalog.measurements.compute()
    return rows[rows["exposure"] == name_of(1)]


def exported(ended) -> list[Path]:
    assert (ended.code, ended.err) == (0, "")
    return [Path(line) for line in ended.out.splitlines()]


@pytest.mark.parametrize("kind", ["fits", "ecsv"])
def test_tables__open_again_with_units(piazzi, catalog, stars, tmp_path, kind):
    written = exported(piazzi("export", catalog.store.root, tmp_path / "out", "--format", kind))
    assert written == [tmp_path / "out" / f"{name_of(i)}.{kind}" for i in (1, 2)]
    table = Table.read(written[0])
    assert len(table) == len(stars)
    np.testing.assert_array_equal(table["x"], stars["x"])
    assert (table["x"].unit, table["mag"].unit) == (u.pix, u.mag)
    assert table["exposure"][0] == name_of(1)


def test_xymq__counts_pixels_from_one(piazzi, catalog, stars, tmp_path):
    written = exported(piazzi("export", catalog.store.root, tmp_path / "out", "--format", "xymq"))
    assert [path.name for path in written] == [f"{name_of(i)}.xymq" for i in (1, 2)]
    x, y, mag, quality = np.loadtxt(written[0]).T[:4]
    # A list holds positions to a thousandth of a pixel or better.
    np.testing.assert_allclose(x, stars["x"] + 1, atol=1e-3)
    np.testing.assert_allclose(y, stars["y"] + 1, atol=1e-3)
    np.testing.assert_allclose(mag, stars["mag"], atol=1e-3)
    np.testing.assert_allclose(quality, stars["qfit"], atol=1e-3)


def test_stdpsf__own_epsfs_open_again(piazzi, catalog, tmp_path):
    written = exported(piazzi("export", catalog.store.root, tmp_path / "out", "--format", "stdpsf"))
    assert [path.name for path in written] == [f"STDPSF_NIRISS_F090W_{name_of(i)}.fits" for i in (1, 2)]
    own = read_epsf(str(next(Path(catalog.store.root).rglob(f"{name_of(1)}.zarr"))))
    # The file holds single precision.
    np.testing.assert_allclose(read_stdpsf(str(written[0]), "NIS").values, own.values, atol=1e-7)


def test_out__one_exposure_and_the_suffix_make_a_file(piazzi, catalog, tmp_path):
    out = tmp_path / "deep" / "stars.ecsv"
    words = "export", catalog.store.root, out, "--format", "ecsv", "--exposure", name_of(2)
    assert exported(piazzi(*words)) == [out]
    assert Table.read(out)["exposure"][0] == name_of(2)


def test_out__one_exposure_and_no_suffix_make_a_folder(piazzi, catalog, tmp_path):
    words = "export", catalog.store.root, tmp_path / "out", "--format", "ecsv", "--exposure", name_of(2)
    assert exported(piazzi(*words)) == [tmp_path / "out" / f"{name_of(2)}.ecsv"]


def test_out__many_exposures_do_not_fit_one_file(piazzi, catalog, tmp_path):
    ended = piazzi("export", catalog.store.root, tmp_path / "stars.fits", "--format", "fits")
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert "found 2 exposures for one file, expected one" in line
    assert list(tmp_path.iterdir()) == []


def test_chosen__by_filter(piazzi, catalog, tmp_path):
    words = "export", catalog.store.root, tmp_path / "out", "--format", "fits", "--filter", "F090W"
    assert len(exported(piazzi(*words))) == 2


@pytest.mark.parametrize(
    ("option", "value"), [("--exposure", name_of(3)), ("--exposure", "m67"), ("--filter", "F606W")]
)
def test_chosen__what_is_not_measured_is_named(piazzi, catalog, tmp_path, option, value):
    ended = piazzi("export", catalog.store.root, tmp_path / "out", "--format", "fits", option, value)
    assert (ended.code, ended.out) == (2, "")
    assert f"{option}: found {value}, expected a measured one" in ended.err


def test_chosen__nothing_measured_yet(piazzi, client, frames, tmp_path):
    with writing(str(tmp_path / "lmc")) as catalog:
        pipeline.ingest(catalog, client, frames)
    ended = piazzi("export", tmp_path / "lmc", tmp_path / "out", "--format", "fits")
    assert ended.code == 2
    assert "found no measured exposure" in ended.err


def test_stdpsf__none_was_built(piazzi, client, catalog, frames, tmp_path):
    library = next(Path(catalog.store.root).rglob("*.zarr"))
    enter(tmp_path / "lmc", client, frames[:1], epsf=[str(library)])
    ended = piazzi("export", tmp_path / "lmc", tmp_path / "out", "--format", "stdpsf")
    assert ended.code == 2
    assert "found no ePSF cube of these exposures" in ended.err


@pytest.mark.parametrize(("kind", "version"), [("stdgdc", 1), ("stdgdc2", 2)])
def test_stdgdc__the_newest_cube_that_covers_opens_again(piazzi, measured, tmp_path, kind, version):
    cubes = {name: make_cube(size=64, strength=0.3, seed=seed, valid_from=start)
             for seed, (name, start) in enumerate((("2022", None), ("2023", 50000.0), ("2040", 90000.0)))}  # fmt: skip
    for name, cube in cubes.items():
        write_distortion(Store(measured), f"cubes/distortion/NIRISS_NIS_F090W/{name}.zarr", cube)
    (written,) = exported(piazzi("export", measured, tmp_path / "out", "--format", kind))
    assert written == tmp_path / "out" / "STDGDC_NIRISS_F090W.fits"
    found = read_stdgdc(str(written))
    y, x = np.indices((64, 64))
    assert found.extra["format"] == version
    # Format 1 rounds to 1e-5 pix, format 2 holds single precision.
    np.testing.assert_allclose(found.forward(x, y), cubes["2023"].forward(x, y), atol=5.1e-6)


def test_stdgdc__a_file_for_each_calibration_that_is_needed(piazzi, measured, tmp_path):
    times = sorted(open_catalog(measured).exposures["mjd_mid"])
    rows = open_catalog(measured).exposures
    with writing(str(measured)) as catalog:
        catalog.write_exposures(rows.assign(mjd_mid=[times[0] - 500.0, *times[1:]]))
    for name, start in (("2021", None), ("2023", times[0] - 1.0)):
        cube = make_cube(size=64, strength=0.3, valid_from=start)
        write_distortion(Store(measured), f"cubes/distortion/NIRISS_NIS_F090W/{name}.zarr", cube)
    written = exported(piazzi("export", measured, tmp_path / "out", "--format", "stdgdc2"))
    assert sorted(path.name for path in written) == [f"STDGDC_NIRISS_F090W_{year}.fits" for year in (2021, 2023)]


def test_siaf__polynomials_are_tables_of_ideal_coordinates(piazzi, measured, tmp_path):
    cube = make_cube(size=64, strength=0.3)
    write_distortion(Store(measured), "cubes/distortion/NIRISS_NIS_F090W/2022.zarr", cube)
    (written,) = exported(piazzi("export", measured, tmp_path / "out", "--format", "siaf"))
    assert written == tmp_path / "out" / "SIAF_NIRISS_NIS_F090W_2022.csv"
    there, _ = read_siaf(written)
    smooth = replace(cube, layers=cube.layers[:1])
    dx, dy = np.random.default_rng(1).uniform(-30, 30, (2, 50))
    ideal = evaluate(there, dx, dy) / 0.001
    corrected = smooth.forward(dx + 31.5, dy + 31.5) - smooth.forward(31.5, 31.5)[:, None]
    # The same but for a rotation; the scale is nominal [mas/pix].
    np.testing.assert_allclose(np.hypot(*ideal), nominal_scale("NIS") * np.hypot(*corrected), rtol=1e-9)


@pytest.mark.parametrize("kind", ["stdgdc", "siaf"])
def test_distortions__there_is_none(piazzi, catalog, tmp_path, kind):
    ended = piazzi("export", catalog.store.root, tmp_path / "out", "--format", kind)
    assert ended.code == 2
    assert "found no distortion cube for these exposures" in ended.err


@pytest.mark.parametrize("kind", ["fits", "ecsv", "votable"])
def test_master_frames__are_a_file_for_each_field_with_its_keys(piazzi, framed, tmp_path, kind):
    written = exported(piazzi("export", framed.store.root, tmp_path / "out", "--format", kind, "--table", "master"))
    assert [path.stem for path in written] == ["master_far"]
    table, there = Table.read(written[0]), framed.master.compute()
    assert len(table) == len(there)
    np.testing.assert_array_equal(np.sort(table["star_id"]), np.sort(there["star_id"]))
    assert (table["ra"].unit, set(table["filter"])) == (u.deg, {"F090W"})


def test_votable__has_ucds_and_tells_what_the_exposure_is(piazzi, catalog, stars, tmp_path):
    written = exported(
        piazzi("export", catalog.store.root, tmp_path / "a.vot", "--format", "votable", "--exposure", name_of(1))
    )
    found = votable.parse(str(written[0]))
    fields = {field.name: field for field in found.get_first_table().fields}
    assert (fields["x"].ucd, fields["flags"].datatype) == ("pos.cartesian.x;instr.det", "long")
    assert {param.name: param.value for param in found.resources[0].params}["filter"] == "F090W"
    assert len(found.get_first_table().array) == len(stars)


def test_hats__opens_as_the_catalog_it_is(piazzi, framed, tmp_path):
    pytest.importorskip("astropy_healpix")
    exported(piazzi("export", framed.store.root, tmp_path / "hats", "--format", "hats", "--table", "master"))
    assert open_hats(Store(tmp_path / "hats"), "hats").n_rows == len(framed.master)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "hats"], "found no motions"),
        (["--format", "hats", "--table", "measurements"], "expected master or motions"),
        (["--format", "xymq", "--table", "master"], "expected --format fits, ecsv, votable, hats"),
        (["--format", "fits", "--table", "master", "--field", "near"], "--field: found near, expected of far"),
        (["--format", "fits", "--table", "master", "--filter", "F480M"], "--filter: found F480M, expected of F090W"),
    ],
)
def test_tables_that_cannot_be__are_told_in_one_line(piazzi, framed, tmp_path, words, told):
    ended = piazzi("export", framed.store.root, tmp_path / "out", *words)
    assert ended.code == 2
    assert told in ended.err
    assert not (tmp_path / "out").exists()


def test_library_epsfs__go_before_those_of_exposures(piazzi, catalog, tmp_path):
    own = exported(piazzi("export", catalog.store.root, tmp_path / "own", "--format", "stdpsf"))
    assert len(own) == 2
    copy = tmp_path / "copy"
    shutil.copytree(catalog.store.root, copy)
    assert piazzi("import", copy, own[0].rename(tmp_path / "STDPSF_NIRISS_F090W.fits")).code == 0
    written = exported(piazzi("export", copy, tmp_path / "library", "--format", "stdpsf"))
    assert [path.name for path in written] == ["STDPSF_NIRISS_F090W.fits"]


def test_out__is_no_place_in_the_catalog_and_no_file_for_a_folder(piazzi, framed, tmp_path):
    (tmp_path / "there.log").write_text("mine")
    for out, told in (
        (Path(framed.store.root) / "master" / "x.fits", "expected one outside"),
        ("", "found the current folder"),
        (tmp_path / "there.log", "found a file, expected a folder"),
    ):
        ended = piazzi("export", framed.store.root, out, "--format", "fits", "--table", "master")
        assert ended.code == 2
        assert told in ended.err
    assert (tmp_path / "there.log").read_text() == "mine"
