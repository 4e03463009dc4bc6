"""Workers on this machine, as many as it has cores."""

from collections.abc import Iterator
from contextlib import contextmanager

import dask
from dask.utils import parse_bytes
from distributed import Client, LocalCluster
from distributed.system import MEMORY_LIMIT

from compute.graph.clusters import defaults
from compute.graph.clusters.quiet import ending_quietly
from compute.graph.clusters.security import launched_security

# A worker that died twice and is slow to start is otherwise given up together with its nanny, and nobody is left.
_PATIENCE = {"distributed.deploy.lost-worker-timeout": "1 day"}


@contextmanager
def local_cluster(workers: int | None) -> Iterator[Client]:
    """A cluster of processes of one thread each, one per core unless told otherwise."""
    workers = workers or dask.system.CPU_COUNT
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": defaults.THREADS, **defaults.WORKERS, **_PATIENCE}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=_memory(workers),
            host=defaults.get("host"),
            dashboard_address=defaults.get("dashboard"),
            security=launched_security("local"),
        ) as cluster,
        Client(cluster) as client,
        ending_quietly(client),
    ):
        yield client


def _memory(workers: int) -> int:
    """Memory of a worker [bytes]: an equal share, and never less than one exposure needs."""
    return max(parse_bytes(defaults.get("memory-limit")), MEMORY_LIMIT // workers)
