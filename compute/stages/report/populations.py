"""Figures of populations: where they lie among colours and magnitudes, and how they move."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from compute.stages.report.motion_rows import Filters
from compute.stages.report.panels import headline
from compute.stages.report.style import PALE, new_figure, palette, styled
from compute.stages.report.vpd import Component, beyond, coloured, dots, ellipse, framed, magnitude_axis

__all__ = ["population_figure"]


@styled
def population_figure(
    rows: pd.DataFrame, members: Mapping[str, NDArray], components: Mapping[str, Sequence[Component]], filters: Filters,
    label: str,
) -> Figure:  # fmt: skip
    """Populations in a colour-magnitude diagram and their motions (Libralato et al. 2023, Fig. 22).

    `members` tells for each population which `rows` belong, `components` the Gaussians that were fitted to it, drawn at
    two sigmas and numbered; axes hold the first to 99th percentile of the motions of all, whatever Gaussians do.
    """
    figure, axes = new_figure(4.6, 1, 1 + len(members), width_ratios=(0.85, *[1] * len(members)))
    headline(figure, label)
    magnitude_axis(axes[0], rows, filters)
    bins = np.linspace(rows["mag"].min(), rows["mag"].max(), 40) if len(rows) else 40
    if filters.red:
        dots(axes[0], rows["colour"], rows["mag"], PALE)
    else:
        axes[0].hist(rows["mag"], bins, orientation="horizontal", color=PALE)
        axes[0].set(xlabel="stars", title="magnitudes in the only filter")
    inks = palette(members)
    shown = np.logical_or.reduce([np.zeros(len(rows), bool), *members.values()])
    for axis, (name, mine) in zip(axes[1:], members.items(), strict=True):
        if filters.red:
            dots(axes[0], rows["colour"][mine], rows["mag"][mine], inks[name], 2.5)
        else:
            axes[0].hist(rows["mag"][mine], bins, orientation="horizontal", histtype="step", color=inks[name], lw=1.3)
        dots(axis, rows["pmra"][mine], rows["pmdec"][mine], inks[name], 3)
        framed(axis, rows[shown])
        axis.set_title(f"{name}: {int(np.sum(mine)):,} stars{beyond(axis, rows[mine])}", color=inks[name])
        for k, (one, ink) in enumerate(coloured(components.get(name, ()))):
            ellipse(axis, one.mean, one.covariance, ink)
            edge = one.mean[0] - 2.0 * np.sqrt(one.covariance[0, 0])
            place = max(edge, min(axis.get_xlim())), one.mean[1]
            axis.annotate(str(k + 1), place, color=ink, fontweight="bold", ha="right", annotation_clip=True)
    return figure
