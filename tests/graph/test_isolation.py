"""Readers and writers side by side: one writer, and readers that see a stage whole or not at all."""

import dask
import pandas as pd
import pytest

from catalogs import open_catalog
from catalogs.errors import CatalogError
from catalogs.store import Store
from compute.graph import frames as lazy_frames
from compute.graph import pipeline
from compute.graph.run import writing
from tests.graph.running import OTHER, enter, tables


def seen_by_a_reader(url):
    """What someone who opens the catalog now finds: exposures, measured ones, stars and how they were measured."""
    catalog = open_catalog(url)
    rows = catalog.exposures
    stars = catalog.measurements[["exposure", "flux"]].compute(scheduler="synchronous")
    return len(rows), stars["exposure"].nunique(), len(stars), set(rows["measured_with"].dropna())


def test_reader__sees_a_stage_only_when_it_is_whole(client, frames, tmp_path):
    seen = []

    def look(stage, done, total, key):
        seen.append((stage, *seen_by_a_reader(tmp_path / "lmc")))

    catalog, *_ = enter(tmp_path / "lmc", client, frames, progress=look)
    assert seen == [("ingest", 0, 0, 0, set())] * 3 + [("measure", 3, 0, 0, set())] * 3
    n_exposures, n_measured, n_stars, digests = seen_by_a_reader(tmp_path / "lmc")
    assert (n_exposures, n_measured, n_stars, len(digests)) == (3, 3, catalog.exposures["n_stars"].sum(), 1)


def test_reader__sees_nothing_of_a_stage_that_is_being_published(client, frames, tmp_path, monkeypatch):
    seen, publish = [], Store.publish

    def look_after(store, staged, final):
        publish(store, staged, final)
        if final.endswith(".parquet"):  # ePSF cubes follow once EXPOSURES is committed
            seen.append(seen_by_a_reader(tmp_path / "lmc"))

    monkeypatch.setattr(Store, "publish", look_after)
    enter(tmp_path / "lmc", client, frames)
    assert seen == [(3, 0, 0, set())] * 3


def test_reader__sees_the_old_stage_until_the_new_one_is_computed(client, frames, tmp_path, measured):
    before, files, seen = seen_by_a_reader(tmp_path / "lmc"), tables(tmp_path / "lmc"), []

    def look(stage, done, total, key):
        seen.append((seen_by_a_reader(tmp_path / "lmc"), tables(tmp_path / "lmc")))

    enter(tmp_path / "lmc", client, frames, OTHER, progress=look)
    assert len(seen) == 6
    assert all(now == (before, files) for now in seen)
    assert seen_by_a_reader(tmp_path / "lmc")[3].isdisjoint(before[3])


def test_reader__pandas_sees_no_staged_table(client, frames, tmp_path):
    enter(tmp_path / "lmc", client, frames[:1])
    found = []

    def look(stage, done, total, key):
        found.append(pd.read_parquet(tmp_path / "lmc" / "measurements")["exposure"].nunique())

    enter(tmp_path / "lmc", client, frames, progress=look)
    assert found == [1] * 5  # three files read in, two measured


def test_writer__there_is_only_one(tmp_path):
    with writing(str(tmp_path / "lmc")), pytest.raises(CatalogError, match="lmc is being written by another process"):
        writing(str(tmp_path / "lmc")).__enter__()


def test_writer__a_failure_gives_the_catalog_back(tmp_path):
    with pytest.raises(RuntimeError), writing(str(tmp_path / "lmc")):
        raise RuntimeError
    with writing(str(tmp_path / "lmc")) as catalog:
        assert catalog.exposures.empty


def test_writer__sweeps_what_killed_writers_left(tmp_path):
    with writing(str(tmp_path / "lmc")):
        pass
    half = tmp_path / "lmc" / "measurements" / ".new-0123"
    half.parent.mkdir()
    half.write_bytes(b"half a table")
    with writing(str(tmp_path / "lmc")):
        assert not half.exists()


def test_writer__other_files_are_not_mistaken_for_a_catalog(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CatalogError, match=r"thesis\.tex"):
        writing(str(tmp_path)).__enter__()


def test_measurements__building_computes_nothing(whole, monkeypatch):
    catalog = open_catalog(whole)

    def refuse(*args, **kwargs):
        raise AssertionError("computed")

    read = lazy_frames.read_part
    monkeypatch.setattr(lazy_frames, "read_part", refuse)
    with dask.config.set(scheduler=refuse):
        bright = catalog.measurements
        bright = bright[bright["flux"] > 1.0][["x", "y"]].mean()
        with pytest.raises(AssertionError, match="computed"):
            bright.compute()
    monkeypatch.setattr(lazy_frames, "read_part", read)
    assert bright.npartitions == 1
    assert catalog.measurements.npartitions == 3


def test_measurements__none_yet_is_an_empty_frame(client, frames, tmp_path):
    with writing(str(tmp_path / "lmc")) as catalog:
        pipeline.ingest(catalog, client, frames)
        stars = catalog.measurements.compute()
    assert len(stars) == 0
    assert {"x", "flux", "filter"} <= set(stars.columns)
