"""Motions of the aligning stars against place on the detector and magnitude: what is left of CTE and distortion."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels.frame.transforms import Transform
from compute.kernels.geometry.trends import trend
from compute.kernels.motion.surroundings import Stars
from compute.stages.plane import CENTRE, Plane

__all__ = ["Exposure", "trends"]

_BINS = 8
_ROLLS = 5.0  # exposures of one roll differ by no more [deg]


class Exposure(NamedTuple):
    """A detector's exposure: transformation to its master frame, and where columns and rows of the array end [pix]."""

    detector: str
    transform: Transform
    ends: tuple[float, float]

    @property
    def roll(self) -> float:
        """Position angle of the y axis, from north to east [deg], 0 to 360."""
        (_, east), (_, north) = self.transform.matrix * [[-1.0], [1.0]]  # x of the frame grows to the west
        return float(np.degrees(np.arctan2(east, north)) % 360.0)


def trends(members: Stars, exposures: Sequence[Exposure], plane: Plane) -> list[dict[str, Any]]:
    """Mean motions [mas/yr] along a detector's axes in bins of x, y [pix] and magnitude, each with as many stars.

    Charge that is trapped while a CCD is read leaves motions along y that grow with the way to the amplifier and with
    magnitude. It would cancel in part among several rolls, and is each detector's own: exposures count together where
    they are of one `detector`, and of one `roll` [deg] within five degrees.

    Parameters
    ----------
    members
        Aligning stars on the plane.
    exposures
        Of one frame.
    """
    return [
        {"detector": group[0].detector, "roll": group[0].roll, "exposures": len(group), **one}
        for group in _alike(exposures)
        for one in _trends(members, group, plane)
    ]


def _alike(exposures: Sequence[Exposure]) -> list[list[Exposure]]:
    """Exposures by detector and roll, each group in order of roll from its first one."""
    found: list[list[Exposure]] = []
    for detector in sorted({one.detector for one in exposures}):
        mine = sorted((one for one in exposures if one.detector == detector), key=lambda one: one.roll)
        gaps = [(one.roll - before.roll) % 360.0 for before, one in zip([mine[-1], *mine[:-1]], mine, strict=True)]
        first = int(np.argmax(gaps))  # rolls about north are no two groups
        for one in mine[first:] + mine[:first]:
            group = found[-1] if found and found[-1][0].detector == detector else []
            if group and (one.roll - group[0].roll) % 360.0 <= _ROLLS:
                group.append(one)
            else:
                found.append([one])
    return found


def _trends(members: Stars, exposures: Sequence[Exposure], plane: Plane) -> list[dict[str, Any]]:
    """Trends of exposures that are alike."""
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


def _on_detector(members: Stars, exposures: Sequence[Exposure], plane: Plane) -> tuple[NDArray, NDArray, NDArray]:
    """Mean place of each star in the exposures it lies in [pix], and from east and north to the first one's axes."""
    total, n, turn = np.zeros((2, members.x.size)), np.zeros(members.x.size), np.eye(2)
    frame_x, frame_y = CENTRE - members.x / plane.scale, CENTRE + members.y / plane.scale
    for k, (_, transform, (n_x, n_y)) in enumerate(exposures):
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
