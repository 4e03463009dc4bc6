"""A SLURM of this host's own, where there is what it takes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.graph.running import client

__all__ = ["client"]

HERE = Path(__file__).parent
NEEDED = ("slurmctld", "slurmd", "sbatch", "munge", "setpriv")


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """Environment of commands that are to find a SLURM of three nodes."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in NEEDED if not shutil.which(name, path=path)]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"no SLURM of its own: found {', '.join(missing) or 'all'} missing, needs these and root")
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run(
        [HERE / "up", folder, "3"], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    if started.returncode:
        subprocess.run([HERE / "down", folder], check=False)
        pytest.skip(f"SLURM did not start here: {' '.join(started.stderr.split())[-400:]}")
    settings = {
        "DASK_PIAZZI__SLURM__INTERVAL": "1s",
        "DASK_PIAZZI__SLURM__NUMBA_CACHE": "None",  # one host: what was compiled for other tests will do
        "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "2s",
    }
    yield os.environ | settings | {"PATH": path, "SLURM_CONF": str(folder / "slurm.conf")}
    subprocess.run([HERE / "down", folder], check=False)
