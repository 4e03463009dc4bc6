"""``piazzi demo``: from nothing to a page of pictures, on the smallest campaign."""

import json
from pathlib import Path

import pytest

from catalogs import open_catalog
from compute.campaign import read_campaign
from compute.stages.report.compare import BARS


@pytest.fixture(autouse=True)
def _on_the_cluster_of_the_tests(clustered):
    return clustered


def test_demo__replaces_an_earlier_one_and_ends_in_a_page_a_catalog_and_numbers(piazzi, tmp_path):
    folder = tmp_path / "tiny"
    old = folder / "frames" / "old_cal.fits"
    old.parent.mkdir(parents=True)
    old.write_text("of an earlier version")
    told = {"campaign": read_campaign("tiny").model_dump(mode="json"), "digest": "of an earlier version"}
    (folder / "campaign.json").write_text(json.dumps(told))
    (folder / "notes.txt").write_text("mine")
    ended = piazzi("demo", folder, "--campaign", "tiny", "--json")
    assert ended.code == 0
    said = json.loads(ended.out)
    assert said["catalog"] == str(folder / "catalog")
    assert [(stage["stage"], stage["done"]) for stage in said["stages"]] == [
        ("simulate", 1), ("ingest", 1), ("measure", 1), ("frame", 1), ("match", 1), ("motion", 1), ("report", 5)
    ]  # fmt: skip
    page = Path(said["report"])
    assert page == folder / "catalog" / "reports" / "truth.html"
    pictures = {path.name for path in page.parent.glob("*.png") if path.stat().st_size > 10_000}
    assert len(pictures) == 8
    assert all(f"<img src='{name}'" in page.read_text() for name in pictures)
    assert said["truth"].keys() >= BARS.keys()
    # Nearly all of some 250 isolated stars: one missed would be 0.4 %.
    assert said["truth"]["isolated stars above S/N 10 found [%]"] > 95
    assert said["truth"]["median flux ratio above S/N 100"] == pytest.approx(1.0, abs=0.01)
    assert said["truth"]["measured"] == open_catalog(folder / "catalog").exposures["n_stars"].sum()
    assert not old.exists()
    assert (folder / "notes.txt").read_text() == "mine"
    for name in ("campaign.json", "gaia.parquet", "reference_catalog.parquet", "truth/pointings.parquet"):
        assert (folder / name).exists()


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("thesis.tex", "chapter", "other things"),
        ("campaign.json", '{"campaign": {"name": "lmc"}}', "another campaign, lmc"),
        ("campaign.json", '{"campaign": {"name": "demo", "seed": 3}}', "another campaign, demo"),
    ],
)
def test_demo__leaves_other_folders_alone(piazzi, tmp_path, name, text, found):
    (tmp_path / name).write_text(text)
    ended = piazzi("demo", tmp_path)
    assert (ended.code, ended.out) == (2, "")
    expected = f"piazzi: {tmp_path}: found a folder with {found} in it, expected an empty folder or this demo\n"
    assert ended.err == expected
    assert [path.name for path in tmp_path.iterdir()] == [name]
