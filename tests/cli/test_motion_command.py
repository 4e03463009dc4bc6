"""``piazzi motion`` as it is typed."""

import json

import pandas as pd
import pytest

from tests.stages.fields import dithered, reference, sky, write_catalog


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """A catalog of one epoch, and a reference of another."""
    folder = tmp_path_factory.mktemp("field")
    stars = sky(400)
    write_catalog(folder / "lmc", *dithered(stars, n=4))
    known = reference(stars, error=0.5, share=1.0).drop(columns=["row", "ra_dec_corr"])
    known.to_parquet(folder / "known.parquet", index=False)
    return folder


def test_motion__after_frames_and_then_nothing(piazzi, clustered, field):
    known = ["--reference", field / "known.parquet", "--reference-epoch", 2006.39]
    place = [field / "lmc", "--field", "patch"]
    assert piazzi("frame", *place, *known).code == 0
    ended = piazzi("motion", *place, *known, "--json", "--workers", 2)
    assert ended.code == 0, ended.err
    (stage,) = json.loads(ended.out)["stages"]
    assert (stage["stage"], stage["skipped"], stage["rejected"]) == ("motion", 0, [])
    assert clustered[-1] == ("local", 2)
    found = pd.read_parquet(field / "lmc" / "motions")
    assert found["baseline"].between(15.9, 16.0).all()
    assert "4 already there" in piazzi("motion", *place, *known).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sigmas", 1], "--sigmas"),
        (["--zero-point", "gaia.parquet"], "--zero-point is set without --absolute"),
        (["--red", 1.0], "--colour is ''"),
        (["--reference", "nowhere.parquet"], "nowhere.parquet"),
        (["--link", "poly9"], "--link"),
    ],
)
def test_motion__bad_options_exit_2_and_say_why(piazzi, clustered, field, words, said):
    piazzi("frame", field / "lmc", "--field", "patch")
    ended = piazzi("motion", field / "lmc", "--field", "patch", *words)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_motion__a_field_without_frames_is_told(piazzi, clustered, field):
    ended = piazzi("motion", field / "lmc", "--field", "elsewhere")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "motion: field elsewhere" in ended.err
