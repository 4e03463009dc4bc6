"""``piazzi`` as a process with a local cluster of its own."""

import json
import subprocess
import sys

import pytest

from tests.graph.running import tables


def piazzi(*words, **options):
    command = [sys.executable, "-m", "cli.main", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, **options)


def test_run__a_cluster_of_its_own_gives_the_bytes_of_this_process(frames, whole, tmp_path):
    (tmp_path / "spoiled_cal.fits").write_text("no frame")
    files = [*frames, str(tmp_path / "spoiled_cal.fits")]
    recipe = tmp_path / "RECIPE.toml"
    recipe.write_text(
        f'catalog = "lmc"\n[exposures]\nfiles = {json.dumps(files)}\n'
        "[measure]\nrounds = 1\n[measure.own_epsf]\ngrid = 1\npasses = 1\n"
    )
    ended = piazzi("run", recipe, "--workers", "1", "--json", "--strict")
    assert ended.returncode == 3
    said = json.loads(ended.stdout)
    assert [(s["stage"], s["done"], len(s["rejected"])) for s in said["stages"]] == [
        ("ingest", 3, 1),
        ("measure", 3, 0),
    ]
    lines = ended.stderr.splitlines()
    assert [line.split()[:2] for line in lines if "/" in line.split()[1]][-1] == ["measure", "3/3"]
    assert lines[-1].startswith("rejected spoiled: spoiled_cal.fits: found ")
    assert "Traceback" not in ended.stderr
    assert tables(tmp_path / "lmc", "measurements") == tables(whole, "measurements")


def test_status__needs_no_cluster(whole):
    ended = piazzi("status", "lmc", "--json", cwd=whole.parent)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["exposures"][0]["measured"] == 3


@pytest.mark.parametrize(
    ("words", "said"), [(("status", "lmc"), "piazzi: no piazzi catalog at lmc\n"), (("status",), "")]
)
def test_exit__2_where_there_is_nothing_to_do(tmp_path, words, said):
    ended = piazzi(*words, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith(said)
    assert "Traceback" not in ended.stderr
