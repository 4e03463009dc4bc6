"""Processes that die: workers, the client, the scheduler. Whoever runs again ends as if nothing had happened."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster

from catalogs import open_catalog
from catalogs.errors import PiazziError
from compute.graph.apply import apply
from compute.graph.client import MEASURING, WarmKernels, connect
from compute.settings import EpsfSettings, MeasureSettings
from tests.graph.running import enter, tables, write_fields

pytestmark = pytest.mark.cluster

N = 12
PASSES = 20  # some two seconds of work for a frame, so that a kill lands in the middle
SLOW = MeasureSettings(own_epsf=EpsfSettings(passes=PASSES))
ENOUGH = 120.0  # seconds to wait for what must come


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    return write_fields(tmp_path_factory.mktemp("fields"), N, stars=300, size=300)


@pytest.fixture(scope="module")
def undisturbed(client, fields, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "lmc"
    enter(folder, client, fields, SLOW)
    return tables(folder)


@pytest.fixture
def recipe(fields, tmp_path):
    path = tmp_path / "RECIPE.toml"
    path.write_text(
        f'catalog = "lmc"\n[exposures]\nfiles = ["{Path(fields[0]).parent}/*_cal.fits"]\n'
        f"[measure.own_epsf]\npasses = {PASSES}\n"
    )
    return path


@pytest.fixture
def start():
    """Start a process; whatever is left of it and its children is ended afterwards."""
    started = []

    def one(*words, **options) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-m", *map(str, words)], text=True, **options)
        started.append(process)
        return process

    yield one
    for process in started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            process.kill()
        process.communicate()


def piazzi(start, *words) -> subprocess.Popen:
    return start("cli.main", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(true, process=None):
    """Wait until ``true()``; the process must not end before."""
    until = time.monotonic() + ENOUGH
    while not true():
        if process is not None and process.poll() is not None:
            pytest.fail(f"ended with {process.returncode}: {process.communicate()[1]}")
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


def staged(catalog: Path) -> dict[str, int]:
    """Records of the measure stage and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (catalog / ".staging" / "measure").glob("*.json")}


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """Worker processes of a local cluster: children that other helpers of multiprocessing are not."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def leftovers(catalog: Path) -> list[str]:
    """Whatever a writer keeps while it is at work."""
    private = (".new-", ".old-", ".staging")
    return [str(path) for path in catalog.rglob("*") if path.is_file() and any(mark in str(path) for mark in private)]


def test_kill__a_worker_then_the_client_then_run_again(start, recipe, tmp_path, undisturbed):
    catalog = tmp_path / "lmc"
    first = piazzi(start, "run", recipe, "--workers", "2")
    wait_for(lambda: len(staged(catalog)) >= 2, first)
    workers = workers_of(first)
    assert len(workers) == 2
    workers[0].kill()
    had = len(staged(catalog))
    wait_for(lambda: len(staged(catalog)) >= had + 3, first)
    first.kill()
    first.wait()
    psutil.wait_procs(workers, timeout=30)
    kept = staged(catalog)
    assert 5 <= len(kept) < N
    assert open_catalog(catalog).exposures["n_stars"].isna().all()

    second = piazzi(start, "run", recipe, "--workers", "2", "--json")
    wait_for(lambda: len(staged(catalog)) > len(kept), second)
    now = staged(catalog)
    assert {name: now[name] for name in kept} == kept  # none of them was written again
    said, told = second.communicate(timeout=ENOUGH)
    assert second.returncode == 0, told
    assert [(s["stage"], s["done"], s["skipped"]) for s in json.loads(said)["stages"]] == [
        ("ingest", 0, N), ("measure", N, 0),
    ]  # fmt: skip
    assert f"measure {N - len(kept)}/{N - len(kept)} " in told
    assert tables(catalog) == undisturbed
    assert leftovers(catalog) == []


def test_kill__a_task_that_takes_its_worker_along_every_time(tmp_path):
    def deadly(i: int) -> int:
        if i == 3:
            (tmp_path / f"{time.time_ns()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        outcomes = {o.key: o for o in apply(client, "measure", deadly, {f"k{i}": (i,) for i in range(8)})}
    failed = outcomes.pop("k3")
    assert failed.failure == "measure: found 4 dead workers, expected one that survives (out of memory?)"
    assert len(list(tmp_path.iterdir())) == 4
    assert {key: o.result for key, o in outcomes.items()} == {f"k{i}": i for i in range(8) if i != 3}


def test_kill__workers_whose_results_were_not_fetched_yet():
    def square(i: int) -> int:
        return i * i

    def kill_all(stage, done, total, key):
        if done == 1:
            wait_for(lambda: sum(map(len, client.has_what().values())) >= total - 1)
            for pid in client.run(os.getpid).values():
                os.kill(pid, signal.SIGKILL)

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        outcomes = list(apply(client, "s", square, {f"k{i}": (i,) for i in range(6)}, kill_all))
    assert {o.key: (o.result, o.failure) for o in outcomes} == {f"k{i}": (i * i, None) for i in range(6)}


@pytest.fixture
def running(start, tmp_path):
    """A scheduler of its own, its workers, its address and its file."""
    file, quiet = tmp_path / "scheduler.json", {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options = "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", file
    scheduler = start("dask", "scheduler", *options, **quiet)

    def address() -> str | None:
        with contextlib.suppress(OSError, ValueError):
            return json.loads(file.read_text())["address"]
        return None

    wait_for(address, scheduler)
    options = "--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--local-directory", tmp_path / "scratch"
    workers = start("dask", "worker", address(), *options, cwd=tmp_path, **quiet)
    return scheduler, workers, address(), file


def test_connect__a_running_scheduler_by_address_and_by_file(start, running, frames, tmp_path):
    _, _, address, file = running
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


def test_kill__the_scheduler_then_run_again(start, running, recipe, tmp_path, undisturbed):
    scheduler, workers, address, _ = running
    catalog = tmp_path / "lmc"
    first = piazzi(start, "run", recipe, "--cluster", address)
    wait_for(lambda: len(staged(catalog)) >= 2, first)
    scheduler.kill()
    _, told = first.communicate(timeout=ENOUGH)
    assert first.returncode == 1
    assert told.splitlines()[-1] == "piazzi: measure: the scheduler was lost; run the same command again to go on"
    workers.wait(timeout=ENOUGH)  # each ends its task, finds the scheduler gone, and leaves
    kept = staged(catalog)
    assert 2 <= len(kept) < N

    second = piazzi(start, "run", recipe, "--workers", "2")
    _, told = second.communicate(timeout=ENOUGH)
    assert second.returncode == 0, told
    assert f"measure {N - len(kept)}/{N - len(kept)} " in told
    assert tables(catalog) == undisturbed
    assert leftovers(catalog) == []
