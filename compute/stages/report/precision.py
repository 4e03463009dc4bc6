"""How well positions repeat on a master frame: scatter against magnitude, and in units of the errors claimed."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from catalogs.flags import Flag
from compute.stages.report.binned import curve, spread
from compute.stages.report.style import BLUE, GREY, RED, new_figure, styled

__all__ = ["Precision", "precision", "precision_figure", "well_measured"]

_PARDONED = np.uint32(Flag.CUTOUT | Flag.CTE | Flag.GROUP_FIT)
_WIDE, _FEW, _FIRST = 2.0, 100, 5  # mag; stars
_BIN = 0.5  # mag
_SHOWN = 20_000  # points
_PULLS = np.linspace(-6, 6, 61).tolist()


class Precision(NamedTuple):
    """The well measured stars of a frame: their number, limits in magnitude, and median scatters [mas]."""

    stars: int
    bright: float
    faint: float
    x: float
    y: float


def well_measured(master: pd.DataFrame) -> pd.DataFrame:
    """Unflagged stars of MASTER with three or more positions, or two where none has more."""
    clean = (master["flags"].to_numpy() & ~_PARDONED) == 0
    least = 3 if (master["n_used"] > 2).any() else 2
    return master[clean & (master["n_used"] >= least) & np.isfinite(master["mag"])]


def precision(stars: pd.DataFrame, mas: float) -> Precision:
    """Medians over the two brightest magnitudes of :func:`well_measured` stars, or their brightest hundred where that
    is more; `mas` is the scale of the frame [mas/pix].
    """
    mags = np.sort(stars["mag"].to_numpy())
    if not mags.size:
        return Precision(0, np.nan, np.nan, np.nan, np.nan)
    first = mags[min(_FIRST, mags.size) - 1]  # a few that saturate unnoticed are brighter still
    last = max(first + _WIDE, mags[min(_FIRST + _FEW, mags.size) - 1])
    best = stars[(stars["mag"] >= first) & (stars["mag"] <= last)]
    x, y = (mas * float(best[f"rms_{axis}"].median()) for axis in "xy")
    return Precision(len(best), float(first), float(last), x, y)


@styled
def precision_figure(
    stars: pd.DataFrame, expected: NDArray, rows: pd.DataFrame, scales: tuple[float, float], label: str
) -> Figure:
    """Scatter of positions along x and y against instrumental magnitude (Libralato et al. 2023, Fig. 16), and pulls.

    Parameters
    ----------
    stars
        MASTER rows of :func:`well_measured` stars.
    expected
        (2, n) root mean variance of the positions of each star along x and y [pix of the frame].
    rows
        Detections with `pull_x`, `pull_y` and `reserved`.
    scales
        Of the frame and of the detector [mas/pix].
    """
    figure, axes = new_figure(3.9, 1, 3, gridspec_kw={"width_ratios": (1, 1, 0.8)})
    found, ratio = precision(stars, scales[0]), 1e3 * scales[0] / scales[1]
    # The scatter of a few normal deviates has a median below their standard deviation.
    free = stars["n_used"].to_numpy() - 1
    expected = expected * np.sqrt(chi2.ppf(0.5, free) / free)
    both = ratio * np.concatenate([stars["rms_x"], stars["rms_y"], *expected])
    low, high = np.nanpercentile(both, (0.2, 99.8))
    for axis, name, own, median in zip(axes, "xy", expected, (found.x, found.y), strict=False):
        _against_magnitude(axis, stars["mag"].to_numpy(), ratio * stars[f"rms_{name}"].to_numpy(), ratio * own)
        axis.axvspan(found.bright, found.faint, color=RED, alpha=0.10, lw=0)
        axis.axhline(1e3 * median / scales[1], color=RED, lw=1.2)
        axis.set(yscale="log", ylim=(0.5 * low, 2.5 * high), xlabel="instrumental magnitude")
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_ylabel(f"rms in {name} [mpix of the detector]" if name == "x" else f"rms in {name} [mpix]")
        text = f"{name}: {1e3 * median / scales[1]:.2f} mpix, {median:.3f} mas"
        axis.text(0.03, 0.97, text, color=RED, transform=axis.transAxes, va="top")
    axes[0].set_title(label)
    axes[1].set_title(f"1 pix = {scales[1]:.3f} mas")
    axes[0].legend(loc="lower right", handlelength=1.4, fontsize=9.5)
    _pulls(axes[2], rows)
    return figure


def _against_magnitude(axis: Axes, mag: NDArray, rms: NDArray, expected: NDArray) -> None:
    step = -(-mag.size // _SHOWN)
    axis.plot(mag[::step], rms[::step], ".", ms=1.5, color=GREY, alpha=0.35, mew=0, rasterized=True)
    edges = np.arange(np.floor(mag.min()), np.ceil(mag.max()) + _BIN, _BIN)
    median, own = curve(mag, rms, edges), curve(mag, expected, edges)
    axis.plot(median.place, median.median, "-", lw=1.8, color=BLUE, label="median")
    axis.plot(own.place, own.median, "--", lw=1.4, color="black", label="expected from errors")


def _pulls(axis: Axes, rows: pd.DataFrame) -> None:
    """Residuals over their errors beside the normal distribution."""
    for name, colour in (("x", BLUE), ("y", RED)):
        pull = rows[f"pull_{name}"].to_numpy()
        told = f"{name}: σ = {spread(pull):.3f}"
        axis.hist(pull, _PULLS, density=True, histtype="step", lw=1.4, color=colour, label=told)
    middle = np.linspace(-6, 6, 121)
    axis.plot(middle, norm.pdf(middle), "--", lw=1.0, color="black", label="normal")
    axis.set(yscale="log", ylim=(1e-5, 6), xlim=(-6, 6), xlabel="residual / its error", ylabel="density")
    axis.set_title(f"pulls of {len(rows):,} positions")
    axis.legend(loc="upper left", handlelength=1.0, fontsize=9.5)
