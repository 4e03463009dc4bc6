"""Figures of a distortion over the detector: residuals as arrows and as maps, the correction, and its filters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from catalogs.distortion import DistortionCube, LookUpTable, PixelMap, Polynomial
from compute.stages.report.binned import cells, curve
from compute.stages.report.distortion_rows import cell_medians, chosen, extent_of, kind_of, without_map
from compute.stages.report.panels import Extent, arrow_key, arrows, density, headline, medians, zero
from compute.stages.report.style import BLUE, RED, WIDTH, new_figure, styled

__all__ = ["correction_figure", "filters_figure", "residual_maps_figure", "shifts", "vectors_figure"]

_CELLS, _FILL = 25, 12  # most arrows along each axis; pairs an arrow stands for
_MOST, _DEEP = 128, 8  # most cells of a map along each axis; pairs in one
_BINS = 32  # medians along an axis
_SAMPLES = 128  # places of a correction along each axis
_LAYERS = {Polynomial: "polynomial", LookUpTable: "look-up table", PixelMap: "pixel map"}


@styled
def vectors_figure(rows: pd.DataFrame, shape: tuple[int, int], label: str) -> Figure:
    """Residuals before and after the correction (Libralato et al. 2023, Figs. 9 and 11).

    `rows` are RESIDUALS; above, medians of cells as arrows, so much magnified as told, and the rms per axis of single
    pairs; below, residuals along the axes.
    """
    best, extent = chosen(rows, True), extent_of(shape)
    figure = new_figure(10.4)[0]
    figure.clear()
    headline(figure, f"{label}: {len(best):,} well measured positions, {kind_of(best)} minus measured")
    grid = figure.add_gridspec(3, 4, height_ratios=(2.3, 1, 1))
    before = best.assign(dx=best["dx_before"], dy=best["dy_before"])
    for side, (what, part) in enumerate({"before": before, "after": best}.items()):
        part = part.assign(dx=part["dx"] - part["dx"].median(), dy=part["dy"] - part["dy"].median())
        _arrow_map(figure.add_subplot(grid[0, 2 * side : 2 * side + 2]), part, extent, what)
        reach = 1.1 * max(float(part[name].abs().quantile(0.995)) for name in ("dx", "dy")) if len(part) else 1.0
        for line, (name, colour) in enumerate({"x": BLUE, "y": RED}.items()):
            for column, (along, span) in enumerate({"x": extent[:2], "y": extent[2:]}.items()):
                axis = figure.add_subplot(grid[1 + line, 2 * side + column])
                density(axis, part[along], part[f"d{name}"], (*span, -reach, reach))
                medians(axis, curve(part[along], part[f"d{name}"], np.linspace(*span, _BINS + 1)), colour, ms=2.0)
                zero(axis)
                axis.set(xlabel=f"{along} [pix]" if line else "", ylabel="" if column else f"d{name} [pix]")
    return figure


def _arrow_map(axis: Axes, part: pd.DataFrame, extent: Extent, what: str) -> None:
    n = int(np.clip(np.sqrt(len(part) / _FILL), 2, _CELLS))
    found = cells(part, extent, n)
    lengths = np.hypot(found["dx"], found["dy"])
    longest = float(np.percentile(lengths, 97)) if len(lengths) else 0.0
    length = 1.2 * (extent[1] - extent[0]) / n  # of the longest
    times = _first_digit(length / longest) if longest > 0 else 1.0
    drawn = arrows(axis, found, extent, n, length / times, 0.003)
    arrow_key(axis, drawn, (0.82, 1.035), longest, "pix", 1.0, labelpos="E")
    rms = np.sqrt((part["dx"] ** 2 + part["dy"] ** 2).mean() / 2) if len(part) else np.nan
    axis.set(xlabel="x [pix]", ylabel="y [pix]", title=f"{what}: magnified {times:,.0f}×, rms {rms:.3g} pix")


def _first_digit(value: float) -> float:
    """A value rounded down to its first digit."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(np.floor(value / power * (1 + 1e-9)) * power)


@styled
def residual_maps_figure(
    rows: Mapping[str, pd.DataFrame], cubes: Mapping[str, DistortionCube], flat: NDArray | None, label: str
) -> Figure:
    """Residuals of all filters together, without and with the pixel map (Figs. 13 to 15).

    Parameters
    ----------
    rows, cubes
        RESIDUALS and corrections by filter.
    flat
        (n_y, n_x) flat field to stand beside, where there is one.
    """
    extent = extent_of(next(iter(cubes.values())).shape)
    best = {name: chosen(part, False) for name, part in rows.items()}
    after = pd.concat(best.values())
    before = pd.concat([without_map(part, cubes[name]) for name, part in best.items()])
    n = int(np.clip(np.sqrt(len(after) / _DEEP), 4, _MOST))
    figure, axes = new_figure(11.2 if flat is None else 8.2, 2, 2 if flat is None else 3)
    headline(figure, f"{label}: {len(after):,} positions in cells of {(extent[1] - extent[0]) / n:.0f} pix, "
                     f"{kind_of(after)} minus measured")  # fmt: skip
    maps = [1e3 * cell_medians(part, extent, n) for part in (before, after)]
    most = _share(maps[0], 98.0) or 1.0
    columns = axes.reshape(2, -1)
    for line, (what, both) in enumerate(zip(("without the pixel map", "with it"), maps, strict=True)):
        for axis, name, values in zip(columns[line], "xy", both, strict=False):
            shown = _picture(axis, values, extent, most)
            axis.set_title(f"d{name} {what}: rms {_rms(values):.1f} mpix")
    bar: dict[str, Any] = {"orientation": "horizontal", "aspect": 40, "pad": 0.02}
    figure.colorbar(shown, ax=columns[:, :2], label="median residual [mpix]", **bar)
    if flat is not None:
        low, high = np.nanpercentile(flat, (1, 99))
        axis = columns[0, 2]
        axis.imshow(flat, extent=extent, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
        axis.set(title="flat field", xlabel="x [pix]")
        columns[1, 2].set_axis_off()
    return figure


def _share(values: NDArray, percent: float) -> float:
    """Size that this share of the known values does not exceed; zero without any."""
    known = np.abs(values[np.isfinite(values)])
    return float(np.percentile(known, percent)) if known.size else 0.0


def _rms(values: NDArray) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt((known**2).mean())) if known.size else np.nan


def _picture(axis: Axes, values: NDArray, extent: Extent, most: float) -> Any:
    """A signed map in colours from -most to most."""
    axis.set(xlabel="x [pix]", ylabel="y [pix]", facecolor="0.85")
    return axis.imshow(values, extent=extent, cmap="RdBu_r", vmin=-most, vmax=most, aspect="equal")


def shifts(cube: DistortionCube, layers: Sequence[type] = tuple(_LAYERS), n: int = _SAMPLES) -> NDArray[np.float64]:
    """Shifts (2, n, n) [axis, y, x] of the layers of some kinds at the middles of n x n cells [pix]."""
    n_y, n_x = cube.shape
    middle = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(middle * n_x - 0.5, middle * n_y - 0.5)
    mine = [layer.delta(x, y, cube.chip_of(y)) for layer in cube.layers if isinstance(layer, tuple(layers))]
    return sum(mine, np.zeros((2, n, n)))


@styled
def correction_figure(cube: DistortionCube, label: str) -> Figure:
    """What each layer of a correction adds, along x above and along y below, and all of them."""
    there = [kind for kind in _LAYERS if any(isinstance(layer, kind) for layer in cube.layers)]
    parts = {_LAYERS[kind]: shifts(cube, [kind]) for kind in there}
    parts = parts | {"all": shifts(cube)} if len(parts) != 1 else parts
    lines, across = (1, 2) if len(parts) == 1 else (2, len(parts))
    figure, axes = new_figure(1.3 + lines * 0.85 * WIDTH / across, lines, across)
    headline(figure, f"{label}: corrected minus raw")
    for column, (what, both) in zip(axes.reshape(2, -1).T, parts.items(), strict=True):
        unit, times = ("pix", 1.0) if np.nanmax(np.abs(both)) > 0.5 else ("mpix", 1e3)
        most = times * _share(both, 99.5) or 1.0
        for axis, name, values in zip(column, "xy", times * both, strict=True):
            shown = _picture(axis, values, extent_of(cube.shape), most)
            low, high = np.nanmin(values), np.nanmax(values)
            axis.set_title(f"{what}, {name}\n{low:+.3g} to {high:+.3g}, rms {_rms(values):.3g} {unit}", fontsize=9.5)
        figure.colorbar(shown, ax=column, label=unit, orientation="horizontal", aspect=30, pad=0.02)
    return figure


@styled
def filters_figure(cubes: Mapping[str, DistortionCube], label: str) -> Figure:
    """Each filter's correction minus the average of all, on one colour scale (Fig. 17): pairs of x and y."""
    each = {name: shifts(cube) for name, cube in cubes.items()}
    mean = np.mean(list(each.values()), axis=0)
    different = {name: one - mean for name, one in each.items()}
    most = _share(np.array(list(different.values())), 99.8) or 1e-3
    across = min(len(cubes), 3)
    lines = -(-len(cubes) // across)
    figure, axes = new_figure(0.5 + lines * (0.35 + WIDTH / (2.2 * across)), lines, 2 * across)
    headline(figure, f"{label}: correction of a filter minus the average of {len(cubes)}")
    for k, (name, both) in enumerate(different.items()):
        for axis, along, values in zip(axes[2 * k : 2 * k + 2], "xy", both, strict=True):
            shown = _picture(axis, values, extent_of(cubes[name].shape), most)
            axis.set(xticks=[], yticks=[], xlabel="", ylabel="")
            axis.set_title(f"{name} {along}, rms {1e3 * _rms(values):.0f} mpix", fontsize=9)
    for axis in axes[2 * len(cubes) :]:
        axis.set_axis_off()
    figure.colorbar(shown, ax=axes, label="difference [pix]", shrink=0.8, pad=0.01, aspect=30)
    return figure
