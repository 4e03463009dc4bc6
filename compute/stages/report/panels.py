"""Parts of figures: densities, curves of medians, arrows on a detector."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from compute.stages.report.binned import Curve, curve
from compute.stages.report.style import BLUE, GREY

_LEAST = 1e-6  # [pix] that a panel of residuals reaches to
Extent = tuple[float, float, float, float]


def density(axis: Axes, x: ArrayLike, y: ArrayLike, extent: Extent, bins: tuple[int, int] = (90, 60)) -> None:
    """How many points lie where, in shades of grey, in the limits `extent`: left, right, bottom, top."""
    counts, _, _ = np.histogram2d(np.asarray(x), np.asarray(y), bins=bins, range=(extent[:2], extent[2:]))
    most = max(float(counts.max()), 1.0)
    axis.imshow(counts.T, extent=extent, aspect="auto", cmap="Greys", norm=PowerNorm(0.5, 0, 1.3 * most))
    axis.set(xlim=extent[:2], ylim=extent[2:])


def medians(axis: Axes, found: Curve, colour: str, scale: float = 1.0, **options: Any) -> None:
    """A curve of medians with error bars."""
    look: dict[str, Any] = {"ms": 3.5, "lw": 1.2, "elinewidth": 1.2, "marker": "o", "ls": "-"} | options
    axis.errorbar(found.place, scale * found.median, scale * found.error, color=colour, **look)


def zero(axis: Axes) -> None:
    """A line where residuals vanish."""
    axis.axhline(0.0, color=GREY, lw=0.8, ls=":", zorder=1.5)


def headline(figure: Figure, text: str) -> None:
    """What a whole figure shows, above its left edge."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=10.5)


def round_down(value: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten that is not above `value`."""
    if not value > 0 or not np.isfinite(value):
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(step for step in (1.0, 2.0, 5.0) if step * power <= value * (1 + 1e-9)) * power)


def arrows(axis: Axes, found: pd.DataFrame, extent: Extent, n: int, largest: float, width: float = 0.005) -> Any:
    """Arrows at `x`, `y` by `dx`, `dy`, of which one of size `largest` is as long as 1.2 of n cells across.

    Returns what :func:`arrow_key` needs, or None where there are no arrows.
    """
    side = extent[1] - extent[0]
    axis.set(xlim=extent[:2], ylim=extent[2:], aspect="equal")
    if found.empty:
        return None
    values = (found[name].to_numpy() for name in ("x", "y", "dx", "dy"))
    scale = largest / (1.2 * side / n)
    return axis.quiver(*values, scale=scale, angles="xy", scale_units="xy", pivot="mid", color=BLUE, width=width)


def arrow_key(
    axis: Axes, drawn: Any, place: tuple[float, float], size: float, unit: str, times: float, **options: Any
) -> None:
    """A sample arrow of a round length not above `size`, labelled by `times` its length in `unit`."""
    if drawn is not None:
        key = round_down(size)
        axis.quiverkey(drawn, *place, key, f"{times * key:g} {unit}", **options)


def trend(axis: Axes, place: ArrayLike, values: ArrayLike, edges: NDArray, reach: float, colour: str) -> Curve:
    """Residuals [pix] along `place`, drawn in mpix: their density and medians in bins, which come back.

    The panel goes to `reach` [pix], or farther where medians do.
    """
    found = curve(place, values, edges)
    reach = 1e3 * max(reach, 1.3 * float(np.nanmax(np.abs(found.median), initial=0.0)), _LEAST)
    density(axis, place, 1e3 * np.asarray(values, float), (edges[0], edges[-1], -reach, reach))
    medians(axis, found, colour, 1e3)
    zero(axis)
    return found
