"""``make scale``: frames, matches and motions of up to 1e7 measurements: CPU of every stage, memory of every process.

The campaign `scale` is simulated once, without pixels; smaller catalogs are made of every nth of its exposures, and of
the brightest stars of each. Workers have a fixed limit of memory. Prints a table and writes ``scale.json``.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import psutil
from distributed import Client, LocalCluster

from catalogs.catalog import Catalog, create_or_open, measurement_path, open_catalog
from catalogs.parquet import read_table, write_table
from catalogs.tables import MEASUREMENTS
from compute.campaign import Campaign, read_campaign
from compute.graph.client import FRAMING, MOVING, SIMULATING, connect
from compute.graph.clusters import defaults
from compute.graph.frame import frame
from compute.graph.match import match
from compute.graph.motion import motion
from compute.graph.run import writing
from compute.graph.simulate import simulate
from compute.settings import FrameSettings, MatchSettings, MotionSettings, ReferenceSettings

# Exposures, and the share of their stars: 1e5, 1e6 and 1e7 rows; then 20 to 400 exposures of as many stars.
CASES = ((40, 0.1), (40, 1.0), (20, 1.0), (100, 1.0), (400, 1.0))
STAGES = ("frame", "match", "motion")
WORKERS, MEMORY, OURS = 2, 2e9, 1e9  # memory of a worker, and of client and scheduler together [bytes]
EXPONENT = 1.05


def main() -> int:
    """Run every case, print the table, write ``scale.json``; 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=float, default=1e8, help="leave out cases of more measurements [none]")
    parser.add_argument("--folder", type=Path, help="keep the simulated campaign here, and take it from here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = options.folder or Path(scratch) / "source"
        campaign = read_campaign("scale")
        _simulated(campaign, source)
        whole = int(open_catalog(source / "catalog").exposures["n_stars"].sum())
        found = []
        print(_line(("exposures", "rows", *(f"{stage} s" for stage in STAGES), "s/1e5 rows", "worker MB", "own MB")))
        for exposures, share in CASES:
            if whole * exposures / 400 * share <= options.rows:
                found.append(_case(campaign, source, Path(scratch) / "catalog", exposures, share))
                print(_line(_told(found[-1])), flush=True)
    exponent = _exponent(found)
    print(f"exponent of frame and motion against rows, at most: {exponent:.3f}")
    Path("scale.json").write_text(json.dumps({"cases": found, "exponent": exponent}, indent=2) + "\n")
    kept = all(row["worker"] <= MEMORY and row["own"] <= OURS for row in found)
    return int(not kept or exponent > EXPONENT)


def _simulated(campaign: Campaign, folder: Path) -> None:
    """The campaign as tables; what is there is not drawn again."""
    with connect("local", WORKERS, kernels=(SIMULATING,)) as client:
        simulate(campaign, str(folder), client, tables=True)


def _case(campaign: Campaign, source: Path, folder: Path, exposures: int, share: float) -> dict:
    """CPU [s] of every stage, and greatest resident size of a worker and of this process [bytes]."""
    rows = cut(source / "catalog", folder, exposures, share)
    found = {"exposures": exposures, "rows": rows, "cpu": dict.fromkeys(STAGES, 0.0), "worker": 0, "own": 0}
    reference = ReferenceSettings(file=str(source / "reference_catalog.parquet"))
    with _cluster() as client, writing(str(folder)) as catalog:
        for field in campaign.fields:
            for stage, call in _calls(catalog, client, field.name, (field.ra, field.dec), reference).items():
                with Watch(client) as watch:
                    report = call()
                assert not report.rejected, report.rejected[:3]
                found["cpu"][stage] += watch.cpu
                found["worker"], found["own"] = max(found["worker"], watch.worker), max(found["own"], watch.own)
    shutil.rmtree(folder)
    return found


@contextmanager
def _cluster() -> Iterator[Client]:
    """Workers of a fixed limit of memory; scheduler and client are in this process."""
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": defaults.THREADS, **defaults.WORKERS}),
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, memory_limit=MEMORY, dashboard_address=":0") as cluster,
        connect(cluster.scheduler_address, kernels=(FRAMING, MOVING)) as client,
    ):
        client.wait_for_workers(WORKERS)
        yield client


def _calls(
    catalog: Catalog, client: Client, field: str, centre: tuple[float, float], reference: ReferenceSettings
) -> dict[str, Callable]:
    settings = FrameSettings(ra=centre[0], dec=centre[1])
    return {
        "frame": lambda: frame(catalog, client, field, settings, reference),
        "match": lambda: match(catalog, client, field, MatchSettings(), reference),
        "motion": lambda: motion(catalog, client, field, MotionSettings(), reference),
    }


def cut(source: Path, target: Path, exposures: int, share: float) -> int:
    """A catalog of so many exposures, as many of each frame, and the brightest `share` of their stars; its rows."""
    there, made = open_catalog(source), create_or_open(target)
    rows = there.exposures.sort_values("exposure", kind="stable")
    every = len(rows) // exposures
    rows = rows[rows.groupby(["program", "filter"]).cumcount() % every == 0].reset_index(drop=True)
    for row in rows.to_dict("records"):
        path = measurement_path(row)
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        if share == 1.0:
            os.symlink((source / path).resolve(), target / path)
        else:
            stars = read_table(source / path, MEASUREMENTS)
            write_table(stars[: round(share * len(stars))], MEASUREMENTS, target / path)
    rows["n_stars"] = [round(share * n) for n in rows["n_stars"]]
    made.write_exposures(rows)
    return int(rows["n_stars"].sum())


class Watch:
    """CPU [s] that workers and this process spend in a block, and their greatest resident sizes [bytes]."""

    def __init__(self, client: Client, every: float = 0.05):
        self.client, self.every = client, every

    def __enter__(self) -> "Watch":
        self.processes = [psutil.Process(), *map(psutil.Process, self.client.run(os.getpid).values())]
        self.worker = self.own = 0
        self.cpu, self.ended = -self._cpu(), threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        self.cpu += self._cpu()  # NoSuchProcess where a worker had to be started again

    def _cpu(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def _sample(self) -> None:
        while not self.ended.wait(self.every):
            own, *workers = (process.memory_info().rss for process in self.processes)
            self.own, self.worker = max(self.own, own), max(self.worker, *workers)


def _told(row: dict) -> tuple:
    cpu, each = row["cpu"], (row["cpu"]["frame"] + row["cpu"]["motion"]) / row["rows"] * 1e5
    times = (f"{cpu[stage]:.1f}" for stage in STAGES)
    return row["exposures"], row["rows"], *times, f"{each:.2f}", f"{row['worker'] / 1e6:.0f}", f"{row['own'] / 1e6:.0f}"


def _line(cells: tuple) -> str:
    return "".join(f"{cell!s:>12}" for cell in cells)


def _exponent(rows: list[dict]) -> float:
    """Steepest slope of log CPU of frames and motions against log rows, between neighbouring cases; NaN for one."""
    cases = sorted((row["rows"], row["cpu"]["frame"] + row["cpu"]["motion"]) for row in rows)
    steps = np.diff(np.log(cases), axis=0)
    return float(np.max(steps[:, 1] / steps[:, 0])) if len(steps) else float("nan")


if __name__ == "__main__":
    sys.exit(main())
