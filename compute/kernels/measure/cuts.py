"""Running limits: what is usual among the sources of like magnitude."""

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 3  # of clipping


def running(
    x: NDArray, value: NDArray, at: NDArray, nearest: int, clip: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Clipped median and spread of `value` among the `nearest` sources in `x`, where `x` is `at`.

    Windows follow one another by an eighth of their width; between their middles both are linear, beyond the first
    and last constant. Galaxies, blends and rays count in a window only until they are beyond `clip` times its spread.
    Neither depends on the order of the sources.

    Parameters
    ----------
    x, value
        (n,) finite; n > 0.
    at
        (m,); NaN gives NaN.

    Returns
    -------
    middle, spread
        (m,); the spread is 1.4826 times the median absolute deviation, the standard deviation of normal noise.
    """
    order = np.lexsort((value, x))
    width = min(nearest, order.size)
    windows = np.lib.stride_tricks.sliding_window_view(order, width)[:: max(width // 8, 1)]
    inside = value[windows].astype(float)
    for _ in range(_ROUNDS):
        middle = np.nanmedian(inside, axis=1)
        spread = 1.4826 * np.nanmedian(abs(inside - middle[:, None]), axis=1)
        # Where more than half are alike the spread is zero, and they stay.
        inside[abs(inside - middle[:, None]) > clip * spread[:, None]] = np.nan
    middles = np.median(x[windows], axis=1)
    return np.interp(at, middles, middle), np.interp(at, middles, spread)
