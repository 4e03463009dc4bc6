"""``piazzi calibrate --check`` and ``--plan`` as they are typed; neither starts a cluster or changes a catalog."""

import json
import re
import shutil

import pandas as pd
import pytest

from catalogs.catalog import create_or_open, open_catalog
from compute.graph import advice, pipeline
from compute.graph.run import writing
from tests.dithers import dithered, write_dithered
from tests.graph.running import tree


@pytest.fixture(scope="module")
def entered(client, tmp_path_factory):
    """A catalog of four dithered exposures, ingested."""
    folder = tmp_path_factory.mktemp("advice")
    files = write_dithered(folder, dithered(n=4, size=110, stars=130, step=3.0))
    with writing(str(folder / "lmc")) as catalog:
        pipeline.ingest(catalog, client, files)
    return folder / "lmc"


def test_check__before_measuring(piazzi, clustered, entered):
    before = tree(entered)
    ended = piazzi("calibrate", entered, "--check")
    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"^NIS F090W 2022.* +4 +4 +0\.\d\d.* +\? +\? +\? +\? +\?$", ended.out, re.MULTILINE)
    # Three of the four share a row of the pattern, the fourth is a third of a pixel above: |3 + exp(2 pi i / 3)| / 4.
    assert re.search(r"^NIS F090W 2022.*: poorly dithered in y: 0\.\d\d of", ended.out, re.MULTILINE)
    assert not clustered
    assert tree(entered) == before


def test_check__counts_measured_stars(piazzi, clustered, whole):
    ended = piazzi("calibrate", whole, "--check", "--json")
    (one,) = json.loads(ended.out)["check"]
    assert (ended.code, one["detector"], one["filter"], one["exposures"]) == (0, "NIS", "F090W", 3)
    assert 0 < one["images"] < 90
    assert one["verdict"].startswith("undithered in x and y")  # three fields under one pointing
    fewer = json.loads(piazzi("calibrate", whole, "--check", "--json", "--signal-to-noise", 300).out)["check"][0]
    assert fewer["images"] < one["images"]


def test_check__epochs_are_those_that_are_calibrated():
    rows = pd.DataFrame({"detector": "NIS", "instrument": "NIRISS", "filter": "F090W", "epoch": [2022.3, 2027.3]})
    assert [name for name, _ in advice._groups(rows, 0.25)] == ["2022.30", "2027.30"]
    assert [len(group) for _, group in advice._groups(rows, 6.0)] == [2]


def test_check__an_empty_catalog(piazzi, tmp_path):
    create_or_open(tmp_path / "lmc")
    ended = piazzi("calibrate", tmp_path / "lmc", "--check")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "found no exposures" in ended.err


def test_check__rejected_exposures_alone(piazzi, entered, tmp_path):
    folder = shutil.copytree(entered, tmp_path / "lmc")
    catalog = open_catalog(folder)
    catalog.write_exposures(catalog.exposures.assign(status="rejected", measured_with=None))
    assert piazzi("calibrate", folder, "--check").code == 2


def test_plan__table_and_json(piazzi, clustered):
    ended = piazzi("calibrate", "--plan", 5, "--scale", 0.0656, "--scale", 0.031)
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()[2:7]] == ["1", "2", "3", "4", "5"]
    assert re.search(r"^plan 0\.\d+, line 0\.\d+, box 0\.\d+: rms", ended.out, re.MULTILINE)
    told = json.loads(piazzi("calibrate", "--plan", 5, "--scale", 0.0656, "--scale", 0.031, "--json").out)
    assert told["scales"] == [0.031, 0.0656]
    assert len(told["patterns"]["plan"]["offsets"]) == 5
    assert f"plan {told['patterns']['plan']['rms']:.3f}" in ended.out
    assert not clustered


def test_plan__scales_of_a_catalog(piazzi, entered):
    assert json.loads(piazzi("calibrate", entered, "--plan", 2, "--json").out)["scales"] == [0.0655]
    told = json.loads(piazzi("calibrate", "--plan", 2, "--reach", 0.1, "--json").out)
    assert (told["scales"], told["reach"]) == ([0.0656], 0.1)
    assert max(abs(value) for place in told["patterns"]["plan"]["offsets"] for value in place) <= 0.1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--plan", 1], "found 1, expected 2 to 25 pointings"),
        (["--plan", 26], "found 26"),
        (["--plan", "many"], "--plan"),
        (["--plan", 4, "--scale", 0], "--scale: found 0.0"),
        (["--plan", 4, "--reach", -1], "--reach: found -1.0"),
        (["--plan", 4, "--check"], "expected one"),
        (["--scale", 0.06], "belong to --plan"),
        (["--check"], "Missing argument 'CATALOG'"),
        (["nowhere", "--check"], "no piazzi catalog"),
        (["nowhere", "--plan", 4], "no piazzi catalog"),
    ],
)
def test_bad_questions__exit_2_and_one_line(piazzi, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = piazzi("calibrate", *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err.splitlines()[-1]


def test_check__on_a_terminal(piazzi, entered, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    ended = piazzi("calibrate", entered, "--check")
    assert ended.code == 0
    assert "┃" in ended.out
