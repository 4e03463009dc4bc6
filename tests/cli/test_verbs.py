"""Verbs from words to exit codes, on small frames."""

import json
from pathlib import Path

import numpy as np
import pytest

from catalogs import open_catalog
from catalogs.distortion import write_distortion
from catalogs.store import Store
from compute.graph import pipeline, tasks
from compute.graph.run import writing
from tests.distortions import full_size
from tests.graph.running import tree


@pytest.fixture
def quick(whole):
    """Options that save time: one round, and an ePSF that is there."""
    return ["--rounds", "1", "--epsf", next(whole.rglob("*.zarr"))]


@pytest.fixture(autouse=True)
def _on_the_cluster_of_the_tests(clustered):
    return clustered


@pytest.fixture
def spoiled(tmp_path):
    path = tmp_path / "spoiled_cal.fits"
    path.write_text("no frame")
    return str(path)


def test_ingest__enters_files(piazzi, frames, tmp_path):
    ended = piazzi("ingest", tmp_path / "lmc", *frames)
    assert ended.code == 0
    assert ended.out == f"ingest: 3 exposures, 0 rejected\ncatalog: {tmp_path / 'lmc'}\n"
    assert "ingest 3/3" in ended.err
    assert list(open_catalog(tmp_path / "lmc").exposures["status"]) == ["ok"] * 3


def test_measure__enters_and_measures_then_leaves_alone(piazzi, quick, frames, tmp_path):
    first = piazzi("measure", tmp_path / "lmc", *frames[:2], *quick)
    assert first.code == 0
    assert first.out.splitlines()[:2] == ["ingest: 2 exposures, 0 rejected", "measure: 2 exposures, 0 rejected"]
    before = tree(tmp_path / "lmc")
    second = piazzi("measure", tmp_path / "lmc", *frames[:2], *quick)
    assert second.out.splitlines()[:2] == [
        "ingest: 0 exposures, 2 already there, 0 rejected",
        "measure: 0 exposures, 2 already there, 0 rejected",
    ]
    assert tree(tmp_path / "lmc") == before


def test_measure__options_are_settings(piazzi, quick, frames, tmp_path):
    piazzi("measure", tmp_path / "lmc", frames[0], *quick, "--threshold", "9", "--window", "7")
    (entry,) = open_catalog(tmp_path / "lmc").manifest.provenance["measure"].values()
    settings = entry["settings"]
    assert (settings["threshold"], settings["window"], settings["rounds"]) == (9.0, 7, 1)


def test_measure__without_files_measures_what_is_there(piazzi, quick, frames, tmp_path):
    piazzi("ingest", tmp_path / "lmc", *frames)
    ended = piazzi("measure", tmp_path / "lmc", *quick)
    assert ended.out.splitlines()[0] == "measure: 3 exposures, 0 rejected"


def test_measure__only_the_files_that_were_named(piazzi, quick, frames, tmp_path):
    piazzi("ingest", tmp_path / "lmc", *frames)
    ended = piazzi("measure", tmp_path / "lmc", frames[1], *quick)
    assert ended.out.splitlines()[1] == "measure: 1 exposures, 0 rejected"
    rows = open_catalog(tmp_path / "lmc").exposures
    assert list(rows["n_stars"].notna()) == [False, True, False]


def test_measure__relative_files_and_patterns_start_here(piazzi, quick, frames, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(frames[0]).parent)
    ended = piazzi("measure", tmp_path / "lmc", "*_cal.fits", Path(frames[0]).name, *quick)
    assert ended.out.splitlines()[0] == "ingest: 3 exposures, 0 rejected"
    assert list(open_catalog(tmp_path / "lmc").exposures["path"]) == sorted(frames)


def test_measure__a_library_takes_the_place_of_own_epsfs(piazzi, quick, frames, tmp_path):
    ended = piazzi("measure", tmp_path / "lmc", *frames, *quick)
    assert ended.code == 0
    assert not (tmp_path / "lmc" / "cubes").exists()
    assert open_catalog(tmp_path / "lmc").exposures["core_fraction"].nunique() == 1


def test_measure__a_distortion_corrects_and_another_fits_nothing(piazzi, quick, frames, tmp_path, monkeypatch):
    for seed in (1, 2):
        cube = full_size(seed)
        write_distortion(Store(tmp_path), f"{seed}.zarr", cube)
        ended = piazzi("measure", tmp_path / "lmc", *frames[:2], *quick, "--distortion", tmp_path / f"{seed}.zarr")
        assert ended.code == 0
        assert ended.out.splitlines()[1] == "measure: 2 exposures, 0 rejected"
        stars = open_catalog(tmp_path / "lmc").measurements.compute()
        expected = cube.forward(stars["x"], stars["y"])
        np.testing.assert_allclose(stars[["x_gdc", "y_gdc"]].T, expected, atol=1e-10)
        monkeypatch.setattr(tasks, "measure", lambda *args: 1 / 0)
    assert "2 already there" in piazzi("measure", tmp_path / "lmc", *frames[:2], *quick,
                                       "--distortion", tmp_path / "2.zarr").out  # fmt: skip


def test_json__is_all_there_is_on_standard_output(piazzi, quick, frames, spoiled, tmp_path):
    ended = piazzi("measure", tmp_path / "lmc", *frames, spoiled, *quick, "--json")
    said = json.loads(ended.out)
    assert said["catalog"] == str(tmp_path / "lmc")
    assert [(s["stage"], s["done"], s["skipped"]) for s in said["stages"]] == [("ingest", 3, 0), ("measure", 3, 0)]
    (rejected,) = said["stages"][0]["rejected"]
    assert (rejected["exposure"], rejected["path"]) == ("spoiled", spoiled)
    assert f"rejected spoiled: {rejected['reason']}" in ended.err


@pytest.mark.parametrize(
    ("good", "strict", "code"), [(True, False, 0), (True, True, 3), (False, False, 2), (False, True, 2)]
)
def test_exit__some_or_all_rejected(piazzi, frames, spoiled, tmp_path, good, strict, code):
    files = [*frames[:1], spoiled] if good else [spoiled]
    ended = piazzi("ingest", tmp_path / "lmc", *files, *(["--strict"] if strict else []))
    assert ended.code == code
    assert "ingest: " in ended.out
    assert "rejected spoiled: " in ended.err


def test_exit__strict_without_a_fault_is_0(piazzi, frames, tmp_path):
    assert piazzi("ingest", tmp_path / "lmc", frames[0], "--strict").code == 0


def test_exit__replace_and_fresh_reach_the_stages(piazzi, own_frames, tmp_path):
    (file,) = own_frames(tmp_path / "data", 1)
    piazzi("ingest", tmp_path / "lmc", file)
    assert piazzi("ingest", tmp_path / "lmc", file, "--fresh").out.startswith("ingest: 1 exposures, 0 rejected")
    with open(file, "ab") as frame:
        frame.write(b"\0" * 2880)
    refused = piazzi("ingest", tmp_path / "lmc", file, "--strict")
    assert refused.code == 2
    assert "--replace" in refused.err
    assert piazzi("ingest", tmp_path / "lmc", file, "--replace").out.startswith("ingest: 1 exposures, 0 rejected")


def test_exit__a_locked_catalog(piazzi, frames, tmp_path):
    with writing(str(tmp_path / "lmc")):
        ended = piazzi("ingest", tmp_path / "lmc", frames[0])
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith(f"piazzi: {tmp_path / 'lmc'} is being written by another process: ")


def test_exit__a_lost_scheduler(piazzi, frames, tmp_path, monkeypatch):
    def lost(*args, **options):
        raise ConnectionError("measure: the scheduler was lost; run the same command again to go on")

    monkeypatch.setattr(pipeline, "measure", lost)
    ended = piazzi("measure", tmp_path / "lmc", frames[0])
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("piazzi: measure: the scheduler was lost; run the same command again")


def test_exit__a_bug_is_1_and_shows_itself(piazzi, frames, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "measure", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        piazzi("measure", tmp_path / "lmc", frames[0])


@pytest.mark.parametrize(
    "words",
    [["ingest", "lmc", "none_*.fits"], ["measure", "lmc", "none_*.fits"], ["status", "lmc"], ["run", "no.toml"]],
)
def test_exit__unusable_input_is_one_line(piazzi, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    ended = piazzi(*words)
    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("piazzi: ")
    assert words[-1] in line
    assert not (tmp_path / "lmc").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("--window", "4"), ("--threshold", "high"), ("--threshold", "-1"), ("--max-iterations", "2"), ("--workers", "0"),
     ("--aperture", "round"), ("--sky-inner", "9"), ("--rounds", "1.5")],
)  # fmt: skip
def test_option__a_bad_value_names_the_option(piazzi, frames, tmp_path, option, value):
    ended = piazzi("measure", tmp_path / "lmc", frames[0], option, value)
    assert (ended.code, ended.out) == (2, "")
    last = ended.err.splitlines()[-1]
    assert option in last
    assert value in last
    assert not (tmp_path / "lmc").exists()


def test_option__a_library_that_is_not_there(piazzi, frames, tmp_path):
    ended = piazzi("measure", tmp_path / "lmc", frames[0], "--epsf", "none.fits")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1].endswith("none.fits: found nothing, expected an STDPSF file or an ePSF cube")


def test_option__a_distortion_that_is_none(piazzi, frames, tmp_path):
    ended = piazzi("measure", tmp_path / "lmc", frames[0], "--distortion", "none.fits")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1].endswith("none.fits: found nothing, expected an STDGDC file or a distortion cube")
    assert not (tmp_path / "lmc").exists()


def test_run__a_recipe(piazzi, frames, whole, tmp_path, clustered):
    recipe = tmp_path / "RECIPE.toml"
    folder = Path(frames[0]).parent
    recipe.write_text(
        f'catalog = "lmc"\n[exposures]\nfiles = ["{folder}/*_cal.fits"]\n'
        "[measure]\nrounds = 1\n[measure.own_epsf]\ngrid = 1\npasses = 1\n"
    )
    ended = piazzi("run", recipe, "--json", "--workers", "2", "--cluster", "tcp://somewhere:8786")
    assert ended.code == 0
    assert clustered == [("tcp://somewhere:8786", 2)]
    said = json.loads(ended.out)
    assert [(s["stage"], s["done"]) for s in said["stages"]] == [("ingest", 3), ("measure", 3)]
    assert tree(tmp_path / "lmc") == tree(whole)
    assert "3 already there" in piazzi("run", recipe).out


def test_run__faults_of_a_recipe_are_a_line_each(piazzi, tmp_path):
    recipe = tmp_path / "RECIPE.toml"
    recipe.write_text('catalog = "lmc"\n[exposures]\nfile = "a.fits"\n[measure]\nthreshold = -1\n')
    ended = piazzi("run", recipe)
    assert ended.code == 2
    places = [line.removeprefix(f"piazzi: {recipe}: ").split(":")[0] for line in ended.err.splitlines()]
    assert places == ["exposures.files", "exposures.file", "measure.threshold"]
