"""When a pixel of NIRCam or NIRISS is read: there is no shutter, and pixels are reset and read one after another.

Ten microseconds a pixel, twelve pixel times after every row of an amplifier, and up to three rows at the end of a frame
(JWST documentation, NIRCam and NIRISS detector readout; Kelley 2022, with B. Hilbert's account of the overheads).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

PIXEL_TIME = 1e-5  # s
ROW_OVERHEAD = 12  # pixel times


@dataclass(frozen=True)
class Readout:
    """An array of `n_x` by `n_y` pixels read through `amplifiers` equal stripes side by side along the fast axis.

    `fast`, `slow` are +-1 (along +-x) or +-2 (along +-y), one of each kind: FASTAXIS and SLOWAXIS of JWST headers.

    Raises
    ------
    ValueError
        For other axes, and for stripes that do not fill the array.
    """

    n_x: int
    n_y: int
    fast: int
    slow: int
    amplifiers: int = 1

    def __post_init__(self):
        if {abs(self.fast), abs(self.slow)} != {1, 2}:
            raise ValueError(f"axes {self.fast} and {self.slow}, expected one of +-1 and one of +-2")
        if self.amplifiers < 1 or self.n_fast % self.amplifiers:
            raise ValueError(f"{self.amplifiers} amplifiers for {self.n_fast} pixels along the fast axis")

    @property
    def n_fast(self) -> int:
        """Pixels along the fast axis, over all amplifiers."""
        return self.n_x if abs(self.fast) == 1 else self.n_y

    @property
    def n_slow(self) -> int:
        """Pixels along the slow axis: rows of every amplifier."""
        return self.n_y if abs(self.fast) == 1 else self.n_x


def frame_time(n_fast: int, n_slow: int, amplifiers: int = 1, nircam: bool = False) -> float:
    """Time of one read of the array [s].

    With four amplifiers a frame ends with one more row and one more pixel, with one amplifier with two more rows;
    with three where NIRCam's array has at most 8x8 pixels.
    """
    if amplifiers > 1:
        rows, pixels = n_slow + 1, 1
    else:
        rows, pixels = n_slow + (3 if nircam and max(n_fast, n_slow) <= 8 else 2), 0
    return ((n_fast // amplifiers + ROW_OVERHEAD) * rows + pixels) * PIXEL_TIME


def delay(x: ArrayLike, y: ArrayLike, readout: Readout, alternating: bool = False) -> NDArray[np.float64]:
    """Seconds from the first pixel of a frame to the pixels in which array positions `x`, `y` lie.

    Every amplifier reads in the direction of the fast axis (Kelley 2022), or, `alternating`, every second one the
    other way, as the keyword FASTAXIS is documented; they differ by less than one row of an amplifier. Positions off
    the array count as its nearest pixels, NaN gives NaN.
    """
    along_x = abs(readout.fast) == 1
    along = _read_index(x if along_x else y, readout.n_fast, readout.fast)
    row = _read_index(y if along_x else x, readout.n_slow, readout.slow)
    width = readout.n_fast // readout.amplifiers
    stripe, column = np.divmod(along, width)
    if alternating:
        column = np.where(stripe % 2 == 1, width - 1 - column, column)
    return (row * (width + ROW_OVERHEAD) + column) * PIXEL_TIME


def _read_index(position: ArrayLike, n: int, axis: int) -> NDArray[np.float64]:
    """Place of a pixel in the order of reading along one axis."""
    pixel = np.clip(np.floor(np.asarray(position, dtype=float) + 0.5), 0, n - 1)
    return pixel if axis > 0 else n - 1 - pixel
