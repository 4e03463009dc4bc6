"""Which exposures of a frame saw their stars on the same pixels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compute.kernels.frame.transforms import Transform

__all__ = ["placements"]

_SAME = 0.3  # [detector pix] farther apart a star is seen by other parts of its pixels


def placements(transforms: Sequence[Transform | None]) -> NDArray[np.int64]:
    """By exposure, the first one that saw the sky on the same pixels, often the exposure itself.

    What flat fields and ePSFs leave of a star's position is the same in such exposures, and does not average out.

    Parameters
    ----------
    transforms
        From the detector to the frame; None for exposures that are not placed, which are alone.
    """
    number = np.arange(len(transforms))
    there = [(k, transform) for k, transform in enumerate(transforms) if transform is not None]
    if not there:
        return number
    (x, y), half = there[0][1].centre, there[0][1].scale
    corners = np.array([(x, y), *((x + a * half, y + b * half) for a in (-1, 1) for b in (-1, 1))]).T
    at = np.array([np.ravel(transform.apply(*corners)) / transform.magnification for _, transform in there])
    placed = np.array([k for k, _ in there])
    for row in range(1, len(there)):
        near = np.abs(at[:row] - at[row]).max(axis=1) < _SAME
        if near.any():
            number[placed[row]] = number[placed[np.argmax(near)]]
    return number
