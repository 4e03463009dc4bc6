"""Processes of their own to run piazzi in and to kill, and what is looked at afterwards."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

N = 10  # exposures of the catalog that is measured
ENOUGH = 240.0  # seconds to wait for what must come
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
_INJECTED = Path(__file__).with_name("injected.py")


@pytest.fixture
def start():
    """Start a Python module as a process; whatever is left of it and its children is ended afterwards."""
    started = []

    def one(*words, **options) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-m", *map(str, words)], text=True, **options)
        started.append(process)
        return process

    yield one
    for process in started:
        if process.poll() is None:
            end(process)
        process.communicate()


def piazzi(start, *words, faults=()) -> subprocess.Popen:
    """Start a command of piazzi, its workers spoiled by `faults` (:mod:`tests.faults.injected`)."""
    return start("cli.main", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=spoiled(*faults))


def spoiled(*faults: dict) -> dict[str, str]:
    """An environment in which workers have these faults, and a task that killed two of them is given up."""
    known = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    if faults:
        known |= {"PIAZZI_FAULT": json.dumps(faults), "DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([str(_INJECTED)])}
    return known


def slow(of: str, log: Path, seconds: float = 0.5) -> dict:
    """A function whose calls take longer, so that a kill lands among them, and are counted."""
    return {"of": of, "log": str(log), "slow": seconds}


def calls(log: Path) -> Counter:
    """How often each function of a log was called."""
    return Counter(log.read_text().split()) if log.exists() else Counter()


def done(process: subprocess.Popen) -> tuple[str, str]:
    """What a command said and told, which must end well."""
    said, told = process.communicate(timeout=ENOUGH)
    assert process.returncode == 0, told
    return said, told


def wait_for(true, process=None):
    """Wait until ``true()``; the process must not end before."""
    until = time.monotonic() + ENOUGH
    while not true():
        if process is not None and process.poll() is not None:
            pytest.fail(f"ended with {process.returncode}: {process.communicate()[1]}")
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


def end(process: subprocess.Popen) -> None:
    """Kill a process and all its children at once."""
    children = psutil.Process(process.pid).children(recursive=True)
    for one in (process, *children):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()
    psutil.wait_procs(children, timeout=30)


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """Worker processes of a local cluster: children that other helpers of multiprocessing are not."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def staged(catalog: Path) -> dict[str, int]:
    """Records of the measure stage and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (catalog / ".staging" / "measure").glob("*.json")}


def leftovers(catalog: Path) -> list[str]:
    """Whatever a writer keeps while it is at work."""
    private = (".new-", ".old-", ".staging")
    return [str(path) for path in catalog.rglob("*") if path.is_file() and any(mark in str(path) for mark in private)]


class Scheduler:
    """A scheduler of its own, in `folder`, and workers that come and go."""

    def __init__(self, start, folder: Path):
        self.start, self.folder, self.file = start, folder, folder / "scheduler.json"
        options = "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"
        self.process = start("dask", "scheduler", *options, "--scheduler-file", self.file, env=spoiled(), **QUIET)
        wait_for(self._address, self.process)
        self.address = self._address()

    def _address(self) -> str | None:
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.file.read_text())["address"]
        return None

    def worker(self, memory: str = "0", faults=()) -> subprocess.Popen:
        """Start one worker under a nanny."""
        options = "--nthreads", "1", "--no-dashboard", "--local-directory", self.folder / "scratch"
        options = *options, "--memory-limit", memory
        return self.start("dask", "worker", self.address, *options, cwd=self.folder, env=spoiled(*faults), **QUIET)
