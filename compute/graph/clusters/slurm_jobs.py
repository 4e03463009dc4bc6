"""SLURM jobs that were lost: those whose worker left, and those whose worker never came."""

import asyncio
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import dask
from distributed import SpecCluster
from distributed.deploy.adaptive import Adaptive

if TYPE_CHECKING:
    from dask_jobqueue.slurm import SLURMJob  # an extra

_ENOUGH = 3  # jobs in a row that end before their worker joins: something is wrong with them all


class Replacing(Adaptive):
    """Adaptive scaling that asks again for jobs which ended before their worker joined.

    Of workers that leave Dask itself sees that they are replaced. `given_up` is the reason, once too many jobs have
    ended without a worker for more to be asked for.
    """

    cluster: SpecCluster

    def __init__(self, *args, **options):
        self.given_up: str | None = None
        self._joined: set[str] = set()  # ids of jobs whose worker has been seen
        self._failed = 0
        super().__init__(*args, **options)

    async def adapt(self) -> None:
        """Forget jobs that are gone, so that they are asked for anew; then as usual."""
        await self._forget_gone()
        await super().adapt()

    async def _forget_gone(self) -> None:
        here = {job.job_id for name, job in self.cluster.workers.items() if self._has_worker(name)}
        if here - self._joined:
            self._failed, self.given_up = 0, None
        self._joined |= here
        waiting = {name: job for name, job in self.cluster.workers.items() if job.job_id not in self._joined}
        if self.given_up or not waiting:
            return
        queued = await _queued()
        if queued is None:
            return
        for name, job in waiting.items():
            if job.job_id in queued or self._has_worker(name):
                continue
            self._failed += 1
            if self._failed >= _ENOUGH:
                self.given_up = f"{_ENOUGH} jobs in a row ended before their worker joined, the last {_told(job)}"
                if self._joined:  # or else nobody goes on without them, and the error says it
                    print(f"slurm: {self.given_up}; no more are asked for", file=sys.stderr, flush=True)
                return
            del self.cluster.workers[name]  # what is planned and not there is asked for next

    def _has_worker(self, name: str) -> bool:
        """Whether a worker of the job called `name` is there; several of one job have a number behind its name."""
        return any(str(one) == name or str(one).startswith(f"{name}-") for one in self.cluster.observed)


async def _queued() -> set[str] | None:
    """Ids of this user's jobs that wait or run; None where SLURM does not answer."""
    squeue = await asyncio.create_subprocess_exec(
        "squeue", "--noheader", "--format=%A", f"--user={getpass.getuser()}",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said, _ = await squeue.communicate()
    return None if squeue.returncode else set(said.decode().split())


def _told(job: "SLURMJob") -> str:
    """A job, the end of its log, and where that is."""
    if job.job_id is None:
        return "refused by sbatch"
    folder, name = (dask.config.get(f"jobqueue.slurm.{key}") for key in ("log-directory", "name"))
    log = Path(folder or ".") / (f"{name}-{job.job_id}.err" if folder else f"slurm-{job.job_id}.out")
    try:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return f"{job.job_id} with {lines[-1].strip()!r} in {log}" if lines else f"{job.job_id}; its log is {log}"
