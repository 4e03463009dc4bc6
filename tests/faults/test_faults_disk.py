"""A disk that is full, really: a small file system of its own, filled to the brim."""

import shutil
import subprocess

import pytest

from tests.faults.processes import ENOUGH, done, leftovers, piazzi
from tests.graph.running import tables

pytestmark = pytest.mark.cluster

SIZE = 4  # MB


@pytest.fixture
def disk(tmp_path):
    """A folder that holds little."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("a file system of a few MB cannot be mounted here; that takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(("stage", "room"), [("ingest", 20_000), ("measure", 200_000)])
def test_disk__full_then_given_room_and_run_again(start, disk, recipe, undisturbed, stage, room):
    recipe.write_text(recipe.read_text().replace('"lmc"', f'"{disk}/lmc"'))
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(SIZE * 2**20 - room))
    ended = piazzi(start, "run", recipe, "--workers", "2")
    said, told = ended.communicate(timeout=ENOUGH)
    assert (ended.returncode, said) == (1, "")
    (line,) = [one for one in told.splitlines() if one.startswith("piazzi:")]
    assert line.startswith(f"piazzi: {stage}: the disk is full (")
    assert line.endswith("make room and run the same command again to go on")
    assert not tables(disk / "lmc", "measurements")

    ballast.unlink()
    done(piazzi(start, "run", recipe, "--workers", "2"))
    assert tables(disk / "lmc") == undisturbed
    assert leftovers(disk / "lmc") == []
