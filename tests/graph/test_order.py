"""The same inputs give the same bytes, however many workers there are and whichever ends first."""

import random
import time

import numpy as np
import pytest
from distributed import Client

from catalogs import open_catalog
from compute.graph import tasks
from tests.graph.running import FAST, OTHER, enter, tree


@pytest.fixture(scope="module")
def undisturbed(whole):
    return tree(whole)


def test_bytes__there_is_a_table_for_each_exposure(undisturbed):
    assert sum(path.startswith("measurements/") for path in undisturbed) == 3
    assert sum(path.startswith("exposures/") for path in undisturbed) == 1
    assert not any(path.startswith(".staging") for path in undisturbed)


def test_bytes__one_worker_or_two(undisturbed, frames, tmp_path):
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as alone:
        enter(tmp_path / "lmc", alone, frames)
    assert tree(tmp_path / "lmc") == undisturbed


def test_bytes__shuffled_files_and_delays(undisturbed, client, frames, tmp_path, monkeypatch):
    late = dict(zip(sorted(frames), (0.4, 0.0, 0.2), strict=True))
    ended = []

    def delayed(function):
        def call(first, *more):
            path = first if isinstance(first, str) else f"{first.header.exposure}_cal.fits"
            time.sleep(next(delay for frame, delay in late.items() if frame.endswith(path)))
            return function(first, *more)

        return call

    monkeypatch.setattr(tasks, "ingest", delayed(tasks.ingest))
    monkeypatch.setattr(tasks, "measure", delayed(tasks.measure))
    shuffled = random.Random(3).sample(frames, len(frames))
    enter(tmp_path / "lmc", client, shuffled, progress=lambda stage, done, total, key: ended.append(key))
    assert ended[:3] != sorted(ended[:3])  # or the delays did nothing
    assert tree(tmp_path / "lmc") == undisturbed


def test_bytes__one_file_at_a_time_gives_the_same_tables(undisturbed, client, frames, tmp_path):
    for frame in reversed(frames):
        enter(tmp_path / "lmc", client, [frame])
    assert tree(tmp_path / "lmc") == undisturbed


def test_bytes__a_run_over_the_whole_again_changes_nothing(undisturbed, client, frames, measured):
    _, entered, again = enter(measured, client, frames)
    assert (entered.done, entered.skipped, again.done, again.skipped) == (0, 3, 0, 3)
    assert tree(measured) == undisturbed


def test_bytes__fresh_computes_anew_and_gets_the_same(undisturbed, client, frames, measured):
    _, entered, again = enter(measured, client, frames, fresh=True)
    assert (entered.done, again.done, again.skipped) == (3, 3, 0)
    assert tree(measured) == undisturbed


def test_measure__settings_are_in_the_provenance(whole):
    catalog = open_catalog(whole)
    (entry,) = catalog.manifest.provenance["measure"].values()
    assert entry["settings"] == FAST.model_dump(mode="json")
    assert entry["rows"] == catalog.exposures["n_stars"].sum() > 60
    assert entry["versions"]["numpy"] == np.__version__


def test_measure__provenance_tells_what_is_there_now(client, frames, measured):
    enter(measured, client, frames[:1], OTHER)
    catalog = open_catalog(measured)
    told = {digest: entry["rows"] for digest, entry in catalog.manifest.provenance["measure"].items()}
    assert told == dict(catalog.exposures.groupby("measured_with")["n_stars"].sum())
    enter(measured, client, frames, OTHER)
    assert set(catalog.exposures["measured_with"]) == set(open_catalog(measured).manifest.provenance["measure"])
