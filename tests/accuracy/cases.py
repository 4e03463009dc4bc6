"""The scenes that are judged, and the figures each gives."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from catalogs.errors import UnusableError
from compute.settings import MeasureSettings
from compute.stages.measure import measure
from tests.accuracy import scenes
from tests.accuracy.bound import bound
from tests.accuracy.figures import AXES, Figure, bins, brightness, farthest, largest, phase, rms, scatter, share
from tests.accuracy.matching import compared, spurious
from tests.accuracy.populations import populations
from tests.accuracy.scenes import IDEAL, STEADY, Scene, library

OVERSAMPLING = 4  # samples per pixel of the library that is given to the fit
PLACES = ("x", "y")


class Result(NamedTuple):
    """Figures of a case, and the rows per bin of S/N behind them."""

    figures: list[Figure]
    bins: list[dict]


def clean(seeds: range) -> Result:
    """Lone stars on good pixels, up to the brightest that a pixel holds, and beyond without saturation."""
    edges = (20.0, 40.0, 80.0, 150.0, 300.0, 450.0)
    stars, setup = _measured(lambda seed: scenes.placed(seed, IDEAL, scenes.apart(20_000, 400, 2.2e5)), seeds)
    rows = bins("clean", stars, edges)
    full = _full_well(setup)
    bright, _ = _measured(lambda seed: scenes.placed(seed, IDEAL, scenes.apart(20_000, 1e5, 1.8e6)), seeds)
    bright_rows = bins("bright", bright, (300.0, 450.0, 600.0, 900.0, 1200.0))
    return Result([
        scatter("clean", "rms / bound, worst of x, y, S/N 20 to 300", largest(rows, 20, 300, PLACES), high=1.02),
        scatter("clean", "rms / bound, flux, worst of S/N 20 to 300", largest(rows, 20, 300, ("flux",))),
        phase("clean", stars, 100, 0.4),
        Figure("clean", "S/N of a star that fills its brightest pixel", full, 0.0, 1),
        scatter("bright", "rms / bound, worst of x, y, S/N 900 to 1200", largest(bright_rows, 900, 1200, PLACES),
                high=1.05),
        phase("bright", bright, 300, 0.4),
    ], rows + bright_rows)  # fmt: skip


def full(seeds: range) -> Result:
    """A crowd with bad pixels, flat residuals and cosmic rays."""
    false: list[np.ndarray] = []
    stars, _ = _measured(scenes.crowd, seeds, lambda scene, found: false.append(_false(scene, found)))
    good = stars[stars["isolated"] & stars["found"] & (stars["flags"] == 0)]
    rows = bins("full", good, (20.0, 40.0, 80.0, 150.0, 400.0, 700.0))
    figures = [
        scatter("full", f"rms / bound, isolated, worst of x, y, S/N {low} to {high}", largest(rows, low, high, PLACES),
                high=most)
        for low, high, most in ((40, 400, 1.06), (400, 700, 1.15))
    ]  # fmt: skip
    figures += [
        phase("full", good, 100, 1.0),
        brightness("full", rows, good, 40, 400, 1.5),
    ]
    figures += [
        scatter("full", f"pull of {axis}, worst of bins of 1 000 stars",
                farthest(rows, 20, 700, (f"pull_{axis}",), 1000), 0.95, 1.05)
        for axis in AXES
    ]  # fmt: skip
    near = stars[stars["found"] & (stars["nearest"] < 4) & (stars["sn"] >= 10)]
    seen = near[near["company_found"]]
    for name, part, goal in (("all measured", seen, 1.2), ("measured or not", near, np.inf)):
        pulls = [(rms(part[f"pull_{axis}"]), len(part)) for axis in PLACES]
        figures.append(scatter("full", f"pull of x, y, neighbours within 4 pix {name}, S/N above 10", max(pulls),
                               high=goal))  # fmt: skip
    wild = seen[["pull_x", "pull_y"]].abs().gt(6).any(axis=1)
    lone = stars[stars["isolated"] & stars["found"] & (stars["sn"] >= 40)]
    alone = stars[stars["alone"] & (stars["sn"] >= 10)]
    figures += [
        share("full", "x or y off by 6 errors and more, neighbours within 4 pix all measured [%]", wild),
        share("full", "without a flag, isolated, S/N above 40 [%]", lone["flags"] == 0),
        share("full", "complete, S/N above 10, none within 4 pix [%]", alone["found"], low=98.0),
        share("full", "false among clean stars [%]", np.concatenate(false), high=0.5),
    ]
    return Result(figures, rows)


def empty(seeds: range) -> Result:
    """Noise, bad pixels and cosmic rays alone."""
    counts = []
    for seed in seeds:
        scene = scenes.placed(seed, STEADY, lambda setup, rng: (np.zeros(0), np.zeros(0), np.zeros(0)))
        try:
            counts.append(int((_stars(scene)["flags"] == 0).sum()))
        except UnusableError:
            counts.append(0)
    mean, n = float(np.mean(counts)), len(counts)
    return Result([Figure("empty", "clean stars a frame", mean, float(np.sqrt(max(mean, 1) / n)), n, high=5)], [])


def double(seeds: range) -> Result:
    """Pairs of 2 pix within one magnitude, both with S/N above 10, all effects."""
    stars, _ = _measured(lambda seed: scenes.placed(seed, STEADY, scenes.pairs(2_000, 600, 5e4, 2.0)), seeds)
    pair = stars[stars["nearest"] < 2.5]
    both = pair["found"] & pair["company_found"]
    figures = [
        share("pairs", "resolved, 2 pix apart within 1 mag, S/N above 10 [%]", both[pair["sn"] >= 10], low=80.0),
        share("pairs", "resolved, S/N above 20 [%]", both[pair["sn"] >= 20]),
    ]
    resolved = pair[both & (pair["sn"] >= 20)]
    pulls = [(rms(resolved[f"pull_{axis}"]), len(resolved)) for axis in PLACES]
    return Result([*figures, scatter("pairs", "pull of x, y, resolved, S/N above 20", max(pulls))], [])


def moving(seeds: range) -> Result:
    """A field of the LMC without pixels, whose stars move, from frames to populations."""
    return Result(populations(seeds), [])


CASES: dict[str, Callable[[range], Result]] = {
    "clean": clean, "full": full, "empty": empty, "pairs": double, "motions": moving,
}  # fmt: skip


def _measured(
    make: Callable[[int], Scene], seeds: Iterable[int], see: Callable[[Scene, pd.DataFrame], object] | None = None
) -> tuple[pd.DataFrame, scenes.Setup]:
    """True stars of all seeds beside what was measured of them, and the setup of the last frame."""
    parts = []
    for seed in seeds:
        scene = make(seed)
        stars = _stars(scene)
        parts.append(compared(scene, stars))
        if see:
            see(scene, stars)
    return pd.concat(parts, ignore_index=True), scene.setup


def _stars(scene: Scene) -> pd.DataFrame:
    return measure(scene.exposure, library(OVERSAMPLING), MeasureSettings()).stars


def _false(scene: Scene, stars: pd.DataFrame) -> np.ndarray:
    return spurious(scene, stars[stars["flags"] == 0])


def _full_well(setup: scenes.Setup) -> float:
    """S/N of a star in the middle of the frame and of a pixel that it just fills."""
    middle, charge = np.array([1024.0]), np.array([setup.detector.saturation / setup.epsf.core()])
    return float((charge / bound(setup, middle, middle, charge).electrons)[0])
