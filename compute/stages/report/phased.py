"""What else depends on the pixel phase where the ePSF is wrong: magnitudes, and positions against another epoch's."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from compute.stages.report.binned import PHASES, amplitude, curve, phase, spread
from compute.stages.report.panels import headline, medians, trend
from compute.stages.report.residuals import bright
from compute.stages.report.style import BLUE, GREY, RED, new_figure, styled

__all__ = ["epoch_figure", "flux_figure", "of_other_epoch"]

_CELLS, _MOST = 10, 20  # along each axis of a pixel, and of a detector
_FILL, _LEAST = 25, 20  # stars of a cell, and of an exposure
_CLIP, _ROUNDS = 3.5, 3


@styled
def flux_figure(rows: pd.DataFrame, label: str) -> Figure:
    """Residual magnitudes `dmag` of bright detections against pixel phase, along either axis and over the pixel."""
    best = bright(rows)
    best = best[np.isfinite(best["dmag"])]
    figure, axes = new_figure(3.9, 1, 3)
    headline(figure, f"{label}: {len(best):,} bright of {len(rows):,} magnitudes")
    sigma = spread(best["dmag"]) if len(best) else 1e-3
    for axis, name, colour in zip(axes, "xy", (BLUE, RED), strict=False):
        found = trend(axis, phase(best[name]), best["dmag"], PHASES, 1.5 * sigma, colour)
        axis.set(xlabel=f"pixel phase in {name} [pix]", ylabel="magnitude − mean [mmag]")
        axis.set_title(f"amplitude {1e3 * amplitude(found.median):.2f} mmag")
    _pixel_map(figure, axes[2], best)
    return figure


def _pixel_map(figure: Figure, axis: Axes, best: pd.DataFrame) -> None:
    """Medians of magnitudes over the pixel."""
    n = int(np.clip(np.sqrt(len(best) / _FILL), 2, _CELLS))
    cell = [np.clip(((phase(best[name]) + 0.5) * n).astype(int), 0, n - 1) for name in "xy"]
    found = best["dmag"].groupby(cell[1] * n + cell[0]).median().reindex(range(n * n))
    shown = 1e3 * found.to_numpy().reshape(n, n)
    most = float(np.nanmax(np.abs(shown), initial=0.0)) or 1.0
    picture = axis.imshow(shown, extent=(-0.5, 0.5, -0.5, 0.5), cmap="RdBu_r", vmin=-most, vmax=most)
    figure.colorbar(picture, ax=axis, label="median [mmag]", pad=0.02)
    axis.set(xlabel="pixel phase in x [pix]", ylabel="in y [pix]", title="over the pixel")


def of_other_epoch(rows: pd.DataFrame, shift: NDArray, back: NDArray) -> pd.DataFrame:
    """Residuals of detections about the mean positions of another epoch's frame, on their detectors.

    Parameters
    ----------
    rows
        Detections of this epoch: `number` of the exposure, `x`, `y` on the detector; `dx`, `dy`, `x_error`, `y_error`
        on the frame.
    shift
        (n, 2) mean of this epoch minus mean of the other, of the star of each row [pix of the frame]; NaN where it is
        not known there.
    back
        (n_exposures, 2, 2) matrices from the frame to the detector.

    Returns
    -------
    DataFrame
        `number`, `x`, `y`, `dx`, `dy` and `error` of a position [pix of the detector]. What an affine transformation of
        each exposure takes up is gone, and the means of cells with twenty-five stars or more: frames differ by that
        much, and stars move.
    """
    known = np.isfinite(shift).all(axis=1)
    rows, matrix = rows[known], back[rows["number"][known]]
    frame = rows[["dx", "dy"]].to_numpy(float) + shift[known]
    off = np.einsum("kij,kj->ki", matrix, frame)
    size = np.sqrt(np.abs(np.linalg.det(matrix)))
    error = np.sqrt((rows["x_error"] ** 2 + rows["y_error"] ** 2) / 2) * size
    found = rows[["number", "x", "y"]].assign(dx=off[:, 0], dy=off[:, 1], error=error)
    parts = [_levelled(part) for _, part in found.groupby("number") if len(part) >= _LEAST]
    return pd.concat(parts) if parts else found[:0]


def _levelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Residuals of one exposure less their affine part and less means of cells, in which outliers have no say."""
    place, off = rows[["x", "y"]].to_numpy(), rows[["dx", "dy"]].to_numpy()
    terms = np.column_stack([np.ones(len(rows)), (place - place.mean(0)) / np.maximum(np.ptp(place, axis=0), 1.0)])
    good = np.ones(len(rows), bool)
    for _ in range(_ROUNDS):
        left = off - terms @ np.linalg.lstsq(terms[good], off[good], rcond=None)[0]
        limits = [_CLIP * spread(left[good, k]) for k in range(2)]
        good = (np.abs(left - np.median(left[good], axis=0)) <= limits).all(axis=1)
    n = int(np.clip(np.sqrt(len(rows) / _FILL), 1, _MOST))
    share = (place - place.min(0)) / np.maximum(np.ptp(place, axis=0), 1.0)
    across, up = np.minimum((share * n).astype(int), n - 1).T
    kept = pd.DataFrame(np.where(good[:, None], left, np.nan))
    left -= kept.groupby(up * n + across).transform("mean").to_numpy()
    return rows.assign(dx=left[:, 0], dy=left[:, 1])


@styled
def epoch_figure(rows: pd.DataFrame, label: str) -> Figure:
    """Residuals about another epoch's positions against pixel phase, and how they scatter (Anderson & King 2000, Figs.
    13 and 14); `rows` of :func:`of_other_epoch`.
    """
    best = bright(rows)
    figure, axes = new_figure(3.9, 1, 3)
    headline(figure, f"{label}: {len(best):,} bright of {len(rows):,} positions")
    sigma = spread(best[["dx", "dy"]].to_numpy().ravel()) if len(best) else 1e-3
    for axis, name, colour in zip(axes, "xy", (BLUE, RED), strict=False):
        found = trend(axis, phase(best[name]), best[f"d{name}"], PHASES, 1.5 * sigma, colour)
        axis.set(xlabel=f"pixel phase in {name} [pix]", ylabel=f"d{name} [mpix]")
        axis.set_title(f"amplitude {1e3 * amplitude(found.median):.2f} mpix")
        off = (best[f"d{name}"] - best[f"d{name}"].median()).abs()
        size = curve(phase(best[name]), 1.4826 * off, PHASES)
        medians(axes[2], size, colour, 1e3, label=name)
    axes[2].set(xlabel="pixel phase [pix]", ylabel="scatter [mpix]", xlim=(-0.5, 0.5), ylim=(0, None))
    axes[2].axhline(1e3 * sigma, color=GREY, lw=0.8, ls=":")
    axes[2].legend(loc="lower center", ncols=2, markerscale=1.0)
    return figure
