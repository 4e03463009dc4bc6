"""Figure of a cluster's members: those that move as it does, by magnitude."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from compute.stages.report.motion_rows import Filters
from compute.stages.report.panels import headline
from compute.stages.report.style import PALE, RED, new_figure, styled
from compute.stages.report.vpd import PMDEC, PMRA, dots, magnitude_axis

__all__ = ["member_figure"]

_MOST = 5  # bins of magnitude that have a panel


@styled
def member_figure(
    rows: pd.DataFrame, near: NDArray, members: NDArray, motion: NDArray, circles: Sequence[tuple[float, float, float]],
    filters: Filters, label: str,
) -> Figure:  # fmt: skip
    """Members of a cluster over all stars, and the circles by which they were chosen (Libralato et al. 2023, Fig. 25).

    Parameters
    ----------
    rows
        Those of :func:`compute.stages.report.motion_rows.moving_rows`.
    near, members
        (n,) which of them lie within the cluster's radius, and which of these move with it.
    motion
        (2,) of the cluster [mas/yr].
    circles
        Magnitudes from and to, and radius about `motion` [mas/yr], bright ones first.
    """
    circles = circles[:_MOST]
    count = max(len(circles), 1)
    figure = new_figure(6.4)[0]
    figure.clear()
    grid = figure.add_gridspec(count, 2, width_ratios=(2.2, 1))
    headline(figure, f"{label}: {int(members.sum()):,} members among {int(near.sum()):,} stars within its radius")
    axis = figure.add_subplot(grid[:, 0])
    dots(axis, rows["colour"], rows["mag"], PALE)
    dots(axis, rows["colour"][members], rows["mag"][members], "black", 4)
    magnitude_axis(axis, rows, filters)
    reach = 4 * max((radius for *_, radius in circles), default=0.1)
    for k, (bright, faint, radius) in enumerate(circles):
        if k < count - 1:
            axis.axhline(faint, color=RED, lw=0.7, ls=":")
        small = figure.add_subplot(grid[k, 1])
        inside = near & ((rows["mag"] >= bright) & (rows["mag"] < faint)).to_numpy()
        for chosen, ink in ((inside & ~members, PALE), (inside & members, "black")):
            dots(small, rows["pmra"][chosen], rows["pmdec"][chosen], ink, 3.5)
        small.add_patch(Circle((float(motion[0]), float(motion[1])), radius, fill=False, ec=RED, lw=1.4))
        small.set(xlim=(motion[0] + reach, motion[0] - reach), ylim=(motion[1] - reach, motion[1] + reach))
        small.set(box_aspect=1, ylabel=PMDEC if k == count // 2 else "", xlabel=PMRA if k == count - 1 else "")
        small.tick_params(labelbottom=k == count - 1)
        told = f"{bright:.1f} to {faint:.1f} mag\n{radius:.3f} mas/yr\n{int((inside & members).sum())} stars"
        small.text(1.06, 0.5, told, transform=small.transAxes, va="center", fontsize=9)
    return figure
