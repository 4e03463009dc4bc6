"""Patterns of dithers that spread phases evenly over the pixels of several detectors at once.

Anderson & King 2000, section 5.1: phases should fill the pixel in two dimensions, without need of a regular raster; and
where detectors of incommensurable pixels look at once, whole pixels of one are added until the pattern is good for the
others too. Here that is a minimum over all offsets together.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compute.kernels.calibrate.phases import largest_hole

__all__ = ["HARMONICS", "box", "line", "pattern_damping", "plan"]

HARMONICS = 3
_TRIED, _PLACES = 100, 1000  # patterns tried, more where that many places, times scales, allow it
_STEPS, _STEP, _TINY = 250, 0.1, 1e-9  # steps down for each pattern; the first of them [pix of the smallest scale]
_DIAGONAL = 0.03  # weight of harmonics along both axes at once, to keep phases off lines
_EQUAL = 0.01  # patterns whose rms is no farther from the least: of these the one with the smallest hole is taken
_DECIMALS = 4  # of an arcsecond


def pattern_damping(offsets: NDArray, scale: float) -> NDArray[np.float64]:
    """Share of a pixel-phase bias that a pattern leaves: (2, HARMONICS), along x and y.

    Parameters
    ----------
    offsets
        (N, 2) x, y [arcsec].
    scale
        [arcsec/pix]
    """
    k = np.arange(1, HARMONICS + 1)
    turn = 2j * np.pi * offsets.T[:, None, :] / scale * k[:, None]
    return np.abs(np.exp(turn).mean(2))


def line(n: int, reach: float) -> NDArray[np.float64]:
    """Equal steps along the diagonal, (n, 2)."""
    return np.repeat(np.linspace(0.0, reach, n)[:, None], 2, 1)


def box(n: int, reach: float) -> NDArray[np.float64]:
    """The first n points of a square raster, (n, 2)."""
    side = int(np.ceil(np.sqrt(n)))
    step = np.linspace(0.0, reach, side)
    return np.array([(step[k % side], step[k // side]) for k in range(n)])


def plan(n: int, scales: Sequence[float], reach: float, seed: int = 0) -> NDArray[np.float64]:
    """Offsets (n, 2) [arcsec] that leave least of a pixel-phase bias, rms over harmonics, axes and scales.

    Of patterns as good as that, it is the one with the smallest hole in the phases of both axes together. The first
    offset is 0, 0 and the others follow by x. The same arguments give the same pattern.

    Parameters
    ----------
    n
        Pointings, at least 2.
    scales
        [arcsec/pix] of the detectors that the pattern shall be good for.
    reach
        Farthest from the first pointing, along each axis [arcsec].
    seed
        Of the patterns that are tried.

    Raises
    ------
    ValueError
        For fewer than 2 pointings, no scale, or a scale or reach that is not positive.
    """
    sizes = np.array(scales, float)
    if n < 2 or sizes.size == 0 or not (np.isfinite([*sizes, reach]).all() and min(*sizes, reach) > 0):
        raise ValueError(f"found {n} pointings, scales {list(scales)}, reach {reach}; expected 2 or more, all positive")
    wave, weight = _waves(sizes)
    tries = max(_TRIED, _PLACES // (n * sizes.size))
    start = np.random.default_rng(seed).uniform(-reach, reach, (tries, n, 2))
    start[:, 0] = 0.0
    tried = _descend(start, wave, weight, reach, _STEP * sizes.min())
    axes = weight == 1.0
    left = np.sqrt(_left(tried, wave[axes], weight[axes])[0] / np.count_nonzero(axes))
    equals = tried[left <= left.min() + _EQUAL]
    best = min(equals, key=lambda one: max(largest_hole(*(one / size).T) for size in sizes))
    rest = np.round(best[1:], _DECIMALS) + 0.0
    return np.vstack([best[:1], rest[np.lexsort(rest.T[::-1])]])


def _waves(scales: NDArray) -> tuple[NDArray, NDArray]:
    """Wave vectors (M, 2) [rad/arcsec] of the harmonics, half a plane of them for each scale, and weights (M,)."""
    k = np.arange(-HARMONICS, HARMONICS + 1)
    i, j = (axis.ravel() for axis in np.meshgrid(k, k))
    half = (j > 0) | ((j == 0) & (i > 0))
    pairs = np.column_stack([i, j])[half]
    weight = np.where((pairs == 0).any(1), 1.0, _DIAGONAL)
    wave = 2 * np.pi * pairs / scales[:, None, None]
    return wave.reshape(-1, 2), np.tile(weight, scales.size)


def _descend(place: NDArray, wave: NDArray, weight: NDArray, reach: float, step: float) -> NDArray[np.float64]:
    """Many patterns (P, n, 2), each down to a minimum near it, its first place fixed (Adam; Kingma & Ba 2015)."""
    mean, square = np.zeros_like(place), np.zeros_like(place)
    for k in range(_STEPS):
        slope = _left(place, wave, weight)[1]
        slope[:, 0] = 0.0
        mean += 0.1 * (slope - mean)
        square += 0.01 * (slope**2 - square)
        ahead = mean / (1 - 0.9 ** (k + 1)) / (np.sqrt(square / (1 - 0.99 ** (k + 1))) + _TINY)
        place = np.clip(place - step * (1 - k / _STEPS) ** 2 * ahead, -reach, reach)
    return place


def _left(place: NDArray, wave: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """Weighted sums of squared dampings (P,) of patterns, and their slopes with every offset (P, n, 2)."""
    x, y = place[:, None, :, 0], place[:, None, :, 1]
    in_x, in_y = wave.T[:, :, None]
    turn = np.exp(1j * (in_x * x + in_y * y))
    mean = turn.mean(2)
    each = -2 / place.shape[1] * weight[:, None] * (mean.conj()[..., None] * turn).imag
    slope = np.stack([(each * in_x).sum(1), (each * in_y).sum(1)], axis=2)
    return (weight * np.abs(mean) ** 2).sum(1), slope
