"""Client, scheduler and workers run the same versions, or nothing runs: results depend on them."""

import sys
from collections.abc import Mapping
from typing import Any

import cloudpickle
from distributed import Client, Scheduler, SchedulerPlugin, Worker, WorkerPlugin
from distributed.core import Status
from distributed.versions import get_versions

from catalogs.errors import PiazziError
from compute.graph.made import LIBRARIES

__all__ = ["OnePython", "SameVersions", "check_versions"]

_PACKAGES = ("piazzi", *LIBRARIES, "dask", "distributed", "zarr", "xarray")
TOPIC = "piazzi-versions"  # of what clients are told about workers that may not join


def check_versions(client: Client, cluster: str) -> None:
    """Compare this process with the scheduler and all workers, and see that those who come later are compared too.

    Raises
    ------
    PiazziError
        At the first process with other versions of Python, piazzi or a library.
    """
    told: Any = client.get_versions(packages=list(_PACKAGES))
    others = {"the scheduler": told["scheduler"]}
    others |= {f"worker {address}": found for address, found in sorted(told["workers"].items())}
    ours = {name: told["client"]["packages"].get(name) for name in ("python", *_PACKAGES)}
    differing = [f"{who}: {how}" for who, found in others.items() if (how := _difference(found["packages"], ours))]
    if differing:
        more = f" (and {len(differing) - 1} more processes that differ)" if differing[1:] else ""
        raise PiazziError(f"--cluster {cluster}: {differing[0]}{more}")
    client.register_plugin(OnePython())
    client.register_plugin(SameVersions(ours))


def _difference(found: Mapping[str, str | None], expected: Mapping[str, str | None]) -> str | None:
    """What of the expected versions differs, in words."""
    names = [name for name in ("python", *_PACKAGES) if name in expected and found.get(name) != expected[name]]
    if not names:
        return None
    return f"found {_listed(names, found)}, expected {_listed(names, expected)}"


def _listed(names: list[str], versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {(versions.get(name) or 'absent').removesuffix('.final.0')}" for name in names)


class OnePython(SchedulerPlugin):
    """Send workers away that join with another Python than the scheduler's: what we send, they may not even read."""

    name = TOPIC

    async def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Called while a worker waits to be accepted, before it is given any task."""
        python = {"python": get_versions()["packages"]["python"]}
        if how := _difference(scheduler.workers[worker].versions["packages"], python):
            scheduler.log_event(TOPIC, f"worker {worker} is sent away: {how}")
            await scheduler.remove_worker(worker, stimulus_id=TOPIC)


class SameVersions(WorkerPlugin):
    """Have a worker leave whose versions are not ours."""

    name = TOPIC

    def __init__(self, expected: Mapping[str, str | None]):
        self.expected = expected

    async def setup(self, worker: Worker) -> None:
        """Called before a worker takes its first task; it can leave only once it has joined."""
        if how := _difference(get_versions(_PACKAGES)["packages"], self.expected):
            worker.status = Status.closing_gracefully  # it begins no task from here on
            worker.log_event(TOPIC, f"worker {worker.address} leaves: {how}")
            worker.loop.call_later(1.0, worker.close, reason=f"{TOPIC}: {how}")


# Processes may lack piazzi, and are to say so.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
