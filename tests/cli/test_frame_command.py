"""``piazzi frame`` and ``piazzi match`` as they are typed."""

import json

import pandas as pd
import pytest

from tests.stages.fields import dithered, reference, sky, write_catalog


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    folder = tmp_path_factory.mktemp("field")
    stars = sky(400)
    write_catalog(folder / "lmc", *dithered(stars, n=4))
    reference(stars).drop(columns=["row", "ra_dec_corr"]).to_parquet(folder / "known.parquet", index=False)
    return folder


def test_frame__then_match_then_nothing(piazzi, clustered, field):
    known = ["--reference", field / "known.parquet", "--reference-epoch", 2022.33]
    ended = piazzi("frame", field / "lmc", "--field", "patch", *known, "--json", "--workers", 2)
    assert ended.code == 0, ended.err
    (stage,) = json.loads(ended.out)["stages"]
    assert (stage["stage"], stage["done"], stage["rejected"]) == ("frame", 4, [])
    assert clustered == [("local", 2)]
    ended = piazzi("match", field / "lmc", "--field", "patch", *known, "--radius", 80)
    assert (ended.code, ended.out.split(":")[0]) == (0, "match")
    assert len(pd.read_parquet(field / "lmc" / "matches")) > 1000
    assert "4 already there" in piazzi("frame", field / "lmc", "--field", "patch", *known).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ra", 80.0], "only one of --ra and --dec is set"),
        (["--clip", 1], "--clip"),
        (["--reference", "nowhere.parquet"], "nowhere.parquet"),
        (["--reference-epoch", 12.0, "--reference", "x"], "--epoch"),
    ],
)
def test_bad_options__exit_2_and_one_line(piazzi, clustered, field, words, said):
    ended = piazzi("frame", field / "lmc", "--field", "patch", *words)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_no_catalog__nothing_is_made(piazzi, clustered, tmp_path):
    ended = piazzi("frame", tmp_path / "none", "--field", "patch")
    assert (ended.code, (tmp_path / "none").exists()) == (2, False)
    assert "no piazzi catalog" in ended.err
