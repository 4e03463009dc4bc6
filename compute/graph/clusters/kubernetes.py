"""Scheduler and workers as pods, from a DaskCluster that Dask's operator carries out."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import yaml
from distributed import Client

from catalogs.errors import PiazziError, UnusableError
from compute.graph.clusters import defaults
from compute.graph.clusters.quiet import ending_quietly
from compute.graph.clusters.security import required

_WHERE = "--cluster kubernetes"
_SCHEDULER, _DASHBOARD = 8786, 8787


@contextmanager
def kubernetes_cluster(workers: int | None) -> Iterator[Client]:
    """A cluster of pods; those that are lost are replaced by Kubernetes.

    Raises
    ------
    PiazziError
        Without dask-kubernetes, an image, or a Kubernetes with Dask's operator, and where encryption is required.
    """
    if required():
        found = "encryption required, which Dask's operator does not offer"
        raise UnusableError(_WHERE, found, "a tls:// address, of what deploy/kubernetes/tls starts")
    spec = _renamed(_own_spec() or cluster_spec())
    spec["spec"]["worker"]["replicas"] = workers or defaults.get("workers")
    try:
        from dask_kubernetes.operator import KubeCluster
    except ImportError:
        expected = "the extra: pip install 'piazzi[kubernetes]'"
        raise UnusableError(_WHERE, "no dask-kubernetes", expected) from None
    timeout, namespace = defaults.seconds("kubernetes.timeout"), defaults.get("kubernetes.namespace")
    try:
        cluster = KubeCluster(custom_cluster_spec=spec, namespace=namespace, resource_timeout=int(timeout), quiet=True)
    except Exception as error:  # of kr8s, httpx, the operator: they share no class
        why = " ".join(str(error).split()) or type(error).__name__
        raise PiazziError(f"{_WHERE}: no cluster came of it ({why})") from error
    with cluster, Client(cluster) as client, ending_quietly(client):
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError:
            raise PiazziError(f"{_WHERE}: no worker joined within {timeout:.0f} s") from None
        yield client


def _own_spec() -> dict[str, Any] | None:
    """The DaskCluster of the user, from the file that the configuration names."""
    file = defaults.get("kubernetes.spec")
    if not file:
        return None
    place = f"{_WHERE}: piazzi.kubernetes.spec {file}"
    try:
        found = yaml.safe_load(Path(file).expanduser().read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UnusableError(place, " ".join(str(error).split()), "a YAML file") from None
    try:
        if found["kind"] == "DaskCluster" and found["metadata"]["name"] and found["spec"]["worker"]:
            found["spec"]["scheduler"]["service"]["selector"].keys()
            return found
    except (KeyError, TypeError, AttributeError):
        pass
    raise UnusableError(place, "something else", "a DaskCluster with a name, workers, a scheduler and its service")


def _renamed(spec: dict[str, Any]) -> dict[str, Any]:
    """A DaskCluster under a name that no other run has: the operator gives clusters of one name to whoever asks."""
    name = f"{spec['metadata']['name']}-{uuid.uuid4().hex[:8]}"
    spec["metadata"]["name"] = name
    spec["spec"]["scheduler"]["service"]["selector"]["dask.org/cluster-name"] = name
    return spec


def cluster_spec() -> dict[str, Any]:
    """The DaskCluster that the configuration describes; commands are spelled out, whatever the operator's defaults."""
    name, image = defaults.get("kubernetes.name"), defaults.get("kubernetes.image")
    if not image:
        raise UnusableError(_WHERE, "no piazzi.kubernetes.image", "an image with piazzi in it (deploy/container)")
    memory = str(dask.utils.parse_bytes(defaults.get("memory-limit")))
    worker = ["dask", "worker", "--name", "$(DASK_WORKER_NAME)", "--nthreads", "1", "--memory-limit", memory]
    worker += ["--dashboard", "--dashboard-address", str(_DASHBOARD + 1)]
    scheduler = ["dask", "scheduler", "--port", str(_SCHEDULER), "--dashboard-address", f":{_DASHBOARD}"]
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": name},
        "spec": {
            "worker": {
                "replicas": defaults.get("workers"),
                "spec": _pod(image, "worker", worker, {"cpu": "1", "memory": memory}),
            },
            "scheduler": {
                "spec": _scheduler_pod(image, scheduler),
                "service": _service(name),
            },
        },
    }


def _pod(image: str, name: str, command: list[str], resources: dict[str, str]) -> dict[str, Any]:
    """A pod of one container that is not root, with the volume where frames and catalogs are."""
    environment = defaults.environment() | {"NUMBA_CACHE_DIR": "/var/tmp/numba"}
    container: dict[str, Any] = {
        "name": name,
        "image": image,
        "args": command,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "resources": {"requests": resources, "limits": {"memory": resources["memory"]}},
    }
    user = defaults.get("kubernetes.user")
    rights = {"runAsNonRoot": True, "runAsUser": user, "fsGroup": user}
    pod: dict[str, Any] = {"containers": [container], "securityContext": rights}
    if claim := defaults.get("kubernetes.claim"):
        container["volumeMounts"] = [{"name": "data", "mountPath": defaults.get("kubernetes.mount")}]
        pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return pod


def _scheduler_pod(image: str, command: list[str]) -> dict[str, Any]:
    pod = _pod(image, "scheduler", command, {"cpu": "1", "memory": "2G"})
    container = pod["containers"][0]
    container["ports"] = [
        {"name": "tcp-comm", "containerPort": _SCHEDULER, "protocol": "TCP"},
        {"name": "http-dashboard", "containerPort": _DASHBOARD, "protocol": "TCP"},
    ]
    container["readinessProbe"] = {"httpGet": {"port": "http-dashboard", "path": "/health"}, "periodSeconds": 10}
    return pod


def _service(name: str) -> dict[str, Any]:
    """What the operator makes of it is reached inside the Kubernetes alone."""
    return {
        "type": "ClusterIP",
        "selector": {"dask.org/cluster-name": name, "dask.org/component": "scheduler"},
        "ports": [
            {"name": "tcp-comm", "protocol": "TCP", "port": _SCHEDULER, "targetPort": "tcp-comm"},
            {"name": "http-dashboard", "protocol": "TCP", "port": _DASHBOARD, "targetPort": "http-dashboard"},
        ],
    }
