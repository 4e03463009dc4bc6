"""Several programs in one catalog: what is added later touches nothing that is there, and only it is computed."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from catalogs import open_catalog
from catalogs.catalog import measurement_path
from catalogs.cubes import write_epsf
from catalogs.errors import UnusableError
from catalogs.parquet import write_table
from catalogs.store import Store
from catalogs.tables import EXPOSURES, MEASUREMENTS
from compute.graph import apply, pipeline
from compute.graph.frame import frame
from compute.graph.journal import Journal
from compute.graph.motion import motion
from compute.graph.run import writing
from compute.graph.stale import stale
from compute.graph.verify import verify
from compute.settings import FrameSettings, MotionSettings
from tests.graph.running import FAST, enter, name_of, tree, write_field
from tests.stages.fields import PLANE, dithered, sky, write_catalog
from tests.stages.synthetic import cube

LINK = {"link_stars": 300}
EPSF = "cubes/epsf/NIRISS_NIS_{}/{}.zarr"


def told(folder) -> list[str]:
    catalog = open_catalog(folder)
    return [str(one) for one in stale(catalog, catalog.exposures)]


def stamps(folder) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every table and cube, by path."""
    files = (path for path in Path(folder).rglob("*") if path.is_file() and "exposures" not in path.parts)
    datasets = ((path.relative_to(folder).as_posix(), path.stat()) for path in files)
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in datasets if "/" in name and name[0] != "."}


@pytest.fixture
def ran(monkeypatch):
    """Names of all tasks that were run, by stage."""
    found, real = {}, apply.apply

    def noted(client, stage, function, arguments, *rest, **options):
        found.setdefault(stage, set()).update(arguments)
        return real(client, stage, function, arguments, *rest, **options)

    monkeypatch.setattr(apply, "apply", noted)  # which `run_all` calls
    monkeypatch.setattr(pipeline, "apply", noted)
    return found


def put_epsf(folder, filter, name="2022.00-built", **known):
    write_epsf(Store(folder), EPSF.format(filter, name), cube(filter=filter, **known))


def remeasure(folder, client):
    with writing(str(folder)) as catalog:
        report = pipeline.measure(catalog, client, FAST)
        assert report.rejected == []
        return report.done, report.skipped


def test_measure__a_library_for_others_measures_nothing_again(client, measured, tmp_path):
    before = stamps(measured)
    put_epsf(measured, "F150W")
    put_epsf(measured, "F090W", "2030.00-built", valid_from=62000.0)
    assert told(measured) == []
    assert remeasure(measured, client) == (0, 3)
    assert before.items() <= stamps(measured).items()


def test_measure__a_library_for_one_filter_measures_that_one_again(client, measured, tmp_path, ran):
    other = write_field(tmp_path / "jw01086002001_00009_00001_nis_cal.fits", seed=9, primary={"PUPIL": "F150W"})
    put_epsf(measured, "F150W")
    enter(measured, client, [other])
    assert {row.filter for row in open_catalog(measured).exposures.itertuples()} == {"F090W", "F150W"}
    assert told(measured) == []
    put_epsf(measured, "F090W")
    names = ", ".join(f"{name_of(k)}--NIS" for k in (1, 2, 3))
    assert told(measured) == [f"measure: measured without the ePSF there is now: 3 exposures ({names})"]
    ran.clear()
    assert remeasure(measured, client) == (3, 1)
    assert len(ran["measure"]) == 3
    assert told(measured) == []
    # The newest counts; one of the other filter is as it was.
    put_epsf(measured, "F090W", "2022.25-built")  # which holds the same
    assert told(measured) == []
    assert remeasure(measured, client) == (0, 4)
    put_epsf(measured, "F090W", "2022.50-built", source="another")
    then = "with the older ePSF 2022.25-built.zarr, now 2022.50-built.zarr"
    assert told(measured) == [f"measure: measured {then}: 3 exposures ({names})"]
    assert remeasure(measured, client) == (3, 1)
    assert told(measured) == []


def test_measure__resumes_with_a_digest_of_its_own_for_each(client, measured, tmp_path):
    put_epsf(measured, "F150W")
    assert Journal(Store(measured), "measure").read() == {}
    ways = open_catalog(measured).exposures["measured_with"]
    assert ways.nunique() == 1
    assert remeasure(measured, client) == (0, 3)


def add_program(folder, seed, **known):
    """Enter four exposures of another program, 2 degrees east, as `measure` would have."""
    rows, measured = dithered(sky(500, seed=seed), n=4, seed=seed, **known)
    rows = rows.assign(program=4566, ra=rows["ra"] + 2.0)
    rows["exposure"] = rows["exposure"].str.replace("jw01086", "jw04566")
    for row, stars in zip(rows.to_dict("records"), measured, strict=True):
        table = MEASUREMENTS.conform(stars.assign(exposure=row["exposure"]))
        with writing(str(folder)) as catalog:
            catalog.store.commit(measurement_path(row), lambda file, t=table: write_table(t, MEASUREMENTS, file))
    with writing(str(folder)) as catalog:
        catalog.write_exposures(pd.concat([catalog.exposures, EXPOSURES.conform(rows)], ignore_index=True))


def make_frames(folder, client, field, **settings):
    with writing(str(folder)) as catalog:
        report = frame(catalog, client, field, FrameSettings(**LINK, **settings))
    return report.done, report.skipped


@pytest.fixture(scope="module")
def one_program(client, tmp_path_factory):
    """A field of two epochs with frames and motions."""
    folder = tmp_path_factory.mktemp("programs") / "lmc"
    stars = sky(500)
    first, last = dithered(stars, n=4), dithered(stars, n=4, seed=2, epoch=2027.43, mjd_mid=61562.0)
    last[0]["exposure"] = last[0]["exposure"].str.replace("02101", "02102")
    last = last[0], [each.assign(exposure=name) for each, name in zip(last[1], last[0]["exposure"], strict=True)]
    write_catalog(folder, pd.concat([first[0], last[0]]), first[1] + last[1])
    make_frames(folder, client, "west")
    with writing(str(folder)) as catalog:
        motion(catalog, client, "west", MotionSettings())
    return folder


@pytest.fixture
def program(one_program, tmp_path):
    return shutil.copytree(one_program, tmp_path / "lmc")


def test_frame__another_field_touches_nothing(client, program, ran):
    before, whole = stamps(program), tree(program, "*.parquet")
    add_program(program, 7, filter="F090W")
    more = "jw04566001001_02101_00001_nis--NIS, jw04566001001_02101_00002_nis--NIS"
    assert told(program)[-1].startswith(f"frame: measured, of no field that has frames: 4 exposures ({more}")
    ran.clear()
    assert make_frames(program, client, "west") == (0, 8)  # as it was said before there was another field
    assert ran == {}
    with pytest.raises(UnusableError, match="or ra and dec of one of several fields"):
        make_frames(program, client, "east")
    assert make_frames(program, client, "east", ra=PLANE.ra + 2.0, dec=PLANE.dec) == (4, 0)
    assert all("jw01086" not in name for names in ran.values() for name in names)
    assert before.items() <= stamps(program).items()
    assert {path: digest for path, digest in whole.items() if "exposures" not in path}.items() <= tree(program).items()
    assert make_frames(program, client, "west") == (0, 8)
    with writing(str(program)) as catalog:
        assert motion(catalog, client, "west", MotionSettings()).done == 0
        assert set(catalog.master.compute()["field"]) == {"west", "east"}
    assert not [line for line in told(program) if "frame" in line or "motion" in line]
    catalog = open_catalog(program)
    assert verify(catalog, catalog.exposures).faults == []


def test_frame__exposures_just_outside_are_told(client, program):
    add_program(program, 7)
    with writing(str(program)) as catalog:
        rows = catalog.exposures
        mine = rows["program"] == 4566
        rows.loc[mine, "ra"] += 1.0 / 0.35 * 20 / 60 - 2.0  # 20 arcmin from the field's middle
        catalog.write_exposures(rows)
        report = frame(catalog, client, "west", FrameSettings(**LINK))
    assert (report.done, report.skipped) == (0, 8)
    (note,) = report.notes
    assert note["note"] == "4 exposures 15' to 30' from the middle, left out; ra, dec and within take them in"


def change(folder, **columns):
    with writing(str(folder)) as catalog:
        rows = catalog.exposures
        for name, value in columns.items():
            rows.loc[0, name] = value
        catalog.write_exposures(rows)
        return rows["exposure"][0]


def test_stale__frames_and_what_follows_from_them(program):
    assert told(program) == []
    name = change(program, measured_with="anew")
    assert told(program) == [
        f"frame west: measured anew since it was made: 1 exposure ({name}--NIS)",
        "frame west: numbers of stars in MATCHES are those of older measurements",
        "motion west: made from frames that are stale",
    ]
    change(program, measured_with="m", corrected_with="d")
    assert f"frame west: corrected anew since it was made: 1 exposure ({name}--NIS)" in told(program)
    change(program, corrected_with=None, sha256="other")
    assert f"frame west: entered anew with other bytes since it was made: 1 exposure ({name}--NIS)" in told(program)
    change(program, status="rejected", reason="why not")
    assert f"frame west: no longer there: 1 exposure ({name}--NIS)" in told(program)


def test_stale__a_new_exposure_of_the_field(program):
    with writing(str(program)) as catalog:
        rows = catalog.exposures
        new = rows.iloc[[0]].assign(exposure="jw01086001001_02109_00001_nis")
        catalog.write_exposures(pd.concat([rows, new], ignore_index=True))
    assert "frame west: new since it was made: 1 exposure (jw01086001001_02109_00001_nis--NIS)" in told(program)


def test_frame__leavings_of_other_inputs_are_swept(client, program):
    left = program / ".staging" / "frame" / "west" / "0123456789abcdef" / "solved"
    left.mkdir(parents=True)
    (left / "x.parquet").write_bytes(b"x")
    make_frames(program, client, "west")
    assert not left.exists()


def test_frame__a_new_filter_leaves_the_solutions_of_others(client, program, tmp_path, ran):
    rows, measured = dithered(sky(500), n=4, seed=4, filter="F090W")
    for row, stars in zip(rows.to_dict("records"), measured, strict=True):
        name = row["exposure"].replace("02101", "02105")
        table = MEASUREMENTS.conform(stars.assign(exposure=name))
        with writing(str(program)) as catalog:
            place = measurement_path(row | {"exposure": name})
            catalog.store.commit(place, lambda file, t=table: write_table(t, MEASUREMENTS, file))
    rows["exposure"] = rows["exposure"].str.replace("02101", "02105")
    with writing(str(program)) as catalog:
        catalog.write_exposures(pd.concat([catalog.exposures, EXPOSURES.conform(rows)], ignore_index=True))
    whole = shutil.copytree(program, tmp_path / "anew")
    ran.clear()
    assert make_frames(program, client, "west") == (12, 0)
    assert ran["frame"] == {"NIRISS_F090W_2022.33"}
    with writing(str(whole)) as catalog:
        frame(catalog, client, "west", FrameSettings(**LINK), fresh=True)
    assert tree(whole) == tree(program)


def test_verify__damage_to_frames_and_motions(program):
    catalog = open_catalog(program)
    assert verify(catalog, catalog.exposures).faults == []
    master, matches, motions = (
        sorted((program / name).rglob("*.parquet"))[0] for name in ("master", "matches", "motions")
    )
    data = bytearray(master.read_bytes())
    data[len(data) // 2] ^= 1
    master.write_bytes(data)
    matches.unlink()
    shutil.copy(motions, motions.with_name("part-99_99.parquet"))
    faults = sorted(verify(catalog, catalog.exposures).faults)
    assert [line.split(": ")[0] for line in faults] == [
        path.relative_to(program).as_posix() for path in (master, matches, motions.with_name("part-99_99.parquet"))
    ]
    assert faults[0].split(": ")[1].startswith("found sha256 ")
    assert faults[1].endswith("found nothing, expected a file, for there is a record of it")
    assert faults[2].endswith("found a file that no record knows, expected none")


def test_verify__a_record_that_was_changed(program):
    (record,) = (program / ".records" / "frame").glob("*.json")
    record.write_text(record.read_text().replace("master", "elsewhere"))
    catalog = open_catalog(program)
    found = verify(catalog, catalog.exposures)
    assert found.faults == [".records/frame/west.json: found none or another, expected the one catalog.json speaks of"]
    assert found.unrecorded > 8  # which are looked at nevertheless
