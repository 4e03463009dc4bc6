"""Workers that die: of a kill, with their nanny, of what they are given, for want of memory."""

import json
import os
import signal
import time

import psutil
import pytest
from distributed import Client, LocalCluster

from catalogs import open_catalog
from compute.graph.apply import apply
from tests.faults.processes import N, calls, done, end, leftovers, piazzi, slow, staged, wait_for, workers_of
from tests.graph.running import name_of, tables

pytestmark = pytest.mark.cluster

MEASURE = "compute.graph.tasks.measure_file"


def test_worker__killed_then_the_client_then_run_again(start, recipe, tmp_path, undisturbed):
    catalog, log = tmp_path / "lmc", tmp_path / "log"
    first = piazzi(start, "run", recipe, "--workers", "2", faults=[slow(MEASURE, log)])
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

    second = piazzi(start, "run", recipe, "--workers", "2", "--json", faults=[slow(MEASURE, log)])
    wait_for(lambda: len(staged(catalog)) > len(kept), second)
    now = staged(catalog)
    assert {name: now[name] for name in kept} == kept  # none of them was written again
    said, told = done(second)
    assert [(s["stage"], s["done"], s["skipped"]) for s in json.loads(said)["stages"]] == [
        ("ingest", 0, N), ("measure", N, 0),
    ]  # fmt: skip
    assert f"measure {N - len(kept)}/{N - len(kept)} " in told
    # Three processes were killed with a task in each.
    assert calls(log)[MEASURE] <= N + 3
    assert tables(catalog) == undisturbed
    assert leftovers(catalog) == []


def test_worker__killed_with_its_nanny(start, scheduler, recipe, tmp_path, undisturbed):
    catalog, log = tmp_path / "lmc", tmp_path / "log"
    nodes = [scheduler.worker(faults=[slow(MEASURE, log)]) for _ in range(2)]
    running = piazzi(start, "run", recipe, "--cluster", scheduler.address)
    wait_for(lambda: len(staged(catalog)) >= 2, running)
    end(nodes[0])
    _, told = done(running)
    assert f"measure {N}/{N} " in told
    assert calls(log)[MEASURE] <= N + 2
    assert tables(catalog) == undisturbed
    assert leftovers(catalog) == []


def _without(undisturbed: dict[str, str], bad: str) -> dict[str, str]:
    """MEASUREMENTS of all exposures but one."""
    rest = {path: digest for path, digest in undisturbed.items() if path.startswith("measurements") and bad not in path}
    assert len(rest) == N - 1
    return rest


def test_worker__killed_by_one_exposure_every_time(start, recipe, tmp_path, undisturbed):
    catalog, bad = tmp_path / "lmc", name_of(4)
    words = "run", recipe, "--workers", "1", "--json"  # one worker, which holds the bad task and the next
    said, told = done(piazzi(start, *words, faults=[{"of": MEASURE, "kill": bad}]))
    measured = json.loads(said)["stages"][1]
    assert measured["done"] == N - 1
    (rejected,) = measured["rejected"]
    assert rejected["exposure"] == bad
    assert rejected["reason"] == "measure: found 2 dead workers, expected one that survives (out of memory?)"
    assert f"rejected {bad}: measure: found 2 dead workers" in told
    assert tables(catalog, "measurements") == _without(undisturbed, bad)

    said, _ = done(piazzi(start, *words))
    measured = json.loads(said)["stages"][1]
    assert (measured["done"], measured["skipped"]) == (1, N - 1)
    assert tables(catalog) == undisturbed


def test_worker__out_of_memory(start, scheduler, recipe, tmp_path, undisturbed):
    catalog, bad = tmp_path / "lmc", name_of(4)
    scheduler.worker(memory="900MB", faults=[{"of": MEASURE, "grow": bad}])
    said, _ = done(piazzi(start, "run", recipe, "--cluster", scheduler.address, "--json"))
    measured = json.loads(said)["stages"][1]
    assert measured["done"] == N - 1
    (rejected,) = measured["rejected"]
    assert rejected["exposure"] == bad
    assert rejected["reason"] == "measure: found 2 dead workers, expected one that survives (out of memory?)"
    assert tables(catalog, "measurements") == _without(undisturbed, bad)


def test_apply__innocent_neighbours_of_a_deadly_task_have_their_results(tmp_path):
    def deadly(i: int) -> int:
        if i == 3:
            (tmp_path / f"{time.time_ns()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        outcomes = {o.key: o for o in apply(client, "measure", deadly, {f"k{i}": (i,) for i in range(8)})}
    failed = outcomes.pop("k3")
    assert failed.failure == "measure: found 4 dead workers, expected one that survives (out of memory?)"
    assert len(list(tmp_path.iterdir())) == 8  # four times beside others, four times alone
    assert {key: o.result for key, o in outcomes.items()} == {f"k{i}": i for i in range(8) if i != 3}


def test_apply__workers_whose_results_were_not_fetched_yet():
    def square(i: int) -> int:
        return i * i

    def kill_all(stage, n, total, key):
        if n == 1:
            wait_for(lambda: sum(map(len, client.has_what().values())) >= total - 1)
            for pid in client.run(os.getpid).values():
                os.kill(pid, signal.SIGKILL)

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        outcomes = list(apply(client, "s", square, {f"k{i}": (i,) for i in range(6)}, kill_all))
    assert {o.key: (o.result, o.failure) for o in outcomes} == {f"k{i}": (i * i, None) for i in range(6)}
