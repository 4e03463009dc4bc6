"""Figures of a simulated sky: how it looks, how bright its stars are, how they move."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from catalogs.exposure import Exposure
from compute.kernels.simulate.populations import colour
from compute.stages.report.measured import stretch
from compute.stages.report.style import new_figure, palette, styled

_BLUE_BAND, _RED_BAND = 0.6, 1.5  # micron: near F606W and F150W


@styled
def field_figure(exposures: Sequence[Exposure]) -> Figure:
    """Exposures side by side, with north, east and a scale bar of 10 arcsec."""
    columns = max(len(exposures), 2)
    figure, axes = new_figure(10.8 / columns, 1, columns)
    for axis, exposure in zip(axes, exposures, strict=False):
        header = exposure.header
        left, low = header.x_start - 0.5, header.y_start - 0.5
        extent = (left, left + header.n_x, low, low + header.n_y)
        axis.imshow(stretch(exposure), extent=extent, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        label = f"{header.epoch:.2f}, {header.instrument} {header.filter}, {header.exptime:.0f} s"
        axis.set(xlabel="x [pix]", ylabel="y [pix]" if axis is axes[0] else "", title=label)
        _orientation(axis, exposure)
    for axis in axes[len(exposures) :]:
        axis.set_axis_off()
    return figure


def _orientation(axis: Axes, exposure: Exposure) -> None:
    """North and east arrows in the upper right corner, a bar of 10 arcsec in the lower left."""
    header, wcs = exposure.header, exposure.chips[0].wcs
    size = min(header.n_x, header.n_y)
    corner = np.array([header.x_start + header.n_x - 0.17 * size, header.y_start + header.n_y - 0.17 * size])
    to_pixel = np.linalg.inv(np.reshape(wcs.cd, (2, 2)))
    ink: dict[str, Any] = {"color": "#ffd24a", "fontsize": 11, "fontweight": "bold"}
    arrow = {"arrowstyle": "-|>", "color": ink["color"], "lw": 1.6}
    for name, way in (("E", (1.0, 0.0)), ("N", (0.0, 1.0))):
        along = to_pixel @ way
        along *= 0.1 * size / np.hypot(*along)
        axis.annotate("", tuple(corner + along), tuple(corner), arrowprops=arrow)
        x, y = corner + 1.3 * along
        axis.text(x, y, name, ha="center", va="center", **ink)
    start, length = (header.x_start + 0.05 * size, header.y_start + 0.06 * size), 1e4 / wcs.scale
    axis.plot([start[0], start[0] + length], [start[1]] * 2, "-", color=ink["color"], lw=2)
    axis.text(start[0] + length / 2, start[1] + 0.015 * size, "10″", ha="center", va="bottom", **ink)


@styled
def population_figure(stars: pd.DataFrame) -> Figure:
    """True stars by population: colour and magnitude, all proper motions, and the middle of those.

    `stars` has the columns of STARS. Magnitudes are those near F150W, colours F606W - F150W.
    """
    figure, axes = new_figure(4.4, 1, 3)
    blue, red = (stars["mag_ref"] + colour(stars["teff"], band) for band in (_BLUE_BAND, _RED_BAND))
    groups = stars["population"].value_counts()
    for name, ink in palette(groups.index).items():
        mine = stars["population"] == name
        dots = {"marker": ".", "ls": "", "ms": 2.5, "color": ink, "alpha": 0.7}
        axes[0].plot((blue - red)[mine], red[mine], **dots, label=f"{name}, {groups[name]}")
        for axis in axes[1:]:
            axis.plot(stars["pmra"][mine], stars["pmdec"][mine], **dots)
    axes[0].set(xlabel="0.6 µm − 1.5 µm [AB mag]", ylabel="1.5 µm [AB mag]", title="colour and magnitude", box_aspect=1)
    axes[0].invert_yaxis()
    axes[0].legend(loc="lower left", handletextpad=0.0, borderaxespad=0.0, fontsize=9.5)
    middle = np.array([stars["pmra"].median(), stars["pmdec"].median()])
    for axis, share, title in ((axes[1], 99.5, "proper motions"), (axes[2], 96.0, "their middle, enlarged")):
        reach = _reach(stars, middle, share)
        axis.set(xlabel=r"$\mu_\alpha \cos\delta$ [mas/yr]", ylabel=r"$\mu_\delta$ [mas/yr]", box_aspect=1)
        axis.set(xlim=(middle[0] + reach, middle[0] - reach), ylim=(middle[1] - reach, middle[1] + reach))
        axis.set_title(title)
    return figure


def _reach(stars: pd.DataFrame, middle: np.ndarray, share: float) -> float:
    """Half width about `middle` that holds `share` percent of the motions, and a margin."""
    distance = np.maximum(*np.abs(stars[["pmra", "pmdec"]].to_numpy() - middle).T)
    return 1.35 * float(np.percentile(distance, share)) + 1e-3
