"""``piazzi status``: what there is, what was rejected, and what an interrupted run left."""

import json

import pytest

from catalogs import open_catalog
from compute.graph import pipeline
from compute.graph.run import writing
from tests.graph.running import FAST, enter, name_of


@pytest.fixture(scope="module")
def catalog(client, frames, tmp_path_factory):
    """Two measured exposures, one only read in, and one rejected."""
    folder = tmp_path_factory.mktemp("status")
    (folder / "spoiled_cal.fits").write_text("no frame")
    enter(folder / "lmc", client, [*frames[:2], str(folder / "spoiled_cal.fits")])
    with writing(str(folder / "lmc")) as catalog:
        pipeline.ingest(catalog, client, frames[2:])
    return catalog


def test_status__text(piazzi, catalog):
    ended = piazzi("status", catalog.store.root)
    lines = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert lines[0] == f"{catalog.store.root}: format 1.0, 3 exposures, 1 rejected"
    assert " ".join(lines[1].split()) == (
        "program instrument detector filter exposures measured stars qfit core_fraction"
    )
    stars = catalog.exposures["n_stars"].sum()
    assert lines[2].split()[:7] == ["1086", "NIRISS", "NIS", "F090W", "3", "2", str(stars)]
    assert lines[3].startswith("rejected spoiled: spoiled_cal.fits: found ")
    assert lines[4:] == [f"stale measure: not measured: 1 exposure ({name_of(3)}--NIS)"]


def test_status__json(piazzi, catalog):
    said = json.loads(piazzi("status", catalog.store.root, "--json").out)
    rows = catalog.exposures
    (group,) = said.pop("exposures")
    assert group == {
        "program": 1086, "instrument": "NIRISS", "detector": "NIS", "filter": "F090W", "exposures": 3, "measured": 2,
        "stars": rows["n_stars"].sum(),
        "qfit": pytest.approx(rows["qfit_median"].median(), rel=1e-5),
        "core_fraction": pytest.approx(rows["core_fraction"].median(), rel=1e-5),
    }  # fmt: skip
    (rejected,) = said.pop("rejected")
    assert rejected["reason"] == rows.set_index("exposure")["reason"]["spoiled"]
    assert said == {
        "catalog": catalog.store.root, "format_version": "1.0", "stages": ["ingest", "measure"], "interrupted": {},
        "stale": [{"stage": "measure", "field": "", "reason": "not measured", "exposures": [f"{name_of(3)}--NIS"]}],
    }  # fmt: skip


def test_status__an_empty_catalog(piazzi, tmp_path):
    with writing(str(tmp_path / "lmc")):
        pass
    assert piazzi("status", tmp_path / "lmc").out == f"{tmp_path / 'lmc'}: format 1.0, 0 exposures, 0 rejected\n"
    said = json.loads(piazzi("status", tmp_path / "lmc", "--json").out)
    assert (said["exposures"], said["rejected"], said["stages"]) == ([], [], [])


def test_status__only_rejected_exposures(piazzi, client, tmp_path):
    (tmp_path / "spoiled_cal.fits").write_text("no frame")
    enter(tmp_path / "lmc", client, [str(tmp_path / "spoiled_cal.fits")])
    assert "0 exposures, 1 rejected" in piazzi("status", tmp_path / "lmc").out
    assert len(json.loads(piazzi("status", tmp_path / "lmc", "--json").out)["rejected"]) == 1


def test_status__an_interrupted_run(piazzi, client, frames, tmp_path):
    def die(stage, done, total, key):
        if (stage, done) == ("measure", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enter(tmp_path / "lmc", client, frames, FAST, progress=die)
    said = piazzi("status", tmp_path / "lmc").out.splitlines()
    assert said[-1] == "measure was interrupted with 3 finished; the same command goes on from there"
    assert json.loads(piazzi("status", tmp_path / "lmc", "--json").out)["interrupted"] == {"measure": 3}
    enter(tmp_path / "lmc", client, frames, FAST)
    assert json.loads(piazzi("status", tmp_path / "lmc", "--json").out)["interrupted"] == {}


def test_status__looks_while_another_writes(piazzi, client, frames, tmp_path):
    with writing(str(tmp_path / "lmc")) as catalog:
        pipeline.ingest(catalog, client, frames[:1])
        assert "1 exposures, 0 rejected" in piazzi("status", tmp_path / "lmc").out
    assert open_catalog(tmp_path / "lmc").exposures["exposure"][0] == name_of(1)
