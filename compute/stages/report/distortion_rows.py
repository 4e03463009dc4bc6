"""Residuals of a distortion correction as its figures take them: which pairs, in cells, star by star."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.distortion import DistortionCube, PixelMap
from compute.stages.report.binned import cells, spread
from compute.stages.report.panels import Extent
from compute.stages.report.precision import precision

__all__ = ["brightest", "cell_medians", "chosen", "extent_of", "kind_of", "star_scatter", "without_map"]

_LIMIT, _SHARE = 0.02, 0.1  # pix; of the pairs
_OUTLIER = 5.0  # spreads
_LEAST = 3  # pairs in a cell
_AXES = ("dx", "dy")
_SEVERAL = 3  # exposures a scatter is made from


def chosen(rows: pd.DataFrame, reference: bool) -> pd.DataFrame:
    """The well measured pairs of RESIDUALS with the reference catalog, or with averages; the others if there are none.

    Well measured are positions with errors below 0.02 pix, or the best tenth where these are fewer. Residuals beyond
    five times the spread, those of stars that move or were mistaken, are left out. Adds `error` per axis.
    """
    mine = rows[rows["reference"] == reference]
    mine = mine if len(mine) else rows
    mine = mine.assign(error=np.sqrt((mine["x_error"] ** 2 + mine["y_error"] ** 2) / 2))
    known = np.isfinite(mine["dx"]) & np.isfinite(mine["dy"]) & np.isfinite(mine["error"])
    mine = mine[known]
    if mine.empty:
        return mine
    mine = mine[mine["error"] <= max(_LIMIT, float(mine["error"].quantile(_SHARE)))]
    far = np.maximum(*(np.abs(mine[name] - mine[name].median()) / max(spread(mine[name]), 1e-9) for name in _AXES))
    return mine[far < _OUTLIER]


def kind_of(rows: pd.DataFrame) -> str:
    """What the residuals are differences from."""
    return "the reference catalog" if len(rows) and rows["reference"].iloc[0] else "averages of the exposures"


def extent_of(shape: tuple[int, int]) -> Extent:
    """Left, right, bottom, top of a detector with (rows, columns) [pix]."""
    return (-0.5, shape[1] - 0.5, -0.5, shape[0] - 0.5)


def cell_medians(rows: pd.DataFrame, extent: Extent, n: int) -> NDArray[np.float64]:
    """Medians of `dx` and `dy` in n x n cells of a detector, (2, n, n) [axis, y, x]; NaN below three pairs."""
    left, right, bottom, top = extent
    found = cells(rows, extent, n, _LEAST)
    column, line = (found["x"] - left) / (right - left) * n, (found["y"] - bottom) / (top - bottom) * n
    values = np.full((2, n, n), np.nan)
    values[:, line.astype(int), column.astype(int)] = found[["dx", "dy"]].to_numpy().T
    return values


def brightest(rows: pd.DataFrame) -> pd.DataFrame:
    """Pairs of the brightest two magnitudes, that are measured about equally well; a hundred at least."""
    limits = precision(rows.assign(rms_x=0.0, rms_y=0.0), 1.0)
    return rows[(rows["mag"] >= limits.bright) & (rows["mag"] <= limits.faint)]


def without_map(rows: pd.DataFrame, cube: DistortionCube) -> pd.DataFrame:
    """The residuals there would be if the cube had no pixel map; the same rows where it has none.

    Corrected positions are then off by what the map adds, and so is, to first order, where averages are carried back.
    """
    x, y = rows["x"].to_numpy(), rows["y"].to_numpy()
    for layer in cube.layers:
        if isinstance(layer, PixelMap):
            dx, dy = layer.delta(x, y, cube.chip_of(y))
            rows = rows.assign(dx=rows["dx"] + dx, dy=rows["dy"] + dy)
    return rows


def star_scatter(rows: pd.DataFrame) -> pd.DataFrame:
    """Scatter of each star's positions about their average, from RESIDUALS against averages.

    Returns
    -------
    DataFrame
        By star found in three or more exposures: `mag`, `n_used`, `rms_x`, `rms_y` and what errors let expect of them,
        `x_error`, `y_error` [pix].
    """
    mine = rows[~rows["reference"]]
    squares = {f"rms_{axis}": mine[f"d{axis}"] ** 2 for axis in "xy"} | {
        f"{axis}_error": mine[f"{axis}_error"] ** 2 for axis in "xy"
    }
    groups = mine.assign(**squares).groupby("star_id")
    means, n = groups[[*squares]].mean(), groups.size()
    factor = {"rms_x": n / (n - 1), "rms_y": n / (n - 1)}
    found = pd.DataFrame({name: np.sqrt(means[name] * factor.get(name, 1.0)) for name in squares})
    found = found.assign(mag=groups["mag"].median(), n_used=n)
    return found[(n >= _SEVERAL) & np.isfinite(found["mag"])]
