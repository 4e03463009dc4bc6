"""A scheduler that dies: one line, and the same command, given again, goes on from there."""

import pytest

from tests.faults.processes import ENOUGH, N, Scheduler, calls, done, leftovers, piazzi, slow, staged, wait_for
from tests.graph.running import tables

pytestmark = pytest.mark.cluster

MEASURE = "compute.graph.tasks.measure_file"


def test_scheduler__killed_then_run_again_on_another(start, scheduler, recipe, tmp_path, undisturbed):
    catalog, log = tmp_path / "lmc", tmp_path / "log"
    workers = [scheduler.worker(faults=[slow(MEASURE, log)]) for _ in range(2)]
    first = piazzi(start, "run", recipe, "--cluster", scheduler.address)
    wait_for(lambda: len(staged(catalog)) >= 2, first)
    scheduler.process.kill()
    _, told = first.communicate(timeout=ENOUGH)
    assert first.returncode == 1
    assert "Traceback" not in told
    assert told.splitlines()[-1] == "piazzi: measure: the scheduler was lost; run the same command again to go on"
    for worker in workers:
        worker.wait(timeout=ENOUGH)  # each ends its task, finds the scheduler gone, and leaves
    kept = staged(catalog)
    assert 2 <= len(kept) < N

    (tmp_path / "other").mkdir()
    other = Scheduler(start, tmp_path / "other")
    for _ in range(2):
        other.worker(faults=[slow(MEASURE, log)])
    second = piazzi(start, "run", recipe, "--cluster", other.address)
    wait_for(lambda: len(staged(catalog)) > len(kept), second)
    now = staged(catalog)
    assert {name: now[name] for name in kept} == kept  # none of them was written again
    _, told = done(second)
    assert f"measure {N - len(kept)}/{N - len(kept)} " in told
    assert calls(log)[MEASURE] <= N + 2 * 2  # a task in flight and one more for each worker
    assert tables(catalog) == undisturbed
    assert leftovers(catalog) == []
