"""The distortion that is true: polynomials per chip and a map of fine structure, forward, inverse and Jacobian.

corrected = raw + polynomial(raw) + map(raw), all in pixels of the abutted detector frame. Polynomials run over
u = (x - middle_x) / half, v = (y - middle_y) / half; the map is bilinear between pixel centres and ends at the edges of
a chip, so that one chip never sees another's.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit


class Distortion(NamedTuple):
    """A detector's distortion through one filter.

    `polynomial` (n_chips, 2, p, p) [chip, axis, power of u, power of v]; `fine` (2, n_y, n_x) [axis, y, x];
    `chips` (n_chips, 2) first row and row after the last; `middle` (x, y); `half` [pix].
    """

    polynomial: NDArray[np.float64]
    fine: NDArray[np.float32]
    chips: NDArray[np.int64]
    middle: tuple[float, float]
    half: float


def forward(truth: Distortion, x: NDArray, y: NDArray, chip: NDArray | int = 0) -> tuple[NDArray, NDArray]:
    """Raw to corrected positions [pix]; any shape, `chip` the row of `chips` each position belongs to."""
    x, y, chip = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float), np.asarray(chip, np.int64))
    out = np.empty((2, x.size))
    _forward(*truth[:3], *truth.middle, truth.half, x.flatten(), y.flatten(), chip.flatten(), out)
    return out[0].reshape(x.shape), out[1].reshape(x.shape)


def inverse(truth: Distortion, x: NDArray, y: NDArray, chip: NDArray | int = 0) -> tuple[NDArray, NDArray]:
    """Corrected to raw positions [pix], by Newton's method on the forward map, to 1e-9 pix."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    raw_x, raw_y = x.copy(), y.copy()
    for _ in range(50):
        got_x, got_y = forward(truth, raw_x, raw_y, chip)
        miss_x, miss_y = x - got_x, y - got_y
        if max(np.abs(miss_x).max(initial=0.0), np.abs(miss_y).max(initial=0.0)) < 1e-10:
            break
        (a, b), (c, d) = jacobian(truth, raw_x, raw_y, chip)
        area = a * d - b * c
        raw_x = raw_x + (d * miss_x - b * miss_y) / area
        raw_y = raw_y + (a * miss_y - c * miss_x) / area
    return raw_x, raw_y


def jacobian(truth: Distortion, x: NDArray, y: NDArray, chip: NDArray | int = 0) -> NDArray[np.float64]:
    """Derivatives (2, 2, ...) of corrected by raw position, [corrected axis, raw axis], of the smooth polynomials."""
    smooth, step = truth._replace(fine=np.zeros((2, 1, 1), np.float32)), 0.5
    along = [forward(smooth, x + sign * step, y, chip) for sign in (1, -1)]
    across = [forward(smooth, x, y + sign * step, chip) for sign in (1, -1)]
    return np.array([[(pair[0][k] - pair[1][k]) / (2 * step) for pair in (along, across)] for k in (0, 1)])


def area_map(
    truth: Distortion, shape: tuple[int, int], chip: int, first_row: float, first_column: float = 0.0
) -> NDArray[np.float32]:
    """Pixel areas of an array relative to the detector's middle, (n_y, n_x); smooth part only."""
    y, x = np.arange(shape[0]) + first_row, np.arange(shape[1]) + first_column
    # Polynomials are smooth: areas on a coarse grid, and linear between, are good to 1e-6.
    coarse_y, coarse_x = (np.unique(np.r_[axis[:: max(len(axis) // 64, 1)], axis[-1]]) for axis in (y, x))
    grid = np.meshgrid(coarse_x, coarse_y)
    (a, b), (c, d) = jacobian(truth, grid[0], grid[1], chip)
    rows = np.array([np.interp(x, coarse_x, row) for row in a * d - b * c])
    where = np.interp(y, coarse_y, np.arange(len(coarse_y)))
    low = np.minimum(where.astype(int), len(coarse_y) - 2)
    share = (where - low)[:, None]
    return ((1 - share) * rows[low] + share * rows[low + 1]).astype(np.float32)


@jit
def _forward(polynomial, fine, chips, middle_x, middle_y, half, x, y, chip, out):
    """Fill `out` (2, n) with corrected positions."""
    size, (height, width) = polynomial.shape[2], fine.shape[1:]
    mapped = height > 1
    for k in range(x.size):
        if not (abs(x[k]) < np.inf and abs(y[k]) < np.inf):  # no pixel of the map to look up
            out[:, k] = np.nan
            continue
        u, v = (x[k] - middle_x) / half, (y[k] - middle_y) / half
        c = chip[k]
        for axis in range(2):
            total = 0.0
            for i in range(size - 1, -1, -1):
                row = 0.0
                for j in range(size - 1 - i, -1, -1):
                    row = row * v + polynomial[c, axis, i, j]
                total = total * u + row
            out[axis, k] = total + (x[k] if axis == 0 else y[k])
        if mapped:
            px = min(max(x[k], 0.0), width - 1.0)
            py = min(max(y[k], float(chips[c, 0])), min(chips[c, 1], height) - 1.0)
            i, j = min(int(px), width - 2), min(int(py), min(chips[c, 1], height) - 2)
            sx, sy = px - i, py - j
            for axis in range(2):
                low = (1 - sx) * fine[axis, j, i] + sx * fine[axis, j, i + 1]
                high = (1 - sx) * fine[axis, j + 1, i] + sx * fine[axis, j + 1, i + 1]
                out[axis, k] += (1 - sy) * low + sy * high
