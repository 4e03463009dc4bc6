"""Finding charts: a map of the stars, and a closer view of a part of it."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from compute.stages.report.panels import headline, round_down
from compute.stages.report.style import new_figure, styled

__all__ = ["View", "drawn_view", "finding_figure", "shades"]

_SHOWN = 40_000  # stars, the brightest
_LARGEST = 18.0  # points squared
_WIDTH = 2.2  # pixels, sigma of a star that is drawn
_SOFT = 8.0  # of the stretch


class View(NamedTuple):
    """A picture (n, n, 3) of 0 to 1 around `centre` (east, north) [arcsec], `half` arcsec to every side.

    Its first row is south, its first column east. `title` tells what it is made of.
    """

    picture: NDArray[np.float64]
    centre: tuple[float, float]
    half: float
    title: str


@styled
def finding_figure(rows: pd.DataFrame, view: View, circle: float | None, label: str) -> Figure:
    """Stars on the sky by magnitude and colour, and a closer view (Libralato et al. 2023, Fig. 24).

    `circle` is a radius around the middle of the view [arcsec]; `rows` are those of
    :func:`compute.stages.report.motion_rows.moving_rows`.
    """
    figure, axes = new_figure(5.5, 1, 2, width_ratios=(1.15, 1))
    headline(figure, f"{label}: {len(rows):,} stars; north is up, east to the left")
    _stars(axes[0], rows)
    (east, north), half = view.centre, view.half
    if circle is not None:
        axes[0].add_patch(Circle(view.centre, circle, fill=False, ec="#b0308f", lw=1.8))
    axes[0].add_patch(Rectangle((east - half, north - half), 2 * half, 2 * half, fill=False, ec="#e0a030", lw=2))
    extent = (east + half, east - half, north - half, north + half)
    axes[1].imshow(view.picture, extent=extent, interpolation="antialiased")
    _scale_bar(axes[1], half)
    axes[1].set(xlabel="east [arcsec]", title=view.title)
    axes[1].spines[:].set_color("#e0a030")
    return figure


def _stars(axis: Axes, rows: pd.DataFrame) -> None:
    shown = rows.nsmallest(_SHOWN, "mag").iloc[::-1]  # bright ones on top
    rank = shown["mag"].rank(pct=True).to_numpy()
    size = _LARGEST * (1 - rank) ** 5 * min(1.0, (4000 / max(len(shown), 1)) ** 0.5) + 0.4
    axis.set(aspect="equal", xlabel="east [arcsec]", ylabel="north [arcsec]")
    known = np.isfinite(shown["colour"].to_numpy())
    axis.scatter(shown["east"][~known], shown["north"][~known], s=size[~known], color="0.8", lw=0, rasterized=True)
    if known.any():
        low, high = shown["colour"].quantile([0.03, 0.97])
        dots = axis.scatter(shown["east"][known], shown["north"][known], s=size[known], c=shown["colour"][known],
                            cmap="RdYlBu_r", vmin=low, vmax=high, lw=0, rasterized=True)  # fmt: skip
        axis.figure.colorbar(dots, ax=axis, label="colour [mag]", shrink=0.7, pad=0.01)
    axis.set_facecolor("0.12")
    axis.invert_xaxis()


def _scale_bar(axis: Axes, half: float) -> None:
    length = round_down(0.5 * half)
    east, north = axis.get_xlim()[0] - 0.1 * half, axis.get_ylim()[0] + 0.1 * half
    axis.plot([east, east - length], [north, north], "-", color="white", lw=2.5)
    axis.text(east - length / 2, north + 0.03 * half, f"{length:g}″", color="white", ha="center", va="bottom")


def drawn_view(rows: pd.DataFrame, fluxes: NDArray, centre: tuple[float, float], half: float, side: int = 420) -> View:
    """A view of stars drawn as round Gaussians where no frames are at hand.

    `fluxes` (n, 3) are those of the `rows` in red, green and blue; NaN where a filter lacks a star.
    """
    scale = side / (2 * half)
    column = (centre[0] + half - rows["east"].to_numpy()) * scale
    line = (rows["north"].to_numpy() - centre[1] + half) * scale
    inside = (column >= 0) & (column < side) & (line >= 0) & (line < side)
    at = line[inside].astype(int) * side + column[inside].astype(int)
    layers = [np.bincount(at, np.nan_to_num(flux), side * side).reshape(side, side) for flux in fluxes[inside].T]
    return View(shades(np.stack([gaussian_filter(layer, _WIDTH) for layer in layers], -1)), centre, half,
                "drawn from positions and magnitudes")  # fmt: skip


def shades(layers: NDArray) -> NDArray[np.float64]:
    """Colours 0 to 1 of three layers (n, n, 3), red, green and blue, sky taken off; pixels without a value are sky.

    Light is curbed, hues are kept.
    """
    flat = np.where(np.isfinite(layers), layers, np.nanmedian(layers, axis=(0, 1)))
    flat = np.nan_to_num(flat - np.median(flat, axis=(0, 1)))
    bright = np.percentile(flat, 99.5, axis=(0, 1))
    flat = np.maximum(flat / np.where(bright > 0, bright, 1.0), 0.0)
    light = np.maximum(flat.mean(axis=-1, keepdims=True), 1e-9)
    curbed = flat * np.arcsinh(_SOFT * light) / (light * np.arcsinh(_SOFT))
    return np.clip(curbed / np.maximum(curbed.max(axis=-1, keepdims=True), 1.0), 0.0, 1.0)
