"""Cosmic rays: straight tracks of charge across a detector, blurred by diffusion."""

from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit

_MEDIAN, _SPREAD, _MOST = 1500.0, 1.2, 1e5  # charge of a ray [e], rms of its logarithm
_DIFFUSION = 0.3  # rms [pix]
_STEP = 0.2  # of the sum along a track [pix]
_REACH = 2  # pixels beyond the track that diffusion fills, some 5 sigma
_FAINT = 1.0  # charge of a pixel that is left out [e]


def hits(area_cm2: float, seconds: float, rate: float) -> float:
    """Expected number of rays through `area_cm2` in `seconds` at `rate` [1/cm^2/s]: some 5 at L2, 1.1 about Earth."""
    return area_cm2 * seconds * rate


def cosmic_rays(
    shape: tuple[int, int], number: int, rng: np.random.Generator, long: float
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int32]]:
    """Charge that `number` rays leave, pixel by pixel.

    Rays start anywhere with any direction and cross exponential lengths of mean `long` [pix]; some 1.5 in the thin
    layer of an infrared array, 4 in a thick CCD. Charge is log-normal with median 1500 e, at most 1e5 e.

    Returns
    -------
    index, charge, ray
        (n,) flat pixel, its charge [e] and the number of the ray, in order of rays. Two rays may share a pixel: add
        with ``numpy.add.at`` or ``numpy.bincount``. What falls outside the array and pixels below 1 e are left out.
    """
    y, x = rng.uniform(-0.5, np.array(shape) - 0.5, (number, 2)).T
    length, angle = rng.exponential(long, number), rng.uniform(0, 2 * np.pi, number)
    total = np.minimum(rng.lognormal(np.log(_MEDIAN), _SPREAD, number), _MOST)
    dx, dy = length * np.cos(angle), length * np.sin(angle)
    room = int(np.sum((np.abs(dx) + 2 * _REACH + 2) * (np.abs(dy) + 2 * _REACH + 2)))
    widest = int(max(np.abs(dx).max(initial=0), np.abs(dy).max(initial=0))) + 2 * _REACH + 2
    index, charge, ray = np.empty(room, np.int64), np.empty(room, np.float32), np.empty(room, np.int32)
    n = _deposit(shape[0], shape[1], x, y, dx, dy, total, np.zeros((widest, widest)), index, charge, ray)
    return index[:n].copy(), charge[:n].copy(), ray[:n].copy()


@jit
def _deposit(n_y, n_x, x, y, dx, dy, total, box, index, charge, ray):
    """Fill `index`, `charge`, `ray` with the pixels of each track; returns how many. `box` is work space of zeros."""
    n = 0
    for r in range(x.size):
        x_lo = _pixel(min(x[r], x[r] + dx[r])) - _REACH
        y_lo = _pixel(min(y[r], y[r] + dy[r])) - _REACH
        x_hi = _pixel(max(x[r], x[r] + dx[r])) + _REACH
        y_hi = _pixel(max(y[r], y[r] + dy[r])) + _REACH
        _trace(x[r] - x_lo, y[r] - y_lo, dx[r], dy[r], total[r], box)
        for j in range(y_lo, y_hi + 1):
            for i in range(x_lo, x_hi + 1):
                q = box[j - y_lo, i - x_lo]
                box[j - y_lo, i - x_lo] = 0.0
                if q >= _FAINT and 0 <= j < n_y and 0 <= i < n_x:
                    index[n], charge[n], ray[n] = j * n_x + i, q, r
                    n += 1
    return n


@jit(inline="always")
def _pixel(x):
    """Pixel that holds `x`; an edge belongs to the pixel above, wherever the origin is."""
    return int(np.floor(x + 0.5))


@jit
def _trace(x, y, dx, dy, total, box):
    """Add a track's charge to `box`: Gaussian packets along it, integrated over pixels."""
    steps = int(np.ceil(sqrt(dx * dx + dy * dy) / _STEP)) + 1
    width = 1.0 / (sqrt(2.0) * _DIFFUSION)
    size = 2 * _REACH + 1
    along_x, along_y = np.empty(size), np.empty(size)
    for k in range(steps):
        u = x + (k + 0.5) / steps * dx
        v = y + (k + 0.5) / steps * dy
        i, j = _pixel(u) - _REACH, _pixel(v) - _REACH
        _shares(u - i, width, along_x)
        _shares(v - j, width, along_y)
        for b in range(size):
            for a in range(size):
                box[j + b, i + a] += total / steps * along_x[a] * along_y[b]


@jit
def _shares(centre, width, out):
    """Share of a Gaussian at `centre` in each pixel of a row."""
    left = erf((-0.5 - centre) * width)
    for a in range(out.size):
        right = erf((a + 0.5 - centre) * width)
        out[a] = (right - left) / 2.0
        left = right
