"""What a second worker brings: `measure`, `calibrate` and the pixel map with one and with two, and what Dask costs.

``python -m tests.bench.workers FRAMES REFERENCE`` takes dithered frames of one camera or several, whose stars are in a
reference catalog. Either number of workers has its turn in the same run; catalogs must be the same bytes. Overhead is
the CPU of client and scheduler over that of the workers. The distortion of a camera is one task, so that a single one
gains from workers in the tasks of its map alone, which have a row of their own.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil

from compute.graph import pipeline
from compute.graph.calibrate import calibrate
from compute.graph.client import CALIBRATING, DISTORTING, FRAMING, MEASURING, connect
from compute.graph.geometry import geometry
from compute.graph.run import writing
from compute.settings import CalibrateSettings, GeometrySettings, MeasureSettings, ReferenceSettings
from tests.graph.running import tree

KERNELS = MEASURING, FRAMING, CALIBRATING, DISTORTING
STAGES = "measure", "calibrate", "distortion"
MAP = "pixel map"
HEADER = ("stage", "one_s", "two_s", "ratio", "cpu_one_s", "cpu_two_s", "overhead_percent", "same_bytes")


class _Turn(NamedTuple):
    """Seconds of wall time, of the CPU of client and scheduler, of that of the workers; wall time by kind of task."""

    wall: float
    driver: float
    cpu: float
    kinds: dict[str, float]


def compare(frames: Sequence[str], reference: str, folder: Path, rounds: int, chosen: Sequence[str]) -> list[dict]:
    """A row for each `chosen` stage: the quickest of `rounds` with either number of workers [s], and their ratio."""
    ready = folder / "ready"
    with connect("local", 2, kernels=KERNELS) as client, writing(str(ready)) as catalog:
        pipeline.ingest(catalog, client, frames)
    shutil.copytree(ready, folder / "entered")
    if "distortion" in chosen:
        with connect("local", 2, kernels=KERNELS) as client, writing(str(ready)) as catalog:
            pipeline.measure(catalog, client, MeasureSettings())
    known, published = ReferenceSettings(file=reference), GeometrySettings(method="published")
    stages: dict[str, tuple[Path, Callable]] = {
        "measure": (folder / "entered", lambda *on, **how: pipeline.measure(*on, MeasureSettings(), **how)),
        "calibrate": (folder / "entered", lambda *on, **how: calibrate(*on, CalibrateSettings(), **how)),
        "distortion": (ready, lambda *on, **how: geometry(*on, published, known, **how)),
    }
    return [row for name in chosen for row in _rows(name, *stages[name], folder / "turn", rounds)]


def _rows(name: str, start: Path, work: Callable, place: Path, rounds: int) -> list[dict]:
    """The stage, and the tasks of a map from the end of those before."""
    turns: dict[int, list[_Turn]] = {1: [], 2: []}
    made = []
    for _ in range(rounds):
        for workers, seen in turns.items():
            shutil.copytree(start, place)
            seen.append(_turn(place, work, workers))
            made.append({path: digest for path, digest in tree(place).items() if path[0] != "."})
            shutil.rmtree(place)
    one, two = (min(seen, key=lambda turn: turn.wall) for seen in turns.values())
    cpu = one.cpu, two.cpu, 100 * two.driver / two.cpu, all(each == made[0] for each in made)
    rows = [(name, one.wall, two.wall, one.wall / two.wall, *cpu)]
    if MAP in one.kinds:
        rows.append((MAP, one.kinds[MAP], two.kinds[MAP], one.kinds[MAP] / two.kinds[MAP], *cpu))
    return [dict(zip(HEADER, row, strict=True)) for row in rows]


def _turn(place: Path, work: Callable, workers: int) -> _Turn:
    last: dict[str, float] = {}

    def progress(kind: str, done: int, total: int, note: str) -> None:
        last[kind] = time.monotonic()

    with connect("local", workers, kernels=KERNELS) as client, writing(str(place)) as catalog:
        busy = [psutil.Process(pid) for pid in client.run(os.getpid).values()]
        begin = time.monotonic(), time.process_time(), _cpu(busy)
        work(catalog, client, progress=progress)
        end = time.monotonic(), time.process_time(), _cpu(busy)
    before = begin[0], *last.values()
    kinds = {kind: at - since for (kind, at), since in zip(last.items(), before, strict=False)}
    return _Turn(*(late - early for early, late in zip(begin, end, strict=True)), kinds)


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def main() -> int:
    """Print the table; 1 where the number of workers shows in the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workers", description=__doc__.splitlines()[0])
    parser.add_argument("frames", type=Path, help="folder of frames")
    parser.add_argument("reference", help="reference catalog")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        frames = sorted(map(str, options.frames.glob("*.fits")))
        rows = compare(frames, options.reference, Path(folder), options.rounds, options.stages)
    print(json.dumps(rows, indent=2))
    return int(not all(row["same_bytes"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
