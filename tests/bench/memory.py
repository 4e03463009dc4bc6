"""Memory of one worker that measures exposure after exposure: after the first few it must not grow."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from catalogs.cubes import EpsfCube
from compute.graph.apply import apply
from compute.graph.client import connect
from tests.accuracy.scenes import crowd_file, library
from tests.bench.graph import digest

FILES, FEW, MANY, SIZE = 4, 20, 200, 512


def compare() -> list[dict]:
    """Greatest resident size [MB] after few exposures and after many; the ratio is one where it stays flat."""
    with TemporaryDirectory() as folder, connect("local", 1) as client:
        files = [crowd_file(Path(folder) / str(seed), seed, SIZE) for seed in range(FILES)]
        cube = client.scatter(library(4), broadcast=True)
        tasks = {str(task): (files[task % FILES], cube) for task in range(MANY)}
        told = sorted(outcome.result for outcome in apply(client, "memory", resident, tasks))
    sizes = np.array([size for _, size in told])
    few, many = float(sizes[:FEW].max()), float(sizes.max())
    work = f"greatest resident size [MB], exposures of {SIZE}x{SIZE} pix; after the last {sizes[-1]:.0f} MB"
    return [{
        "name": f"memory of one worker, {FEW} exposures / {MANY}", "work": work, "ours": few, "peer": many,
        "ratio": few / many, "ratio_low": few / many, "threads": 1, "agrees": few / many > 0.9,
    }]  # fmt: skip


def resident(path: str, cube: EpsfCube) -> tuple[float, float]:
    """Measure one file; when that ended, and the resident size of this process then [MB]."""
    digest(path, cube)
    return time.monotonic(), psutil.Process().memory_info().rss / 1e6
