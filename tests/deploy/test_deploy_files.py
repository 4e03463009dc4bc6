"""What deploy/ holds: no commands that are gone, pods that Kubernetes takes, and the same as the program asks for."""

import copy
import re
from pathlib import Path

import dask
import pytest
import yaml

from catalogs.errors import PiazziError
from compute.graph.clusters import defaults, kubernetes
from compute.graph.clusters.kubernetes import cluster_spec

validate = pytest.importorskip("kubernetes_validate").validate

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SOURCES = [path for folder in ("deploy", "compute", "cli", "catalogs", "tests") for path in (ROOT / folder).rglob("*")]


@pytest.fixture
def asked():
    """Settings that deploy/kubernetes/daskcluster.yaml was written for."""
    with dask.config.set({"piazzi.kubernetes.image": "piazzi:0.1.0", "piazzi.kubernetes.claim": "piazzi"}):
        yield


def test_commands__are_those_that_exist():
    gone = re.compile("dask-" + "(scheduler|worker)\\b")
    allowed = re.compile(r"app\.kubernetes|dask\.org")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in SOURCES
        if path.is_file() and path.suffix not in (".pyc", ".fits", ".parquet", ".png", ".nbi", ".nbc")
        for line in path.read_text("utf-8", "replace").splitlines()
        if gone.search(line) and not allowed.search(line)
    ]
    assert found == []


def test_daskcluster__is_what_the_program_asks_for(asked):
    assert yaml.safe_load((DEPLOY / "kubernetes" / "daskcluster.yaml").read_text()) == cluster_spec()


def test_daskcluster__consists_of_pods_and_a_service_that_kubernetes_takes(asked):
    spec = cluster_spec()
    assert set(spec) == {"apiVersion", "kind", "metadata", "spec"}
    assert {name: set(part) for name, part in spec["spec"].items()} == {
        "worker": {"replicas", "spec"}, "scheduler": {"spec", "service"},
    }  # fmt: skip
    for name, part in spec["spec"].items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": copy.deepcopy(part["spec"])}
        validate(pod, "1.32", strict=True)
        (container,) = part["spec"]["containers"]
        assert container["args"][:2] == ["dask", name]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": spec["spec"]["scheduler"]["service"],
    }
    validate(service, "1.32", strict=True)


def test_daskcluster__of_every_run_has_a_name_of_its_own(asked):
    first, second = (kubernetes._renamed(cluster_spec()) for _ in range(2))
    assert first["metadata"]["name"] != second["metadata"]["name"]
    selector = first["spec"]["scheduler"]["service"]["selector"]
    assert selector["dask.org/cluster-name"] == first["metadata"]["name"]


def test_kubernetes__without_an_image(asked):
    with (
        dask.config.set({"piazzi.kubernetes.image": None}),
        pytest.raises(PiazziError, match="no piazzi.kubernetes.image"),
    ):
        cluster_spec()


def test_kubernetes__own_spec(asked, tmp_path):
    own = tmp_path / "own.yaml"
    with dask.config.set({"piazzi.kubernetes.spec": str(own)}):
        own.write_text(yaml.safe_dump(cluster_spec()))
        assert kubernetes._own_spec() == cluster_spec()
        for text in ("kind: Pod", "[1", "{}"):
            own.write_text(text)
            with pytest.raises(PiazziError, match="piazzi.kubernetes.spec"):
                kubernetes._own_spec()


def test_slurm_yaml__names_settings_that_exist():
    pytest.importorskip("dask_jobqueue")
    defaults.load()
    example = yaml.safe_load((DEPLOY / "slurm" / "piazzi.yaml").read_text())
    assert set(example["jobqueue"]["slurm"]) <= set(dask.config.get("jobqueue.slurm"))
    assert set(example["piazzi"]) <= set(dask.config.get("piazzi"))
    assert set(example["piazzi"]["slurm"]) <= set(dask.config.get("piazzi.slurm"))


def test_container__has_one_thread_per_process_and_is_not_root():
    text = (DEPLOY / "container" / "Containerfile").read_text()
    assert all(f"{name}={value}" in text for name, value in defaults.THREADS.items())
    assert re.findall(r"^USER (\d+)$", text, re.M) == [str(defaults.get("kubernetes.user"))]
