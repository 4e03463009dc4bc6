"""Campaigns on a cluster: whole, resumed, refused, without pixels; the same bytes however they came to be."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from catalogs import open_catalog
from catalogs.errors import PiazziError
from catalogs.readers import read_exposures
from catalogs.tables import EXPOSURES, MEASUREMENTS
from compute.campaign import Campaign, packaged, read_campaign
from compute.graph.simulate import simulate
from compute.stages.simulate import frames, truth
from compute.stages.simulate.plan import plan
from tests.graph.running import client  # noqa: F401  (the fixture)


@pytest.fixture(scope="module")
def made():
    """Three small exposures of two programs."""
    tiny = read_campaign("tiny")
    first = tiny.observations[0].model_copy(update={"size": 96, "exposures": 2})
    second = first.model_copy(update={"program": 2, "exposures": 1, "epoch": 2025.0})
    return tiny.model_copy(update={"observations": (first, second)})


def digests(folder: Path) -> dict[str, str]:
    """Digest of every file of a campaign that its readers see."""
    paths = (
        path for path in folder.rglob("*") if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    )
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def whole(client, made, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("campaign") / "two"
    report = simulate(made, str(folder), client)
    return folder, report


def test_campaign__frames_truth_and_catalogs_are_there(whole, made):
    folder, report = whole
    assert (report.done, report.skipped, report.rejected) == (3, 0, [])
    pointings = pd.read_parquet(folder / "truth/pointings.parquet")
    assert list(pointings["exposure"]) == sorted(each.root for each in plan(made))
    for row in pointings.itertuples():
        (exposure,) = read_exposures(str(folder / row.path))
        assert exposure.header.exposure == row.exposure
        positions = pd.read_parquet(folder / truth.positions_file(row.exposure, row.detector))
        assert len(positions) >= row.n_stars > 20
    stars = pd.read_parquet(folder / "truth/stars/patch.parquet")
    assert set(positions["star_id"]) <= set(stars["star_id"])
    assert {"reference_catalog.parquet", "gaia.parquet", "campaign.json", "recipe.toml"} <= set(digests(folder))


def test_campaign__one_worker_gives_the_same_bytes(whole, made, tmp_path):
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as alone:
        simulate(made, str(tmp_path / "alone"), alone)
    assert digests(tmp_path / "alone") == digests(whole[0])


def test_campaign__again_draws_nothing(whole, made, client):  # noqa: F811
    before = digests(whole[0])
    report = simulate(made, str(whole[0]), client)
    assert (report.done, report.skipped) == (0, 3)
    assert digests(whole[0]) == before


def test_campaign__missing_exposures_are_drawn_and_no_others(made, client, tmp_path, monkeypatch, whole):  # noqa: F811
    folder, asked = tmp_path / "broken", []
    real = frames.simulate_frame

    def fragile(campaign, exposure, *rest):
        asked.append(exposure.root)
        if len(asked) == 1:
            raise RuntimeError("the disk is full")
        return real(campaign, exposure, *rest)

    monkeypatch.setattr("compute.graph.simulate.simulate_frame", fragile)
    monkeypatch.setattr("compute.graph.simulate.run", _without_retries)
    first = simulate(made, str(folder), client)
    assert (first.done, len(first.rejected)) == (2, 1)
    assert "the disk is full" in first.rejected[0]["reason"]
    second = simulate(made, str(folder), client)
    assert (second.done, second.skipped) == (1, 2)
    assert asked.count(first.rejected[0]["exposure"]) == 2
    assert digests(folder) == digests(whole[0])


def _without_retries(*args, **options):
    from compute.graph.apply import apply

    return {end.key: end.failure for end in apply(*args, **options, retries=0) if end.failure}


def test_folder__of_another_campaign_is_refused_unless_fresh(whole, made, client, tmp_path):  # noqa: F811
    other = made.model_copy(update={"seed": 99})
    with pytest.raises(PiazziError, match="found campaign 'tiny' with other settings"):
        simulate(other, str(whole[0]), client)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(PiazziError, match=r"found a\.txt, expected an empty folder"):
        simulate(made, str(tmp_path / "notes"), client, fresh=True)
    assert (tmp_path / "notes" / "a.txt").read_text() == "mine"


def test_tables__make_a_catalog_without_pixels(made, client, tmp_path):  # noqa: F811
    folder = tmp_path / "tables"
    report = simulate(made, str(folder), client, tables=True)
    assert report.done == 3
    assert not list(folder.rglob("*.fits"))
    catalog = open_catalog(folder / "catalog")
    EXPOSURES.check(catalog.exposures, "test")
    stars = catalog.measurements.compute()
    assert set(stars["exposure"]) == {each.root for each in plan(made)}
    MEASUREMENTS.check(stars[MEASUREMENTS.names].reset_index(drop=True), "test")
    # Every star measured is a true one, within its errors: the median of a Rayleigh distribution, 1.18, from 150 stars.
    pulls = []
    for name, rows in stars.groupby("exposure"):
        known = pd.read_parquet(folder / truth.positions_file(name, "NIS"))
        distance = np.hypot(*(rows[axis].to_numpy()[:, None] - known[axis].to_numpy() for axis in "xy"))
        pulls.append(distance.min(axis=1) / rows["x_error"])
    assert np.median(np.concatenate(pulls)) == pytest.approx(1.18, abs=0.3)


@pytest.mark.parametrize("name", packaged())
def test_packaged__campaigns_are_valid_and_planned(name):
    checked = read_campaign(name)
    assert isinstance(checked, Campaign)
    exposures = plan(checked)
    assert len({each.root for each in exposures}) == len(exposures)
    counts = {"tiny": 1, "lmc": 216, "m31": 15, "comet": 6, "programs": 34, "scale": 400}
    assert len(exposures) == counts.get(name, len(exposures))


def test_campaign_file__faults_are_one_line_each(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('name = "x"\nseed = -1\n[[fields]]\nname = "a"\nra = 400\ndec = 0\n')
    with pytest.raises(PiazziError) as caught:
        read_campaign(str(path))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any("fields.0.ra" in line and "400" in line for line in lines)
    with pytest.raises(PiazziError, match="expected a file, or one of comet, demo"):
        read_campaign("nothing")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"filters": ["F606W"]}, "NIRISS filter is 'F606W', expected one of F090W"),
        ({"detector": "NRCB9"}, "NIRISS detector is 'NRCB9', expected one of NIS"),
    ],
)
def test_campaign__what_an_instrument_lacks_is_said_before_anything_is_drawn(made, client, tmp_path, change, reason):  # noqa: F811
    wrong = made.model_copy(update={"observations": (made.observations[0].model_copy(update=change),)})
    with pytest.raises(PiazziError, match=reason):
        simulate(wrong, str(tmp_path / "wrong"), client)
    assert not (tmp_path / "wrong" / "campaign.json").exists()


def test_description__tells_settings_and_versions(whole):
    told = json.loads((whole[0] / "campaign.json").read_text())
    assert told["campaign"]["name"] == "tiny"
    assert {"piazzi", "numpy"} <= told["versions"].keys()


def test_fresh__removes_what_a_campaign_wrote_and_nothing_else(made, client, tmp_path):  # noqa: F811
    folder = tmp_path / "fresh"
    (folder / "frames").mkdir(parents=True)
    (folder / "frames" / "old_cal.fits").write_text("of an earlier campaign")
    (folder / "notes.txt").write_text("mine")
    (folder / "campaign.json").write_text(json.dumps({"campaign": {"name": "other"}, "digest": "", "tables": False}))
    simulate(made, str(folder), client, fresh=True)
    assert not (folder / "frames" / "old_cal.fits").exists()
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('name = "x/../y"', "name"),
        ("size = 65", "observations.0.size"),
        ("groups = 1", "groups is 1"),
        ("exptime = 10\ngroups = 5", "exptime is 10.0 and groups is 5"),
        ('instrument = "ACS"\nsize = 128', "ACS has CCDs"),
    ],
)
def test_campaign_file__what_cannot_be_is_refused(tmp_path, line, reason):
    path = tmp_path / "bad.toml"
    head = line if line.startswith("name") else 'name = "x"'
    rest = "" if line.startswith("name") else line
    path.write_text(
        f'{head}\n[[fields]]\nname = "a"\nra = 40\ndec = 0\n'
        f'[[observations]]\nprogram = 1\nfilters = ["F090W"]\nepoch = 2022\n{rest}\n'
    )
    with pytest.raises(PiazziError, match=reason):
        read_campaign(str(path))
