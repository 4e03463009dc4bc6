"""Settings of clusters, in Dask's own configuration."""

from importlib.resources import files
from typing import Any

import dask
import yaml
from dask.utils import parse_timedelta

# One thread per worker and no pools inside it: a task is one exposure's whole chain, and workers are the parallelism.
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
# Dask's profiler keeps what it sees: 0.2 MB a task that workers never give back.
WORKERS = {"distributed.worker.profile.enabled": False}


def load() -> None:
    """Lay piazzi's defaults under what the user has set; again after a library that brings defaults of its own."""
    dask.config.update_defaults(yaml.safe_load(files(__package__).joinpath("piazzi.yaml").read_text("utf-8")))


def environment() -> dict[str, str]:
    """Variables of the environment that a worker is to start with."""
    return THREADS | {f"DASK_{key.upper().replace('.', '__')}": str(value) for key, value in WORKERS.items()}


def get(key: str) -> Any:
    """What is set for a key below ``piazzi``."""
    return dask.config.get(f"piazzi.{key}")


def seconds(key: str) -> float:
    """A time below ``piazzi`` [s]."""
    return float(parse_timedelta(get(key), "s"))
