"""A reference catalog beside a master frame."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from compute.stages.report.binned import cells, curve, spread
from compute.stages.report.panels import arrow_key, arrows, density, headline, medians, zero
from compute.stages.report.style import BLUE, RED, new_figure, styled

__all__ = ["reference_figure", "reference_numbers"]

_CELLS, _LEAST, _BINS = 12, 15, 20


def reference_numbers(rows: pd.DataFrame, mas: float) -> dict[str, float]:
    """Sources matched, and median and scatter of source minus star [mas], of all and of reserved ones.

    `rows` are MATCHES of a reference catalog, `mas` is the scale of the frame.
    """
    found: dict[str, float] = {"sources": len(rows), "reserved": int(rows["reserved"].sum())}
    for name, part in (("", rows), ("_reserved", rows[rows["reserved"]])):
        for axis in "xy":
            found[f"median_{axis}{name}"] = mas * float(part[f"d{axis}"].median())
            found[f"sigma_{axis}{name}"] = mas * spread(part[f"d{axis}"])
    return found


@styled
def reference_figure(rows: pd.DataFrame, mas: float, label: str) -> Figure:
    """Source minus star: distributions, a map of medians, and trends with the magnitude of the source.

    `rows` are MATCHES of a reference catalog, `mas` is the scale of the frame [mas/pix].
    """
    figure, axes = new_figure(7.3, 2, 6)
    headline(figure, f"{label}: {len(rows):,} sources")
    for axis in axes:
        axis.remove()
    grid = axes[0].get_gridspec()
    places = (grid[0, :2], grid[0, 2:4], grid[0, 4:], grid[1, :3], grid[1, 3:])
    both, histogram, where, *trends = (figure.add_subplot(place) for place in places)
    dx, dy = mas * rows["dx"], mas * rows["dy"]
    reach = max(abs(one.median()) + 5 * spread(one) for one in (dx, dy)) + 1e-6 if len(rows) else 1.0
    density(both, dx, dy, (-reach, reach, -reach, reach), (80, 80))
    both.set(xlabel="dx, west [mas]", ylabel="dy, north [mas]", aspect="equal")
    edges = np.linspace(-reach, reach, 61).tolist()
    for name, values, colour in (("x", dx, BLUE), ("y", dy, RED)):
        told = f"{name}: {values.median():+.3f}, σ = {spread(values):.2f}"
        histogram.hist(values, edges, histtype="step", lw=1.4, color=colour, label=told)
    histogram.set(xlabel="source − star [mas]", ylabel="sources", xlim=(-reach, reach))
    histogram.set_ylim(0, 1.35 * histogram.get_ylim()[1])
    histogram.legend(loc="upper center", handlelength=1.0, fontsize=9.5)
    _map(where, rows.assign(x=rows["x_frame"], y=rows["y_frame"], dx=dx, dy=dy))
    mag = rows["mag"][np.isfinite(rows["mag"])]
    low, high = (float(q) for q in mag.quantile([0.001, 0.999])) if len(mag) else (0.0, 1.0)
    bins = np.linspace(low, max(high, low + 0.1), _BINS + 1)
    for axis, name, values, colour in zip(trends, "xy", (dx, dy), (BLUE, RED), strict=True):
        density(axis, rows["mag"], values, (bins[0], bins[-1], -reach, reach))
        medians(axis, curve(rows["mag"], values, bins), colour)
        zero(axis)
        axis.set(xlabel="magnitude of the source", ylabel=f"d{name} [mas]")
    return figure


def _map(axis, rows: pd.DataFrame) -> None:
    """Median differences over the frame."""
    if rows.empty:
        return
    middle = [(rows[name].min() + rows[name].max()) / 2 for name in "xy"]
    half = max(float(np.ptp(rows[name])) for name in "xy") / 2 + 1.0
    extent = (middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half)
    found = cells(rows, extent, _CELLS, _LEAST)
    lengths = np.hypot(found["dx"], found["dy"])
    largest = float(np.percentile(lengths, 95)) if len(lengths) else 1.0
    drawn = arrows(axis, found, extent, _CELLS, largest or 1.0)
    arrow_key(axis, drawn, (0.72, 1.04), largest, "mas", 1.0, labelpos="E")
    axis.set(xlabel="x of the frame [pix]", ylabel="y of the frame [pix]")
