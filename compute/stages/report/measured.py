"""Figures of measurements alone: no truth is asked for."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from catalogs.exposure import Exposure
from compute.stages.report.binned import curve, phase, slope
from compute.stages.report.panels import headline
from compute.stages.report.style import BLUE, GREY, PALE, RED, new_figure, styled

_BRIGHT, _LEAST = 100.0, 30  # S/N, and stars above it from which anything is told


@styled
def quality_figure(stars: pd.DataFrame, label: str, inherited: int = 0) -> Figure:
    """QFIT, RADXS and chi2 against instrumental magnitude, clean stars over flagged ones, with the medians of clean
    ones (Libralato et al. 2023, Figs. 5 and 6), and where clean, well exposed stars fall on their pixels (Fig. 1).

    Told are the median QFIT and the slope of RADXS of clean stars above S/N 100: a slope means that bright stars are
    wider than faint ones. `inherited` are flag bits every star of the exposure has (CUTOUT, CTE), not held against it.
    """
    figure, axes = new_figure(7.2, 2, 2)
    clean = (stars["flags"].to_numpy() & ~np.uint32(inherited)) == 0
    limits = {"qfit": (0.0, 1.0), "radxs": (-0.6, 0.6), "chi2": (0.1, 100.0)}
    edges = _magnitudes(stars["mag"][clean])
    for axis, (name, limit) in zip(axes, limits.items(), strict=False):
        for chosen, colour, kind in ((~clean, PALE, "flagged"), (clean, GREY, "clean")):
            axis.plot(stars["mag"][chosen], stars[name][chosen], ".", ms=2, color=colour,
                      label=f"{kind}, {chosen.sum():,}")  # fmt: skip
        middle = curve(stars["mag"][clean], stars[name][clean], edges)
        axis.plot(middle.place, middle.median, "-", lw=1.6, color=BLUE)
        axis.set(xlabel="instrumental magnitude", ylabel=name.upper(), ylim=limit)
    axes[2].set(yscale="log", ylabel="reduced chi-square")
    axes[1].axhline(0.0, color=RED, lw=0.8)
    axes[2].axhline(1.0, color=RED, lw=0.8)
    axes[0].legend(loc="upper left")
    headline(figure, label)
    best = stars[clean & (stars["flux"] > _BRIGHT * stars["flux_error"]).to_numpy()]
    if len(best) >= _LEAST:
        rise, error = slope(curve(best["mag"], best["radxs"], _magnitudes(best["mag"])))
        axes[0].set_title(f"median above S/N {_BRIGHT:.0f}: {best['qfit'].median():.4f}")
        axes[1].set_title(f"slope above S/N {_BRIGHT:.0f}: {rise:+.5f} ± {error:.5f} per magnitude")
    _phases(axes[3], stars[clean & (stars["flux"] > 20 * stars["flux_error"]).to_numpy()])
    return figure


def _magnitudes(values: pd.Series) -> NDArray[np.float64]:
    """Edges of half magnitudes that hold all values."""
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    return np.arange(np.floor(2 * low) / 2, high + 1.0, 0.5)


def _phases(axis: Axes, bright: pd.DataFrame) -> None:
    for name, colour in (("x", BLUE), ("y", RED)):
        axis.hist(phase(bright[name]), np.linspace(-0.5, 0.5, 21).tolist(), histtype="step", color=colour, label=name)
    axis.axhline(len(bright) / 20, color=GREY, lw=0.8, ls=":")
    axis.set(xlabel="pixel phase [pix]", ylabel="clean stars above S/N 20", ylim=(0, None))
    axis.legend(loc="lower center", ncols=2)


@styled
def frame_figure(exposure: Exposure, stars: pd.DataFrame, side: int = 140) -> Figure:
    """The middle of a frame, and the same with its stars marked: clean ones in blue, flagged ones in red."""
    header = exposure.header
    x0, y0 = max((header.n_x - side) // 2, 0), max((header.n_y - side) // 2, 0)
    cut = stretch(exposure)[y0 : y0 + side, x0 : x0 + side]
    left, low = header.x_start + x0 - 0.5, header.y_start + y0 - 0.5
    extent = (left, left + cut.shape[1], low, low + cut.shape[0])
    figure, axes = new_figure(5.5, 1, 2, sharex=True, sharey=True)
    for axis in axes:
        axis.imshow(cut, extent=extent, cmap="gray_r", vmin=0, vmax=1)
        axis.set(xlabel="x [pix]")
    axes[0].set(ylabel="y [pix]", title="the middle of a frame")
    clean = stars["flags"] == 0
    for chosen, colour in ((clean, BLUE), (~clean, RED)):
        axes[1].plot(stars["x"][chosen], stars["y"][chosen], "o", mfc="none", mec=colour, ms=8, mew=1.2)
    axes[1].set(xlim=extent[:2], ylim=extent[2:], title="blue: clean stars, red: flagged")
    return figure


def stretch(exposure: Exposure, depth: float = 3.0) -> NDArray:
    """Pixels as shades: 0 is two sigma below the sky, 1 the brightest; linear up to `depth` sigma, then logarithmic.

    Saturated pixels are 1, others without a value are sky.
    """
    sky = np.nanmedian(exposure.data)
    noise = 1.4826 * np.nanmedian(np.abs(exposure.data - sky))
    above = np.nan_to_num((exposure.data - sky) / (depth * noise)) + 2 / depth
    shades = np.arcsinh(above) / np.arcsinh(np.percentile(above, 99.9))
    return np.where(exposure.saturated, 1.0, np.clip(shades, 0.0, 1.0))
