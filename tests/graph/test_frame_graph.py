"""Master frames on a cluster: the same bytes always, whole or not at all, and only what changed anew."""

import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import Client

from catalogs import open_catalog
from catalogs.errors import PiazziError, UnusableError
from catalogs.store import Store
from compute.graph import frame_tasks
from compute.graph.frame import frame
from compute.graph.match import match
from compute.graph.run import writing
from compute.settings import FrameSettings, MatchSettings, ReferenceSettings
from tests.graph.running import tables, tree
from tests.stages.fields import dithered, reference, sky, write_catalog

FIELD, SETTINGS = "patch", FrameSettings(link_stars=300)


def make(folder, client, known=None, **options):
    with writing(str(folder)) as catalog:
        return frame(catalog, client, FIELD, SETTINGS, known and ReferenceSettings(file=known), **options)


@pytest.fixture(scope="module")
def measured_field(tmp_path_factory):
    """A catalog of two filters with four exposures each and its reference, which no test changes."""
    folder = tmp_path_factory.mktemp("field")
    stars = sky(500)
    parts = [dithered(stars, n=4), dithered(stars, n=4, seed=2, filter="F090W")]
    for row in range(4):
        name = f"jw01086001001_02101_{row + 11:05d}_nis"
        parts[1][0].loc[row, "exposure"], parts[1][1][row]["exposure"] = name, name
    write_catalog(folder / "lmc", pd.concat([rows for rows, _ in parts]), [m for _, ms in parts for m in ms])
    sources = reference(stars).drop(columns=["row", "ra_dec_corr"]).assign(ref_epoch=2022.33)
    sources.to_parquet(folder / "reference.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def framed(measured_field, client, tmp_path_factory):
    """That catalog with its master frames."""
    folder = tmp_path_factory.mktemp("framed") / "lmc"
    shutil.copytree(measured_field / "lmc", folder)
    report = make(folder, client, str(measured_field / "reference.parquet"))
    assert (report.done, report.rejected) == (8, [])
    return folder


@pytest.fixture
def copied(measured_field, tmp_path):
    shutil.copytree(measured_field / "lmc", tmp_path / "lmc")
    return tmp_path / "lmc"


def test_catalog__frames_are_found_by_every_reader(framed):
    catalog = open_catalog(framed)
    master = catalog.master.compute()
    assert set(zip(master["filter"], master["epoch"], strict=True)) == {("F150W", 2022.33), ("F090W", 2022.33)}
    assert not master.duplicated(["star_id", "filter"]).any()
    both = master.groupby("star_id").size()
    assert (both == 2).mean() > 0.8  # one number in all filters
    plain = pd.read_parquet(framed / "master", filters=[("filter", "==", "F090W")])
    assert len(plain) == (master["filter"] == "F090W").sum() > 200
    assert plain["star_id"].dtype == "int64"
    assert set(catalog.matches.compute()["exposure"]) == set(catalog.exposures["exposure"])
    assert (catalog.transforms.compute()["status"] == "ok").all()
    part = next((framed / "master").rglob("*.parquet"))
    assert pq.read_schema(part).field("x").metadata[b"unit"] == b"pix"
    assert not list(framed.glob(".staging/frame/*"))


@pytest.mark.parametrize("workers", [1, 4])
def test_bytes__any_number_of_workers(framed, copied, measured_field, workers):
    with Client(processes=False, n_workers=workers, threads_per_worker=1, dashboard_address=":0") as other:
        make(copied, other, str(measured_field / "reference.parquet"))
    assert tree(copied) == tree(framed)


def test_again__nothing_is_done_until_something_changes(framed, client, measured_field, tmp_path):
    folder = shutil.copytree(framed, tmp_path / "lmc")
    known, before = str(measured_field / "reference.parquet"), tree(folder)
    assert make(folder, client, known).skipped == 8
    assert tree(folder) == before
    assert make(folder, client, known, fresh=True).done == 8
    assert tree(folder) == before
    with writing(str(folder)) as catalog:
        assert frame(catalog, client, FIELD, FrameSettings(link_stars=300, clip=3.0)).done == 8


@pytest.mark.parametrize("stage", ["place", "tile_stars"])
def test_interrupted__what_was_finished_is_not_done_again(framed, copied, client, measured_field, monkeypatch, stage):
    known, real, calls = str(measured_field / "reference.parquet"), getattr(frame_tasks, stage), []

    def fails(*args):
        calls.append(1)
        if len(calls) > 2:
            raise OSError("disk full")
        return real(*args)

    monkeypatch.setattr(frame_tasks, stage, fails)
    with pytest.raises(PiazziError, match="disk full"):
        make(copied, client, known)
    assert not tables(copied, "master")
    monkeypatch.setattr(frame_tasks, "transforms", None)  # solved already
    monkeypatch.setattr(frame_tasks, stage, real)
    make(copied, client, known)
    assert tree(copied) == tree(framed)


def test_match__pairs_are_rows_of_matches(framed, client, measured_field, tmp_path):
    folder = shutil.copytree(framed, tmp_path / "lmc")
    known = ReferenceSettings(file=str(measured_field / "reference.parquet"))
    with writing(str(folder)) as catalog:
        report = match(catalog, client, FIELD, MatchSettings(), known)
        assert report.done > 0
        rows = catalog.matches.compute()
        found = rows[rows["exposure"] == "reference.parquet"]
        master = catalog.master.compute()
        assert found["dx"].std() == pytest.approx(2.0 / 50.0, rel=0.15)  # the reference's errors, 400 pairs
        sources = pd.read_parquet(measured_field / "reference.parquet").set_index("id")
        there = sources.loc[found["star"].unique()]
        assert len(there) > 0.9 * sum(there.index.isin(sources.index))
        assert found["star_id"].isin(master["star_id"]).all()
        assert match(catalog, client, FIELD, MatchSettings(), known).skipped > 0
        before = tree(folder)
        match(catalog, client, FIELD, MatchSettings(), known, fresh=True)
        assert tree(folder) == before


@pytest.mark.parametrize("stage", ["frame", "match"])
def test_killed_while_moving__the_old_settings_find_nothing_that_is_theirs(
    framed, client, measured_field, tmp_path, monkeypatch, stage
):
    folder, real = shutil.copytree(framed, tmp_path / "lmc"), Store.publish
    known = ReferenceSettings(file=str(measured_field / "reference.parquet"))
    tasks = {
        "frame": lambda catalog, **new: frame(catalog, client, FIELD, FrameSettings(link_stars=300, **new), known),
        "match": lambda catalog, **new: match(catalog, client, FIELD, MatchSettings(**new), known),
    }
    changed = {"frame": {"min_found": 2}, "match": {"radius": 10.0}}[stage]

    def fails(store, staged, final):
        real(store, staged, final)
        raise OSError("killed")

    with writing(str(folder)) as catalog:
        tasks[stage](catalog)
        before = tree(folder)
        monkeypatch.setattr(Store, "publish", fails)
        with pytest.raises(OSError, match="killed"):
            tasks[stage](catalog, **changed)
        monkeypatch.setattr(Store, "publish", real)
        assert tasks[stage](catalog).done > 0
    assert tree(folder) == before


def test_match__goes_with_the_frames_and_comes_again(framed, client, measured_field, tmp_path):
    folder = shutil.copytree(framed, tmp_path / "lmc")
    known = ReferenceSettings(file=str(measured_field / "reference.parquet"))
    with writing(str(folder)) as catalog:
        match(catalog, client, FIELD, MatchSettings(), known)
        before = tree(folder)
        frame(catalog, client, FIELD, SETTINGS, known, fresh=True)
        assert "match" not in catalog.manifest.provenance or FIELD not in catalog.manifest.provenance["match"]
        assert match(catalog, client, FIELD, MatchSettings(), known).skipped == 0
    assert tree(folder) == before


@pytest.mark.parametrize("name", ["part", "reference.parquet-2", "reference"])
def test_match__another_catalog_takes_nothing_away(framed, client, measured_field, tmp_path, name):
    folder = shutil.copytree(framed, tmp_path / "lmc")
    sources = str(measured_field / "reference.parquet")
    shutil.copy(sources, tmp_path / name)
    with writing(str(folder)) as catalog:
        match(catalog, client, FIELD, MatchSettings(), ReferenceSettings(file=str(tmp_path / name)))
        one = set(tables(folder, "matches"))
        match(catalog, client, FIELD, MatchSettings(), ReferenceSettings(file=sources))
        two = set(tables(folder, "matches"))
        match(catalog, client, FIELD, MatchSettings(), ReferenceSettings(file=str(tmp_path / name)), fresh=True)
    assert set(tables(framed, "matches")) < one < two == set(tables(folder, "matches"))


def test_reference_from_elsewhere__is_an_error_and_leaves_nothing(framed, copied, client, measured_field, tmp_path):
    sources = pd.read_parquet(measured_field / "reference.parquet")
    away = sources.assign(dec=sources["dec"] + 0.2, ra=sources["ra"].to_numpy()[::-1])  # and not the same pattern
    away.to_parquet(tmp_path / "away.parquet", index=False)
    away, folder = ReferenceSettings(file=str(tmp_path / "away.parquet")), shutil.copytree(framed, tmp_path / "framed")
    with (
        writing(str(folder)) as catalog,
        pytest.raises(UnusableError, match="no source of away.parquet within 100 mas"),
    ):
        match(catalog, client, FIELD, MatchSettings(), away)
    with (
        writing(str(copied)) as catalog,
        pytest.raises(UnusableError, match="of 8 exposures .* reference catalog: align"),
    ):
        frame(catalog, client, FIELD, SETTINGS, away)
    assert tree(folder) == tree(framed)
    assert not list(copied.glob(".staging/frame/*"))


def test_bad_input__one_line_with_what_was_found(framed, client, copied, tmp_path):
    with writing(str(copied)) as catalog:
        with pytest.raises(UnusableError, match="found frames of none, expected master frames"):
            match(catalog, client, FIELD, MatchSettings(), ReferenceSettings(file="nowhere.parquet"))
        with pytest.raises(UnusableError, match="path key field"):
            frame(catalog, client, "../evil", SETTINGS)
        with pytest.raises(UnusableError, match="photometry: found nosuch, expected one of the measured"):
            frame(catalog, client, FIELD, FrameSettings(photometry="nosuch"))
        with pytest.raises(UnusableError, match="no exposure within"):
            frame(catalog, client, FIELD, FrameSettings(ra=10.0, dec=10.0))


def test_exposure_that_is_not_of_the_field__is_told_and_the_others_are_framed(client, tmp_path):
    stars = sky(500)
    rows, measured = dithered(stars, n=4)
    measured[3]["x_gdc"] = measured[3]["x_gdc"].to_numpy()[::-1]
    write_catalog(tmp_path / "lmc", rows, measured)
    report = make(tmp_path / "lmc", client)
    assert report.done == 3
    (item,) = report.rejected
    assert item["exposure"] == rows["exposure"][3]
    assert "expected" in item["reason"]
    left_out = open_catalog(tmp_path / "lmc").transforms.compute().set_index("exposure").iloc[3]
    assert left_out["n_used"] == 0
    assert left_out[["floor", "floor_mag", "zero_point"]].isna().all()
    again = make(tmp_path / "lmc", client)
    assert (again.done, again.skipped, again.rejected) == (0, 3, report.rejected)
