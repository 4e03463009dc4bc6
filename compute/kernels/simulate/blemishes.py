"""What is wrong with a detector for good: uneven response, dead, hot and noisy pixels, bad columns."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Kind(IntEnum):
    """What a pixel is good for."""

    GOOD = 0
    DEAD = 1  # no response
    HOT = 2  # extra dark current
    NOISY = 3  # any other fault


_FAULTS = np.array([Kind.DEAD, Kind.HOT, Kind.NOISY], np.uint8)
_SHARES = (0.3, 0.5, 0.2)
_CLUSTERED, _MEMBERS, _WIDTH = 0.1, 6, 1.0  # share of bad pixels in clusters; pixels of a cluster, and its rms [pix]
_IN_COLUMNS = 0.25  # share of a CCD's bad pixels that stand in bad columns
_LEAST, _MOST = 0.1, 300.0  # current of hot pixels [e/s]


def flat_residuals(shape: tuple[int, int], rms: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Response of each pixel after flat-fielding: Gaussian about a mean of exactly 1, cut at 4 sigma.

    The cut keeps every response positive up to an `rms` of 0.2; it takes less than a thousandth from the rms.
    """
    flat = rng.standard_normal(shape, dtype=np.float32)
    np.clip(flat, -4, 4, out=flat)
    flat *= rms
    flat += 1 - flat.mean(dtype=np.float64)
    return flat


def bad_pixels(
    shape: tuple[int, int], share: float, rng: np.random.Generator, *, columns: bool = False
) -> NDArray[np.uint8]:
    """`Kind` of every pixel, of which round(`share` * size) are bad.

    Most stand alone, a tenth in clusters of one kind. With `columns` a quarter is dead columns, from a blocked pixel
    to the upper or the lower end of the array.
    """
    kinds = np.zeros(shape, np.uint8)
    number = round(share * kinds.size)
    if columns:
        _block_columns(kinds, int(_IN_COLUMNS * number), rng)
    _cluster(kinds, int(_CLUSTERED * number), rng)
    good = np.flatnonzero(kinds.ravel() == Kind.GOOD)
    left = number - (kinds.size - good.size)
    chosen = good[rng.choice(good.size, left, replace=False, shuffle=False)]
    kinds.ravel()[chosen] = rng.choice(_FAULTS, left, p=_SHARES)
    return kinds


def _block_columns(kinds: NDArray[np.uint8], number: int, rng: np.random.Generator) -> None:
    """Kill `number` pixels in columns of their own, each cut off at a random row."""
    n_y, n_x = kinds.shape
    for column in rng.permutation(n_x):
        length = min(int(rng.integers(1, n_y + 1)), number)
        rows = slice(n_y - length, n_y) if rng.random() < 0.5 else slice(0, length)
        kinds[rows, column] = Kind.DEAD
        number -= length
        if number <= 0:
            return


def _cluster(kinds: NDArray[np.uint8], number: int, rng: np.random.Generator) -> None:
    """Strike up to `number` pixels in round clusters; what two members share or falls outside counts once or never."""
    n_y, n_x = kinds.shape
    centres = (number // _MEMBERS, 1)
    y = np.rint(rng.uniform(0, n_y, centres) + rng.normal(0, _WIDTH, (centres[0], _MEMBERS))).astype(np.int64)
    x = np.rint(rng.uniform(0, n_x, centres) + rng.normal(0, _WIDTH, (centres[0], _MEMBERS))).astype(np.int64)
    kind = np.broadcast_to(rng.choice(_FAULTS, centres, p=_SHARES), y.shape)
    inside = (y >= 0) & (y < n_y) & (x >= 0) & (x < n_x)
    kinds[y[inside], x[inside]] = kind[inside]


def hot_current(kinds: NDArray[np.uint8], rng: np.random.Generator, median: float = 2.0) -> NDArray[np.float32]:
    """Dark current of the hot pixels above the others' [e/s]: log-normal about `median`, 0.1 to 300; 0 elsewhere."""
    current = np.zeros(kinds.shape, np.float32)
    hot = kinds == Kind.HOT
    current[hot] = np.clip(rng.lognormal(np.log(median), 1.5, np.count_nonzero(hot)), _LEAST, _MOST)
    return current
