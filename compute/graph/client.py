"""A client with warm workers, on whatever cluster is named."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from distributed import Client, WorkerPlugin
from filelock import FileLock

from compute.graph.clusters import cluster_client
from compute.graph.clusters.versions import TOPIC, check_versions

MEASURING, SIMULATING = "compute.kernels.warm.measure", "compute.kernels.simulate.warm"
FRAMING, CALIBRATING = "compute.kernels.warm.frame", "compute.kernels.warm.calibrate"
DISTORTING, MOVING = "compute.kernels.warm.geometry", "compute.kernels.warm.motion"


class WarmKernels(WorkerPlugin):
    """Compile the kernels of one module before a worker takes its first task.

    Numba's disk cache is not safe against processes that write it together, so workers of one machine take turns: the
    first compiles, the others load what it left.
    """

    def __init__(self, kernels: str):
        self.kernels, self.name = kernels, f"piazzi-warm-{kernels}"

    async def setup(self, worker) -> None:
        """Run off the event loop, which must go on answering the scheduler."""
        await asyncio.to_thread(warm_once, self.kernels)


def warm_once(kernels: str) -> None:
    """Warm the kernels of this process, one process of this user and machine at a time."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    with FileLock(Path(tempfile.gettempdir()) / f"piazzi-warm-{user}.lock"):
        import_module(kernels).warm()


@contextmanager
def connect(
    cluster: str = "local",
    workers: int | None = None,
    timeout: float | None = None,
    kernels: tuple[str, ...] = (MEASURING,),
) -> Iterator[Client]:
    """A client with warm workers of our own versions; its dashboard's address goes to standard error.

    Parameters
    ----------
    cluster
        ``local``, ``slurm``, ``kubernetes``, a scheduler address (``tcp://host:port``, ``tls://host:port``), or a
        scheduler file. What is started here ends with the context.
    workers
        Workers of a cluster that is started here; of a local one as many as cores, unless given.
    timeout
        Longest wait for a running scheduler, and for its first worker [s]; ``piazzi.timeout`` of Dask's configuration
        unless given.
    kernels
        Modules whose ``warm`` the workers call before their first task, also those that join later.

    Raises
    ------
    PiazziError
        If the cluster cannot be had, or has other versions than this process.
    """
    with cluster_client(cluster, workers, timeout) as client:
        check_versions(client, cluster)
        client.subscribe_topic(TOPIC, lambda event: _tell(str(event[1])))
        _tell_dashboard(client)
        for module in kernels:
            client.register_plugin(WarmKernels(module))
        yield client


def _tell_dashboard(client: Client) -> None:
    if client.dashboard_link:
        _tell(f"dashboard: {client.dashboard_link}" + ("" if find_spec("bokeh") else " (its pages need bokeh)"))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
