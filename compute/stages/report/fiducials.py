"""Figures of an ePSF cube: how it varies from fiducial to fiducial, its core and its wings."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from catalogs.cubes import EpsfCube
from compute.stages.report.panels import headline
from compute.stages.report.style import BLUE, RED, new_figure, palette, styled

__all__ = ["profile_figure", "sampled", "variation_figure"]

_FAINT = 1e-5  # least value of a logarithmic stretch
_CORE, _INNER, _CUT = 4.0, 1.0, 2.0  # [pix] from the star: of differences, contours and cuts
_FINE = 0.02  # [pix] step of smooth lines
_DEX = 0.1  # between contours


@styled
def variation_figure(cube: EpsfCube, label: str) -> Figure:
    """All fiducials in a logarithmic stretch, and their differences from the mean in a linear one."""
    figure, axes = new_figure(6.0, 1, 2)
    headline(figure, label)
    shown = _mosaic(axes[0], cube, np.maximum(cube.values, _FAINT), cube.radius)
    shown.set(cmap="magma", norm=LogNorm(_FAINT, cube.values.max()))
    bar: dict[str, Any] = {"orientation": "horizontal", "aspect": 35, "pad": 0.02}
    figure.colorbar(shown, ax=axes[0], label="share of the flux in a pixel", **bar)
    mean = cube.values.mean(axis=(0, 1))
    difference = 100 * (cube.values - mean) / mean.max()
    most = float(np.abs(difference).max()) or 1.0
    shown = _mosaic(axes[1], cube, difference, _CORE)
    shown.set(cmap="RdBu_r", clim=(-most, most))
    figure.colorbar(shown, ax=axes[1], label="difference from the mean [% of its peak]", **bar)
    for axis, what, reach in ((axes[0], "ePSF", cube.radius), (axes[1], "minus the mean", min(_CORE, cube.radius))):
        axis.set_title(f"{what}, ±{reach:g} pix around each fiducial")
    return figure


def _mosaic(axis: Axes, cube: EpsfCube, values: NDArray, reach: float) -> Any:
    """One picture of tables (n_fy, n_fx, n, n) within `reach` [pix] of the star, side by side as fiducials are."""
    middle, half = values.shape[-1] // 2, int(min(reach, cube.radius) * cube.oversampling)
    cut = values[..., middle - half : middle + half + 1, middle - half : middle + half + 1]
    side = cut.shape[-1] + 1  # a white line between neighbours
    tiles = np.pad(cut, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    n_y, n_x = tiles.shape[:2]
    shown = axis.imshow(tiles.swapaxes(1, 2).reshape(n_y * side, n_x * side)[:-1, :-1])
    for along, places in ((axis.xaxis, cube.fx), (axis.yaxis, cube.fy)):
        along.set_ticks(half + side * np.arange(places.size), [f"{place:.0f}" for place in places])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set(xlabel="x [pix]", ylabel="y [pix]")
    return shown


@styled
def profile_figure(cube: EpsfCube, label: str) -> Figure:
    """The central ePSF's contours, cuts and rings, and what is told of every fiducial."""
    figure, axes = new_figure(7.4, 2, 3)
    headline(figure, label)
    j, i = cube.fy.size // 2, cube.fx.size // 2
    _contours(axes[0], cube, cube.values[j, i])
    _cuts(axes[1], cube, cube.values[j], cube.fx, True)
    _cuts(axes[2], cube, cube.values[:, i], cube.fy, False)
    _rings(axes[3], cube, cube.values[j, i])
    _numbers(axes[4], cube, cube.n_samples, "images", ",d")
    _numbers(axes[5], cube, cube.centre_values, "core fraction", ".3f")
    return figure


def sampled(cube: EpsfCube, table: NDArray, u: NDArray, v: NDArray) -> NDArray:
    """A table at offsets (u, v) [pix], cubic between its samples."""
    middle = table.shape[-1] // 2
    return map_coordinates(table, [v * cube.oversampling + middle, u * cube.oversampling + middle], order=3)


def _contours(axis: Axes, cube: EpsfCube, table: NDArray) -> None:
    line = np.arange(-_INNER, _INNER + _FINE / 2, _FINE)
    u, v = np.meshgrid(line, line)
    values = np.log10(np.maximum(sampled(cube, table, u, v), _FAINT))
    top = np.floor(values.max() / _DEX) * _DEX
    axis.contour(u, v, values, levels=np.arange(top - 20 * _DEX, top + _DEX / 2, _DEX), colors=BLUE, linewidths=0.9,
                 linestyles="solid")  # fmt: skip
    axis.plot(0, 0, "+", color=RED, ms=9)
    axis.set(aspect="equal", xlabel="pixel − star in x [pix]", ylabel="in y [pix]", title="central ePSF, 0.1 dex")


def _cuts(axis: Axes, cube: EpsfCube, tables: NDArray, places: NDArray, along_x: bool) -> None:
    name, other = ("x", "y") if along_x else ("y", "x")
    line = np.arange(-_CUT, _CUT + _FINE / 2, _FINE)
    colours = palette([f"{name} = {place:.0f}" for place in places])
    for table, (what, colour) in zip(tables, colours.items(), strict=True):
        where = (line, 0 * line) if along_x else (0 * line, line)
        axis.plot(line, sampled(cube, table, *where), "-", lw=1.1, color=colour, label=what)
    axis.set(xlabel=f"pixel − star in {name} [pix]", ylabel="share of the flux", ylim=(0, None))
    axis.set_title(f"cuts along {name}, middle {'row' if along_x else 'column'}")
    axis.legend(loc="upper right", fontsize=8, handlelength=1.0, borderaxespad=0.0)


def _rings(axis: Axes, cube: EpsfCube, table: NDArray) -> None:
    """Mean and extremes of rings as wide as a sample."""
    ring = np.rint(np.hypot(cube.u, cube.v[:, None]) * cube.oversampling).astype(int).ravel()
    values = pd.Series(table.ravel()).groupby(ring).agg(["mean", "min", "max"])
    values = values[values.index <= cube.radius * cube.oversampling].clip(lower=_FAINT / 10)
    radius = values.index / cube.oversampling
    axis.fill_between(radius, values["min"], values["max"], color=BLUE, alpha=0.2, lw=0)
    axis.plot(radius, values["mean"], "-", lw=1.2, color=BLUE)
    axis.set(yscale="log", xlabel="distance from the star [pix]", ylabel="share of the flux", ylim=(_FAINT / 2, 1))
    axis.set_title("central ePSF, rings")


def _numbers(axis: Axes, cube: EpsfCube, values: NDArray, title: str, how: str) -> None:
    """A number at every fiducial."""
    floor, span = values.min() - 0.25 * np.ptp(values), 1.25 * np.ptp(values) or 1.0
    axis.imshow(values, cmap="Blues", vmin=floor, vmax=floor + span, aspect="auto")
    size = 9 if max(values.shape) <= 6 else 6
    for (j, i), value in np.ndenumerate(values):
        dark = value > floor + span / 2
        axis.text(i, j, f"{value:{how}}", ha="center", va="center", fontsize=size, color="white" if dark else "black")
    axis.set_xticks(range(cube.fx.size), [f"{place:.0f}" for place in cube.fx])
    axis.set_yticks(range(cube.fy.size), [f"{place:.0f}" for place in cube.fy])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set(xlabel="x [pix]", ylabel="y [pix]", title=f"{title} of each fiducial")
