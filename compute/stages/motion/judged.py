"""Motions of the aligning stars against place on the detector and magnitude: what is left of CTE and distortion."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compute.kernels.surroundings import Stars
from compute.kernels.transforms import Transform
from compute.kernels.trends import trend
from compute.stages.plane import CENTRE, Plane

__all__ = ["trends"]

_BINS = 8


def trends(
    members: Stars, exposures: Sequence[tuple[Transform, tuple[float, float]]], plane: Plane
) -> list[dict[str, Any]]:
    """Mean motions [mas/yr] along the detector's axes in bins of x, y [pix] and magnitude, each with as many stars.

    Charge that is trapped while a CCD is read leaves motions along y that grow with the way to the amplifier and with
    magnitude; where exposures lie in several rolls it cancels in part.

    Parameters
    ----------
    members
        Aligning stars on the plane.
    exposures
        Of one frame: transformation from the detector to the frame, and where columns and rows of the array end.
    """
    x, y, turn = _on_detector(members, exposures, plane)
    motion = turn @ np.stack([members.pm_x, members.pm_y])
    errors = np.sqrt([members.var_x, members.var_y])
    found = []
    for coordinate, values in (("x", x), ("y", y), ("mag", members.mag)):
        known = values[np.isfinite(values)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1))) if known.size else np.zeros(0)
        if edges.size < 2:
            continue
        for axis, along in enumerate("xy"):
            one = trend(motion[axis], errors.max(axis=0), values, edges)
            found.append(
                {
                    "motion": along, "against": coordinate, "edges": _plain(edges), "mean": _plain(one.mean),
                    "error": _plain(one.error), "n": one.n.tolist(), "chi2": one.chi2, "dof": one.dof,
                    "p": _plain([one.p])[0],
                }
            )  # fmt: skip
    return found


def _on_detector(
    members: Stars, exposures: Sequence[tuple[Transform, tuple[float, float]]], plane: Plane
) -> tuple[NDArray, NDArray, NDArray]:
    """Mean place of each star in the exposures it lies in [pix], and from east and north to the first one's axes."""
    total, n, turn = np.zeros((2, members.x.size)), np.zeros(members.x.size), np.eye(2)
    frame_x, frame_y = CENTRE - members.x / plane.scale, CENTRE + members.y / plane.scale
    for k, (transform, (n_x, n_y)) in enumerate(exposures):
        places = np.stack(transform.invert(frame_x, frame_y))
        inside = (places > 0).all(0) & (places[0] < n_x) & (places[1] < n_y)
        total[:, inside] += places[:, inside]
        n += inside
        if k == 0:
            back = np.linalg.inv(transform.matrix) @ np.diag([-1.0, 1.0])  # x of the frame grows to the west
            turn = back / np.sqrt(abs(np.linalg.det(back)))
    with np.errstate(invalid="ignore"):
        x, y = total / np.where(n > 0, n, np.nan)
    return x, y, turn


def _plain(values: Any) -> list[float | None]:
    """For JSON, which has no NaN."""
    return [float(value) if np.isfinite(value) else None for value in values]
