"""Scatter, bias and pixel phase of measured stars, as figures with their own uncertainty and a goal."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

AXES = ("x", "y", "flux")
_OUT = 6.0  # bounds or errors beyond which a star is counted and not averaged
_MMAG = 2500 / np.log(10)
_PHASES = 10


class Figure(NamedTuple):
    """One number: `error` is its own statistical uncertainty, `n` how many stars it rests on, the goal an interval."""

    scene: str
    name: str
    value: float
    error: float
    n: int
    low: float = -np.inf
    high: float = np.inf

    @property
    def goal(self) -> str:
        """The interval in words."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            return f"{self.low:g} to {self.high:g}"
        return f">= {self.low:g}" if np.isfinite(self.low) else f"<= {self.high:g}" if np.isfinite(self.high) else ""

    @property
    def met(self) -> bool | None:
        """Whether the value lies within the goal; None without one."""
        return bool(self.low <= self.value <= self.high) if self.goal else None

    def told(self) -> dict:
        """As JSON has it."""
        known = {name: getattr(self, name) for name in ("scene", "name", "value", "error", "n")}
        return known | {"goal": self.goal, "met": self.met}


def bins(scene: str, stars: pd.DataFrame, edges: tuple[float, ...]) -> list[dict]:
    """Per bin of true S/N: rms over the bound and rms pulls of x, y and flux, median flux offset [mmag]."""
    rows = []
    for low, high in zip(edges, edges[1:], strict=False):
        part = stars[(stars["sn"] > low) & (stars["sn"] <= high)]
        if len(part) < 50:
            continue
        row: dict = {"scene": scene, "low": low, "high": high, "n": len(part)}
        row |= {axis: rms(part[f"z_{axis}"]) for axis in AXES}
        row |= {f"pull_{axis}": rms(part[f"pull_{axis}"]) for axis in AXES}
        row["bias"] = float(_MMAG * part["flux_off"].median())
        row["beyond"] = float((part[["z_x", "z_y", "z_flux"]].abs() > _OUT).any(axis=1).mean())
        rows.append(row)
    return rows


def rms(values: pd.Series) -> float:
    """Root mean square about zero, of what lies within 6."""
    return float(np.sqrt((values[values.abs() < _OUT] ** 2).mean()))


def largest(rows: list[dict], low: float, high: float, columns: tuple[str, ...]) -> tuple[float, int]:
    """The largest value in bins between `low` and `high`, and its bin's stars."""
    return max(_values(rows, low, high, columns, 1), default=(np.nan, 0))


def farthest(rows: list[dict], low: float, high: float, columns: tuple[str, ...], least: int) -> tuple[float, int]:
    """The value farthest from one in bins of `least` stars or more, and its bin's stars."""
    return max(_values(rows, low, high, columns, least), key=lambda each: abs(each[0] - 1), default=(np.nan, 0))


def _values(rows: list[dict], low: float, high: float, columns: tuple[str, ...], least: int) -> list[tuple[float, int]]:
    inside = [row for row in rows if low <= row["low"] and row["high"] <= high and row["n"] >= least]
    return [(row[column], row["n"]) for row in inside for column in columns]


def scatter(scene: str, name: str, found: tuple[float, int], low: float = -np.inf, high: float = np.inf) -> Figure:
    """The figure of an rms of `found[1]` values near one."""
    value, n = found
    return Figure(scene, name, value, value / np.sqrt(2 * max(n, 1)), n, low, high)


def share(scene: str, name: str, yes: NDArray | pd.Series, low: float = -np.inf, high: float = np.inf) -> Figure:
    """A share of stars, in per cent."""
    p, n = float(np.mean(yes)), len(yes)
    return Figure(scene, name, 100 * p, 100 * float(np.sqrt(p * (1 - p) / max(n, 1))), n, low, high)


def brightness(scene: str, rows: list[dict], stars: pd.DataFrame, low: float, high: float, most: float) -> Figure:
    """Median flux offset of the bin where it is largest [mmag]."""
    row = max((row for row in rows if low <= row["low"] and row["high"] <= high), key=lambda row: abs(row["bias"]))
    part = stars[(stars["sn"] > row["low"]) & (stars["sn"] <= row["high"])]
    error = 1.2533 * _MMAG * part["flux_off"].abs().median() * 1.4826 / np.sqrt(len(part))
    name = f"flux bias, worst bin of S/N {low:g} to {high:g} [mmag]"
    return Figure(scene, name, abs(row["bias"]), float(error), len(part), high=most)


def phase(scene: str, stars: pd.DataFrame, least: float, most: float) -> Figure:
    """Greatest departure of ten bins of pixel phase from their mean, in x or y, above S/N `least` [1e-3 pix].

    Bins are means weighted by the bounds. `error` is what noise alone would give for the greatest of twenty.
    """
    part = stars[stars["sn"] > least]
    values, noise = [], []
    for axis in ("x", "y"):
        off, weight = part[f"d{axis}"].to_numpy(), part[f"bound_{axis}"].to_numpy() ** -2
        keep = part[f"z_{axis}"].abs().to_numpy() < _OUT
        where = np.clip(((part[axis] - part[axis].round() + 0.5) * _PHASES).astype(int), 0, _PHASES - 1)[keep]
        total = np.bincount(where, weight[keep], _PHASES)
        mean = np.bincount(where, (weight * off)[keep], _PHASES) / total
        values.append(np.abs(mean - mean.mean()).max())
        noise.append(np.sqrt(1 / total).mean())
    # The greatest of twenty normal numbers is 2.2 standard deviations on average, whatever their signs.
    return Figure(scene, f"pixel phase above S/N {least:g} [1e-3 pix]", 1e3 * max(values), 2.2e3 * max(noise),
                  len(part), high=most)  # fmt: skip
