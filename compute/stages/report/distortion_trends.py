"""Figures of residuals of a distortion: along the axes band by band, against each other, and star by star."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import curve_fit
from scipy.stats import chi2

from compute.stages.report.binned import curve, spread
from compute.stages.report.distortion_rows import brightest, chosen, extent_of, kind_of, star_scatter
from compute.stages.report.panels import density, headline, medians, zero
from compute.stages.report.precision import precision
from compute.stages.report.style import BLUE, GREY, RED, new_figure, styled

__all__ = ["bands_figure", "gaussian", "rms_figure", "scatter_figure"]

BANDS = 4
_BINS = 64  # along an axis
_EDGES = 61  # of histograms
_MAG = 0.5  # width of bins
_SHOWN = 20_000  # points


@styled
def bands_figure(rows: pd.DataFrame, shape: tuple[int, int], label: str) -> Figure:
    """Residuals along either axis in four bands across it, 512 pix each of 2048 (Libralato et al. 2023, Fig. 10)."""
    best, extent = chosen(rows, True), extent_of(shape)
    spans = {"x": extent[:2], "y": extent[2:]}
    figure, axes = new_figure(9.6, BANDS, 4, sharey=True, sharex="col")
    headline(figure, f"{label}: {len(best):,} positions, {kind_of(best)} minus measured, in bands")
    trends = [(name, along) for name in "xy" for along in "xy"]
    for column, (name, along) in zip(axes.reshape(BANDS, 4).T, trends, strict=True):
        across = "y" if along == "x" else "x"
        edges = np.linspace(*spans[across], BANDS + 1)
        for axis, low, high in zip(column[::-1], edges[:-1], edges[1:], strict=True):  # as on the detector, from below
            part = best[(best[across] >= low) & (best[across] < high)]
            found = curve(part[along], part[f"d{name}"], np.linspace(*spans[along], _BINS + 1))
            reach = 1e3 * max(2.5 * spread(best[["dx", "dy"]].to_numpy().ravel()), 1e-5) if len(best) else 1.0
            density(axis, part[along], 1e3 * part[f"d{name}"], (*spans[along], -reach, reach))
            medians(axis, found, BLUE if name == "x" else RED, 1e3, ms=1.8, lw=0.9, elinewidth=0.8)
            zero(axis)
            axis.set_title(f"{low + 0.5:.0f} ≤ {across} < {high + 0.5:.0f}", fontsize=9)
        column[-1].set_xlabel(f"{along} [pix]")
        column[-1].locator_params(axis="x", nbins=4)
        column[0].set_title(f"d{name} along {along}\n{column[0].get_title(loc='left')}", fontsize=9)
    for axis in axes.reshape(BANDS, 4)[:, 0]:
        axis.set_ylabel("residual [mpix]")
    return figure


def gaussian(values: ArrayLike) -> tuple[float, float, float]:
    """Peak, mean and standard deviation of the Gaussian that fits a histogram of some values.

    The histogram reaches five spreads to either side in 60 bins that weigh alike. NaN for fewer than
    twenty values, or none that differ.
    """
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    sigma, middle = spread(known), float(np.median(known)) if known.size else np.nan
    if known.size < 20 or not sigma > 0:
        return np.nan, np.nan, np.nan
    counts, edges = np.histogram(known, np.linspace(middle - 5 * sigma, middle + 5 * sigma, _EDGES))
    found, _ = curve_fit(_bell, (edges[1:] + edges[:-1]) / 2, counts, (float(counts.max()), middle, sigma))
    return float(found[0]), float(found[1]), float(abs(found[2]))


def _bell(x: NDArray, peak: float, mean: float, sigma: float) -> NDArray:
    return peak * np.exp(-0.5 * ((x - mean) / sigma) ** 2)


@styled
def scatter_figure(rows: pd.DataFrame, mas: float, label: str) -> Figure:
    """Residuals of the brightest two magnitudes, dy against dx, with Gaussians fitted to histograms (Fig. 12).

    `rows` are RESIDUALS, `mas` is the pixel scale [mas/pix].
    """
    best = brightest(chosen(rows, False))
    figure, axes = new_figure(7.4, 2, 2, width_ratios=(3, 1.15), height_ratios=(1.15, 3))
    headline(figure, f"{label}: {len(best):,} positions, {kind_of(best)} minus measured; 1 pix = {mas:.3f} mas")
    top, corner, both, right = axes
    reach = 5 * max(spread(best["dx"]), spread(best["dy"]), 1e-6) if len(best) else 1.0
    density(both, best["dx"], best["dy"], (-reach, reach, -reach, reach), (100, 100))
    both.axhline(0.0, color=GREY, lw=0.8, ls=":")
    both.axvline(0.0, color=GREY, lw=0.8, ls=":")
    both.set(xlabel="dx [pix]", ylabel="dy [pix]")
    told = [f"correlation {np.corrcoef(best['dx'], best['dy'])[0, 1]:+.3f}"] if len(best) > 2 else []
    edges, line = np.linspace(-reach, reach, _EDGES), np.linspace(-reach, reach, 301)
    width = edges[1] - edges[0]
    for axis, name, upright in ((top, "x", True), (right, "y", False)):
        values = best[f"d{name}"].to_numpy()
        axis.hist(values, edges.tolist(), histtype="step", color=GREY, lw=1.2,
                  orientation="vertical" if upright else "horizontal")  # fmt: skip
        _, mean, sigma = gaussian(values)
        if np.isfinite(sigma):
            fitted = _bell(line, values.size * width / sigma / np.sqrt(2 * np.pi), mean, sigma)
            axis.plot(*((line, fitted) if upright else (fitted, line)), color=RED, lw=1.4)
            beyond = 100 * np.mean(np.abs(values - mean) > 3 * sigma)
            told.append(f"σ$_{name}$ = {sigma:.4f} pix = {mas * sigma:.3f} mas\n   {beyond:.2f} % beyond 3σ")
    top.set(xlim=(-reach, reach), ylabel="positions", xticklabels=[])
    right.set(ylim=(-reach, reach), xlabel="positions", yticklabels=[])
    for side, axis, what in (("top", top, "x"), ("right", right, "y")):
        second = getattr(axis, f"secondary_{what}axis")(side, functions=(lambda pix: mas * pix, lambda v: v / mas))
        getattr(second, f"set_{what}label")(f"d{what} [mas]")
    corner.set_axis_off()
    corner.text(0.0, 0.45, "\n".join([*told, "normal: 0.27 %"]), transform=corner.transAxes, va="center", fontsize=9.5)
    return figure


@styled
def rms_figure(rows: Mapping[str, pd.DataFrame], mas: Mapping[str, float], label: str) -> Figure:
    """Scatter of stars about their averages per axis against instrumental magnitude, a panel per filter (Fig. 16).

    `rows` are RESIDUALS and `mas` pixel scales by filter. Red: the median of the best measured stars, that lie where it
    is shaded; dashed: what their errors let expect.
    """
    columns = min(max(len(rows), 2), 4)
    lines = -(-len(rows) // columns)
    figure, axes = new_figure(0.4 + 3.4 * lines, lines, columns, sharey=True)
    headline(figure, label)
    for axis, (name, part) in zip(axes, rows.items(), strict=False):
        _against_magnitude(axis, star_scatter(part), name, mas[name])
    drawn = np.concatenate([line.get_ydata() for axis in axes for line in axis.lines if line.get_marker() == "."])
    if drawn.size:
        axes[0].legend(loc="lower right", handlelength=1.4, fontsize=9)
        axes[0].set_ylim(0.5 * np.percentile(drawn, 0.5), 2.5 * np.percentile(drawn, 99.5))
    for axis in axes[len(rows) :]:
        axis.set_axis_off()
    for axis in axes[::columns]:
        axis.set_ylabel("1-D rms [mpix]")
    return figure


def _against_magnitude(axis: Axes, stars: pd.DataFrame, name: str, mas: float) -> None:
    free = 2 * (stars["n_used"].to_numpy() - 1)  # two axes; a few deviates have a median below their spread
    rms = 1e3 * np.sqrt((stars["rms_x"] ** 2 + stars["rms_y"] ** 2) / 2).to_numpy()
    noise = 1e3 * np.sqrt((stars["x_error"] ** 2 + stars["y_error"] ** 2) / 2).to_numpy()
    mag, expected = stars["mag"].to_numpy(), noise * np.sqrt(chi2.ppf(0.5, free) / free)
    step = -(-mag.size // _SHOWN) or 1
    axis.plot(mag[::step], rms[::step], ".", ms=1.5, color=GREY, alpha=0.35, mew=0, rasterized=True)
    if mag.size:
        edges = np.arange(np.floor(mag.min()), np.ceil(mag.max()) + _MAG, _MAG)
        for values, look, told in ((rms, "-", "median"), (expected, "--", "expected from errors")):
            found = curve(mag, values, edges)
            axis.plot(found.place, found.median, look, lw=1.6, color=BLUE if look == "-" else "black", label=told)
        best = precision(stars.assign(rms_x=rms, rms_y=rms), 1.0)
        axis.axvspan(best.bright, best.faint, color=RED, alpha=0.10, lw=0)
        axis.axhline(best.x, color=RED, lw=1.2)
        axis.set_title(f"{name}: {best.x:.2f} mpix, {1e-3 * mas * best.x:.3f} mas")
    axis.set(yscale="log", xlabel="instrumental magnitude")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
