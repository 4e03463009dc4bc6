"""Figures of the stars that a library ePSF was built from: where they fall on pixels, and what is left of their phases.

Stars are those of a table `judged` of :class:`compute.stages.calibrate.build.Built`: `pass`, `x`, `y` fitted freely
[pix], `dx`, `dy`, free minus imposed [pix], `flux`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from catalogs.cubes import EpsfCube
from compute.stages.report.binned import PHASES, amplitude, curve, phase, spread
from compute.stages.report.fiducials import sampled
from compute.stages.report.panels import headline, medians, trend, zero
from compute.stages.report.style import BLUE, GREY, RED, new_figure, styled

__all__ = ["density_figure", "phase_figure", "region_figure", "samplings_figure", "shown_passes"]

_BINS, _FILL = 25, 40  # most bins of pixel phase along an axis, and stars that a cell should have
_REGIONS, _SPARSE = 3, 100  # along each axis; stars of one below which each is shown
_REACH, _FINE = 3.0, 0.02  # [pix] of samplings, and step of smooth lines
_STEPS = np.linspace(-_REACH, _REACH, 25)


def shown_passes(judged: pd.DataFrame, control: pd.DataFrame | None = None) -> dict[str, pd.DataFrame]:
    """The stars before the first pass and after the last, and after the last of the control between them, by titles.

    Fits that failed are left out.
    """
    judged = judged.dropna(subset=["dx", "dy"])
    first, last = judged["pass"].min(), judged["pass"].max()
    found = {"light centres" if first == 0 else f"pass {first}": judged[judged["pass"] == first]}
    if control is not None:
        found["never averaged"] = control[control["pass"] == control["pass"].max()].dropna(subset=["dx", "dy"])
    return found | {f"pass {last}": judged[judged["pass"] == last]}


def _phase(stars: pd.DataFrame, axis: str) -> pd.Series:
    """Pixel phase of the positions that were imposed, which the noise of a single one does not move."""
    return phase(stars[axis] - stars[f"d{axis}"])


@styled
def density_figure(parts: Mapping[str, pd.DataFrame], label: str) -> Figure:
    """Where stars with `x`, `y` [pix] are centred on their pixels: for each of `parts` a map, and along either axis."""
    figure, axes = new_figure(4.4 * len(parts), len(parts), 2, width_ratios=(1, 1.25))
    headline(figure, label)
    for (title, stars), (picture, lines) in zip(parts.items(), axes.reshape(-1, 2), strict=True):
        n = int(np.clip(np.sqrt(len(stars) / _FILL), 5, _BINS))
        edges = np.linspace(-0.5, 0.5, n + 1)
        counts, _, _ = np.histogram2d(phase(stars["x"]), phase(stars["y"]), bins=edges)
        shown = picture.imshow(counts.T / max(counts.mean(), 1e-9), extent=(-0.5, 0.5, -0.5, 0.5), cmap="viridis",
                               vmin=0.0, vmax=2.0)  # fmt: skip
        figure.colorbar(shown, ax=picture, label="density over its mean", pad=0.02)
        picture.set(xlabel="pixel phase in x [pix]", ylabel="pixel phase in y [pix]")
        picture.set_title(f"{title}: {len(stars):,} centres")
        _along(lines, counts, edges)
    return figure


def _along(axis: Axes, counts: np.ndarray, edges: np.ndarray) -> None:
    """Density along x and along y, over its mean."""
    lines = {"x": counts.sum(axis=1), "y": counts.sum(axis=0)}
    for (name, line), colour in zip(lines.items(), (BLUE, RED), strict=True):
        axis.stairs(line / max(line.mean(), 1e-9), edges, baseline=None, color=colour, lw=1.3, label=name)
    noise = 1 / np.sqrt(max(counts.sum() / (edges.size - 1), 1.0))
    axis.axhspan(1 - noise, 1 + noise, color=GREY, alpha=0.15, lw=0)
    reach = max(5 * noise, *(1.3 * np.abs(line / max(line.mean(), 1e-9) - 1).max() for line in lines.values()))
    axis.set(xlabel="pixel phase [pix]", ylabel="along an axis", xlim=(-0.5, 0.5))
    axis.set_ylim(max(1 - reach, 0), 1 + reach)
    axis.set_title("grey: noise of an even density")
    axis.legend(loc="lower center", ncols=2)


@styled
def phase_figure(parts: Mapping[str, pd.DataFrame], label: str) -> Figure:
    """Pixel-phase errors `dx`, `dy` of each of `parts` against `x`, `y` (Libralato et al. 2023, Fig. 3)."""
    figure, axes = new_figure(5.6, 2, len(parts))
    headline(figure, label)
    for (title, stars), column in zip(parts.items(), axes.reshape(2, -1).T, strict=True):
        sigma = spread(stars[["dx", "dy"]].to_numpy().ravel()) if len(stars) else 1e-3
        for axis, name, colour in zip(column, "xy", (BLUE, RED), strict=True):
            found = trend(axis, _phase(stars, name), stars[f"d{name}"], PHASES, 1.5 * sigma, colour)
            axis.set(xlabel=f"pixel phase in {name} [pix]", ylabel=f"d{name} [mpix]")
            axis.set_title(f"{title}: amplitude {1e3 * amplitude(found.median):.2f} mpix")
    return figure


@styled
def region_figure(stars: pd.DataFrame, label: str) -> Figure:
    """Pixel-phase errors in nine regions of the detector, of the brighter and of the fainter half of the stars.

    Anderson & King 2000, Fig. 10.
    """
    figure, axes = new_figure(7.6, _REGIONS, _REGIONS, sharex=True, sharey=True)
    headline(figure, label)
    column, line = (_third(stars[name]) for name in "xy")
    bright = stars["flux"] >= stars["flux"].median()
    for k, axis in enumerate(axes):
        here = (column == k % _REGIONS) & (line == _REGIONS - 1 - k // _REGIONS)
        told = []
        for name, colour in (("x", BLUE), ("y", RED)):
            for half, look in ((bright, {"ls": "-"}), (~bright, {"ls": ":", "mfc": "white"})):
                part = stars[here & half]
                found = curve(_phase(part, name), part[f"d{name}"], PHASES)
                kind = "bright" if half is bright else "faint"
                medians(axis, found, colour, 1e3, label=f"d{name}, {kind} half", **look)
                told.append(f"{1e3 * amplitude(found.median):.1f}" if np.isfinite(found.median).any() else "–")
            if here.sum() < _SPARSE:
                part = stars[here]
                axis.plot(_phase(part, name), 1e3 * part[f"d{name}"], ".", ms=3, color=colour, alpha=0.5)
        zero(axis)
        axis.set_title(f"{here.sum():,} stars: {', '.join(told)} mpix")
    for axis in axes[-_REGIONS:]:
        axis.set_xlabel("pixel phase [pix]")
    for axis in axes[::_REGIONS]:
        axis.set_ylabel("residual [mpix]")
    axes[0].set_xlim(-0.5, 0.5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, markerscale=1.0)
    return figure


def _third(place: pd.Series) -> pd.Series:
    """Which of equal spans of its range a place lies in."""
    low, high = place.min(), place.max()
    return np.minimum((place - low) / max(high - low, 1e-9) * _REGIONS, _REGIONS - 1).fillna(0).astype(int)


@styled
def samplings_figure(samplings: pd.DataFrame, cube: EpsfCube, label: str) -> Figure:
    """What single pixels on the axes say of the ePSF: `value` at `offset` [pix] along `axis`, beside the central ePSF;
    and less the `model` of each, with medians, and the typical `error` shaded.

    Libralato et al. 2023, Fig. 2; Anderson & King 2000, Figs. 6 and 9.
    """
    figure, axes = new_figure(6.4, 2, 2, sharex=True, height_ratios=(1.6, 1))
    headline(figure, label)
    table = cube.values[cube.fy.size // 2, cube.fx.size // 2]
    line = np.arange(-_REACH, _REACH + _FINE / 2, _FINE)
    for name, colour, values, off in zip("xy", (BLUE, RED), axes[:2], axes[2:], strict=True):
        part = samplings[(samplings["axis"] == name) & (samplings["offset"].abs() <= _REACH)]
        dots: dict[str, Any] = {"marker": ".", "ms": 2.5, "lw": 0, "color": GREY, "alpha": 0.4}
        values.plot(part["offset"], part["value"], **dots)
        where = (line, 0 * line) if name == "x" else (0 * line, line)
        values.plot(line, sampled(cube, table, *where), "-", lw=1.2, color=colour, zorder=3)
        values.set(ylabel="pixel / flux", title=f"along {name}: {len(part):,} pixels")
        percent = 100 / table.max()
        left = percent * (part["value"] - part["model"])
        off.plot(part["offset"], left, **dots)
        noise = curve(part["offset"], percent * part["error"], _STEPS)
        off.fill_between(noise.place, -noise.median, noise.median, color=colour, alpha=0.15, lw=0)
        medians(off, curve(part["offset"], left, _STEPS), colour)
        zero(off)
        most = max(4 * spread(left), 1e-3) if len(part) else 1.0
        off.set(xlabel=f"pixel − star in {name} [pix]", ylabel="minus model [%]", ylim=(-most, most))
        off.set_title(f"scatter {spread(left):.2f} % of the peak" if len(part) else "")
    return figure
