"""Motions on a cluster: the same bytes always, whole or not at all, and only what changed anew."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from catalogs import open_catalog
from catalogs.errors import UnusableError
from catalogs.store import Store
from compute.graph.frame import frame
from compute.graph.motion import motion
from compute.graph.run import run, writing
from compute.recipe import read_recipe
from compute.settings import FrameSettings, MotionSettings, ReferenceSettings
from tests.graph.running import tables, tree
from tests.stages.fields import PLANE, dithered, reference, sky, write_catalog

FIELD, FRAMES = "patch", FrameSettings(link_stars=300, ra=PLANE.ra, dec=PLANE.dec)
YEARS = 5.1
EPOCHS = {"epoch": 2022.33, "mjd_mid": 59700.0}, {"epoch": 2027.43, "mjd_mid": 59700.0 + 365.25 * YEARS}


def move(folder, client, known=None, fresh=False, **settings):
    with writing(str(folder)) as catalog:
        reference = known and ReferenceSettings(file=str(known), motions=False, without_motion="keep")
        return motion(catalog, client, FIELD, MotionSettings(**settings), reference, fresh=fresh)


@pytest.fixture(scope="module")
def field(tmp_path_factory, client):
    """Framed catalogs: `both` of two epochs, `last` of the second one alone, and a reference of the first."""
    folder = tmp_path_factory.mktemp("field")
    stars = sky(500)
    motions = np.random.default_rng(3).normal(0, 0.02, (2, len(stars)))  # [pix]; 1 mas in 5.1 years
    moved = stars.assign(x=stars["x"] + motions[0], y=stars["y"] + motions[1])
    first = dithered(stars, n=4, **EPOCHS[0])
    last = dithered(moved, n=4, seed=2, **EPOCHS[1])
    for row in range(4):
        name = f"jw04566001001_02101_{row + 1:05d}_nis"
        last[0].loc[row, ["exposure", "program"]] = name, 4566
        last[1][row]["exposure"] = name
    for one, place in zip(((first, last), (last,)), ("both", "last"), strict=True):
        write_catalog(folder / place, pd.concat([rows for rows, _ in one]), [m for _, ms in one for m in ms])
        known = reference(stars, error=0.3, share=1.0).drop(columns=["row", "ra_dec_corr"]).assign(ref_epoch=2022.33)
        known.assign(id=known["id"] + 2**60).to_parquet(folder / "known.parquet", index=False)
        with writing(str(folder / place)) as catalog:
            frame(catalog, client, FIELD, FRAMES, ReferenceSettings(file=str(folder / "known.parquet")))
    motions = pd.DataFrame(motions.T * [-50.0, 50.0] / YEARS, columns=["pmra", "pmdec"])
    return folder, pd.concat([motions, stars], axis=1)


@pytest.fixture(scope="module")
def both(field, client, tmp_path_factory):
    """The catalog of two epochs with its motions."""
    folder = shutil.copytree(field[0] / "both", tmp_path_factory.mktemp("moved") / "lmc")
    assert move(folder, client).done == 4
    return folder


@pytest.fixture
def copied(both, tmp_path):
    return shutil.copytree(both, tmp_path / "lmc")


def test_catalog__motions_are_those_of_the_stars(both, field):
    catalog = open_catalog(both)
    found = catalog.motions.compute().sort_values("star_id")
    x, y = PLANE.pixel(found["ra"], found["dec"])
    stars = field[1]
    nearest = [int(np.argmin((stars["x"] - a) ** 2 + (stars["y"] - b) ** 2)) for a, b in zip(x, y, strict=True)]
    error = found["pmra_error"].to_numpy()
    off = (found["pmra"].to_numpy() - stars["pmra"].to_numpy()[nearest]) / error
    design = np.column_stack([np.ones_like(x), x - 1e4, y - 1e4]) / error[:, None]  # links follow what stars do
    pull = off - design @ np.linalg.lstsq(design, off)[0]
    assert len(found) > 250
    # Some 280 stars: 6 percent for the median of normal deviates.
    assert 1.4826 * np.median(abs(pull)) == pytest.approx(1.0, abs=0.25)
    assert found.attrs["units"]["pmra"] == "mas/yr"
    assert catalog.zero_points.compute()["how"].tolist() == ["mean"]
    plain = pd.read_parquet(both / "motions", filters=[("field", "==", FIELD)])
    assert len(plain) == len(found)
    told = json.loads((both / "catalog.json").read_text())["provenance"]["motion"][FIELD]
    assert told["stars"] == len(found)
    assert {row["against"] for row in told["trends"]["NIRISS F150W 2022.33"]} == {"x", "y", "mag"}
    assert not list(both.glob(".staging/motion/*"))


@pytest.mark.parametrize("workers", [1, 4])
def test_bytes__any_number_of_workers(both, field, tmp_path, workers):
    folder = shutil.copytree(field[0] / "both", tmp_path / "lmc")
    with Client(processes=False, n_workers=workers, threads_per_worker=1, dashboard_address=":0") as other:
        move(folder, other)
    assert tree(folder) == tree(both)


def test_again__nothing_is_done_until_something_changes(both, copied, client):
    assert (move(copied, client).skipped, tree(copied)) == (4, tree(both))
    assert move(copied, client, fresh=True).done == 4
    assert tree(copied) == tree(both)
    assert move(copied, client, sigmas=2.5).done == 4
    shutil.rmtree(copied / "motions")
    assert move(copied, client, sigmas=2.5).done == 4


def test_not_settled__is_told_now_and_again(copied, client):
    (note,) = move(copied, client, rounds=1).notes
    assert note["note"].startswith("the aligning stars still change after 1 rounds")
    again = move(copied, client, rounds=1)
    assert (again.skipped, again.notes) == (4, [note])
    assert move(copied, client).notes == []


def test_lost__a_part_that_is_gone_is_made_again(both, copied, client):
    part = sorted((copied / "motions").rglob("*.parquet"))[0]
    part.unlink()
    assert move(copied, client).done > 0
    assert part.exists()


def test_reference__stands_in_for_an_epoch_where_there_is_but_one(field, both, client, tmp_path):
    folder, known = shutil.copytree(field[0] / "last", tmp_path / "lmc"), field[0] / "known.parquet"
    with pytest.raises(UnusableError, match="found one epoch, NIRISS F150W 2027.43, expected two"):
        move(folder, client)
    move(folder, client, known)
    found = open_catalog(folder).motions.compute()
    assert (found["source_id"] >= 2**60).all()
    assert found["n_used"].between(2, 5).all()
    assert {"mag_reference", "mag_F150W"} < set(found)
    move(folder, client, first_epoch=f"{field[0]}/both/master/field=patch/instrument=NIRISS/filter=F150W/epoch=2022.33")
    other = open_catalog(folder).motions.compute()
    assert len(other) > 0.9 * len(found)
    both_ways = other.merge(open_catalog(both).motions.compute(), left_on="source_id", right_on="star_id")
    # The same positions: what differs is the alignment, of a few hundred stars of 0.3 mas/yr.
    assert (both_ways["pmra_x"] - both_ways["pmra_y"]).std() < 0.05
    with pytest.raises(UnusableError, match="first_epoch: found 'elsewhere', expected reference, or PATH/master"):
        move(folder, client, first_epoch="elsewhere")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("{0}/master/", "expected reference, or PATH/master/field="),
        ("master/", "expected reference, or PATH/master/field="),
        ("{0}/master/field=patch", "expected reference, or PATH/master/field="),
        ("{0}/master/field=patch/instrument=NIRISS/filter=F150W", "expected reference, or PATH/master/field="),
        ("{0}/master/field=patch/instrument=NIRISS/filter=F150W/epoch=2022.33", "found a frame of field patch itself"),
        ("master/field=patch/instrument=NIRISS/filter=F150W/epoch=2022.33/", "found a frame of field patch itself"),
        ("master/field=else/instrument=NIRISS/filter=F150W/epoch=2022.33", "found no stars"),
    ],
)
def test_first_epoch__is_one_frame_and_none_of_the_field(both, client, path, said):
    with pytest.raises(UnusableError, match="motion: first_epoch") as caught:
        move(both, client, first_epoch=path.format(both))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parallax__that_positions_do_not_determine_is_told(copied, client):
    with writing(copied) as catalog:  # observers at rest: only parallaxes ask where they are
        catalog.write_exposures(catalog.exposures.assign(observer_x=1.5e8, observer_y=0.0, observer_z=0.0))
    (note,) = move(copied, client, parallax=True).notes
    assert re.fullmatch(r"parallax fitted for 0 of \d+ stars", note["note"])
    assert move(copied, client, parallax=True).notes == [note]


def test_frames_anew__motions_go_with_the_old_ones(field, copied, both, client):
    with writing(str(copied)) as catalog:
        known = ReferenceSettings(file=str(field[0] / "known.parquet"))
        frame(catalog, client, FIELD, FRAMES, known, fresh=True)
        assert FIELD not in catalog.manifest.provenance["motion"]
    assert [tables(copied, dataset) for dataset in ("motions", "zero_points")] == [{}, {}]
    move(copied, client)
    assert tree(copied) == tree(both)


def test_killed_while_moving__the_old_settings_find_nothing_that_is_theirs(copied, both, client, monkeypatch):
    real = Store.publish

    def fails(store, staged, final):
        real(store, staged, final)
        raise OSError("killed")

    monkeypatch.setattr(Store, "publish", fails)
    with pytest.raises(OSError, match="killed"):
        move(copied, client, sigmas=2.5)
    monkeypatch.setattr(Store, "publish", real)
    assert move(copied, client).done == 4
    assert tree(copied) == tree(both)


def test_bad_input__one_line_and_what_was_there_stays(copied, both, client):
    with (
        pytest.raises(UnusableError, match="found frames of patch, expected master frames"),
        writing(copied) as catalog,
    ):
        motion(catalog, client, "elsewhere", MotionSettings())
    with pytest.raises(UnusableError, match="found 0 aligning stars, expected 20 at least") as caught:
        move(copied, client, faint=-99.0)
    assert "\n" not in str(caught.value)
    with pytest.raises(UnusableError, match="absolute: found no catalog"):
        move(copied, client, absolute=True)
    assert tables(copied) == tables(both)


def test_recipe__runs_the_stage(field, both, client, tmp_path):
    folder = shutil.copytree(field[0] / "both", tmp_path / "lmc")
    (tmp_path / "r.toml").write_text(
        f'catalog = "lmc"\nfield = "{FIELD}"\nstages = ["motion"]\n[motion]\nsigmas = 3.0\n'
    )
    (report,) = run(read_recipe(tmp_path / "r.toml"), client)
    assert (report.stage, report.done) == ("motion", 4)
    assert tree(folder) == tree(both)
