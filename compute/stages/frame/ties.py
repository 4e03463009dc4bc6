"""From measured exposures of one frame to its rows of TRANSFORMS."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from catalogs.masters import TRANSFORMS
from compute.kernels.frame.planefit import Fit
from compute.kernels.frame.transforms import Transform
from compute.settings import FrameSettings
from compute.stages.frame.groups import FrameKey
from compute.stages.linking.align import middle_of, place_roughly
from compute.stages.linking.placements import placements
from compute.stages.linking.sample import links, places, saturated
from compute.stages.linking.solve import Solution, solve
from compute.stages.plane import Plane

__all__ = ["read_transform", "shared", "transforms"]

_REFERENCE = "reference"


def transforms(
    rows: pd.DataFrame,
    measured: Iterable[pd.DataFrame],
    reference: pd.DataFrame | None,
    key: FrameKey,
    plane: Plane,
    settings: FrameSettings,
) -> pd.DataFrame:
    """How the exposures of a frame lie on it.

    Parameters
    ----------
    rows, measured
        EXPOSURES of the frame, and MEASUREMENTS of each; of these only the best stars are kept.
    reference
        Sources of a reference catalog at the frame's epoch: `ra`, `dec`, their errors and correlation, `mag`.

    Returns
    -------
    DataFrame
        TRANSFORMS, a row for each exposure and, with a reference, one for how well that is met. An exposure that cannot
        be placed has its reason as `status`.
    """
    samples, bright = [], []
    for stars in measured:
        samples.append(links(stars, settings.link_stars, settings.link_snr))
        bright.append(saturated(stars))
    known = None if reference is None else places(reference, plane)
    base = _base(rows, plane, settings)
    starts, reasons = place_roughly(rows, samples, known, base, plane, settings, bright)
    solution = solve(samples, starts, reasons, known, base, settings)
    found = [_row(rows.iloc[k], samples[k].corrected, solution, k, key, plane) for k in range(len(rows))]
    if solution.tie is not None:
        found.append(_tie_row(solution, key))
    return TRANSFORMS.conform(pd.DataFrame(found))


def read_transform(row: Mapping[str, Any]) -> Transform:
    """The transformation of a row of TRANSFORMS."""
    return Transform(
        row["kind"], np.array(json.loads(row["coefficients"])), np.array(json.loads(row["covariance"])),
        (row["x_centre"], row["y_centre"]), row["half_width"],
    )  # fmt: skip


def shared(rows: pd.DataFrame, solved: pd.DataFrame) -> pd.DataFrame:
    """What errors exposures share: `floor`, `floor_mag` of TRANSFORMS, and `placement`, a number that exposures of one
    frame have in common where their stars were on the same pixels. With `exposure` and `detector` in the order of
    `rows`; exposures that are in no frame have no floors.
    """
    placed = solved[(solved["status"] == "ok") & (solved["detector"] != "")]
    parts, first = [], 0
    for _, of in placed.groupby(["instrument", "filter", "epoch"], sort=True):
        number = placements([read_transform(row) for row in of.to_dict("records")])
        parts.append(of[["exposure", "detector", "floor", "floor_mag"]].assign(placement=first + number))
        first += len(of)
    found = rows[["exposure", "detector"]].merge(pd.concat(parts), "left", ["exposure", "detector"])
    return found.fillna({"floor": 0.0, "floor_mag": 0.0, "placement": 0}).astype({"placement": np.int64})


def _base(rows: pd.DataFrame, plane: Plane, settings: FrameSettings) -> int:
    """The exposure that sets the zero point: as told, or the one that points nearest to the middle."""
    if settings.photometry in set(rows["exposure"]):
        return int(np.argmax(rows["exposure"] == settings.photometry))
    return middle_of(rows, plane)


def _row(row: pd.Series, corrected: bool, solution: Solution, k: int, key: FrameKey, plane: Plane) -> dict[str, Any]:
    """TRANSFORMS of exposure `k`."""
    found = {
        "exposure": row["exposure"], "detector": row["detector"], **key._asdict(), "corrected": corrected,
        "zero_point": solution.zero_points[k], "zero_point_error": solution.zero_point_errors[k],
        "floor": solution.floors[k], "floor_mag": solution.floors_mag[k],
    }  # fmt: skip
    fit = solution.fits[k]
    if fit is None:
        nothing = Transform.linear(np.full((2, 2), np.nan), np.full(2, np.nan))
        return found | _numbers(nothing) | dict.fromkeys(_DERIVED, np.nan) | {
            "floor": np.nan, "floor_mag": np.nan, "rms": np.nan, "n_used": 0, "status": solution.reasons[k]
        }  # fmt: skip
    aberration = 1.0 if pd.isna(row["va_scale"]) else row["va_scale"]
    return found | _numbers(fit.transform) | _derived(fit, plane.scale / aberration) | _quality(fit)


_DERIVED = ("scale", "scale_error", "rotation", "skew_on", "skew_off")


def _numbers(transform: Transform) -> dict[str, Any]:
    """The transformation itself."""
    return {
        "kind": transform.kind,
        "x_centre": transform.centre[0],
        "y_centre": transform.centre[1],
        "half_width": transform.scale,
        "coefficients": json.dumps(transform.coefficients.tolist()),
        "covariance": json.dumps(transform.covariance.tolist()),
    }


def _derived(fit: Fit, mas: float) -> dict[str, float]:
    """Scale, orientation and skews at the centre; `mas` is the scale of the frame."""
    transform = fit.transform
    (a, b), (c, d) = transform.matrix
    linear = np.ravel_multi_index(([0, 0, 1, 1], [1, 2, 1, 2]), transform.coefficients.shape)
    spread = transform.covariance[np.ix_(linear, linear)] / transform.scale**2
    size = transform.magnification
    slope = np.array([d, -c, -b, a]) / (2 * size)  # of sqrt(ad - bc)
    on, off = transform.skews
    return {
        "scale": size * mas,
        "scale_error": float(np.sqrt(slope @ spread @ slope)) * mas,
        # x grows to the west: the image's +y is b pix to the west and d to the north of where it starts.
        "rotation": float(np.degrees(np.arctan2(-b, d)) % 360.0),
        "skew_on": on / size,
        "skew_off": off / size,
    }


def _quality(fit: Fit) -> dict[str, Any]:
    return {"rms": float(np.hypot(fit.rms_x, fit.rms_y) / np.sqrt(2)), "n_used": fit.n_used, "status": "ok"}


def _tie_row(solution: Solution, key: FrameKey) -> dict[str, Any]:
    """What the last tie to the reference still had to change, and the scatter about it."""
    assert solution.tie is not None
    missing = dict.fromkeys((*_DERIVED, "zero_point", "zero_point_error", "floor", "floor_mag"), np.nan)
    named = {"exposure": _REFERENCE, "detector": "", **key._asdict(), "corrected": True}
    return named | missing | _numbers(solution.tie.transform) | _quality(solution.tie)
