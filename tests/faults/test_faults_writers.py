"""Writers killed while they write: what they leave is swept, and the end is that of an undisturbed run."""

import pytest

from tests.faults.processes import calls, done, end, leftovers, piazzi, wait_for
from tests.graph.running import tables

pytestmark = pytest.mark.cluster

WRITE = "compute.graph.tasks.write_table"


def test_writers__killed_between_the_first_byte_and_the_last(start, recipe, tmp_path, undisturbed):
    catalog, log = tmp_path / "lmc", tmp_path / "log"
    held = {"of": WRITE, "log": str(log), "slow": 60.0}  # the new file is open by then
    first = piazzi(start, "run", recipe, "--workers", "2", faults=[held])
    wait_for(lambda: calls(log)[WRITE] >= 2, first)
    end(first)
    half = [path for path in leftovers(catalog) if "/.new-" in path]
    assert len(half) == 2

    done(piazzi(start, "run", recipe, "--workers", "2"))
    assert tables(catalog) == undisturbed
    assert leftovers(catalog) == []
