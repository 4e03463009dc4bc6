"""Residuals of the detections of a master frame: on their detectors, with what they should scatter by."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compute.stages.report.binned import PHASES, amplitude, curve, phase, spread

__all__ = ["bright", "exposure_numbers", "on_detector", "phase_amplitude"]

_ALONE = 0.9  # share of a star's mean from which a detection says nothing about it
_BRIGHT, _SHARE = 0.02, 0.1  # pix; share of the detections


def on_detector(rows: pd.DataFrame, back: NDArray) -> pd.DataFrame:
    """Residuals turned and scaled back to detector pixels.

    Parameters
    ----------
    rows
        Detections that are part of a mean: `number` of the exposure, `x`, `y` on the detector, `dx`, `dy` and
        `x_error`, `y_error` on the frame, `mean_x_error`, `mean_y_error` of the star's mean; `mag`, `reserved`.
    back
        (n_exposures, 2, 2) matrices from the frame to the detector.

    Returns
    -------
    DataFrame
        `number`, `x`, `y`, `mag`, `reserved` of the rows that are less than nine tenths of their star's mean; `dx`,
        `dy` and the standard `error` of a position, along either axis, in detector pixels; `pull_x`, `pull_y`: residual
        over its standard error, the mean's share in the residual taken into account.
    """
    left = {axis: rows[f"{axis}_error"] ** 2 - rows[f"mean_{axis}_error"] ** 2 for axis in "xy"}
    several = np.logical_and.reduce([left[axis] > (1 - _ALONE) * rows[f"{axis}_error"] ** 2 for axis in "xy"])
    rows, left = rows[several], {axis: values[several] for axis, values in left.items()}
    matrix = back.astype(np.float32)[rows["number"]]  # of millions of rows, and residuals need no more
    dx, dy = (matrix[:, i, 0] * rows["dx"] + matrix[:, i, 1] * rows["dy"] for i in range(2))
    size = np.sqrt(np.abs(np.linalg.det(back))).astype(np.float32)[rows["number"]]
    return rows[["number", "x", "y", "mag", "reserved"]].assign(
        dx=dx,
        dy=dy,
        error=np.sqrt((rows["x_error"] ** 2 + rows["y_error"] ** 2) / 2) * size,
        pull_x=rows["dx"] / np.sqrt(left["x"]),
        pull_y=rows["dy"] / np.sqrt(left["y"]),
    )


def bright(rows: pd.DataFrame) -> pd.DataFrame:
    """The detections with standard errors below 0.02 pix, or the best tenth where these are fewer."""
    if rows.empty:
        return rows
    return rows[rows["error"] <= max(_BRIGHT, float(rows["error"].quantile(_SHARE)))]


def phase_amplitude(rows: pd.DataFrame, axis: str) -> float:
    """Largest |median residual| of ten bins of pixel phase about their mean [pix]."""
    return amplitude(curve(phase(rows[axis]), rows[f"d{axis}"], PHASES).median)


def exposure_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """What the bright detections of each exposure say, by its number; scatters per axis and amplitudes in pix."""
    found = {
        number: {
            "bright": len(part),
            "rms": _scatter(part[~part["reserved"]]),
            "rms_reserved": _scatter(part[part["reserved"]]),
            "phase_x": phase_amplitude(part, "x"),
            "phase_y": phase_amplitude(part, "y"),
        }
        for number, part in bright(rows).groupby("number")
    }
    columns = ["bright", "rms", "rms_reserved", "phase_x", "phase_y"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)


def _scatter(rows: pd.DataFrame) -> float:
    return spread(np.concatenate([rows["dx"], rows["dy"]]))
