"""Whether an ePSF fits stars of one colour better than those of another."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from compute.stages.report.binned import curve
from compute.stages.report.panels import density, headline, medians, zero
from compute.stages.report.style import BLUE, RED, new_figure, styled

__all__ = ["LEAST", "colour_figure", "with_colours"]

LEAST = 200  # stars from which colours tell anything
_BIN, _SHARE = 0.5, 0.2  # mag; share of the stars of a magnitude on either side


def with_colours(stars: pd.DataFrame, other: pd.DataFrame, sign: int = 1) -> pd.DataFrame:
    """Rows of MASTER that `other`, MASTER of another filter of the field, has too.

    `colour` is `sign` times the magnitude of `stars` less that of `other`; `side` is -1 for the fifth of the stars of
    like magnitude with the least colour, 1 for that with the most, 0 for those between.
    """
    both = stars.merge(other[["star_id", "mag"]], on="star_id", suffixes=("", "_other"))
    both = both.assign(colour=sign * (both["mag"] - both["mag_other"]))
    both = both[np.isfinite(both["colour"]) & np.isfinite(both["qfit"])].reset_index(drop=True)
    rank = both["colour"].groupby(np.floor(both["mag"] / _BIN)).rank(method="first", pct=True)
    return both.assign(side=(rank > 1 - _SHARE).astype(int) - (rank <= _SHARE).astype(int))


@styled
def colour_figure(stars: pd.DataFrame, colour: str, label: str) -> Figure:
    """QFIT of the stars of least and of most colour, against magnitude (Libralato et al. 2023, section 3.1).

    `stars` are those of :func:`with_colours`, `colour` is the name of that.
    """
    figure, axes = new_figure(3.9, 1, 3)
    headline(figure, f"{label}: {len(stars):,} stars")
    low, high = (float(q) for q in stars["colour"].quantile([0.005, 0.995])) if len(stars) else (0.0, 1.0)
    faint, bright = (stars["mag"].max(), stars["mag"].min()) if len(stars) else (1.0, 0.0)
    edges = np.arange(np.floor(bright / _BIN), np.ceil(faint / _BIN) + 1) * _BIN
    density(axes[0], stars["colour"], stars["mag"], (low, max(high, low + 0.1), edges[0], max(edges[-1], edges[0] + 1)))
    axes[0].invert_yaxis()
    axes[0].set(xlabel=f"{colour} [instrumental mag]", ylabel="instrumental magnitude")
    found = []
    for side, ink, name in ((-1, BLUE, "least"), (1, RED, "most")):
        part = stars[stars["side"] == side]
        by_mag = curve(part["mag"], part["qfit"], edges)
        line = curve(part["mag"], part["colour"], edges)
        axes[0].plot(line.median, line.place, "-", lw=1.6, color=ink)
        medians(axes[1], by_mag, ink, label=f"fifth of {name} colour")
        found.append(by_mag)
    axes[1].set(xlabel="instrumental magnitude", ylabel="median QFIT", ylim=(0, None))
    axes[1].legend(loc="upper left", markerscale=1.0)
    least, most = found
    error = np.hypot(least.error, most.error)
    medians(axes[2], most._replace(median=most.median - least.median, error=error), "black", marker="o")
    zero(axes[2])
    axes[2].set(xlabel="instrumental magnitude", ylabel="QFIT, most − least colour")
    for axis in axes[1:]:
        axis.set_xlim(edges[0], edges[-1])
    return figure
