"""Residuals of one detector's exposures about the mean positions of a master frame."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compute.stages.report.binned import PHASES, cells, curve, phase, spread
from compute.stages.report.panels import Extent, arrow_key, arrows, headline, medians, trend, zero
from compute.stages.report.residuals import bright, phase_amplitude
from compute.stages.report.style import BLUE, RED, WIDTH, new_figure, styled

__all__ = ["MOST", "Single", "detector_figure", "phases_figure", "vectors_figure"]

MOST = 24  # exposures that have a panel of their own
_COLUMNS = 6
_CELLS, _COARSE, _FILL = 20, 8, 12  # most arrows along each axis; detections an arrow stands for, at least
_BINS = 20
_THIN = 60  # exposures that have a line of their own


class Single(NamedTuple):
    """Bright detections of one exposure, the title of its panel, and what they cover of the detector."""

    title: str
    rows: pd.DataFrame
    extent: Extent


@styled
def detector_figure(rows: pd.DataFrame, extent: Extent, label: str) -> Figure:
    """Residuals of all exposures: over the detector, and against pixel phase, x, y and magnitude.

    `rows` are those of :func:`compute.stages.report.residuals.on_detector`; places are shown with bright detections,
    magnitudes with all.
    """
    figure, axes = new_figure(9.6, 3, 3)
    best = bright(rows)
    sigma = 1e3 * spread(best[["dx", "dy"]].to_numpy().ravel()) if len(best) else 1.0
    headline(figure, f"{label}: {len(best):,} bright of {len(rows):,} positions")
    _vector_map(axes[0], best, extent)
    for axis, name, colour in ((axes[1], "x", BLUE), (axes[2], "y", RED)):
        _trend(axis, phase(best[name]), best, name, PHASES, sigma, colour)
        axis.set(xlabel=f"pixel phase in {name} [pix]")
        axis.set_title(f"amplitude {1e3 * phase_amplitude(best, name):.2f} mpix")
    spans = (("x", extent[:2]), ("y", extent[2:]))
    for line, name, colour in ((axes[3:6], "x", BLUE), (axes[6:9], "y", RED)):
        for axis, (along, span) in zip(line, spans, strict=False):
            _trend(axis, best[along], best, name, np.linspace(*span, _BINS + 1), sigma, colour)
            axis.set(xlabel=f"{along} [pix]")
        shown = rows["mag"].dropna()
        edges = np.linspace(*_limits(shown), _BINS + 1)
        _trend(line[2], rows["mag"], rows, name, edges, 3 * sigma, colour)
        line[2].set(xlabel="instrumental magnitude")
    return figure


def _vector_map(axis: Axes, best: pd.DataFrame, extent: Extent) -> None:
    across = _across(best, _CELLS)
    found = cells(best, extent, across)
    largest = _largest([found])
    drawn = arrows(axis, found, extent, across, largest)
    arrow_key(axis, drawn, (0.72, 1.045), largest, "mpix", 1e3, labelpos="E")
    axis.set(xlabel="x [pix]", ylabel="y [pix]", title="medians of cells")


def _trend(axis, place, rows, name, edges, reach, colour) -> None:
    """Residuals along one axis: their density, thin medians of each exposure, and medians of all with errors."""
    numbers = rows["number"].unique()
    if 1 < numbers.size <= _THIN:
        for _, part in pd.DataFrame({"n": rows["number"], "p": place, "d": rows[f"d{name}"]}).groupby("n"):
            one = curve(part["p"], part["d"], edges)
            axis.plot(one.place, 1e3 * one.median, "-", lw=0.6, color=colour, alpha=0.35)
    trend(axis, place, rows[f"d{name}"], edges, 1e-3 * reach, colour)
    axis.set(ylabel=f"d{name} [mpix]")


@styled
def vectors_figure(parts: Sequence[Single], label: str) -> Figure:
    """A map of residuals for each exposure, all to one scale."""
    figure, axes = _grid(len(parts), 1.12)
    headline(figure, label)
    across = min((_across(part.rows, _COARSE) for part in parts), default=_COARSE)
    found = [cells(part.rows, part.extent, across) for part in parts]
    largest, drawn = _largest(found), None
    for axis, part, each in zip(axes, parts, found, strict=False):
        drawn = arrows(axis, each, part.extent, across, largest, 0.009) or drawn
        axis.set(xticks=[], yticks=[])
        axis.spines[["top", "right"]].set_visible(True)
        _entitle(axis, part.title)
    corner = (0.95, 1.0 - 0.12 / figure.get_figheight())
    arrow_key(axes[0], drawn, corner, largest, "mpix", 1e3, labelpos="W", coordinates="figure")
    return figure


@styled
def phases_figure(parts: Sequence[Single], label: str) -> Figure:
    """Residuals of each exposure against pixel phase, x in blue, y in red."""
    figure, axes = _grid(len(parts), 1.0, sharex=True, sharey=True)
    headline(figure, label)
    for axis, part in zip(axes, parts, strict=False):
        for along, colour in (("x", BLUE), ("y", RED)):
            found = curve(phase(part.rows[along]), part.rows[f"d{along}"], PHASES)
            medians(axis, found, colour, 1e3, ms=2.5, lw=0.9, elinewidth=0.9)
        zero(axis)
        _entitle(axis, part.title)
        axis.tick_params(labelsize=9)
    for k in range(len(parts)):
        if k % _COLUMNS == 0:
            axes[k].set_ylabel("[mpix]", fontsize=9)
        if k + _COLUMNS >= len(parts):
            axes[k].set_xlabel("pixel phase", fontsize=9)
            axes[k].tick_params(labelbottom=True)
    return figure


def _across(rows: pd.DataFrame, most: int) -> int:
    """Cells along each axis of a map: fewer where detections are few."""
    return int(np.clip(np.sqrt(len(rows) / _FILL), 2, most))


def _entitle(axis: Axes, title: str) -> None:
    axis.set_title(title, fontsize=9 if len(title) <= 24 else 7)


def _grid(count: int, shape: float, **options):
    """Axes of small multiples, those left over switched off."""
    lines = max(-(-count // _COLUMNS), 1)
    figure, axes = new_figure(0.3 + lines * shape * WIDTH / _COLUMNS, lines, _COLUMNS, **options)
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, axes


def _largest(found: list[pd.DataFrame]) -> float:
    """A length [pix] that few arrows exceed."""
    lengths = np.concatenate([np.hypot(each["dx"], each["dy"]) for each in found]) if found else np.empty(0)
    return float(np.percentile(lengths, 95)) or 1e-3 if lengths.size else 1e-3


def _limits(values: pd.Series) -> tuple[float, float]:
    if values.empty:
        return 0.0, 1.0
    low, high = values.quantile([0.001, 0.999])
    return float(low), float(high) if high > low else float(low) + 1.0
