"""Schedulers and workers as processes of their own, with what they said."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ENOUGH = 120.0  # seconds to wait for what must come


@pytest.fixture
def processes(tmp_path):
    """Start Python modules as processes; whatever is left of them is ended afterwards.

    What a process writes to standard error goes to ``<name>.log``; `before` is put in front of its command.
    """
    started = []

    def start(name: str, *words, before=(), **environment) -> subprocess.Popen:
        command = [*before, sys.executable, "-m", *map(str, words)]
        with (tmp_path / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=tmp_path, env=os.environ | environment
            )
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            process.kill()
        process.communicate()


def wait_for(true):
    """What ``true()`` gives, once it is true."""
    until = time.monotonic() + ENOUGH
    while not (found := true()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)
    return found


def address_in(file: Path) -> str | None:
    """What a scheduler wrote into its file, when it has."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(file.read_text())["address"]
    return None


def start_scheduler(processes, folder: Path, *options, host="127.0.0.1", **how) -> str:
    """A scheduler of its own; gives its address."""
    file = folder / "scheduler.json"
    options = ("--host", host, "--port", "0", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", file, *options)
    processes("scheduler", "dask", "scheduler", *options, **how)
    return wait_for(lambda: address_in(file))


def start_worker(processes, folder: Path, address: str, *options, name="worker", **how) -> subprocess.Popen:
    """A worker of one thread."""
    options = ("--nthreads", "1", "--no-dashboard", "--name", name, "--local-directory", folder / name, *options)
    return processes(name, "dask", "worker", address, *options, **how)
