"""What Dask costs: one exposure a task, read and measured, against two plain threads on the same files."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from distributed import Client

from catalogs.cubes import EpsfCube
from catalogs.readers import read_exposures
from compute.graph.apply import apply
from compute.graph.client import connect
from compute.settings import MeasureSettings
from compute.stages.measure import measure
from tests.accuracy.scenes import crowd_file, library
from tests.bench.pairs import compare as timed

FILES, TASKS, SIZE = 4, 8, 1024


def compare() -> list[dict]:
    """Exposures per second with a scheduler and without."""
    cube = library(4)
    with TemporaryDirectory() as folder:
        files = [crowd_file(Path(folder) / str(seed), seed, SIZE) for seed in range(FILES)]
        paths = [files[task % FILES] for task in range(TASKS)]
        rows = []
        for name, cluster in (("2 processes", connect("local", 2)), ("2 threads of this process", _here())):
            with cluster as client:
                rows.append(_row(f"Dask, {name} / 2 plain threads", client, paths, cube))
    return rows


@contextmanager
def _here() -> Iterator[Client]:
    """A scheduler and a worker of two threads in this process."""
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
        yield client


def _row(name: str, client: Client, paths: list[str], cube: EpsfCube) -> dict:
    there = client.scatter(cube, broadcast=True)

    def ours():
        outcomes = apply(client, "bench", digest, {str(task): (path, there) for task, path in enumerate(paths)})
        # A task that failed has its reason where others have a number.
        return [each.failure or each.result for each in sorted(outcomes, key=lambda each: int(each.key))]

    def peer():
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda path: digest(path, cube), paths))

    mine, theirs = ours(), peer()
    same = sum(a == b for a, b in zip(mine, theirs, strict=True))
    work = f"{TASKS} exposures of {SIZE}x{SIZE} pix, {same} with the same rows"
    row = timed(name, work, ours, peer, amount=TASKS, pairs=3, threads=2, agrees=mine == theirs)
    row["work"] += f"; Dask costs {100 * (1 / row['ratio'] - 1):.1f} % of time"
    return row


def digest(path: str, cube: EpsfCube) -> int:
    """Measure one file; a number that changes when any value of any row does."""
    (exposure,) = read_exposures(path)
    stars = measure(exposure, cube, MeasureSettings()).stars
    return int(np.bitwise_xor.reduce(pd.util.hash_pandas_object(stars).to_numpy()))
