"""Iterated averages and transformations: from samples of exposures to how each lies on the frame.

Anderson & King 2000, section 4.4; Libralato et al. 2023, section 4.4: positions of the same stars in many exposures
are transformed to a common frame and averaged, each exposure is transformed anew to the averages, and again.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels.frame.averages import Means
from compute.kernels.frame.planefit import Fit, fit
from compute.kernels.frame.transforms import Transform, TransformError
from compute.settings import FrameSettings
from compute.stages.linking.align import tie_to
from compute.stages.linking.detections import Detections
from compute.stages.linking.sample import Places, Sample

__all__ = ["Solution", "iterate", "solve"]

_NOTHING = Transform.linear(np.eye(2), np.zeros(2))
_IDENTIFY = 3  # rounds that look anew which detections are one star


class Solution(NamedTuple):
    """How exposures lie on the frame; lists and arrays by exposure.

    `fits` hold the transformations and what they rest on, None for exposures that could not be placed, with the reason
    in `reasons`. `floors` [pix] and `floors_mag` are to be added in quadrature to formal errors; `zero_points` [mag] to
    magnitudes. `tie` is the last transformation from the means to the reference, None without one.
    """

    fits: list[Fit | None]
    reasons: list[str]
    floors: NDArray[np.float64]
    floors_mag: NDArray[np.float64]
    zero_points: NDArray[np.float64]
    zero_point_errors: NDArray[np.float64]
    tie: Fit | None


def solve(
    samples: list[Sample],
    starts: list[Transform | None],
    reasons: list[str],
    reference: Places | None,
    base: int,
    settings: FrameSettings,
) -> Solution:
    """Average and transform until nothing moves.

    Parameters
    ----------
    samples, starts, reasons
        Of each exposure: its best stars, roughly where it lies, or None and why that is not known.
    reference
        What the means are tied to in every round; without it they are held where `starts` put them.
    base
        The exposure whose magnitudes are the frame's.
    """
    least = max(1, min(settings.min_found, sum(start is not None for start in starts)))
    found = Detections(samples, starts, reasons, settings, least)
    try:
        _, tie = iterate(found, reference, settings)
    except TransformError as error:
        none = np.full(len(samples), np.nan)
        reasons = [f"master frame: {error}" if reason == "ok" else reason for reason in found.reasons]
        return Solution([None] * len(samples), reasons, none, none, none, none, None)
    zero_points, errors, floors_mag = found.photometry(base)
    return Solution(found.fits, found.reasons, found.floors, floors_mag, zero_points, errors, tie)


def iterate(found: Detections, reference: Places | None, settings: FrameSettings) -> tuple[Means, Fit | None]:
    """Rounds until the exposures stay where they are; the last means, and their tie to the reference."""
    tie, first = None, None
    for number in range(settings.rounds):
        if number < _IDENTIFY:
            found.group()
            first = None
        means = found.average()
        if reference is not None:
            tie = tie_to(means, found.reserved, reference, settings)
            means = _moved(means, tie.transform)
        elif first is None:
            first = means
        else:
            one = ~found.reserved
            pairs = means.x[one], means.y[one], first.x[one], first.y[one]
            means = _moved(means, fit(found.gauge, *pairs, start=_NOTHING).transform)
        farthest = found.transform(means)
        found.estimate_floors(means)
        if number >= _IDENTIFY and farthest < settings.tolerance:
            break
    return means, tie


def _moved(means: Means, transform: Transform) -> Means:
    x, y = transform.apply(means.x, means.y)
    return means._replace(x=x, y=y)
