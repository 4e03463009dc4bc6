"""Motions against detector position and magnitude: neither has anything to do with how stars move."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from compute.kernels.geometry.trends import Trend, trend
from compute.stages.report.binned import spread
from compute.stages.report.panels import Extent, density, headline, zero
from compute.stages.report.style import BLUE, RED, new_figure, styled

__all__ = ["motion_trends", "trend_figure"]

_BINS, _MAGS = 16, 10
_NAMES = {"pmra": r"$\Delta\mu_\alpha \cos\delta$ [µas/yr]", "pmdec": r"$\Delta\mu_\delta$ [µas/yr]"}


def motion_trends(rows: pd.DataFrame, extent: Extent) -> list[dict[str, Any]]:
    """Motions in bins against their median: chi2, its probability and the largest mean [mas/yr], by coordinate.

    `rows` has `x`, `y` [pix], where a star was on the detector in the mean, `mag`, motions and their errors; `extent`
    is left, right, bottom and top of the detector [pix].
    """
    found = []
    for name in _NAMES:
        for coordinate, edges in _edges(rows, extent).items():
            one = _trend(rows, name, coordinate, edges)
            largest = float(np.nanmax(np.abs(one.mean), initial=0.0))
            found.append({"motion": name, "against": coordinate, "chi2": one.chi2, "dof": one.dof, "p": one.p,
                          "largest": largest})  # fmt: skip
    return found


@styled
def trend_figure(rows: pd.DataFrame, extent: Extent, label: str) -> Figure:
    """Motions less their median along x, y and magnitude, with weighted means; see :func:`motion_trends`."""
    figure, axes = new_figure(6.2, 2, 3)
    headline(figure, f"{label}: {len(rows):,} stars")
    for line, (name, title), ink in zip((axes[:3], axes[3:]), _NAMES.items(), (BLUE, RED), strict=True):
        off = 1e3 * (rows[name] - rows[name].median()).to_numpy()
        for axis, (coordinate, edges) in zip(line, _edges(rows, extent).items(), strict=True):
            one = _trend(rows, name, coordinate, edges)
            reach = max(1.5 * spread(off), 1.4e3 * float(np.nanmax(np.abs(one.mean), initial=0.0))) or 1.0
            density(axis, rows[coordinate], off, (edges[0], edges[-1], -reach, reach))
            _means(axis, one, edges, ink)
            axis.set(xlabel="magnitude" if coordinate == "mag" else f"{coordinate} on the detector [pix]", ylabel=title)
    return figure


def _means(axis: Axes, one: Trend, edges: NDArray, ink: str) -> None:
    middle = (edges[1:] + edges[:-1]) / 2
    axis.errorbar(middle, 1e3 * one.mean, 1e3 * one.error, fmt="o", ms=4, color=ink, elinewidth=1.4)
    zero(axis)
    axis.set_title(f"χ² = {one.chi2:.1f} of {one.dof}, p = {one.p:.2g}")


def _edges(rows: pd.DataFrame, extent: Extent) -> dict[str, NDArray]:
    low, high = rows["mag"].quantile([0.002, 0.998]) if len(rows) else (0.0, 1.0)
    return {
        "x": np.linspace(*extent[:2], _BINS + 1),
        "y": np.linspace(*extent[2:], _BINS + 1),
        "mag": np.linspace(low, max(high, low + 0.1), _MAGS + 1),
    }


def _trend(rows: pd.DataFrame, name: str, coordinate: str, edges: NDArray) -> Trend:
    """Means of motions in bins, weighted by their errors and what the stars themselves disperse by."""
    off = rows[name] - rows[name].median()
    error = rows[f"{name}_error"].to_numpy()
    own = max(spread(off) ** 2 - float(np.median(error)) ** 2, 0.0) if len(rows) else 0.0
    return trend(off, np.sqrt(error**2 + own), rows[coordinate], edges)
