"""Figures of measured minus true."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from compute.stages.report.compare import phase_curve, residuals
from compute.stages.report.style import BLUE, GREY, RED, new_figure, styled


@styled
def truth_figure(matched: pd.DataFrame) -> Figure:
    """Errors of position and flux against magnitude, with those that were claimed, and against pixel phase."""
    stars = residuals(matched)
    figure, axes = new_figure(7.2, 2, 2)
    bins = (stars["mag"] * 2).round() / 2
    relative = stars["flux"] / stars["true_flux"] - 1
    for axis, error, claimed, limit, label in (
        (axes[0], 1e3 * stars["dx"], 1e3 * stars["x_error"], 150.0, "x − truth [mpix]"),
        (axes[1], 100 * relative, 100 * stars["flux_error"] / stars["flux"], 30.0, "flux / truth − 1 [%]"),
    ):
        axis.plot(stars["mag"], error, ".", ms=2, color=GREY)
        typical = claimed.groupby(bins).median()
        for sign in (-1, 1):
            axis.plot(typical.index, sign * typical, "-", lw=1.4, color=RED)
        axis.set(xlabel="instrumental magnitude", ylabel=label, ylim=(-limit, limit))
        axis.set_title("grey: clean stars, red: claimed error")
    bright = stars[stars["bright"]]
    for axis, name, colour in ((axes[2], "x", BLUE), (axes[3], "y", RED)):
        phase = bright[f"true_{name}"] - np.round(bright[f"true_{name}"])
        axis.plot(phase, 1e3 * bright[f"d{name}"], ".", ms=2, color=colour, alpha=0.25)
        for _, part in stars.groupby(["exposure", "detector"]):
            axis.plot(phase_curve(part, name), "-", lw=1.4, color=colour)
        axis.axhline(0.0, color=GREY, lw=0.8, ls=":")
        axis.set(xlabel=f"pixel phase of truth in {name} [pix]", ylabel=f"{name} − truth [mpix]", ylim=(-60, 60))
        axis.set_title("above S/N 100; lines: medians of one exposure")
    return figure
