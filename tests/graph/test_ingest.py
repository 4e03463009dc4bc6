"""What enters EXPOSURES when a file is new, known, changed, doubled or back again."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from catalogs import open_catalog
from compute.graph import pipeline
from compute.graph.run import writing
from tests.graph.running import FAST, OTHER, enter, name_of, tables, tree, write_field


def reasons(catalog) -> dict[str, str]:
    rows = catalog.exposures
    rejected = rows[rows["status"] == "rejected"]
    return dict(zip(rejected["exposure"], rejected["reason"], strict=True))


def test_ingest__same_bytes_are_left_alone(client, frames, tmp_path):
    with writing(str(tmp_path / "lmc")) as catalog:
        first = pipeline.ingest(catalog, client, frames)
        before = tree(tmp_path / "lmc")
        second = pipeline.ingest(catalog, client, frames)
    assert (first.done, first.skipped, second.done, second.skipped) == (3, 0, 0, 3)
    assert tree(tmp_path / "lmc") == before


def test_ingest__a_file_named_twice_is_entered_once(client, frames, tmp_path):
    with writing(str(tmp_path / "lmc")) as catalog:
        report = pipeline.ingest(catalog, client, [frames[0], frames[0]])
    assert report.done == len(catalog.exposures) == 1


def test_ingest__other_bytes_under_a_known_name_are_rejected(client, own_frames, tmp_path):
    files = own_frames(tmp_path / "data", 2)
    enter(tmp_path / "lmc", client, files)
    before = open_catalog(tmp_path / "lmc").exposures
    good = tables(tmp_path / "lmc", "measurements")
    write_field(Path(files[0]), seed=77)
    with writing(str(tmp_path / "lmc")) as catalog:
        report = pipeline.ingest(catalog, client, files)
    (found,) = report.rejected
    assert (found["exposure"], found["path"]) == (name_of(1), files[0])
    assert before["sha256"][0][:12] in found["reason"]
    assert "--replace" in found["reason"]
    rows = catalog.exposures
    pd.testing.assert_frame_equal(rows[rows["status"] == "ok"].reset_index(drop=True), before)
    assert tables(tmp_path / "lmc", "measurements") == good


def test_ingest__other_bytes_are_taken_with_replace(client, own_frames, tmp_path):
    files = own_frames(tmp_path / "data", 2)
    enter(tmp_path / "lmc", client, files)
    write_field(Path(files[0]), seed=77)
    _, entered, measured = enter(tmp_path / "lmc", client, files, replace=True)
    assert (entered.done, entered.skipped, measured.done, measured.skipped) == (1, 1, 1, 1)
    enter(tmp_path / "alone", client, files)
    assert tables(tmp_path / "lmc") == tables(tmp_path / "alone")


def test_ingest__replaced_bytes_take_their_old_table_along(client, own_frames, tmp_path):
    files = own_frames(tmp_path / "data", 2)
    enter(tmp_path / "lmc", client, files)
    write_field(Path(files[0]), seed=77, primary={"PUPIL": "F150W"})
    catalog, *_ = enter(tmp_path / "lmc", client, files, replace=True)
    assert [path.rsplit("/", 2)[1:] for path in catalog.store.list("measurements")] == [
        ["filter=F090W", f"{name_of(2)}.parquet"],
        ["filter=F150W", f"{name_of(1)}.parquet"],
    ]


def test_ingest__a_rejected_file_that_was_mended_is_accepted(client, own_frames, tmp_path):
    files = own_frames(tmp_path / "data", 2)
    whole = Path(files[0]).read_bytes()
    Path(files[0]).write_bytes(whole[:20000])
    _, entered, _ = enter(tmp_path / "lmc", client, files)
    assert (entered.done, len(entered.rejected)) == (1, 1)
    Path(files[0]).write_bytes(whole)
    catalog, entered, measured = enter(tmp_path / "lmc", client, files)
    assert (entered.done, entered.rejected, measured.done) == (1, [], 1)
    assert list(catalog.exposures["status"]) == ["ok", "ok"]


def test_ingest__a_known_file_broken_and_mended_is_no_longer_rejected(client, own_frames, tmp_path):
    files = own_frames(tmp_path / "data", 1)
    catalog, *_ = enter(tmp_path / "lmc", client, files)
    before = tree(tmp_path / "lmc")
    whole = Path(files[0]).read_bytes()
    Path(files[0]).write_bytes(whole[:20000])
    enter(tmp_path / "lmc", client, files)
    assert sorted(catalog.exposures["status"]) == ["ok", "rejected"]
    Path(files[0]).write_bytes(whole)
    enter(tmp_path / "lmc", client, files)
    assert reasons(catalog) == {}
    assert tree(tmp_path / "lmc") == before


def test_ingest__the_same_bytes_in_two_folders_are_one_exposure(client, own_frames, tmp_path):
    (here,), (there,) = own_frames(tmp_path / "a", 1), own_frames(tmp_path / "b", 1)
    enter(tmp_path / "lmc", client, [here])
    before = tree(tmp_path / "lmc")
    _, entered, measured = enter(tmp_path / "lmc", client, [here, there])
    assert (entered.done, entered.skipped, measured.done, measured.skipped) == (0, 2, 0, 1)
    assert tree(tmp_path / "lmc") == before


def test_ingest__a_moved_file_is_found_at_its_new_place(client, own_frames, tmp_path):
    (old,) = own_frames(tmp_path / "a", 1)
    enter(tmp_path / "lmc", client, [old])
    moved = tmp_path / "b" / Path(old).name
    moved.parent.mkdir()
    shutil.move(old, moved)
    catalog, entered, measured = enter(tmp_path / "lmc", client, [str(moved)])
    assert (entered.done, entered.skipped, measured.done, measured.skipped) == (0, 1, 0, 1)
    assert list(catalog.exposures["path"]) == [str(moved)]
    with writing(str(tmp_path / "lmc")) as catalog:
        report = pipeline.measure(catalog, client, OTHER)
    assert (report.done, report.rejected) == (1, [])


@pytest.mark.parametrize("gone", [False, True])
def test_measure__a_file_that_changed_since_ingest_is_rejected(client, own_frames, tmp_path, gone):
    files = own_frames(tmp_path / "data", 2)
    with writing(str(tmp_path / "lmc")) as catalog:
        pipeline.ingest(catalog, client, files)
        if gone:
            Path(files[0]).unlink()
        else:
            write_field(Path(files[0]), seed=77)
        report = pipeline.measure(catalog, client, FAST)
    (found,) = report.rejected
    assert (report.done, found["exposure"]) == (1, name_of(1))
    assert files[0] in found["reason"]
    expected = "a readable file" if gone else f"{catalog.exposures['sha256'][0][:12]}, as it was ingested"
    assert expected in found["reason"]
    assert reasons(catalog) == {name_of(1): found["reason"]}


def test_measure__a_refused_exposure_keeps_what_was_measured_before(client, own_frames, tmp_path):
    files = own_frames(tmp_path / "data", 2)
    enter(tmp_path / "lmc", client, files)
    before = tables(tmp_path / "lmc", "measurements")
    Path(files[0]).rename(tmp_path / "away.fits")
    with writing(str(tmp_path / "lmc")) as catalog:
        report = pipeline.measure(catalog, client, OTHER)
        assert (report.done, len(report.rejected)) == (1, 1)
        assert set(catalog.measurements["exposure"].compute()) == {name_of(1), name_of(2)}
        now = tables(tmp_path / "lmc", "measurements")
        assert [name_of(1) in path for path in sorted(now) if now[path] == before[path]] == [True]
        Path(tmp_path / "away.fits").rename(files[0])
        again = pipeline.measure(catalog, client, OTHER)  # what went away is mended: it is tried again
        assert (again.done, again.skipped, again.rejected) == (1, 1, [])


def test_ingest__two_files_of_one_name_in_one_call_never_replace_each_other(client, own_frames, tmp_path):
    (one,), (other,) = own_frames(tmp_path / "a", 1), own_frames(tmp_path / "b", 1)
    with open(other, "ab") as file:
        file.write(b" " * 2880)
    with writing(str(tmp_path / "lmc")) as catalog:
        report = pipeline.ingest(catalog, client, [one, other], replace=True)
    assert report.done == 1
    assert [item["path"] for item in report.rejected] == [other]


def test_measure__an_exposure_refused_anew_leaves_no_table(client, own_frames, tmp_path):
    files = own_frames(tmp_path / "data", 2)
    enter(tmp_path / "lmc", client, files)
    with writing(str(tmp_path / "lmc")) as catalog:
        pipeline.ingest(catalog, client, files, fresh=True)
        Path(files[0]).unlink()
        report = pipeline.measure(catalog, client, FAST, fresh=True)
        assert (report.done, len(report.rejected)) == (1, 1)
        (left,) = catalog.store.list("measurements")
        assert name_of(2) in left
