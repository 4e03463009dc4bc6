"""A run that is sent SIGTERM, as at the end of a walltime: it leaves in good order, and goes on when given again."""

import pytest

from tests.faults.processes import ENOUGH, N, done, leftovers, piazzi, slow, staged, wait_for, workers_of
from tests.graph.running import tables

pytestmark = pytest.mark.cluster


def test_terminated__leaves_no_lease_and_no_workers_then_goes_on(start, recipe, tmp_path, undisturbed):
    catalog = tmp_path / "lmc"
    faults = [slow("compute.graph.tasks.measure_file", tmp_path / "log", 1.0)]
    first = piazzi(start, "run", recipe, "--workers", "2", faults=faults)
    wait_for(lambda: len(staged(catalog)) >= 2, first)
    workers = workers_of(first)
    first.terminate()
    _, told = first.communicate(timeout=ENOUGH)
    assert first.returncode == 143, told
    assert "Traceback" not in told
    assert not [worker for worker in workers if worker.is_running()]
    assert not list(catalog.glob(".lease*"))
    kept = staged(catalog)
    assert 2 <= len(kept) < N
    _, told = done(piazzi(start, "run", recipe, "--workers", "2"))
    assert f"measure {N - len(kept)}/{N - len(kept)} " in told
    assert tables(catalog) == undisturbed
    assert leftovers(catalog) == []
