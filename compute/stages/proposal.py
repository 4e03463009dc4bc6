"""Dithers for exposures yet to be taken, beside what plain patterns would do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from compute.kernels.calibrate.dithers import box, line, pattern_damping, plan
from compute.kernels.calibrate.phases import largest_gap, largest_hole

__all__ = ["MOST", "Pattern", "Proposal", "propose"]

MOST = 25  # pointings of one pattern
_REACH = 4.0  # [pix] of the largest scale


@dataclass(frozen=True, eq=False)
class Pattern:
    """Offsets (n, 2) x, y [arcsec]; by scale damping (2, harmonics), largest gap of phases (2,) and hole [pix]."""

    name: str
    offsets: NDArray[np.float64]
    damping: tuple[NDArray[np.float64], ...]
    gap: tuple[NDArray[np.float64], ...]
    hole: tuple[float, ...]

    @property
    def rms(self) -> float:
        """Damping over harmonics, axes and scales."""
        return float(np.sqrt(np.mean(np.square(self.damping))))


@dataclass(frozen=True)
class Proposal:
    """A pattern good for all `scales` [arcsec/pix] within `reach` [arcsec], and plain ones; the proposed is first."""

    scales: tuple[float, ...]
    reach: float
    patterns: tuple[Pattern, ...]

    def phases(self, scale: float) -> NDArray[np.float64]:
        """Phases (n, 2) of the proposed pointings [pix], from 0 to 1."""
        return self.patterns[0].offsets / scale % 1.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it; keys of scales are in arcsec/pix."""
        told = {}
        for pattern in self.patterns:
            by_scale = zip(self.scales, pattern.damping, pattern.gap, pattern.hole, strict=True)
            scales = {
                f"{scale:g}": {"damping": _axes(left), "gap": _axes(gap), "hole": round(hole, 4)}
                for scale, left, gap, hole in by_scale
            }
            offsets = pattern.offsets.tolist()
            told[pattern.name] = {"offsets": offsets, "rms": round(pattern.rms, 4), "scales": scales}
        phases = {f"{scale:g}": np.round(self.phases(scale), 4).tolist() for scale in self.scales}
        return {"scales": list(self.scales), "reach": self.reach, "phases": phases, "patterns": told}


def propose(n: int, scales: Sequence[float], reach: float | None = None) -> Proposal:
    """A pattern of `n` dithers that is good for several sizes of pixels at once.

    Parameters
    ----------
    n
        Pointings, 2 to MOST.
    scales
        [arcsec/pix]; one that comes twice counts once.
    reach
        Farthest from the first pointing, along each axis [arcsec]; four of the largest pixels unless given.

    Raises
    ------
    UnusableError
        For numbers out of these ranges.
    """
    if not 2 <= n <= MOST:
        raise UnusableError("calibrate --plan", n, f"2 to {MOST} pointings")
    sizes = tuple(sorted(set(scales)))
    for size in sizes:
        if not 0 < size < np.inf:
            raise UnusableError("calibrate --scale", size, "arcseconds a pixel, more than 0")
    reach = round(_REACH * max(sizes), 4) if reach is None else reach
    if not 0 < reach < np.inf:
        raise UnusableError("calibrate --reach", reach, "arcseconds, more than 0")
    found = {"plan": plan(n, sizes, reach), "line": line(n, reach), "box": box(n, reach)}
    return Proposal(sizes, reach, tuple(_judged(name, offsets, sizes) for name, offsets in found.items()))


def _judged(name: str, offsets: NDArray, scales: tuple[float, ...]) -> Pattern:
    pixels = [offsets.T / scale for scale in scales]
    return Pattern(
        name,
        offsets,
        tuple(pattern_damping(offsets, scale) for scale in scales),
        tuple(np.array([largest_gap(axis) for axis in axes]) for axes in pixels),
        tuple(largest_hole(*axes) for axes in pixels),
    )


def _axes(values: NDArray) -> dict[str, Any]:
    return dict(zip("xy", np.round(values, 4).tolist(), strict=True))
