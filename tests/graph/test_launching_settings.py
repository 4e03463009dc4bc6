"""Settings of clusters: what is asked of SLURM, and who goes before whom."""

import subprocess
import sys
from importlib.resources import files
from types import ModuleType, SimpleNamespace

import dask
import pytest
import yaml
from distributed import LocalCluster

from catalogs.errors import PiazziError
from compute.graph.client import connect
from compute.graph.clusters import defaults, local
from compute.graph.clusters.slurm import _lifetime, _options, _seconds


@pytest.fixture
def site(tmp_path):
    """Settings of a site with an interconnect."""
    pytest.importorskip("dask_jobqueue")
    defaults.load()
    said = {"interface": "ib0", "walltime": "01:00:00", "log-directory": str(tmp_path)}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in said.items()}):
        yield


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [("30", 1800), ("30:10", 1810), ("01:30:00", 5400), ("2-12", 216000), ("1-00:30", 88200), ("1-00:00:05", 86405)],
)
def test_slurm__walltimes(walltime, seconds):
    assert _seconds(walltime) == seconds


@pytest.mark.parametrize("walltime", ["soon", "1:2:3:4", "", "1-2-3", None])
def test_slurm__what_is_no_walltime(walltime):
    with pytest.raises(PiazziError, match=r"jobqueue\.slurm\.walltime: found"):
        _seconds(walltime)


def test_slurm__workers_leave_before_their_job_is_killed():
    assert _lifetime("01:00:00") == ["--lifetime", "2880s", "--lifetime-stagger", "360s"]
    assert _lifetime("2-00:00:00") == ["--lifetime", "171600s", "--lifetime-stagger", "600s"]
    with dask.config.set({"distributed.worker.lifetime.duration": "20m", "distributed.worker.lifetime.stagger": "1m"}):
        assert _lifetime("01:00:00") == ["--lifetime", "20m", "--lifetime-stagger", "1m"]


def test_slurm__a_job_is_one_worker_of_one_thread(site):
    from dask_jobqueue.slurm import SLURMJob

    options = _options()
    assert options.pop("security") is None
    assert options.pop("scheduler_options") == {"dashboard_address": "127.0.0.1:0"}
    script = SLURMJob("tcp://host:1", name="w", **options).job_script()
    assert "#SBATCH --mem=3814M" in script
    assert "#SBATCH --cpus-per-task=1" in script
    assert (
        f"{sys.executable} -m distributed.cli.dask_worker tcp://host:1 --name w --nthreads 1 --memory-limit" in script
    )
    assert "--interface ib0" in script
    assert "--lifetime 2880s --lifetime-stagger 360s" in script
    assert all(f"export {name}={value}\n" in script for name, value in defaults.environment().items())


def test_slurm__several_processes_a_job_and_a_prologue_of_the_site(site):
    said = {
        "jobqueue.slurm.cores": 4,
        "jobqueue.slurm.memory": "16GB",
        "jobqueue.slurm.job-script-prologue": ["ml gcc"],
    }
    with dask.config.set(said):
        options = _options()
    assert (options["processes"], options["job_mem"]) == (4, "15258M")
    assert options["job_script_prologue"][-1] == "ml gcc"


def test_slurm__listens_on_loopback_unless_told_otherwise(site, capsys):
    with dask.config.set({"jobqueue.slurm.interface": None}):
        assert _options()["scheduler_options"]["host"] == "127.0.0.1"
    assert "set jobqueue.slurm.interface" in capsys.readouterr().err


def test_slurm__without_what_it_needs(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PiazziError, match="found no sbatch"), connect("slurm"):
        pass
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(PiazziError, match=r"pip install 'piazzi\[slurm\]'"), connect("slurm"):
        pass


def test_extras__are_imported_by_those_who_ask_for_them():
    extras = "{'dask_jobqueue', 'dask_kubernetes', 'cryptography'}"
    asked = f"import sys, compute.graph.client; print({extras} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_kubernetes__without_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_kubernetes", None)
    monkeypatch.setitem(sys.modules, "dask_kubernetes.operator", None)
    asked = {"piazzi.kubernetes.image": "piazzi:1"}
    with dask.config.set(asked), pytest.raises(PiazziError, match=r"pip install 'piazzi\[kubernetes\]'"):
        connect("kubernetes").__enter__()
    with dask.config.set({"distributed.comm.require-encryption": True}), pytest.raises(PiazziError, match="encryption"):
        connect("kubernetes").__enter__()


def test_kubernetes__asks_the_operator_for_our_spec(monkeypatch):
    asked = []

    def cluster(**options):
        asked.append(options)
        return LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0")

    monkeypatch.setitem(sys.modules, "dask_kubernetes", ModuleType("dask_kubernetes"))
    monkeypatch.setitem(sys.modules, "dask_kubernetes.operator", SimpleNamespace(KubeCluster=cluster))
    settings = {"piazzi.kubernetes.image": "piazzi:1", "piazzi.kubernetes.namespace": "gto"}
    with dask.config.set(settings), connect("kubernetes", workers=3, kernels=()) as client:
        assert client.submit(sum, [1, 2]).result() == 3
    (options,) = asked
    spec = options["custom_cluster_spec"]
    assert (options["namespace"], spec["spec"]["worker"]["replicas"]) == ("gto", 3)
    assert spec["spec"]["worker"]["spec"]["containers"][0]["image"] == "piazzi:1"


def test_kubernetes__that_is_not_there(monkeypatch):
    def cluster(**options):
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "dask_kubernetes", ModuleType("dask_kubernetes"))
    monkeypatch.setitem(sys.modules, "dask_kubernetes.operator", SimpleNamespace(KubeCluster=cluster))
    image = {"piazzi.kubernetes.image": "piazzi:1"}
    with dask.config.set(image), pytest.raises(PiazziError, match=r"no cluster came of it \(no route to host\)"):
        connect("kubernetes").__enter__()


def test_defaults__give_way_to_the_user():
    shipped = yaml.safe_load(files(defaults.__package__).joinpath("piazzi.yaml").read_text("utf-8"))
    config = {"piazzi": {"workers": 7}, "jobqueue": {"slurm": {"cores": 2}}}
    dask.config.update_defaults(shipped, config=config, defaults=[])
    assert (config["piazzi"]["workers"], config["jobqueue"]["slurm"]["cores"]) == (7, 2)
    assert (config["piazzi"]["timeout"], config["jobqueue"]["slurm"]["memory"]) == ("60s", "4GB")


def test_local__memory_is_shared_but_enough_for_an_exposure(monkeypatch):
    monkeypatch.setattr(local, "MEMORY_LIMIT", 32_000_000_000)
    assert local._memory(2) == 16_000_000_000
    assert local._memory(16) == 4_000_000_000


@pytest.mark.parametrize("text", ["{}", "[]", "nothing", ""])
def test_connect__a_file_that_no_scheduler_wrote(tmp_path, text):
    file = tmp_path / "scheduler.json"
    file.write_text(text)
    with pytest.raises(PiazziError, match="a file without an address"), connect(str(file)):
        pass
