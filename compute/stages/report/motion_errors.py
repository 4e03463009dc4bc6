"""Figures of motions as a whole: their errors, and how they compare with another catalog's."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from compute.stages.report.binned import curve, spread
from compute.stages.report.motion_rows import Filters, best_range, clean
from compute.stages.report.panels import density, headline
from compute.stages.report.style import BLUE, GREY, RED, new_figure, styled
from compute.stages.report.vpd import dots, magnitude_axis, middle_of, vpd

__all__ = ["error_figure", "gaia_figure"]

_BIN = 0.5  # mag
_MOST = 4  # bins of magnitude beside another catalog
_WIDE = 20.0  # range of errors from which fewer of them are told at the axis
_FULL = 40_000  # stars from which densities tell more than points


@styled
def error_figure(rows: pd.DataFrame, filters: Filters, label: str) -> Figure:
    """Colours and magnitudes, 1-D errors against magnitude, and all motions (Libralato et al. 2023, Fig. 20).

    `rows` are those of :func:`compute.stages.report.motion_rows.moving_rows`. Shaded are the one and a half magnitudes
    whose errors are least.
    """
    figure, axes = new_figure(5.4, 1, 3, width_ratios=(0.75, 1, 1))
    best = clean(rows)
    headline(figure, f"{label}: {len(rows):,} stars with motions, {len(best):,} unflagged")
    _diagram(axes[0], best, filters)
    _errors(axes[1], rows, best)
    axes[1].sharey(axes[0])
    axes[1].set(ylabel=f"{filters.mag} [mag]")
    middle, reach = middle_of(best)
    dots(axes[2], best["pmra"], best["pmdec"], GREY)
    vpd(axes[2], middle, reach)
    axes[2].set_title(f"median ({middle[0]:.3f}, {middle[1]:.3f}) mas/yr")
    return figure


def _diagram(axis: Axes, rows: pd.DataFrame, filters: Filters) -> None:
    """Colours and magnitudes; how many stars there are of each magnitude where there are no colours."""
    magnitude_axis(axis, rows, filters)
    if not filters.red:
        axis.hist(rows["mag"], 40, orientation="horizontal", color=GREY, alpha=0.6)
        axis.set(xlabel="stars", title="magnitudes in the only filter")
        return
    known = rows[np.isfinite(rows["colour"])]
    if len(known) > _FULL:
        (low, high), (faint, bright) = axis.get_xlim(), axis.get_ylim()
        density(axis, known["colour"], known["mag"], (low, high, bright, faint), (140, 200))
        axis.set_ylim(faint, bright)
    else:
        dots(axis, known["colour"], known["mag"], GREY)
    axis.set_title("colour and magnitude")


def _errors(axis: Axes, rows: pd.DataFrame, best: pd.DataFrame) -> None:
    """Errors on a logarithmic axis, magnitudes upright beside those of the diagram."""
    error = 1e3 * best["error"].to_numpy()
    dots(axis, error, best["mag"], GREY, 1.6)
    edges = np.arange(np.floor(best["mag"].min()), best["mag"].max() + _BIN, _BIN) if len(best) else np.arange(2.0)
    found = curve(best["mag"], error, edges)
    axis.plot(found.median, found.place, "-", lw=1.8, color=BLUE, label="median")
    first, last, median = best_range(best["mag"].to_numpy(), error)
    if np.isfinite(median):
        axis.axhspan(first, last, color=RED, alpha=0.10, lw=0)
        axis.axvline(median, color=RED, lw=1.2)
        told = f"{median:.1f} µas/yr\n{first:g} to {last:g} mag"
        # To the right of the curve's bright end there are no stars.
        axis.text(0.97, 0.72, told, color=RED, transform=axis.transAxes, va="top", ha="right")
    axis.set(xscale="log", xlabel="1-D error of the motion [µas/yr]", title="errors")
    low, high = np.percentile(error, (0.1, 99.9)) if len(best) else (1.0, 1.0)
    axis.set_xlim(0.6 * low, 2 * high)
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < _WIDE * low else (1.0, 3.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


@styled
def gaia_figure(pairs: pd.DataFrame, edges: Sequence[float], label: str, name: str = "Gaia") -> Figure:
    """Motions beside those of another catalog in bins of its magnitude (Libralato et al. 2023, Fig. 21).

    `pairs` has `pmra`, `pmdec`, the same with `_other`, `mag_other` and `colour`, that magnitude less ours; `edges`
    [mag] those of the bins. Dispersions are from median deviations, as observed.
    """
    edges = edges[: _MOST + 1]
    count = len(edges) - 1
    figure = new_figure(3.0 * count)[0]
    figure.clear()
    grid = figure.add_gridspec(count, 3, width_ratios=(1, 1, 1.1))
    headline(figure, f"{label} and {name}: {len(pairs):,} stars")
    other = pairs[["pmra_other", "pmdec_other"]].set_axis(["pmra", "pmdec"], axis=1)
    seen = middle_of(pairs), middle_of(other, 0.9)  # relative motions have another middle
    reach = max(each for _, each in seen)
    for k in range(count):
        within = (pairs["mag_other"] >= edges[k]) & (pairs["mag_other"] < edges[k + 1])
        for column, suffix in enumerate(("", "_other")):
            axis = figure.add_subplot(grid[k, column])
            part = pairs.loc[within, [f"pmra{suffix}", f"pmdec{suffix}"]].to_numpy()
            dots(axis, part[:, 0], part[:, 1], BLUE if column else GREY, 3)
            vpd(axis, seen[column][0], reach)
            axis.set_xlabel(axis.get_xlabel() if k == count - 1 else "")
            axis.set_title(f"{name if column else 'here'}, {edges[k]:.1f} to {edges[k + 1]:.1f}")
            told = "σ = {:.3f}, {:.3f}".format(*(spread(values) for values in part.T))
            axis.text(0.04, 0.96, told, color=RED, transform=axis.transAxes, va="top")
    axis = figure.add_subplot(grid[:, 2])
    dots(axis, pairs["colour"], pairs["mag_other"], GREY, 3)
    for edge in edges:
        axis.axhline(edge, color=RED, lw=1.0, ls="--")
    axis.set(xlabel=f"magnitude in {name} − here", ylabel=f"magnitude in {name}", title="stars in common")
    axis.invert_yaxis()
    return figure
