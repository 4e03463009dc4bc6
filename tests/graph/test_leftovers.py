"""What killed, suspended and leftover processes leave, and damage to small files: never taken for what it is not."""

import errno
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from catalogs import open_catalog
from catalogs.catalog import measurement_path
from catalogs.cubes import write_epsf
from catalogs.errors import CatalogError, UnusableError
from catalogs.store import Store
from compute.graph import frame as framing
from compute.graph import motion as moving
from compute.graph.correcting import recover_corrections
from compute.graph.frame import frame
from compute.graph.journal import Journal
from compute.graph.match import match
from compute.graph.motion import motion
from compute.graph.publish import publish, record_key, recover
from compute.graph.run import run, writing
from compute.graph.sources import remember
from compute.graph.staged import finished
from compute.graph.verify import verify
from compute.recipe import read_recipe
from compute.settings import FrameSettings, MatchSettings, MotionSettings, ReferenceSettings
from tests.graph.running import tables, tree
from tests.graph.test_resume import die_on
from tests.stages.fields import dithered, sky, write_catalog
from tests.stages.synthetic import cube


def test_run__a_second_programs_recipe_leaves_the_firsts_alone(client, frames, tmp_path):
    def go(files, passes):
        (tmp_path / "RECIPE.toml").write_text(
            f'catalog = "lmc"\n[exposures]\nfiles = {json.dumps(files)}\n[measure]\nrounds = 1\n'
            f"[measure.own_epsf]\ngrid = 1\npasses = {passes}\n"
        )
        return run(read_recipe(tmp_path / "RECIPE.toml"), client)

    go(frames[:1], 1)
    first = tables(tmp_path / "lmc", "measurements")
    _, measured = go(frames[1:2], 2)
    assert (measured.done, measured.skipped) == (1, 0)
    assert first.items() < tables(tmp_path / "lmc", "measurements").items()
    assert open_catalog(tmp_path / "lmc").exposures["measured_with"].nunique() == 2


def record_of(row, **changes) -> dict:
    record = {"status": "ok", "reason": None, "sha256": row.sha256, "measured_with": "other", "own_epsf": True}
    record |= {"n_stars": 1, "n_saturated": 0, "qfit_median": 0.1, "core_fraction": 0.2, "epsf_sha256": None}
    return record | changes


@pytest.mark.parametrize("stage", ["measure", "correct"])
def test_recover__a_table_that_is_not_the_records_was_not_moved(measured, stage):
    with writing(str(measured)) as catalog:
        row = next(catalog.exposures.itertuples())
        place, journal = measurement_path(row._asdict()), Journal(catalog.store, stage)

        def found(digest):
            changes = {"measured_with": row.measured_with} if stage == "correct" else {}
            record = record_of(row, staged=".staging/correct/none", corrected_with="new", **changes)
            record |= {"table_sha256": digest} if digest else {}
            journal.write(record_key(row.exposure, row.detector), record)
            _ = recover(catalog, journal) if stage == "measure" else recover_corrections(catalog)
            now = next(catalog.exposures.itertuples())
            return now.measured_with == "other" if stage == "measure" else now.corrected_with == "new"

        assert not found("0" * 64)
        assert not found(None)
        assert found(catalog.store.sha256(place))


def test_journal__a_damaged_record_is_no_evidence(tmp_path):
    journal = Journal(Store(tmp_path), "measure")
    journal.write("a", {"status": "ok"})
    for name, text in (("b", b'{"status": "o'), ("c", b"\xff"), ("d", b"[]")):
        (tmp_path / journal.path(name)).write_bytes(text)
    assert list(journal.read()) == ["a"]


@pytest.mark.parametrize(("code", "times", "fails"), [(39, 1, False), (39, 9, False), (2, 1, False), (13, 1, True)])
def test_journal__clears_while_a_leftover_worker_writes(tmp_path, monkeypatch, code, times, fails):
    assert (errno.ENOTEMPTY, errno.ENOENT, errno.EACCES) == (39, 2, 13)
    journal, real, calls = Journal(Store(tmp_path), "measure"), Store.remove, []
    journal.write("a", {})

    def remove(store, path):
        calls.append(path)
        if len(calls) <= times:
            raise OSError(code, "as it is")
        real(store, path)

    monkeypatch.setattr(Store, "remove", remove)
    if fails:
        with pytest.raises(OSError, match="as it is"):
            journal.clear()
    else:
        journal.clear()
        assert (journal.read() == {}) == (times == 1)


def test_publish__a_suspended_run_is_told_who_took_over(measured):
    with writing(str(measured)) as catalog:
        rows = catalog.exposures
        row = next(rows.itertuples())
        (measured / ".lease").unlink()
        records = {record_key(row.exposure, row.detector): record_of(row)}
        with pytest.raises(CatalogError, match="stood still too long"):
            publish(catalog, rows, rows.iloc[:1], records, Journal(catalog.store, "measure"))


def faults_of(folder, exposures=None) -> list[str]:
    catalog = open_catalog(folder)
    return verify(catalog, catalog.exposures if exposures is None else exposures).faults


def test_verify__exposures_are_those_that_were_written(measured):
    path = measured / "exposures" / "part-0.parquet"
    shutil.copy(path, measured.parent / "kept.parquet")
    with writing(str(measured)) as catalog:
        catalog.write_exposures(catalog.exposures.iloc[:2])
    shutil.copy(measured.parent / "kept.parquet", path)
    (fault,) = faults_of(measured)
    assert fault.startswith("exposures/part-0.parquet: found sha256 ")
    assert fault.endswith(", as it was written")
    (measured / ".records" / "exposures.json").write_text("{")
    (fault,) = faults_of(measured)
    assert "exposures.json: not readable as JSON" in fault
    (measured / ".records" / "exposures.json").unlink()  # a catalog from before there was one
    assert faults_of(measured) == []


@pytest.mark.parametrize("at", [1, 2, 3])
def test_verify__a_kill_while_exposures_are_written_is_no_fault(measured, monkeypatch, at):
    with writing(str(measured)) as catalog:
        rows = catalog.exposures
        rows.loc[0, "reason"] = "something else"
        die_on(monkeypatch, Store, "commit", at, catalog.write_exposures, rows)
    assert faults_of(measured) == []


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_exposures__damaged_ones_are_told_in_one_line(measured, where):
    path = measured / "exposures" / "part-0.parquet"
    data = bytearray(path.read_bytes())
    k = min(int(where * len(data)), len(data) - 8)
    data[k : k + 8] = b"\xff" * 8
    path.write_bytes(data[:-200] if where == 0.5 else data)
    with pytest.raises(CatalogError, match=r"part-0.parquet: not readable \(") as caught:
        _ = open_catalog(measured).exposures
    assert "\n" not in str(caught.value)


CUBE = "cubes/epsf/NIRISS_NIS_F090W/2022.00-b.zarr"


@pytest.mark.parametrize("path", [".sources", "reports/made_of.json", f"{CUBE}/.zattrs"])
def test_status__a_damaged_record_is_named(measured, path):
    from click.testing import CliRunner

    from cli.status import command

    if path.startswith(CUBE):
        write_epsf(Store(measured), CUBE, cube(filter="F090W"))
    (measured / path).parent.mkdir(exist_ok=True)
    (measured / path).write_bytes(b'{"a": \xff')
    ended = CliRunner().invoke(command, [str(measured)])
    assert isinstance(ended.exception, CatalogError)
    assert str(ended.exception).startswith(f"{measured / path}: not readable as JSON (")
    ended = CliRunner().invoke(command, [str(measured), "--verify"])
    assert ended.exit_code == 1
    assert f"fault {measured / path}: not readable as JSON (" in ended.output


def test_remember__starts_anew_where_sources_are_damaged(measured, frames):
    (measured / ".sources").write_text("{")
    with writing(str(measured)) as catalog:
        remember(catalog, {frames[0]: "1-2"})
    assert json.loads((measured / ".sources").read_text()) == {frames[0]: "1-2"}


def test_status__every_stage_that_was_interrupted(measured):
    from click.testing import CliRunner

    from cli.status import command

    for path in ("frame/west/ab/tiles/0_0.json", "kinematics/west/a.parquet", "measure/a.json", "measure/b.json"):
        (measured / ".staging" / path).parent.mkdir(parents=True, exist_ok=True)
        (measured / ".staging" / path).write_text("{}")
    said = json.loads(CliRunner().invoke(command, [str(measured), "--json"]).stdout)
    assert said["interrupted"] == {"frame": 1, "kinematics": 0, "measure": 2}


def test_finished__parts_are_staged_or_were_moved_all_together(tmp_path):
    store = Store(tmp_path)
    for path in ("s/m/a", "s/m/b", "s/n/a", "s/n/b"):
        store.commit(path, lambda file, path=path: file.write(path[2:].encode()))
    digests = {path: store.sha256(f"s/{path}") for path in ("m/a", "m/b", "n/a", "n/b")}
    records = {name: {"parts": {p: d for p, d in digests.items() if p.endswith(name)}} for name in "ab"}

    def now():
        return finished(store, "s", records, ("m", "n"))

    assert now() == {"a", "b"}
    store.publish("s/m", "m")
    assert now() == {"a", "b"}
    store.remove("s/n/a")
    assert now() == set()  # doing `a` again would put a folder of `m/a` alone in place of all
    store.publish("s/n", "n")
    assert now() == set()
    store.commit("n/a", lambda file: file.write(b"n/a"))
    assert now() == {"a", "b"}
    assert finished(store, "s", records, ()) == set()


FIELD, SETTINGS = "west", FrameSettings(link_stars=300)


@pytest.fixture(scope="module")
def epochs(client, tmp_path_factory):
    """A catalog of two epochs before frames, and with frames and motions."""
    folder = tmp_path_factory.mktemp("leftovers")
    stars = sky(500)
    first, last = dithered(stars, n=4), dithered(stars, n=4, seed=2, epoch=2027.43, mjd_mid=61562.0)
    last[0]["exposure"] = last[0]["exposure"].str.replace("02101", "02102")
    last = last[0], [each.assign(exposure=name) for each, name in zip(last[1], last[0]["exposure"], strict=True)]
    write_catalog(folder / "bare", pd.concat([first[0], last[0]]), first[1] + last[1])
    shutil.copytree(folder / "bare", folder / "whole")
    with writing(str(folder / "whole")) as catalog:
        frame(catalog, client, FIELD, SETTINGS)
        motion(catalog, client, FIELD, MotionSettings())
    return folder


@pytest.mark.parametrize("lost", ["part-*.parquet", "*.arrow", "stars/1.json", "tiles/*.json", "moved"])
def test_frame__what_is_lost_of_the_staged_is_done_again(client, epochs, tmp_path, monkeypatch, lost):
    folder = Path(shutil.copytree(epochs / "bare", tmp_path / "lmc"))
    with writing(str(folder)) as catalog:
        if lost == "moved":  # killed when matches have been moved, before master frames are
            die_on(monkeypatch, Store, "publish", 3, frame, catalog, client, FIELD, SETTINGS)
            lost = "part-*.parquet"
        else:
            die_on(monkeypatch, framing, "_publish", 1, frame, catalog, client, FIELD, SETTINGS)
        staged = [path for path in (folder / ".staging").rglob(lost) if "/transforms/" not in str(path)]
        for path in staged:
            path.write_text("{") if path.suffix == ".json" else path.unlink()
        frame(catalog, client, FIELD, SETTINGS)
        motion(catalog, client, FIELD, MotionSettings())
    assert tree(folder) == tree(epochs / "whole")


def test_motion__a_tile_whose_part_is_gone_is_fitted_again(client, epochs, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(epochs / "whole", tmp_path / "lmc"))
    with writing(str(folder)) as catalog:
        (folder / sorted(tables(folder, "motions"))[0]).unlink()  # so that there is something to do
        die_on(monkeypatch, moving, "_publish", 1, motion, catalog, client, FIELD, MotionSettings())
        part, *_ = sorted((folder / ".staging").rglob("motions/*/part-*.parquet"))
        part.unlink()
        motion(catalog, client, FIELD, MotionSettings())
    assert tree(folder) == tree(epochs / "whole")


def test_frames_half_replaced__are_refused(client, epochs, tmp_path):
    folder = Path(shutil.copytree(epochs / "whole", tmp_path / "lmc"))
    with writing(str(folder)) as catalog:
        made = catalog.manifest.provenance["frame"]
        catalog.write_manifest(catalog.manifest.with_stage("frame", {FIELD: made[FIELD] | {"digest": ""}}))
        with pytest.raises(UnusableError, match="motion: field west: found .* expected .*give piazzi frame again"):
            motion(catalog, client, FIELD, MotionSettings())
        with pytest.raises(UnusableError, match="match: field west: found .* expected .*give piazzi frame again"):
            match(catalog, client, FIELD, MatchSettings(), ReferenceSettings(file="nowhere.parquet"))
