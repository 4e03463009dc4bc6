"""Workers as SLURM jobs; the scheduler runs in this process, and jobs that are lost are asked for again."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dask
from dask.utils import parse_bytes
from distributed import Client

from catalogs.errors import PiazziError
from compute.graph.clusters import defaults
from compute.graph.clusters.quiet import ending_quietly
from compute.graph.clusters.security import launched_security
from compute.graph.clusters.slurm_jobs import Replacing

_WHERE = "--cluster slurm"


@contextmanager
def slurm_cluster(workers: int | None) -> Iterator[Client]:
    """A cluster of as many SLURM jobs as there is work for, `workers` of them at most.

    Jobs are what ``jobqueue.slurm`` of Dask's configuration says.

    Raises
    ------
    PiazziError
        Without dask-jobqueue or sbatch, if sbatch refuses such jobs, or if none of them brought up a worker.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise PiazziError(
            f"{_WHERE}: found no dask-jobqueue, expected the extra: pip install 'piazzi[slurm]'"
        ) from None
    if not shutil.which("sbatch"):
        raise PiazziError(f"{_WHERE}: found no sbatch here, expected a host that submits jobs")
    defaults.load()
    workers, minimum = workers or defaults.get("workers"), defaults.get("slurm.minimum")
    pace = {"interval": defaults.get("slurm.interval"), "wait_count": defaults.get("slurm.wait-count")}
    # Nobody knows beforehand how long tasks take; theirs is minutes rather than Dask's half second.
    with (
        dask.config.set({"distributed.scheduler.unknown-task-duration": "30s"}),
        SLURMCluster(**_options()) as cluster,
        Client(cluster) as client,
        ending_quietly(client),
    ):
        _try_out(cluster.job_script())
        cluster.scale(minimum)
        jobs = cluster.adapt(Adaptive=Replacing, minimum=minimum, maximum=max(workers, minimum), **pace)
        _wait_for_one(client, jobs, workers)
        yield client


def _options() -> dict[str, Any]:
    """What we say of jobs and scheduler where the configuration leaves it open."""
    said = dask.config.get("jobqueue.slurm")
    processes = said["processes"] or said["cores"]
    options = {
        "processes": processes,
        "security": launched_security("slurm"),
        "job_mem": said["job-mem"] or f"{parse_bytes(said['memory']) // 2**20}M",
        "job_script_prologue": [*_prologue(), *(said["job-script-prologue"] or ())],
        "worker_extra_args": [*(said["worker-extra-args"] or ()), *_lifetime(said["walltime"])],
    }
    scheduler = {"dashboard_address": defaults.get("dashboard"), **(said["scheduler-options"] or {})}
    if not (said["interface"] or {"host", "interface"} & scheduler.keys()):
        scheduler["host"] = defaults.get("host")
        if scheduler["host"] == "127.0.0.1":
            line = "slurm: the scheduler listens on loopback, for workers of this host alone;"
            print(line, "for others set jobqueue.slurm.interface", file=sys.stderr)
    return options | {"scheduler_options": scheduler}


def _prologue() -> list[str]:
    """Lines of a job's script: what workers find in their environment."""
    lines = [f"export {name}={value}" for name, value in defaults.environment().items()]
    if folder := defaults.get("slurm.numba-cache"):
        # Processes of several hosts must not write one cache together, nor anybody else into this one.
        lines.append(f'cache="${{NUMBA_CACHE_DIR:-{folder}}}"')
        lines.append('mkdir -m 700 -p "$cache" && [ -O "$cache" ] && export NUMBA_CACHE_DIR="$cache"')
    return lines


def _lifetime(walltime: str) -> list[str]:
    """Options by which workers leave in good order before their job is killed, and not all at once.

    The last goes a tenth of the walltime, or ten minutes, before it ends.
    """
    said = dask.config.get("distributed.worker.lifetime")
    if said["duration"]:
        return ["--lifetime", str(said["duration"]), "--lifetime-stagger", str(said["stagger"])]
    whole = _seconds(walltime)
    stagger = min(whole / 10, 600.0)
    return ["--lifetime", f"{whole - 2 * stagger:.0f}s", "--lifetime-stagger", f"{stagger:.0f}s"]


def _seconds(walltime: str) -> float:
    """A time as SLURM writes it: minutes, min:s, h:min:s, days-h, days-h:min or days-h:min:s."""
    days, dash, rest = str(walltime).rpartition("-")
    try:
        parts = [int(part) for part in rest.split(":")]
        units = {1: (3600,), 2: (3600, 60), 3: (3600, 60, 1)} if dash else {1: (60,), 2: (60, 1), 3: (3600, 60, 1)}
        return 86400.0 * int(days or 0) + sum(a * b for a, b in zip(parts, units[len(parts)], strict=True))
    except (ValueError, KeyError):
        expected = "a time as SLURM writes it, e.g. 01:30:00 or 2-12"
        raise PiazziError(f"{_WHERE}: jobqueue.slurm.walltime: found {walltime!r}, expected {expected}") from None


def _try_out(script: str) -> None:
    """Have sbatch look at a job without submitting it."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        tried = subprocess.run(["sbatch", "--test-only", file.name], capture_output=True, text=True, check=False)
    if tried.returncode:
        why = " ".join(tried.stderr.split())
        raise PiazziError(f"{_WHERE}: sbatch refuses the job that jobqueue.slurm describes ({why})")


def _wait_for_one(client: Client, jobs: Replacing, workers: int) -> None:
    """Wait until a worker has joined, or it is clear that none will."""
    if not client.scheduler_info()["workers"]:
        print(f"slurm: waiting for the first of at most {workers} workers", file=sys.stderr, flush=True)
    timeout = defaults.seconds("slurm.timeout")
    until = time.monotonic() + timeout
    while True:
        with suppress(TimeoutError):
            client.wait_for_workers(1, timeout=1.0)
            return
        if jobs.given_up:
            raise PiazziError(f"{_WHERE}: {jobs.given_up}")
        if time.monotonic() > until:
            raise PiazziError(f"{_WHERE}: no worker joined within {timeout:.0f} s")
