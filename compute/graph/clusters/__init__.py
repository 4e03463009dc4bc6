"""How each kind of cluster comes to be: started here, asked for from SLURM or Kubernetes, or joined."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from distributed import Client

from compute.graph.clusters import defaults
from compute.graph.clusters.joining import joined, located
from compute.graph.clusters.kubernetes import kubernetes_cluster
from compute.graph.clusters.local import local_cluster
from compute.graph.clusters.quiet import quiet_end
from compute.graph.clusters.slurm import slurm_cluster

__all__ = ["check_cluster", "cluster_client"]

defaults.load()

_LAUNCHED: dict[str, Callable[[int | None], AbstractContextManager[Client]]] = {
    "local": local_cluster,
    "slurm": slurm_cluster,
    "kubernetes": kubernetes_cluster,
}


def check_cluster(cluster: str) -> None:
    """See that `cluster` names one, before anything is made for it; whether it answers is not asked.

    Raises
    ------
    PiazziError
        If it is none of what :func:`cluster_client` takes, or its certificates cannot be used.
    """
    if cluster not in _LAUNCHED:
        located(cluster)


@contextmanager
def cluster_client(cluster: str, workers: int | None, timeout: float | None) -> Iterator[Client]:
    """A client of the cluster that `cluster` names; what was started for it ends with the context.

    Parameters
    ----------
    cluster
        ``local``, ``slurm``, ``kubernetes``, a scheduler address (``tcp://host:port``, ``tls://host:port``), or a
        scheduler file.
    workers
        Workers of a cluster that is started; those of the configuration unless given, of a local one as many as cores.
    timeout
        Longest wait for a running scheduler and for its first worker [s]; that of the configuration unless given.

    Raises
    ------
    PiazziError
        If there is no such cluster, in one line.
    """
    launch = _LAUNCHED.get(cluster)
    with quiet_end(), launch(workers) if launch else joined(cluster, timeout) as client:
        yield client
