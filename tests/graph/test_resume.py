"""A run that stopped anywhere goes on from there and ends as if it had never stopped."""

import time
from collections import Counter
from pathlib import Path

import pytest

from catalogs import open_catalog
from catalogs.catalog import Catalog
from catalogs.store import Store
from compute.graph import pipeline, tasks
from compute.graph.journal import Journal
from compute.graph.run import writing
from tests.graph.running import FAST, OTHER, enter, name_of, tables, tree, write_field


class Killed(BaseException):
    """Stands for the death of the process."""


@pytest.fixture(scope="module")
def undisturbed(whole, client, frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "other"
    enter(folder, client, frames, OTHER)
    fast, other = tree(whole), tree(folder)
    assert fast.keys() == other.keys()
    assert all(fast[path] != other[path] for path in tables(whole))
    return {"fast": fast, "other": other}


@pytest.fixture
def calls(monkeypatch):
    """How often each exposure was read in and measured."""
    counts = {"ingest": Counter(), "measure": Counter()}
    ingest, measure = tasks.ingest, tasks.measure

    def counted_ingest(path, known):
        rows = ingest(path, known)
        counts["ingest"][Path(path).name.removesuffix("_cal.fits")] += rows is not None
        return rows

    def counted_measure(exposure, *rest):
        counts["measure"][exposure.header.exposure] += 1
        return measure(exposure, *rest)

    monkeypatch.setattr(tasks, "ingest", counted_ingest)
    monkeypatch.setattr(tasks, "measure", counted_measure)
    return counts


def tables_of(found: dict[str, str]) -> dict[str, str]:
    return {path: digest for path, digest in found.items() if path.endswith(".parquet")}


def settle(client):
    """Wait until no task of an abandoned run is left on the workers."""
    while any(client.processing().values()):
        time.sleep(0.02)


def interrupt(url, client, frames, settings, during, after):
    """Run and die when `after` tasks of stage `during` have ended; returns the records that were staged."""

    def die(stage, done, total, key):
        if (stage, done) == (during, after):
            raise Killed

    with pytest.raises(Killed):
        enter(url, client, frames, settings, progress=die)
    settle(client)
    return Journal(Store(url), during).read()


def die_on(patch, owner, name, at, run, *args):
    """Call ``run(*args)`` and die at its `at`-th call of a method, before that does anything."""
    method, made = getattr(owner, name), []

    def call(*inner, **options):
        made.append(inner)
        if len(made) == at:
            raise Killed
        return method(*inner, **options)

    with patch.context() as once:
        once.setattr(owner, name, call)
        with pytest.raises(Killed):
            run(*args)


@pytest.mark.parametrize("during", ["ingest", "measure"])
def test_resume__staged_records_are_not_computed_again(client, frames, tmp_path, undisturbed, calls, during):
    staged = interrupt(tmp_path / "lmc", client, frames, FAST, during, after=2)
    assert len(staged) >= 2
    calls[during].clear()
    enter(tmp_path / "lmc", client, frames, FAST)
    assert calls[during].total() == 3 - len(staged)
    assert tree(tmp_path / "lmc") == undisturbed["fast"]


def test_resume__records_of_other_settings_are_stale(client, frames, tmp_path, undisturbed, calls):
    interrupt(tmp_path / "lmc", client, frames, OTHER, "measure", after=2)
    calls["measure"].clear()
    enter(tmp_path / "lmc", client, frames, FAST)
    assert calls["measure"] == {name_of(i): 1 for i in range(1, 4)}
    assert tree(tmp_path / "lmc") == undisturbed["fast"]


def test_resume__records_of_other_bytes_are_stale(client, own_frames, tmp_path, calls):
    files = own_frames(tmp_path / "data", 2)
    staged = interrupt(tmp_path / "lmc", client, files, FAST, "measure", after=2)
    assert len(staged) == 2
    calls["measure"].clear()
    write_field(Path(files[0]), seed=77)
    _, entered, measured = enter(tmp_path / "lmc", client, files, FAST, replace=True)
    assert (entered.done, entered.skipped, measured.done) == (1, 1, 2)
    assert calls["measure"] == {name_of(1): 1}
    enter(tmp_path / "alone", client, files, FAST)
    assert tables(tmp_path / "lmc") == tables(tmp_path / "alone")


def test_resume__a_file_that_changed_since_it_was_read_in_is_read_again(client, own_frames, tmp_path, calls):
    files = own_frames(tmp_path / "data", 2)
    interrupt(tmp_path / "lmc", client, files, FAST, "ingest", after=2)
    write_field(Path(files[0]), seed=77)
    calls["ingest"].clear()
    enter(tmp_path / "lmc", client, files, FAST)
    assert calls["ingest"] == {name_of(1): 1}
    enter(tmp_path / "alone", client, files, FAST)
    assert tree(tmp_path / "lmc") == tree(tmp_path / "alone")


def test_resume__a_record_without_its_table_is_not_trusted(client, frames, tmp_path, undisturbed, calls):
    staged = interrupt(tmp_path / "lmc", client, frames, FAST, "measure", after=3)
    assert len(staged) == 3
    (table,) = (tmp_path / "lmc" / ".staging" / "measure").glob(f"{name_of(2)}--NIS.*.parquet")
    table.unlink()
    calls["measure"].clear()
    enter(tmp_path / "lmc", client, frames, FAST)
    assert calls["measure"] == {name_of(2): 1}
    assert tree(tmp_path / "lmc") == undisturbed["fast"]


@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [(Store, "publish", 2), (Catalog, "write_exposures", 2), (Catalog, "write_manifest", 3),
     (Journal, "clear", 2)],
)  # fmt: skip
def test_resume__killed_while_publishing(client, frames, tmp_path, undisturbed, calls, monkeypatch, owner, name, at):
    die_on(monkeypatch, owner, name, at, enter, tmp_path / "lmc", client, frames, FAST)
    measured = calls["measure"].total()
    enter(tmp_path / "lmc", client, frames, FAST)
    assert calls["measure"] == {name_of(i): 1 for i in range(1, 4)}
    assert measured in (0, 3)
    assert tree(tmp_path / "lmc") == undisturbed["fast"]


@pytest.mark.parametrize("at", [1, 2])
def test_resume__killed_while_replacing_then_the_old_settings_again(
    client, frames, tmp_path, measured, undisturbed, monkeypatch, at
):
    die_on(monkeypatch, Store, "publish", at, enter, tmp_path / "lmc", client, frames, OTHER)
    _, _, report = enter(tmp_path / "lmc", client, frames, FAST)
    # Tables that the other settings had already replaced are measured again; the others stand.
    assert (report.done, report.skipped) == (at - 1, 4 - at)
    assert tables(tmp_path / "lmc") == tables_of(undisturbed["fast"])


def test_resume__killed_while_replacing_then_a_run_over_another_file(
    client, frames, tmp_path, undisturbed, monkeypatch
):
    enter(tmp_path / "lmc", client, frames[:2], FAST)
    die_on(monkeypatch, Store, "publish", 2, enter, tmp_path / "lmc", client, frames[:2], OTHER)
    enter(tmp_path / "lmc", client, frames[2:], FAST)
    enter(tmp_path / "lmc", client, frames, FAST)
    assert tables(tmp_path / "lmc") == tables_of(undisturbed["fast"])


def test_resume__killed_between_a_table_and_its_record(client, frames, tmp_path, undisturbed, monkeypatch):
    interrupt(tmp_path / "lmc", client, frames[:1], OTHER, "measure", after=1)
    with monkeypatch.context() as patch:
        # The task fails where a kill would have ended it: the new table is staged, its record is not written.
        patch.setattr(Journal, "write", lambda self, key, record: 1 / 0)
        die_on(patch, Catalog, "write_exposures", 2, enter, tmp_path / "lmc", client, frames[:1], FAST)
    enter(tmp_path / "lmc", client, frames, OTHER)
    assert tables(tmp_path / "lmc") == tables_of(undisturbed["other"])


def test_resume__killed_while_clearing_then_nothing_is_mistaken(client, frames, tmp_path, undisturbed, monkeypatch):
    interrupt(tmp_path / "lmc", client, frames, OTHER, "measure", after=3)
    removed = len(list((tmp_path / "lmc" / ".staging" / "measure").iterdir()))
    assert removed == 9  # a record, a table and an ePSF for each
    for at in (2, 3):  # once among the records, once before what they spoke of
        die_on(monkeypatch, Store, "remove", at, enter, tmp_path / "lmc", client, frames, FAST)
        assert tables_of(undisturbed["fast"]).items() <= tables(tmp_path / "lmc").items()
    enter(tmp_path / "lmc", client, frames, FAST)
    assert tables(tmp_path / "lmc") == tables_of(undisturbed["fast"])


def cubes(place):
    return {path.relative_to(place): path.read_bytes() for path in (place / "cubes").rglob("*") if path.is_file()}


def test_resume__own_epsfs_are_those_of_the_tables(client, frames, tmp_path, measured):
    before = cubes(tmp_path / "lmc")
    interrupt(tmp_path / "lmc", client, frames, OTHER, "measure", after=2)
    assert cubes(tmp_path / "lmc") == before
    enter(tmp_path / "lmc", client, frames, FAST)
    assert cubes(tmp_path / "lmc") == before
    enter(tmp_path / "lmc", client, frames, OTHER)
    assert cubes(tmp_path / "lmc").keys() == before.keys()


@pytest.mark.parametrize("at", [4, 5])  # tables are published first, then the ePSFs
def test_resume__killed_among_the_epsfs(client, frames, tmp_path, measured, monkeypatch, at):
    die_on(monkeypatch, Store, "publish", at, enter, tmp_path / "lmc", client, frames, OTHER)
    enter(tmp_path / "lmc", client, frames, OTHER)
    finished = cubes(tmp_path / "lmc")
    enter(tmp_path / "other", client, frames, OTHER)
    assert finished == cubes(tmp_path / "other")


def test_measure__same_settings_compute_nothing(client, measured, calls):
    with writing(str(measured)) as catalog:
        report = pipeline.measure(catalog, client, FAST)
    assert (report.done, report.skipped) == (0, 3)
    assert calls["measure"].total() == 0


def test_measure__new_settings_replace_the_old(client, frames, tmp_path, measured, undisturbed):
    before = open_catalog(tmp_path / "lmc").exposures["measured_with"]
    _, _, report = enter(tmp_path / "lmc", client, frames, OTHER)
    assert (report.done, report.skipped) == (3, 0)
    assert tables(tmp_path / "lmc") == tables_of(undisturbed["other"])
    assert not set(before) & set(open_catalog(tmp_path / "lmc").exposures["measured_with"])


def test_measure__a_lost_table_is_measured_again(client, frames, tmp_path, measured, undisturbed, calls):
    (lost,) = measured.rglob(f"{name_of(3)}.parquet")
    lost.unlink()
    enter(tmp_path / "lmc", client, frames)
    assert calls["measure"] == {name_of(3): 1}
    assert tree(tmp_path / "lmc") == undisturbed["fast"]


def test_fresh__staged_records_are_computed_again(client, frames, tmp_path, undisturbed, calls):
    interrupt(tmp_path / "lmc", client, frames, FAST, "measure", after=2)
    calls["measure"].clear()
    enter(tmp_path / "lmc", client, frames, FAST, fresh=True)
    assert calls["measure"].total() == 3
    assert tree(tmp_path / "lmc") == undisturbed["fast"]
