"""Figures of one population along a line: its histogram of noisy resamplings and the Gaussians that fit it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from compute.kernels.kinematics.resampled import Histogram, Peaks
from compute.stages.report.panels import headline
from compute.stages.report.style import GREY, PALE, new_figure, styled
from compute.stages.report.vpd import Component, beyond, coloured, dots, ellipse, framed

__all__ = ["direction", "noise_along", "projection_figure", "shares"]

_ERRORS = 32  # classes of stars by the error of their projected motion
_LINE = 800  # points of a curve


@styled
def projection_figure(
    rows: pd.DataFrame, components: Sequence[Component], along: NDArray | None, label: str,
    fitted: tuple[Histogram, Peaks] | None = None,
) -> Figure:  # fmt: skip
    """Motions of one population along an axis, and the Gaussians fitted to them (Libralato et al. 2023, Fig. 23).

    With the histogram of noisy resamplings and its peaks, `fitted`, these are drawn, and the mixture as it would show
    there. Without, stars are counted, and the mixture is widened by their errors; error bars are then those of counts.
    `along` (2,) is the direction in (pmra, pmdec), that of most of the mixture's extent if None.
    """
    figure, axes = new_figure(4.6, 1, 2, width_ratios=(0.8, 1))
    along = direction(components, rows) if along is None else np.asarray(along, float) / np.hypot(*along)
    dots(axes[0], rows["pmra"], rows["pmdec"], GREY, 3)
    framed(axes[0], rows)
    headline(figure, f"{label}: {len(rows):,} stars{beyond(axes[0], rows)}")
    if components:
        origin = max(components, key=lambda one: one.fraction).mean
        axes[0].axline(tuple(origin), tuple(origin + along), color="#2c6fa6", lw=1.4, ls="--")
    for k, (one, ink) in enumerate(coloured(components)):
        ellipse(axes[0], one.mean, one.covariance, ink)
        axes[0].annotate(str(k + 1), tuple(one.mean), color=ink, fontweight="bold", fontsize=13, annotation_clip=True)
    limits = _limits(rows, along)
    if fitted is None:
        _counted(axes[1], rows, components, along, limits)
    else:
        _resampled(axes[1], rows, components, along, limits, *fitted)
    way = np.degrees(np.arctan2(along[0], along[1]))
    axes[1].set(xlim=limits, xlabel=f"motion toward {way:.0f}° east of north [mas/yr]", ylabel="stars in a bin")
    return figure


def direction(components: Sequence[Component], rows: pd.DataFrame) -> NDArray[np.float64]:
    """(2,) unit vector along which a mixture extends most, or the motions themselves without one; pmra positive."""
    if components:
        share, means = np.array([one.fraction for one in components]), np.array([one.mean for one in components])
        off = means - np.average(means, axis=0, weights=share)
        total = np.einsum("k,ki,kj->ij", share, off, off)
        total = total + np.einsum("k,kij->ij", share, [one.covariance for one in components])
    else:
        total = np.cov(rows[["pmra", "pmdec"]].to_numpy(), rowvar=False)
    first = np.linalg.eigh(total)[1][:, -1]
    return first if first[0] >= 0 else -first


def noise_along(rows: pd.DataFrame, along: NDArray) -> NDArray[np.float64]:
    """Variances (n,) of motions along an axis by the errors of the stars [mas2/yr2]."""
    alpha, delta = rows["pmra_error"].to_numpy(), rows["pmdec_error"].to_numpy()
    corr = rows["pmra_pmdec_corr"].fillna(0.0).to_numpy(float) if "pmra_pmdec_corr" in rows else 0.0
    return (along[0] * alpha) ** 2 + (along[1] * delta) ** 2 + 2 * along[0] * along[1] * corr * alpha * delta


def shares(low: NDArray, high: NDArray, one: Component, noise: NDArray, along: NDArray) -> NDArray[np.float64]:
    """Shares (m,) of all stars that a component has in bins from `low` to `high` (m,), seen with variances `noise`."""
    typical = np.quantile(noise, (np.arange(_ERRORS) + 0.5) / _ERRORS) if noise.size else np.zeros(1)
    sigma = np.sqrt(along @ one.covariance @ along + typical)
    middle = one.mean @ along
    return one.fraction * (ndtr((high[:, None] - middle) / sigma) - ndtr((low[:, None] - middle) / sigma)).mean(axis=1)


def _limits(rows: pd.DataFrame, along: NDArray) -> tuple[float, float]:
    if rows.empty:
        return -1.0, 1.0
    low, high = np.percentile(rows[["pmra", "pmdec"]].to_numpy() @ along, [1, 99])
    pad = 0.2 * (high - low) + 1e-6
    return float(low - pad), float(high + pad)


def _resampled(
    axis: Axes, rows: pd.DataFrame, components: Sequence[Component], along: NDArray, limits: tuple[float, float],
    histogram: Histogram, peaks: Peaks,
) -> None:  # fmt: skip
    """The stored histogram with its errors, its peaks, and the mixture with the stars' errors and the noise added."""
    edges, counts, errors = histogram
    width, n = edges[1] - edges[0], counts.sum()
    low, high = (np.append(each, each[-1]) for each in (counts - errors, counts + errors))
    axis.fill_between(
        edges, np.maximum(low, 0.0), high, step="post", color=PALE, lw=0, label="histogram with its errors"
    )
    axis.stairs(counts, edges, color=GREY, lw=1.0)
    line = np.linspace(*limits, _LINE)
    ends = line - width / 2, line + width / 2
    each = _area(histogram, peaks) * peaks.fractions * _under(*ends, peaks)
    for k, ((_, ink), curve) in enumerate(zip(coloured(components), each.T, strict=True)):
        axis.plot(line, curve, "-", lw=1.8, color=ink, label=_told(peaks, k))
    axis.plot(line, each.sum(axis=1), "-", lw=1.2, color="black", label="all peaks")
    noise = 2 * noise_along(rows, along)
    mixture = n * np.sum([shares(*ends, one, noise, along) for one in components], axis=0)
    axis.plot(line, mixture, "--", lw=1.2, color="#2c6fa6", label="mixture in two dimensions")
    shown = (edges[1:] > limits[0]) & (edges[:-1] < limits[1])
    _topped(axis, (counts + errors)[shown], each.sum(axis=1), mixture)


def _told(peaks: Peaks, k: int) -> str:
    share = f"{100 * peaks.fractions[k]:.0f} ± {100 * peaks.fraction_errors[k]:.0f} %"
    middle = f"{peaks.means[k]:.3f} ± {peaks.mean_errors[k]:.3f}"
    return f"{k + 1}: {share}, at {middle}, σ seen {peaks.sigmas[k]:.3f} ± {peaks.sigma_errors[k]:.3f}"


def _under(low: NDArray, high: NDArray, peaks: Peaks) -> NDArray[np.float64]:
    """Parts (m, k) of each peak in bins from `low` to `high` (m,)."""
    upper, lower = (ndtr((each[:, None] - peaks.means) / peaks.sigmas) for each in (high, low))
    return upper - lower


def _area(histogram: Histogram, peaks: Peaks) -> float:
    """Stars under all peaks: of shares that sum to one, least squares tell the area that was fitted with them."""
    edges, counts, errors = histogram
    shape = _under(edges[:-1], edges[1:], peaks) @ peaks.fractions
    return float(np.sum(shape * counts / errors**2) / np.sum((shape / errors) ** 2))


def _counted(
    axis: Axes, rows: pd.DataFrame, components: Sequence[Component], along: NDArray, limits: tuple[float, float]
) -> None:
    """Stars in bins, and the mixture widened by their errors."""
    edges = np.linspace(*limits, int(np.clip(np.sqrt(len(rows)), 12, 60)) + 1)
    counts, _ = np.histogram(rows[["pmra", "pmdec"]].to_numpy() @ along, edges)
    axis.stairs(counts, edges, color=GREY, lw=1.0)
    axis.errorbar((edges[1:] + edges[:-1]) / 2, counts, np.sqrt(counts), fmt="none", ecolor=GREY, elinewidth=1.0)
    line, half, noise = np.linspace(*limits, _LINE), (edges[1] - edges[0]) / 2, noise_along(rows, along)
    each = [len(rows) * shares(line - half, line + half, one, noise, along) for one in components]
    for k, ((one, ink), curve) in enumerate(zip(coloured(components), each, strict=True)):
        sigma = float(np.sqrt(along @ one.covariance @ along))
        told = f"{k + 1}: {100 * one.fraction:.0f} %, at {one.mean @ along:.3f}, σ {sigma:.3f}"
        axis.plot(line, curve, "-", lw=1.8, color=ink, label=told)
    if each:
        axis.plot(line, np.sum(each, axis=0), "-", lw=1.2, color="black", label="all")
        _topped(axis, counts + np.sqrt(counts), np.sum(each, axis=0))


def _topped(axis: Axes, *drawn: ArrayLike) -> None:
    """Room for the legend above everything that is drawn."""
    axis.set_ylim(0, 1.5 * max(1.0, *(float(np.max(one, initial=0.0)) for one in drawn)))
    axis.legend(loc="upper left", fontsize=9, handlelength=1.2)
