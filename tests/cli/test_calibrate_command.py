"""``piazzi calibrate`` as it is typed."""

import json

import pytest

from compute.graph import pipeline
from compute.graph.run import writing
from compute.settings import CalibrateSettings
from tests.dithers import dithered, write_dithered

QUICK = ["--grid", 1, "--passes", 3, "--steps", 10, "--least", 50, "--transform", "affine", "--half", 4]


@pytest.fixture(scope="module")
def dithers(client, tmp_path_factory):
    """A catalog of four dithered exposures, ingested."""
    folder = tmp_path_factory.mktemp("dithers")
    files = write_dithered(folder, dithered(n=4, size=110, stars=130, step=3.0))
    with writing(str(folder / "lmc")) as catalog:
        pipeline.ingest(catalog, client, files)
    return folder / "lmc"


def test_help__every_setting_is_an_option(piazzi):
    ended = piazzi("calibrate", "--help")
    assert ended.code == 0
    assert all(f"--{name.replace('_', '-')}" in ended.out for name in CalibrateSettings.model_fields)
    assert "calibrate" in piazzi("--help").out


def test_calibrate__too_few_then_built_then_nothing(piazzi, clustered, dithers):
    ended = piazzi("calibrate", dithers, *QUICK, "--least", 100_000, "--json")
    assert ended.code == 2
    (stage,) = json.loads(ended.out)["stages"]
    assert (stage["stage"], stage["done"], len(stage["rejected"])) == ("calibrate", 0, 1)
    assert "expected 100000" in ended.err
    ended = piazzi("calibrate", dithers, *QUICK, "--json", "--workers", 2)
    assert ended.code == 0, ended.err
    (stage,) = json.loads(ended.out)["stages"]
    assert (stage["done"], stage["rejected"]) == (4, [])
    assert clustered[-1] == ("local", 2)
    assert len(list(dithers.glob("cubes/epsf/NIRISS_NIS_F090W/*-built.zarr"))) == 1
    assert "4 already there" in piazzi("calibrate", dithers, *QUICK).out
    assert "calibrate: 4 exposures, 0 rejected" in piazzi("calibrate", dithers, *QUICK, "--fresh").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid", 0], "--grid"),
        (["--transform", "poly9"], "--transform"),
        (["--half", 20], "--half"),
        (["--stars", "many"], "--stars"),
        (["--unknown"], "--unknown"),
    ],
)
def test_bad_options__exit_2_and_one_line(piazzi, clustered, dithers, words, said):
    ended = piazzi("calibrate", dithers, *words)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not clustered


def test_no_catalog__nothing_is_made(piazzi, clustered, tmp_path):
    ended = piazzi("calibrate", tmp_path / "none")
    assert (ended.code, (tmp_path / "none").exists()) == (2, False)
    assert "no piazzi catalog" in ended.err
