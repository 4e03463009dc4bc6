"""When a pixel is read: near-infrared arrays have no shutter, and are read pixel by pixel.

After M. Kelley's account of NIRCam timing (2022) and the readout pages of JWST's documentation: 10 microseconds a
pixel, 12 pixel times a row, four amplifiers of 512 pixels in parallel on a full frame whose directions alternate.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

PIXEL_TIME, ROW_PIXELS, STRIPE = 1e-5, 12, 512  # s, pixels, pixels


def frame_time(n_fast: int, n_slow: int) -> float:
    """Time of one read [s]: four amplifiers and one more row for a full frame, one and two for a subarray."""
    if n_fast == 4 * STRIPE:
        return ((STRIPE + ROW_PIXELS) * (n_slow + 1) + 1) * PIXEL_TIME
    return (n_fast + ROW_PIXELS) * (n_slow + 2) * PIXEL_TIME


def delay(x: ArrayLike, y: ArrayLike, n_x: int, n_y: int, fast: int, slow: int) -> NDArray[np.float64]:
    """Seconds by which array pixels (x, y) are read after the first pixel of a frame.

    `fast`, `slow` are the axes of the first amplifier, +-1 along x and +-2 along y; positions off the array count as
    its nearest pixels.
    """
    column = np.clip(np.rint(np.asarray(x, float)), 0, n_x - 1)
    row = np.clip(np.rint(np.asarray(y, float)), 0, n_y - 1)
    along, n_along = (column, n_x) if abs(fast) == 1 else (row, n_y)
    across, n_across = (row, n_y) if abs(fast) == 1 else (column, n_x)
    fast_index = along if fast > 0 else n_along - 1 - along
    slow_index = across if slow > 0 else n_across - 1 - across
    width = STRIPE if n_along == 4 * STRIPE else n_along
    stripe, step = np.divmod(fast_index, width)
    step = np.where(stripe % 2 == 1, width - 1 - step, step)
    return (slow_index * (width + ROW_PIXELS) + step) * PIXEL_TIME
