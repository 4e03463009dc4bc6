"""The same inputs give the same bytes, however many workers there are and whichever ends first."""

import random
import time

import pytest
from distributed import Client

from compute.graph import pipeline, tasks
from tests.graph.running import FAST, enter, tree


@pytest.fixture(scope="module")
def undisturbed(client, frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "lmc"
    _, entered, measured = enter(folder, client, frames)
    assert (entered.done, measured.done) == (3, 3)
    return tree(folder)


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


def test_bytes__a_run_over_the_whole_again_changes_nothing(undisturbed, client, frames, tmp_path):
    enter(tmp_path / "lmc", client, frames)
    _, entered, measured = enter(tmp_path / "lmc", client, frames)
    assert (entered.done, entered.skipped, measured.done, measured.skipped) == (0, 3, 0, 3)
    assert tree(tmp_path / "lmc") == undisturbed


def test_bytes__fresh_computes_anew_and_gets_the_same(undisturbed, client, frames, tmp_path):
    enter(tmp_path / "lmc", client, frames)
    _, entered, measured = enter(tmp_path / "lmc", client, frames, fresh=True)
    assert (entered.done, measured.done, measured.skipped) == (3, 3, 0)
    assert tree(tmp_path / "lmc") == undisturbed


def test_measure__settings_are_in_the_provenance(client, frames, tmp_path):
    catalog, *_ = enter(tmp_path / "lmc", client, frames[:1])
    (entry,) = catalog.manifest.provenance["measure"].values()
    assert entry["settings"] == FAST.model_dump(mode="json")
    assert entry["rows"] == catalog.exposures["n_stars"].sum() > 20
    assert entry["versions"]["numpy"]
    assert pipeline.Report("measure").as_dict() == {"stage": "measure", "done": 0, "skipped": 0, "rejected": []}
