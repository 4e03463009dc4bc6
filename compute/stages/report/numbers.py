"""What a report says of a master frame in numbers."""

from typing import Any

import numpy as np
import pandas as pd

from compute.stages.report.binned import spread
from compute.stages.report.precision import precision
from compute.stages.report.residuals import bright, phase_amplitude

__all__ = ["frame_numbers", "plain"]

_LISTED = ["exposure", "detector", "n_used", "floor", "floor_mag", "scale", "scale_error", "rotation", "zero_point",
           "zero_point_error", "status"]  # fmt: skip


def frame_numbers(
    rows: pd.DataFrame,
    master: pd.DataFrame,
    stars: pd.DataFrame,
    residuals: pd.DataFrame,
    singles: pd.DataFrame,
    scales: tuple[float, float],
) -> dict[str, Any]:
    """Numbers of a frame and of its exposures.

    Parameters
    ----------
    rows
        TRANSFORMS of the frame, also those of exposures that could not be placed and of the tie to a reference.
    master, stars
        MASTER, and its well measured stars.
    residuals, singles
        Residuals of those, on their detectors, and what they say of each exposure, by number among those placed.
    scales
        Of the frame and of the detector [mas/pix].
    """
    taken = rows["detector"] != ""
    placed = rows[taken & (rows["status"] == "ok")].reset_index(drop=True)
    tie, best = rows[~taken], bright(residuals)
    used, kept = best[~best["reserved"]], best[best["reserved"]]
    mas = scales[0]
    return {
        "stars": len(master),
        "well_measured": precision(stars, mas)._asdict(),
        "exposures": len(placed),
        "rejected": int((taken & (rows["status"] != "ok")).sum()),
        "floor_mas": [mas * placed["floor"].min(), mas * placed["floor"].max()],
        "scale": [placed["scale"].min(), placed["scale"].max()],
        "tie_mas": mas * tie["rms"].iloc[0] if len(tie) else None,
        "tie_stars": int(tie["n_used"].iloc[0]) if len(tie) else None,
        "pulls": {axis: spread(residuals[f"pull_{axis}"]) for axis in "xy"},
        "bright": {"used": _judged(used), "reserved": _judged(kept)},
        "phase": {axis: _largest_phase(best, placed, axis) for axis in "xy"},
        "singles": pd.concat([placed[_LISTED], singles], axis=1).to_dict("records")
        + rows.loc[taken & (rows["status"] != "ok"), _LISTED].to_dict("records"),
    }


def _judged(rows: pd.DataFrame) -> dict[str, float]:
    """Scatter per axis [pix of the detector] and pulls of some residuals."""
    return {
        "n": len(rows),
        "rms": spread(np.concatenate([rows["dx"], rows["dy"]])),
        "pull": spread(np.concatenate([rows["pull_x"], rows["pull_y"]])),
    }


def _largest_phase(best: pd.DataFrame, placed: pd.DataFrame, axis: str) -> float:
    """Pixel-phase amplitude [pix], of the detector where it is largest."""
    detector = placed["detector"].to_numpy()[best["number"]]
    return max((phase_amplitude(part, axis) for _, part in best.groupby(detector)), default=np.nan)


def plain(value: Any) -> Any:
    """Values as JSON knows them: NaN becomes None."""
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is None or value != value else value
