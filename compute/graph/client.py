"""Clusters: a local one by default, or any scheduler that is already running."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import dask
from distributed import Client, LocalCluster, WorkerPlugin
from filelock import FileLock

from catalogs.errors import PiazziError

# One thread per worker and no pools inside it: a task is one exposure's whole chain, and workers are the parallelism.
_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

MEASURING, SIMULATING = "compute.kernels.warm", "compute.kernels.simulate.warm"
FRAMING, CALIBRATING = "compute.kernels.warm_frames", "compute.kernels.warm_calibration"
DISTORTING, MOVING = "compute.kernels.warm_distortion", "compute.kernels.warm_motions"


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
    cluster: str = "local", workers: int | None = None, timeout: float = 60.0, kernels: tuple[str, ...] = (MEASURING,)
) -> Iterator[Client]:
    """A client with warm workers; a local cluster lives as long as the context.

    Parameters
    ----------
    cluster
        ``local``, a scheduler address (``tcp://host:port``, ``tls://host:port``), or a scheduler file.
    workers
        Processes of a local cluster; one per core unless given.
    timeout
        Longest wait for a running scheduler, and for its first worker [s].
    kernels
        Modules whose ``warm`` the workers call before their first task.

    Raises
    ------
    PiazziError
        If the scheduler cannot be reached.
    """
    if cluster == "local":
        workers = workers or dask.system.CPU_COUNT
        with (
            # Dask's profiler keeps what it sees: 0.2 MB a task that workers never give back.
            dask.config.set(
                {"distributed.nanny.pre-spawn-environ": _THREADS, "distributed.worker.profile.enabled": False}
            ),
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as local,
            Client(local) as client,
        ):
            _warm(client, kernels)
            yield client
        return
    where: dict = {"address": cluster} if "://" in cluster else {"scheduler_file": cluster}
    if "scheduler_file" in where and not Path(cluster).is_file():
        expected = "local, tcp://host:port, tls://host:port or an existing scheduler file"
        raise PiazziError(f"--cluster: found {cluster!r}, expected {expected}")
    try:
        client = Client(**where, timeout=timeout)
    except (OSError, ValueError, TimeoutError) as error:
        raise PiazziError(f"--cluster {cluster}: no scheduler answers ({error})") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError:
            raise PiazziError(f"--cluster {cluster}: no worker joined within {timeout:.0f} s") from None
        _warm(client, kernels)
        yield client


def _warm(client: Client, kernels: tuple[str, ...]) -> None:
    for module in kernels:
        client.register_plugin(WarmKernels(module))
