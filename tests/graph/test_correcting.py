"""Another distortion rewrites the columns that follow from it: nothing is fitted again, and no kill leaves a half."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from catalogs import open_catalog
from catalogs.catalog import Catalog
from catalogs.distortion import write_distortion
from catalogs.store import Store
from compute.graph import correcting, pipeline, tasks
from compute.graph.journal import Journal
from compute.graph.run import writing
from tests.distortions import full_size
from tests.graph.running import FAST, OTHER, enter, name_of, tables, tree, write_fields
from tests.graph.test_resume import Killed, die_on, settle

DERIVED = ["x_gdc", "y_gdc", "mag_area"]


@pytest.fixture(scope="session")
def cubes(tmp_path_factory):
    """Folders of two distortions, and of one for another filter."""
    folder = tmp_path_factory.mktemp("distortions")
    made = {"a": full_size(1), "b": full_size(2), "other": full_size(3, filter="F150W")}
    for name, cube in made.items():
        write_distortion(Store(folder), f"{name}.zarr", cube)
    return {name: str(folder / f"{name}.zarr") for name in made}


def remeasure(place, client, *distortion, settings=FAST, **options):
    with writing(str(place)) as catalog:
        return pipeline.measure(catalog, client, settings, distortion=distortion, **options)


@pytest.fixture(scope="session")
def fresh(client, frames, cubes, tmp_path_factory):
    """Catalogs that never knew another distortion."""
    folder = tmp_path_factory.mktemp("fresh")
    for name in "ab":
        with writing(str(folder / name)) as catalog:
            pipeline.ingest(catalog, client, frames)
            pipeline.measure(catalog, client, FAST, distortion=[cubes[name]])
    return {name: tree(folder / name) for name in "ab"} | {"folder": folder}


@pytest.fixture
def no_fits(monkeypatch):
    def refuse(*args):
        raise AssertionError("a star was fitted")

    monkeypatch.setattr(tasks, "measure", refuse)


@pytest.fixture(scope="session")
def bare(client, tmp_path_factory):
    """Two frames without an AREA plane, measured."""
    folder = tmp_path_factory.mktemp("bare")
    files = write_fields(folder / "data", 2)
    for file in files:
        with fits.open(file) as hdus:
            hdus.pop("AREA")
            hdus.writeto(file, overwrite=True)
    enter(folder / "lmc", client, files)
    return folder / "lmc"


def stars_of(place) -> pd.DataFrame:
    return open_catalog(place).measurements.compute()


def test_measure__with_a_distortion_fills_the_columns(fresh, whole, cubes):
    stars, plain = stars_of(fresh["folder"] / "a"), stars_of(whole)
    np.testing.assert_allclose(stars[["x_gdc", "y_gdc"]].T, full_size(1).forward(stars["x"], stars["y"]), atol=1e-10)
    assert plain[["x_gdc", "y_gdc"]].isna().all(axis=None)
    # These frames tell the areas of their pixels.
    pd.testing.assert_frame_equal(stars.drop(columns=DERIVED[:2]), plain.drop(columns=DERIVED[:2]))
    rows = open_catalog(fresh["folder"] / "a").exposures
    assert rows["corrected_with"].nunique() == 1
    assert not rows["corrected_with"].str.endswith("+area").any()
    assert (rows["measured_with"] == open_catalog(whole).exposures["measured_with"]).all()


def test_measure__another_distortion_fits_nothing_and_ends_the_same(client, measured, cubes, fresh, no_fits):
    for name in "aba":
        report = remeasure(measured, client, cubes[name])
        assert (report.done, report.skipped, report.rejected, report.notes) == (3, 0, [], [])
        assert tree(measured) == fresh[name]
        report = remeasure(measured, client, cubes[name])
        assert (report.done, report.skipped) == (0, 3)
        assert tree(measured) == fresh[name]


def test_measure__without_it_again_is_as_before(client, measured, cubes, whole, no_fits):
    before = tree(measured)
    remeasure(measured, client, cubes["a"])
    report = remeasure(measured, client)
    assert (report.done, report.skipped) == (3, 0)
    assert tables(measured) == {path: digest for path, digest in before.items() if path.endswith(".parquet")}
    assert open_catalog(measured).manifest.provenance["correct"] == {}


def test_measure__both_at_once_counts_an_exposure_once(client, measured, cubes, frames):
    report = remeasure(measured, client, cubes["a"], files=frames[:1], settings=OTHER)
    assert (report.done, report.skipped) == (1, 0)
    report = remeasure(measured, client, cubes["a"], settings=OTHER)
    assert (report.done, report.skipped) == (2, 1)
    report = remeasure(measured, client, cubes["a"], settings=OTHER, fresh=True)
    assert (report.done, report.skipped) == (3, 0)
    assert stars_of(measured)["x_gdc"].notna().all()


def test_measure__only_the_files_that_were_named(client, measured, cubes, frames, no_fits):
    report = remeasure(measured, client, cubes["a"], files=frames[:1])
    assert (report.done, report.skipped) == (1, 0)
    assert list(open_catalog(measured).exposures["corrected_with"].notna()) == [True, False, False]


def test_measure__what_no_distortion_is_for_is_measured_and_told(client, measured, cubes, no_fits):
    report = remeasure(measured, client, cubes["other"])
    assert (report.done, report.skipped, report.rejected) == (0, 3, [])
    assert [note["exposure"] for note in report.notes] == [name_of(i) for i in (1, 2, 3)]
    assert all(f"not corrected: none of {cubes['other']} is for this" in note["note"] for note in report.notes)
    report = remeasure(measured, client, cubes["other"], cubes["b"])
    assert (report.done, report.notes) == (3, [])


def test_measure__the_catalogs_own_cube_newest_and_valid(client, measured, no_fits):
    store = Store(measured)
    mjd = float(open_catalog(measured).exposures["mjd_mid"].iloc[0])
    for name, seed, start in (("2022", 4, None), ("2023", 5, mjd - 1), ("2024", 6, mjd + 1)):
        write_distortion(store, f"cubes/distortion/NIRISS_NIS_F090W/{name}.zarr", full_size(seed, valid_from=start))
    assert remeasure(measured, client).done == 3
    stars = stars_of(measured)
    np.testing.assert_allclose(stars[["x_gdc", "y_gdc"]].T, full_size(5).forward(stars["x"], stars["y"]), atol=1e-10)
    (entry,) = open_catalog(measured).manifest.provenance["correct"].values()
    assert entry["distortion"]["path"] == "cubes/distortion/NIRISS_NIS_F090W/2023.zarr"
    assert entry["rows"] == len(stars)
    assert remeasure(measured, client).skipped == 3


def test_measure__areas_of_frames_that_tell_none(client, bare, tmp_path, cubes, no_fits):
    place = Path(shutil.copytree(bare, tmp_path / "lmc"))
    before = tables(place)
    found = {}
    for name in "ab":
        remeasure(place, client, cubes[name])
        stars = stars_of(place)
        found[name] = stars["mag_area"] - stars["mag"]
        assert open_catalog(place).exposures["corrected_with"].str.endswith("+area").all()
    assert (found["a"].abs().median(), found["b"].abs().median()) > (1e-3, 1e-3)
    assert (found["a"] - found["b"]).abs().min() > 1e-4
    assert remeasure(place, client, cubes["b"]).done == 0
    remeasure(place, client)
    assert tables(place) == before


@pytest.mark.parametrize(("field", "at"), [("measured", 1), ("measured", 3), ("bare", 1), ("bare", 2)])
def test_kill__among_the_tables(request, client, tmp_path, cubes, monkeypatch, no_fits, field, at):
    place = Path(shutil.copytree(request.getfixturevalue(field), tmp_path / "killed"))
    whole = Path(shutil.copytree(place, tmp_path / "never"))
    die_on(monkeypatch, Store, "publish", at, remeasure, place, client, cubes["a"])
    assert remeasure(place, client, cubes["b"]).done == len(open_catalog(whole).exposures)
    remeasure(whole, client, cubes["b"])
    assert tree(place) == tree(whole)


@pytest.mark.parametrize("method", ["write_exposures", "write_manifest"])
def test_kill__before_the_catalog_knows(client, bare, tmp_path, cubes, monkeypatch, no_fits, method):
    place = Path(shutil.copytree(bare, tmp_path / "killed"))
    whole = Path(shutil.copytree(bare, tmp_path / "never"))
    # `measure` itself writes each once before.
    die_on(monkeypatch, Catalog, method, 2, remeasure, place, client, cubes["a"])
    for name in "ba":
        remeasure(place, client, cubes[name])
    remeasure(whole, client, cubes["a"])
    assert tree(place) == tree(whole)


def test_kill__before_tables_are_corrected_at_all(client, measured, cubes, fresh, monkeypatch, no_fits):
    with pytest.raises(Killed):
        remeasure(measured, client, cubes["a"], progress=_die_during_correct)
    settle(client)
    assert remeasure(measured, client, cubes["a"]).done == 3
    assert tree(measured) == fresh["a"]


def _die_during_correct(stage, done, total, key):
    if (stage, done) == ("correct", 2):
        raise Killed


def test_kill__while_measuring_anew_what_was_corrected(client, frames, measured, cubes, fresh, monkeypatch):
    remeasure(measured, client, cubes["b"])
    die_on(monkeypatch, Store, "publish", 3, remeasure, measured, client, cubes["a"])
    # All three tables are the uncorrected ones of a second measurement, and one is still staged.
    die_on(monkeypatch, Store, "publish", 3, lambda: remeasure(measured, client, cubes["a"], fresh=True))
    remeasure(measured, client, cubes["a"])
    assert tables(measured) == {path: digest for path, digest in fresh["a"].items() if path.endswith(".parquet")}


def test_copied__a_store_that_shows_a_table_twice(client, bare, tmp_path, cubes, monkeypatch, no_fits):
    """An object store copies before it removes; a kill in between must not pass for an area of the frame's own."""
    place = Path(shutil.copytree(bare, tmp_path / "lmc"))
    whole = Path(shutil.copytree(bare, tmp_path / "never"))

    def copy(self, staged, final):
        shutil.copy(self.locate(staged), self.locate(final))

    with monkeypatch.context() as once:
        once.setattr(Store, "publish", copy)
        die_on(once, Catalog, "write_exposures", 2, remeasure, place, client, cubes["a"])
    remeasure(place, client, cubes["b"])
    remeasure(whole, client, cubes["b"])
    assert tree(place) == tree(whole)


def test_failure__of_one_table_leaves_it_and_is_told(client, measured, cubes, fresh, monkeypatch, no_fits):
    real = correcting.corrected

    def fragile(stars, *rest):
        if stars["exposure"].iloc[0] == name_of(2):
            raise RuntimeError("out of luck")
        return real(stars, *rest)

    before = tables(measured, "measurements")
    with monkeypatch.context() as once:
        once.setattr(correcting, "corrected", fragile)
        report = remeasure(measured, client, cubes["a"])
    assert (report.done, report.skipped, report.rejected) == (2, 1, [])
    (note,) = report.notes
    assert note["exposure"] == name_of(2)
    assert "out of luck" in note["note"]
    same = {path for path, digest in tables(measured, "measurements").items() if before[path] == digest}
    assert [Path(path).stem for path in same] == [name_of(2)]
    assert remeasure(measured, client, cubes["a"]).done == 1
    assert tree(measured) == fresh["a"]


def test_bytes__nothing_is_left_behind(client, measured, cubes):
    remeasure(measured, client, cubes["a"])
    assert Journal(Store(measured), "correct").read() == {}
    assert not any(path.startswith(".staging") for path in tree(measured))
