"""Raw to corrected positions and back: layers of shifts, all taken at the raw position, and the areas of pixels.

corrected = raw + polynomial(raw) + table(raw) + map(raw), any of them absent (Libralato et al. 2023, section 4). A
further kind of layer is one more tuple in :mod:`compute.kernels.geometry.layers`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels.geometry.layers import Layer, PixelMap, Polynomial, Table

_BLOCK = 8192  # positions that stay in the cache from layer to layer
_STEPS, _CLOSE = 50, 1e-9  # of Newton's method; pix
GRAIN = 16.0  # pix to either side over which the area of a pixel is taken

Layers = Sequence[Layer]


def forward(layers: Layers, x: ArrayLike, y: ArrayLike, chip: ArrayLike = 0) -> tuple[NDArray, NDArray]:
    """Raw to corrected positions [pix].

    Parameters
    ----------
    layers
        What is added to raw positions.
    x, y
        Raw positions [0-based full-detector pix], any shape.
    chip
        Index of the chip each belongs to.

    Returns
    -------
    x, y of the same shape; NaN where a position is not finite or touches unmeasured pixels.
    """
    x, y, chip, shape = _flat(x, y, chip)
    out = np.array([x, y])
    for k in range(0, x.size, _BLOCK):
        part = slice(k, k + _BLOCK)
        for layer in layers:
            layer.add(x[part], y[part], chip[part], out[:, part])
    return out[0].reshape(shape), out[1].reshape(shape)


def jacobian(layers: Layers, x: ArrayLike, y: ArrayLike, chip: ArrayLike = 0) -> NDArray[np.float64]:
    """Derivatives (2, 2, ...) of corrected by raw position, [corrected axis, raw axis]; parameters of :func:`forward`.

    Tables and maps have those of the cell a position lies in, none beyond their edges.
    """
    x, y, chip, shape = _flat(x, y, chip)
    out = np.zeros((4, x.size))
    out[0], out[3] = 1.0, 1.0
    for k in range(0, x.size, _BLOCK):
        part = slice(k, k + _BLOCK)
        for layer in layers:
            layer.add_slopes(x[part], y[part], chip[part], out[:, part])
    return out.reshape(2, 2, *shape)


def inverse(layers: Layers, x: ArrayLike, y: ArrayLike, chip: ArrayLike = 0) -> tuple[NDArray, NDArray]:
    """Corrected to raw positions [pix], by Newton's method on the forward map to 1e-9 pix; as :func:`forward`.

    NaN where no raw position is found, as in the holes of a map or where the map folds.
    """
    x, y, chip, shape = _flat(x, y, chip)
    raw = np.array([x, y])
    left = np.arange(x.size)
    for _ in range(_STEPS):
        at = raw[0, left], raw[1, left], chip[left]
        got = forward(layers, *at)
        miss_x, miss_y = x[left] - got[0], y[left] - got[1]
        # Positions that became NaN stay so.
        open_ = np.maximum(np.abs(miss_x), np.abs(miss_y)) > _CLOSE
        raw[:, left[np.isnan(miss_x) | np.isnan(miss_y)]] = np.nan
        left, miss_x, miss_y = left[open_], miss_x[open_], miss_y[open_]
        if left.size == 0:
            break
        (a, b), (c, d) = jacobian(layers, *(each[open_] for each in at))
        with np.errstate(divide="ignore", invalid="ignore"):  # where the map folds
            area = a * d - b * c
            raw[0, left] += (d * miss_x - b * miss_y) / area
            raw[1, left] += (a * miss_y - c * miss_x) / area
    raw[:, left] = np.nan
    return raw[0].reshape(shape), raw[1].reshape(shape)


def pixel_area(
    layers: Layers, chips: NDArray[np.int64], n_x: int, x: ArrayLike, y: ArrayLike, chip: ArrayLike = 0
) -> NDArray[np.float64]:
    """Areas of the pixels at raw positions, in corrected pixels; positive, of the shape of `x`.

    The mean determinant of the Jacobian over `GRAIN` pixels to either side, as far as the chip reaches: the area of the
    mapped box over that of the box. So the noise of a pixel map and steps between amplifiers, which move stars but are
    no area, do not pass for light; large-scale distortion is smooth over such a box (better than 1e-5 of an area).

    Parameters
    ----------
    chips
        (n_chips, 2) first row and row after the last of each chip.
    n_x
        Columns of the detector.
    x, y, chip
        As for :func:`forward`; beyond the detector the area of its edge is taken.
    """
    x, y, chip, shape = _flat(x, y, chip)
    low_y, high_y = chips[chip, 0].astype(float), chips[chip, 1] - 1.0
    left, right = (np.clip(np.clip(x, 0, n_x - 1) + side * GRAIN, 0, n_x - 1) for side in (-1, 1))
    low, high = (np.clip(np.clip(y, low_y, high_y) + side * GRAIN, low_y, high_y) for side in (-1, 1))
    (ax, ay), (bx, by) = forward(layers, left, low, chip), forward(layers, right, high, chip)
    (cx, cy), (dx, dy) = forward(layers, right, low, chip), forward(layers, left, high, chip)
    twice = (bx - ax) * (dy - cy) - (by - ay) * (dx - cx)
    return (np.abs(twice) / 2 / ((right - left) * (high - low))).reshape(shape)


def _flat(x: ArrayLike, y: ArrayLike, chip: ArrayLike) -> tuple[NDArray, NDArray, NDArray, tuple[int, ...]]:
    x, y, chip = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float), np.asarray(chip, np.int64))
    return np.ravel(x), np.ravel(y), np.ravel(chip), x.shape


def warm() -> None:
    """Call each kernel once with the types that cubes give."""
    terms, chips, knots = np.zeros((1, 2, 1, 1)), np.array([[0, 3]]), np.arange(3.0)
    for array in (terms, chips, knots):
        array.setflags(write=False)  # as in a cube: Numba compiles read-only arrays apart
    for dtype in (np.float32, np.float64):
        smooth = Polynomial(terms, 0.0, 0.0, 1.0), Table(np.zeros((3, 3, 2)), knots, knots)
        layers = (*smooth, PixelMap(np.zeros((3, 3, 2), dtype), chips))
        inverse(layers, knots + 0.5, knots)
