"""Figures of populations: where they lie among colours and magnitudes, how they move, of what Gaussians."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from compute.stages.report.motion_rows import Filters
from compute.stages.report.panels import headline
from compute.stages.report.style import GREY, PALE, new_figure, palette, styled
from compute.stages.report.vpd import dots, ellipse, magnitude_axis, middle_of, vpd

__all__ = ["Component", "direction", "population_figure", "projection_figure"]

_INK = ("#e0a030", "#b0308f", "#3a9d6a", "#2c6fa6", "#d1495b", "#6b7a86")
_ERRORS = 32  # classes of stars by the error of their projected motion
_LINE = 400  # points of a curve


class Component(NamedTuple):
    """A Gaussian of a mixture: its share, mean (2,) [mas/yr] and intrinsic covariance (2, 2) [mas2/yr2]."""

    fraction: float
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


@styled
def population_figure(
    rows: pd.DataFrame, members: Mapping[str, NDArray], components: Mapping[str, Sequence[Component]], filters: Filters,
    label: str,
) -> Figure:  # fmt: skip
    """Populations in a colour-magnitude diagram and their motions (Libralato et al. 2023, Fig. 22).

    `members` tells for each population which `rows` belong, `components` the Gaussians that were fitted to it, drawn at
    two sigmas and numbered.
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
    middle, reach = middle_of(rows[shown], 0.99)
    for axis, (name, mine) in zip(axes[1:], members.items(), strict=True):
        if filters.red:
            dots(axes[0], rows["colour"][mine], rows["mag"][mine], inks[name], 2.5)
        else:
            axes[0].hist(rows["mag"][mine], bins, orientation="horizontal", histtype="step", color=inks[name], lw=1.3)
        dots(axis, rows["pmra"][mine], rows["pmdec"][mine], inks[name], 3)
        vpd(axis, middle, reach)
        axis.set_title(f"{name}: {int(np.sum(mine)):,} stars", color=inks[name])
        for k, (one, ink) in enumerate(_coloured(components.get(name, ()))):
            ellipse(axis, one.mean, one.covariance, ink)
            away = 2.0 * np.sqrt(np.diag(one.covariance))
            place = one.mean[0] - away[0], one.mean[1]
            axis.annotate(str(k + 1), place, color=ink, fontweight="bold", annotation_clip=True)
    return figure


@styled
def projection_figure(rows: pd.DataFrame, components: Sequence[Component], along: NDArray | None, label: str) -> Figure:
    """Motions of one population along an axis, and the Gaussians fitted to them (Libralato et al. 2023, Fig. 23).

    Curves are intrinsic Gaussians widened by the errors the stars have; `along` (2,) is the direction in (pmra, pmdec),
    that of most of the mixture's extent if None. Error bars are those of counts.
    """
    figure, axes = new_figure(4.6, 1, 2, width_ratios=(0.8, 1))
    headline(figure, f"{label}: {len(rows):,} stars")
    middle, reach = middle_of(rows, 0.99)
    along = direction(components, rows) if along is None else np.asarray(along, float) / np.hypot(*along)
    dots(axes[0], rows["pmra"], rows["pmdec"], GREY, 3)
    vpd(axes[0], middle, reach)
    origin = components[0].mean if components else middle
    origin = max(components, key=lambda one: one.fraction).mean if components else origin
    axes[0].axline(tuple(origin), tuple(origin + along), color="#2c6fa6", lw=1.4, ls="--")
    for k, (one, ink) in enumerate(_coloured(components)):
        ellipse(axes[0], one.mean, one.covariance, ink)
        axes[0].annotate(str(k + 1), tuple(one.mean), color=ink, fontweight="bold", fontsize=13, annotation_clip=True)
    _histogram(axes[1], rows, components, along, (middle, reach))
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


def _histogram(
    axis: Axes, rows: pd.DataFrame, components: Sequence[Component], along: NDArray, shown: tuple[NDArray, float]
) -> None:
    values = rows[["pmra", "pmdec"]].to_numpy() @ along
    middle, reach = float(shown[0] @ along), 1.15 * shown[1]
    edges = np.linspace(middle - reach, middle + reach, int(np.clip(np.sqrt(len(rows)), 12, 60)) + 1)
    counts, _ = np.histogram(values, edges)
    axis.stairs(counts, edges, color=GREY, lw=1.0)
    axis.errorbar((edges[1:] + edges[:-1]) / 2, counts, np.sqrt(counts), fmt="none", ecolor=GREY, elinewidth=1.0)
    line = np.linspace(edges[0], edges[-1], _LINE)
    each = [len(rows) * (edges[1] - edges[0]) * _projected(line, one, rows, along) for one in components]
    for k, ((one, ink), curve) in enumerate(zip(_coloured(components), each, strict=True)):
        sigma = float(np.sqrt(along @ one.covariance @ along))
        told = f"{k + 1}: {100 * one.fraction:.0f} %, at {one.mean @ along:.3f}, σ {sigma:.3f}"
        axis.plot(line, curve, "-", lw=1.8, color=ink, label=told)
    if each:
        axis.plot(line, np.sum(each, axis=0), "-", lw=1.2, color="black", label="all")
        axis.legend(loc="upper left", fontsize=9, handlelength=1.2)
        axis.set_ylim(0, 1.45 * max(counts.max(), 1))
    way = np.degrees(np.arctan2(along[0], along[1]))
    axis.set(xlabel=f"motion toward {way:.0f}° east of north [mas/yr]", ylabel="stars in a bin")


def _projected(line: NDArray, one: Component, rows: pd.DataFrame, along: NDArray) -> NDArray[np.float64]:
    """Density of a component along an axis, averaged over the errors of the stars."""
    alpha, delta = rows["pmra_error"].to_numpy(), rows["pmdec_error"].to_numpy()
    corr = rows["pmra_pmdec_corr"].fillna(0.0).to_numpy(float) if "pmra_pmdec_corr" in rows else 0.0
    noise = (along[0] * alpha) ** 2 + (along[1] * delta) ** 2 + 2 * along[0] * along[1] * corr * alpha * delta
    typical = np.quantile(noise, (np.arange(_ERRORS) + 0.5) / _ERRORS) if noise.size else np.zeros(1)
    sigma = np.sqrt(along @ one.covariance @ along + typical)
    return one.fraction * norm.pdf(line[:, None], one.mean @ along, sigma).mean(axis=1)


def _coloured(components: Sequence[Component]) -> list[tuple[Component, ArrayLike]]:
    return [(one, _INK[k % len(_INK)]) for k, one in enumerate(components)]
