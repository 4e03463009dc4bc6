"""``piazzi kinematics`` as it is typed, and as stage of a recipe."""

import json

import duckdb
import pandas as pd
import pytest
from astropy.table import Table

from catalogs.catalog import create_or_open, field_path, open_catalog
from catalogs.kinematics import KINEMATICS
from catalogs.motions import ZERO_POINTS, with_magnitudes
from catalogs.parquet import read_table, write_table
from compute.graph.made import record_files
from compute.stages.kinematics import measure as measuring
from tests.graph.running import tree
from tests.kinematic import YOUNG, draw
from tests.stages.test_kinematics_stage import BLUE, RED

RECIPE = f"""
catalog = "lmc"
field = "center"
stages = ["kinematics"]
[kinematics]
distance = 49.5
samplings = 20
starts = 4
[kinematics.populations.old]
magnitude = "F090W"
colour = "F090W-F150W"
cmd = {RED}
[kinematics.populations.young]
magnitude = "F090W"
colour = "F090W-F150W"
cmd = {BLUE}
components = 3
[kinematics.populations.none]
magnitude = "F090W"
faint = 10.0
[kinematics.compare]
magnitudes = [17.0, 18.5, 20.0]
[kinematics.compare.reference]
file = "gaia.parquet"
"""


@pytest.fixture
def lmc(tmp_path):
    """A catalog of motions in two files, a recipe, and a catalog to compare with."""
    motions, table = draw(1, 500, 1200).motions, with_magnitudes(["F090W", "F150W"])
    catalog = create_or_open(tmp_path / "lmc")
    parts = [f"{field_path('motions', 'center')}/part-{number}.parquet" for number in range(2)]
    for path, part in zip(parts, (motions.iloc[:700], motions.iloc[700:]), strict=True):
        catalog.store.commit(path, lambda file, part=part: write_table(part.reset_index(drop=True), table, file))
    zero = {"against": "gaia", "how": "catalog", "pmra_error": 0.03, "pmdec_error": 0.04, "n": 20, "dof": 40}
    zero = pd.DataFrame([dict.fromkeys(ZERO_POINTS.names, 0.0) | zero | {"used": True}])
    parts.append(f"{field_path('zero_points', 'center')}/part-0.parquet")
    catalog.store.commit(parts[-1], lambda file: write_table(ZERO_POINTS.conform(zero), ZERO_POINTS, file))
    entry = {"digest": "0", "parts": parts, "files": record_files(catalog, "motion", "center", parts)}
    catalog.write_manifest(catalog.manifest.with_stage("motion", {"center": entry}))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    gaia = motions.iloc[::2].rename(columns={"star_id": "id", "mag_F090W": "mag"})
    gaia = gaia[["id", "ra", "dec", "ref_epoch", "ra_error", "dec_error", "pmra", "pmdec", "mag"]]
    gaia.assign(pmra_error=0.1, pmdec_error=0.1).to_parquet(tmp_path / "gaia.parquet", index=False)
    return tmp_path


def test_kinematics__one_population_from_options(piazzi, clustered, lmc):
    words = ["--field", "center", "--magnitude", "F090W", "--faint", 18.5, "--distance", 49.5, "--samplings", 0]
    ended = piazzi("kinematics", lmc / "lmc", *words, "--json")
    assert ended.code == 0, ended.err
    (stage,) = json.loads(ended.out)["stages"]
    assert (stage["stage"], stage["done"], stage["rejected"]) == ("kinematics", 1, [])
    rows = pd.read_parquet(lmc / "lmc" / "kinematics")
    assert rows["population"].tolist() == ["all", "all"]
    assert rows["sigma_v"].between(10, 60).all()
    assert (rows[["absolute", "zero_ra_error", "zero_dec_error"]] == [True, 0.03, 0.04]).all(axis=None)
    before = tree(lmc / "lmc")
    assert "1 already there" in piazzi("kinematics", lmc / "lmc", *words).out
    assert tree(lmc / "lmc") == before


def test_recipe__populations_comparison_and_reasons(piazzi, clustered, lmc):
    ended = piazzi("run", lmc / "recipe.toml")
    assert ended.code == 0, ended.err
    assert "rejected none: population none: found 0 of 1700 usable stars in its regions" in ended.err
    assert "kinematics: 2 populations, 1 rejected" in ended.out
    entry = open_catalog(lmc / "lmc").manifest.provenance["kinematics"]["center"]
    assert list(entry["numbers"]) == ["old", "young"]
    assert entry["numbers"]["young"]["mixture"]["converged"]
    assert [row["faint"] for row in entry["comparison"]] == [18.5, 20.0]
    assert abs(entry["comparison"][0]["d_pmra"]) < 1e-9
    path = lmc / "lmc" / "kinematics" / "field=center" / "part-0.parquet"
    rows = read_table(path, KINEMATICS)
    KINEMATICS.check(rows, "test")
    mixture = rows[(rows["population"] == "young") & (rows["method"] == "mixture")]
    assert mixture["fraction"].sum() == pytest.approx(1.0)
    nearest = (mixture["pmra"] - YOUNG[0].motion[0]).abs() < 0.03
    assert mixture["fraction"][nearest].item() == pytest.approx(YOUNG[0].share, abs=0.04)
    assert str(Table.read(path)["sigma_v"].unit) == "km / s"
    assert duckdb.sql(f"select count(*) from '{path}'").fetchall() == [(len(rows),)]


def test_recipe__options_go_before_it_and_bytes_are_the_same_again(piazzi, clustered, lmc):
    words = ["kinematics", lmc / "lmc", "--field", "center", "--recipe", lmc / "recipe.toml"]
    assert piazzi(*words).code == 0
    first = tree(lmc / "lmc")
    ended = piazzi(*words, "--fresh", "--workers", 2, "--strict")
    assert ended.code == 3  # one of the populations has no stars
    assert tree(lmc / "lmc") == first
    assert piazzi(*words, "--distance", 60.0).code == 0
    entry = open_catalog(lmc / "lmc").manifest.provenance["kinematics"]["center"]
    assert (entry["settings"]["distance"], entry["settings"]["samplings"]) == (60.0, 20)


def test_mixture__that_has_not_settled_is_told_now_and_again(piazzi, clustered, lmc, monkeypatch):
    words = ["kinematics", lmc / "lmc", "--field", "center", "--samplings", 0]
    fit = measuring.fit_mixture
    with monkeypatch.context() as patched:
        patched.setattr(measuring, "fit_mixture", lambda *a, **k: fit(*a, **k)._replace(converged=False))
        first = piazzi(*words)
    again = piazzi(*words)
    assert "1 already there" in again.out
    for ended in (first, again):
        assert "note all: the mixture has not settled; try fewer components" in ended.err


def test_compare__bins_without_stars_are_told_with_their_edges(piazzi, clustered, lmc):
    text = (lmc / "recipe.toml").read_text().replace("magnitudes = [17.0, 18.5, 20.0]", "magnitudes = [10.0, 12.5]")
    (lmc / "recipe.toml").write_text(text)
    ended = piazzi("kinematics", lmc / "lmc", "--field", "center", "--recipe", lmc / "recipe.toml")
    assert ended.code == 2
    assert "850 of 850 sources with motions within 100 mas of a star, of magnitudes 17.0" in ended.err
    assert "expected ten with errors in a bin of magnitude between edges 10, 12.5" in ended.err


def test_motions__half_published_or_damaged_are_refused(piazzi, clustered, lmc):
    words, place = ["kinematics", lmc / "lmc", "--field", "center", "--samplings", 0], lmc / "lmc"
    part, manifest = place / "motions" / "field=center" / "part-1.parquet", place / "catalog.json"
    whole, told = part.read_bytes(), manifest.read_text()
    part.write_bytes(whole[:-1])
    damaged = piazzi(*words)
    part.unlink()
    lost = piazzi(*words)
    part.write_bytes(whole)
    manifest.write_text(json.dumps(json.loads(told) | {"provenance": {}}))
    half = piazzi(*words)
    manifest.write_text(told)
    for ended, said in (
        (damaged, "part-1.parquet with other bytes than were published, expected those: give `piazzi motion --fresh`"),
        (lost, "found no motions/field=center/part-1.parquet, expected all its motions: give `piazzi motion` again"),
        (half, "found motions not published whole, expected all of them: give `piazzi motion` again"),
    ):
        assert (ended.code, len(ended.err.splitlines())) == (2, 1)
        assert said in ended.err
    assert piazzi(*words).code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--field", "nowhere"], "field nowhere: found no motions, only those of center, expected"),
        (["--field", "center", "--magnitude", "F090W", "--faint", 1.0], "found 0 of 1700 usable stars in its regions"),
        (["--field", "center", "--faint", 19.0], "--magnitude is not set"),
        (["--field", "center", "--magnitude", "F480M", "--faint", 19.0], "found F480M"),
        (["--field", "center", "--recipe", "recipe.toml", "--components", 2], "--components: found with --recipe"),
        (["--field", "center", "--compare", "nowhere.parquet"], "nowhere.parquet"),
    ],
)
def test_bad_words__exit_2_one_line_nothing_made(piazzi, clustered, lmc, monkeypatch, words, said):
    monkeypatch.chdir(lmc)
    before = tree(lmc / "lmc", "*.parquet")
    ended = piazzi("kinematics", lmc / "lmc", *words)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert tree(lmc / "lmc", "*.parquet") == before
