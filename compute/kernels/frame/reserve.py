"""Patches of sky whose stars take part in no solve, so that they may judge it."""

import numpy as np
from numpy.typing import NDArray

_PATCH = 64.0  # [pix of the frame]
_STEPS = 1 << 16


def reserved(x: NDArray, y: NDArray, share: float) -> NDArray[np.bool_]:
    """Whether positions on the frame (n,) [pix] lie in reserved patches, which cover about `share` of the sky.

    A patch's lot depends on its place alone: every exposure, filter and epoch reserves the same stars.
    """
    i, j = (np.floor(np.nan_to_num(axis) / _PATCH).astype(np.int64).astype(np.uint64) for axis in (x, y))
    mixed = (i * np.uint64(0x9E3779B97F4A7C15)) ^ (j * np.uint64(0xC2B2AE3D27D4EB4F))
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    lot = (mixed >> np.uint64(40)) % np.uint64(_STEPS)
    return lot < np.uint64(round(share * _STEPS))
