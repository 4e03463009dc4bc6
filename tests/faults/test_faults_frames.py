"""Deaths in stages whose tasks make one thing together: master frames and motions."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from tests.faults.processes import ENOUGH, calls, done, end, leftovers, piazzi, slow, wait_for, workers_of
from tests.graph.running import tables, tree
from tests.stages.fields import PLANE, dithered, reference, sky, write_catalog

pytestmark = pytest.mark.cluster

PLACE, GATHER = "compute.graph.frame_tasks.place_exposure", "compute.graph.frame_tasks.gather_tile"
FIT = "compute.graph.motion_tasks.fit_tile"
EPOCHS = {"epoch": 2022.33, "mjd_mid": 59700.0}, {"epoch": 2027.43, "mjd_mid": 61563.0}
EACH = 5  # exposures of an epoch


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A catalog of two measured epochs, what ties it, and a recipe of what is to come."""
    folder, stars = tmp_path_factory.mktemp("field"), sky(400)
    motions = np.random.default_rng(3).normal(0, 0.02, (2, len(stars)))  # [pix]
    moved = stars.assign(x=stars["x"] + motions[0], y=stars["y"] + motions[1])
    (rows, first), (later, last) = dithered(stars, n=EACH, **EPOCHS[0]), dithered(moved, n=EACH, seed=2, **EPOCHS[1])
    for row, one in enumerate(last):
        name = f"jw04566001001_02101_{row + 1:05d}_nis"
        later.loc[row, ["exposure", "program"]] = name, 4566
        one["exposure"] = name
    write_catalog(folder / "lmc", pd.concat([rows, later]), [*first, *last])
    known = reference(stars, error=0.3, share=1.0).drop(columns=["row", "ra_dec_corr"]).assign(ref_epoch=2022.33)
    known.to_parquet(folder / "known.parquet", index=False)
    (folder / "RECIPE.toml").write_text(
        'catalog = "lmc"\nfield = "patch"\nstages = ["frame", "motion"]\n'
        f'[reference]\nfile = "{folder}/known.parquet"\n'
        f"[frame]\nlink_stars = 300\nra = {PLANE.ra}\ndec = {PLANE.dec}\n"
    )
    return folder


@pytest.fixture
def recipe(measured, tmp_path):
    shutil.copytree(measured / "lmc", tmp_path / "lmc")
    return shutil.copy(measured / "RECIPE.toml", tmp_path)


@pytest.fixture(scope="module")
def undisturbed(measured, tmp_path_factory):
    """Digests of the tables of a run on one core that nobody disturbed."""
    from click.testing import CliRunner

    from cli.main import piazzi as verbs

    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(measured / "lmc", folder / "lmc")
    recipe = shutil.copy(measured / "RECIPE.toml", folder)
    ended = CliRunner().invoke(verbs, ["run", str(recipe), "--workers", "1"], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    found = tables(folder / "lmc")
    assert {path.split("/")[0] for path in found} >= {"exposures", "measurements", "master", "matches", "motions"}
    return found


def test_stages__killed_in_the_middle_of_each_and_run_again(start, recipe, tmp_path, undisturbed):
    catalog, log = tmp_path / "lmc", tmp_path / "log"
    faults = [slow(of, log, 1.0) for of in (PLACE, GATHER, FIT)]
    records = {PLACE: "frame/patch/*/stars/*.json", GATHER: "frame/patch/*/tiles/*.json"}
    records[FIT] = "motion/patch/*/fitted/*.json"

    def made(of: str) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (catalog / ".staging").glob(records[of])}

    kept: dict[str, dict[str, int]] = {}
    for of in (PLACE, GATHER, FIT):
        running = piazzi(start, "run", recipe, "--workers", "2", faults=faults)
        wait_for(lambda of=of: made(of), running)
        if of == GATHER:
            assert kept[PLACE].items() <= made(PLACE).items()  # none of them was written again
        workers_of(running)[0].kill()
        wait_for(lambda of=of: len(made(of)) >= 2, running)
        end(running)
        kept[of] = made(of)
        assert leftovers(catalog)
    done(piazzi(start, "run", recipe, "--workers", "2", faults=faults))
    tiles = sum("motions" in path for path in undisturbed)
    # One worker died with a task in hand, and then both.
    assert calls(log)[PLACE] <= 2 * EACH + 3
    assert calls(log)[GATHER] <= tiles + 3
    assert calls(log)[FIT] <= tiles + 3
    assert tables(catalog) == undisturbed
    assert leftovers(catalog) == []


def test_stages__one_task_that_always_kills_its_worker(start, recipe, tmp_path, undisturbed):
    catalog, bad = tmp_path / "lmc", "jw04566001001_02101_00003_nis"
    before = tree(catalog)
    ended = piazzi(start, "run", recipe, "--workers", "2", faults=[{"of": PLACE, "kill": bad}])
    _, told = ended.communicate(timeout=ENOUGH)
    assert ended.returncode == 1
    line = f"piazzi: {bad}-NIS: place: found 2 dead workers, expected one that survives (out of memory?)"
    assert [one for one in told.splitlines() if one.startswith("piazzi:")] == [line]
    now = tree(catalog)
    assert {path: now[path] for path in before} == before
    assert not tables(catalog, "master")
    assert "frame" not in json.loads((catalog / "catalog.json").read_text())["provenance"]
    done(piazzi(start, "run", recipe, "--workers", "2"))
    assert tables(catalog) == undisturbed
    assert leftovers(catalog) == []
