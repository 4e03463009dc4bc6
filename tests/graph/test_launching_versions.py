"""Processes of other versions: a run does not start with them, and those that come later are given nothing to do."""

import asyncio
import time
from unittest.mock import AsyncMock, Mock

import pytest
from distributed import Client, get_worker

from catalogs.errors import PiazziError
from compute.graph.client import connect
from compute.graph.clusters.versions import _PACKAGES, TOPIC, OnePython, check_versions
from compute.graph.made import versions
from tests.graph.processes import processes, start_scheduler, start_worker

__all__ = ["processes"]


@pytest.fixture
def other(tmp_path):
    """An environment in which a package has another version, as far as anybody can tell."""

    def make(package: str) -> dict[str, str]:
        told = tmp_path / f"other-{package}" / f"{package}-0.1.dist-info"
        told.mkdir(parents=True)
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
        return {"PYTHONPATH": str(told.parent)}

    return make


@pytest.mark.cluster
def test_versions__a_worker_with_another_one_ends_it(processes, tmp_path, other):
    address = start_scheduler(processes, tmp_path)
    start_worker(processes, tmp_path, address, **other("scipy"))
    with pytest.raises(PiazziError) as caught, connect(address, kernels=()):
        pass
    told = str(caught.value)
    assert told.startswith(f"--cluster {address}: worker tcp://127.0.0.1:")
    assert "found scipy 0.1, expected scipy " in told
    assert "\n" not in told


@pytest.mark.cluster
def test_versions__a_scheduler_with_another_one_ends_it(processes, tmp_path, other):
    address = start_scheduler(processes, tmp_path, **other("scipy"))
    start_worker(processes, tmp_path, address)
    with pytest.raises(PiazziError, match=r"the scheduler: found scipy 0\.1, expected"), connect(address, kernels=()):
        pass


@pytest.mark.cluster
def test_versions__a_worker_that_joins_later_gets_nothing_to_do(processes, tmp_path, other, capsys):
    def name(_) -> str:
        time.sleep(0.02)
        return get_worker().name

    address = start_scheduler(processes, tmp_path)
    start_worker(processes, tmp_path, address, name="good")
    with connect(address, kernels=()) as client:
        bad = start_worker(processes, tmp_path, address, name="bad", **other("scipy"))
        while bad.poll() is None:
            assert set(client.gather(client.map(name, range(20), pure=False))) == {"good"}
        start_worker(processes, tmp_path, address, name="another")
        client.wait_for_workers(2, timeout=60)
        assert {worker["name"] for worker in client.scheduler_info()["workers"].values()} == {"good", "another"}
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("worker ")]
    assert len(told) == 1
    assert "leaves: found scipy 0.1, expected scipy " in told[0]


def test_versions__of_one_process_agree(client):
    assert isinstance(client, Client)
    check_versions(client, "local")


def test_versions__all_that_results_depend_on_are_compared():
    assert {*versions()} <= {*_PACKAGES}


def test_versions__what_differs_is_named(client, monkeypatch):
    told = client.get_versions(packages=["piazzi", "zarr"])
    there = told["workers"]
    there[next(iter(there))] = {"packages": {**told["client"]["packages"], "zarr": None, "python": "3.9.1.final.0"}}
    monkeypatch.setattr(client, "get_versions", lambda packages: told)
    with pytest.raises(PiazziError, match=r": found python 3\.9\.1, zarr absent, expected python 3\.\S+, zarr \d"):
        check_versions(client, "here")


def test_versions__a_worker_of_another_python_is_sent_away():
    scheduler = Mock(workers={"tcp://w:1": Mock(versions={"packages": {"python": "3.9.1.final.0"}})})
    scheduler.remove_worker = AsyncMock()
    asyncio.run(OnePython().add_worker(scheduler, "tcp://w:1"))
    assert scheduler.remove_worker.await_args.args == ("tcp://w:1",)
    topic, told = scheduler.log_event.call_args.args
    assert (topic, told.split(", expected")[0]) == (TOPIC, "worker tcp://w:1 is sent away: found python 3.9.1")
