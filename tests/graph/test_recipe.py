"""RECIPE.toml: read whole, checked whole, and every fault on a line of its own."""

import pytest

from catalogs.errors import PiazziError
from compute.graph.run import run
from compute.recipe import STAGES, expand, read_recipe
from compute.settings import MeasureSettings
from tests.graph.running import tree
from tests.stages.fields import dithered, reference, sky, write_catalog

LEAST = 'catalog = "lmc"\n[exposures]\nfiles = ["a.fits"]\n'


@pytest.fixture
def write(tmp_path):
    def one(text):
        path = tmp_path / "field" / "RECIPE.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return one


def faults_of(path) -> list[str]:
    with pytest.raises(PiazziError) as caught:
        read_recipe(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_read__the_least_recipe(write):
    recipe = read_recipe(write(LEAST))
    assert recipe.stages == ("ingest", "measure") == tuple(STAGES[k] for k in (0, 2))
    assert recipe.measure.settings == MeasureSettings()
    assert (recipe.measure.epsf, recipe.measure.distortion, recipe.exposures.replace) == ((), (), False)


def test_read__every_setting_has_its_place(write):
    text = (
        'catalog = "/data/lmc"\nfield = "center"\nstages = ["measure"]\n'
        '[exposures]\nfiles = ["/data/a.fits", "s3://bucket/*.fits"]\nreplace = true\n'
        '[measure]\nthreshold = 8\nwindow = 7\nepsf = ["/lib/STDPSF.fits"]\n[measure.own_epsf]\npasses = 3\n'
    )
    recipe = read_recipe(write(text))
    assert (recipe.catalog, recipe.field, recipe.stages) == ("/data/lmc", "center", ("measure",))
    assert recipe.exposures.files == ("/data/a.fits", "s3://bucket/*.fits")
    assert (recipe.exposures.replace, recipe.measure.epsf) == (True, ("/lib/STDPSF.fits",))
    assert (recipe.measure.threshold, recipe.measure.window, recipe.measure.own_epsf.passes) == (8.0, 7, 3)


def test_read__relative_paths_start_at_the_recipe(write, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = write(
        'catalog = "lmc"\n[exposures]\nfiles = ["data/*_cal.fits", "s3://b/a.fits"]\n[measure]\nepsf = ["p.fits"]\n'
        'distortion = ["g.zarr", "s3://b/STDGDC.fits"]\n'
    )
    recipe = read_recipe(path)
    here = tmp_path / "field"
    assert recipe.catalog == str(here / "lmc")
    assert recipe.exposures.files == (str(here / "data/*_cal.fits"), "s3://b/a.fits")
    assert recipe.measure.epsf == (str(here / "p.fits"),)
    assert recipe.measure.distortion == (str(here / "g.zarr"), "s3://b/STDGDC.fits")
    monkeypatch.chdir(here.parent)
    assert read_recipe("field/RECIPE.toml") == recipe


def test_read__a_home_is_expanded(write, monkeypatch):
    monkeypatch.setenv("HOME", "/home/giuseppe")
    assert read_recipe(write(LEAST.replace('"lmc"', '"~/lmc"'))).catalog == "/home/giuseppe/lmc"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LEAST.replace("catalog", "catalogue"), ["catalog: Field required", "catalogue: Extra inputs"]),
        ('catalog = "lmc"\n[exposures]\nfiles = []\n', ["exposures.files: "]),
        (LEAST + "replace = 3\n", ["exposures.replace: Input should be a valid boolean"]),
        (LEAST + "[measure]\nthresh = 3\n", ["measure.thresh: Extra inputs are not permitted (found 3)"]),
        (LEAST + "[measure]\nthreshold = 0\n", ["measure.threshold: Input should be greater than 0 (found 0)"]),
        (LEAST + '[measure]\nwindow = "wide"\n', ["measure.window: Input should be 5, 7 or 9 (found 'wide')"]),
        (LEAST + "[measure.own_epsf]\npasses = 1.5\n", ["measure.own_epsf.passes: "]),
        (LEAST + "[measure]\nsky_inner = 9\n", ["measure: Value error, sky_outer is 7.0, expected more"]),
        ('stages = ["ingest", "dance"]\n' + LEAST, ["stages.1: Input should be 'ingest', 'calibrate', "]),
        (LEAST + "[refrence]\nfile = 'gaia'\n", ["refrence: Extra inputs are not permitted"]),
        (LEAST + "[measure]\nthreshold = -1\nrounds = 'no'\n", ["measure.threshold: ", "measure.rounds: "]),
    ],
)  # fmt: skip
def test_read__each_fault_is_a_line_that_names_its_place(write, text, expected):
    found = faults_of(write(text))
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start)


def test_read__not_toml(write):
    (line,) = faults_of(write('catalog = "lmc\n'))
    assert line.startswith("not TOML: ")
    assert "line 1" in line


def test_read__no_such_recipe(tmp_path):
    assert faults_of(tmp_path / "none.toml") == ["No such file or directory"]


def test_read__bytes_that_are_no_text(tmp_path):
    path = tmp_path / "RECIPE.toml"
    path.write_bytes(b"\xff\xfe\x00")
    (line,) = faults_of(path)
    assert line.startswith("not TOML: ")


def test_expand__patterns_and_paths_are_sorted_each_once(tmp_path):
    for name in ("b_cal.fits", "a_cal.fits", "c_rate.fits"):
        (tmp_path / name).touch()
    found = expand((f"{tmp_path}/*_cal.fits", f"{tmp_path}/a_cal.fits", "/nowhere/d_cal.fits"))
    assert found == ["/nowhere/d_cal.fits", f"{tmp_path}/a_cal.fits", f"{tmp_path}/b_cal.fits"]


def test_expand__a_pattern_that_matches_nothing(tmp_path):
    with pytest.raises(PiazziError, match=r"_flc\.fits: found no file, expected at least one$"):
        expand((f"{tmp_path}/*_flc.fits",))


def test_expand__a_url_of_an_unknown_kind():
    with pytest.raises(PiazziError, match=r"^gopher://host/\*\.fits: found .*gopher.*, expected a path or URL"):
        expand(("gopher://host/*.fits",))


def test_expand__a_file_may_have_brackets_in_its_name(tmp_path):
    (tmp_path / "a[1]_cal.fits").touch()
    assert expand((f"{tmp_path}/a[1]_cal.fits",)) == [f"{tmp_path}/a[1]_cal.fits"]


def test_run__a_recipe_does_what_its_stages_say(client, frames, whole, tmp_path, write):
    folder = frames[0].rsplit("/", 1)[0]
    text = (
        f'catalog = "lmc"\nstages = STAGES\n[exposures]\nfiles = ["{folder}/*_cal.fits"]\n'
        "[measure]\nrounds = 1\n[measure.own_epsf]\ngrid = 1\npasses = 1\n"
    )
    (first,) = run(read_recipe(write(text.replace("STAGES", '["ingest"]'))), client)
    assert (first.stage, first.done) == ("ingest", 3)
    reports = run(read_recipe(write(text.replace("STAGES", '["ingest", "measure"]'))), client)
    assert [(r.stage, r.done, r.skipped) for r in reports] == [("ingest", 0, 3), ("measure", 3, 0)]
    assert tree(tmp_path / "field" / "lmc") == tree(whole)
    reports = run(read_recipe(write(text.replace("STAGES", '["measure"]'))), client, fresh=True)
    assert [(r.stage, r.done, r.skipped) for r in reports] == [("measure", 3, 0)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('catalog = "lmc"\n', "[exposures] is absent, expected files for stage ingest"),
        ('catalog = "lmc"\nstages = ["frame"]\n', "field is not set, expected a name"),
        ('catalog = "lmc"\nstages = ["match"]\nfield = "a"\n', "[reference] is absent, expected a catalog"),
        ('catalog = "lmc"\nstages = ["frame"]\nfield = "a"\n[frame]\nra = 80\n', "only one of ra and dec is set"),
    ],
)
def test_read__a_stage_without_what_it_needs(write, text, said):
    (line,) = faults_of(write(text))
    assert said in line


def test_run__frame_and_match_from_what_the_catalog_holds(client, tmp_path):
    stars = sky(400)
    write_catalog(tmp_path / "lmc", *dithered(stars, n=4))
    reference(stars).drop(columns=["row", "ra_dec_corr"]).to_parquet(tmp_path / "known.parquet", index=False)
    (tmp_path / "RECIPE.toml").write_text(
        'catalog = "lmc"\nfield = "patch"\nstages = ["match", "frame"]\n[frame]\nlink_stars = 200\n'
        '[reference]\nfile = "known.parquet"\nepoch = 2022.33\n'
    )
    framed, matched = run(read_recipe(tmp_path / "RECIPE.toml"), client)
    assert (framed.stage, framed.done, matched.stage) == ("frame", 4, "match")
    assert matched.done > 0
    assert [report.skipped > 0 for report in run(read_recipe(tmp_path / "RECIPE.toml"), client)] == [True, True]
