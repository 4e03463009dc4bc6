"""Clusters that are running already, by address and by file, and what is none."""

import json

import pytest

from catalogs.errors import PiazziError
from compute.graph.client import MEASURING, WarmKernels, connect
from tests.faults.processes import ENOUGH, Scheduler, piazzi, start
from tests.graph.running import tables

pytestmark = pytest.mark.cluster

__all__ = ["start"]


@pytest.fixture
def scheduler(start, tmp_path):
    """A scheduler of its own with two workers."""
    found = Scheduler(start, tmp_path)
    for _ in range(2):
        found.worker()
    return found


def test_connect__a_running_scheduler_by_address_and_by_file(start, scheduler, frames, tmp_path):
    address, file = scheduler.address, scheduler.file
    for catalog, cluster in (("by-address", address), ("by-file", file)):
        ended = piazzi(start, "measure", tmp_path / catalog, *frames, "--cluster", cluster, "--json")
        said, told = ended.communicate(timeout=ENOUGH)
        assert ended.returncode == 0, told
        assert [s["done"] for s in json.loads(said)["stages"]] == [3, 3]
    assert tables(tmp_path / "by-address") == tables(tmp_path / "by-file")
    with connect(address) as client:
        client.wait_for_workers(2)
        plugins = client.run(lambda dask_worker: sorted(dask_worker.plugins))
    assert len(plugins) == 2
    assert all(WarmKernels(MEASURING).name in names for names in plugins.values())


def test_connect__nobody_answers(tmp_path):
    with pytest.raises(PiazziError) as caught, connect("tcp://127.0.0.1:1", timeout=2):
        pass
    assert str(caught.value).startswith("--cluster tcp://127.0.0.1:1: no scheduler answers (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cluster", ["tcp://nonsense", "none.json", "http://127.0.0.1:8786"])
def test_connect__what_is_no_cluster_ends_with_2_and_a_line(start, frames, tmp_path, cluster):
    ended = piazzi(start, "ingest", tmp_path / "lmc", frames[0], "--cluster", cluster)
    said, told = ended.communicate(timeout=ENOUGH)
    assert (ended.returncode, said) == (2, "")
    (line,) = told.splitlines()
    assert line.startswith("piazzi: --cluster")
    assert cluster in line
    assert not (tmp_path / "lmc").exists()
