"""Residuals of many exposures against a reference, linked by four parameters each and averaged in cells of a detector.

Pairs stand in the order of their cells, in blocks of neighbouring cells, whose sums are added in order: so results do
not depend on threads.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.geometry.layers import Layer
from compute.kernels.middle import BINS, median
from compute.kernels.threads import each

FEW = 3  # stars, below which a cell is empty
_BLOCKS = 16
_SUMS = 8  # of each exposure: n, X, Y, x, y, X2 + Y2, Xx + Yy, Yx - Xy
_MEDIAN = 2 * np.log(2.0)  # of the squared length of two Gaussian components, in units of their variance


class Pairs(NamedTuple):
    """Pairs in the order of their cells: raw and frame positions (n,), exposure (n,).

    Cell c = row * columns + column has pairs `start[c]` to `start[c + 1]`; block k has cells `block[k]` to
    `block[k + 1]`. `order` (n,) are the pairs' places as they were given.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    frame_x: NDArray[np.float64]
    frame_y: NDArray[np.float64]
    exposure: NDArray[np.int64]
    order: NDArray[np.int64]
    start: NDArray[np.int64]
    block: NDArray[np.int64]
    n_exposures: int


class Sweep(NamedTuple):
    """One pass: `links` (n_exposures, 4) and `residual` (2, n), linked frame minus corrected position [pix].

    `mean` (2, cells) of the residuals of the `used` (n,), NaN in cells with fewer than FEW. A link (a, b, c, d) is
    x = a X + b Y + c, y = a Y - b X + d.
    """

    links: NDArray[np.float64]
    residual: NDArray[np.float64]
    mean: NDArray[np.float64]
    used: NDArray[np.bool_]


def sort(
    x: NDArray, y: NDArray, frame_x: NDArray, frame_y: NDArray, exposure: NDArray, shape: tuple[int, int], cells: int
) -> Pairs:
    """Finite pairs in the order of `cells` by `cells` cells of a detector of `shape` (n_y, n_x) [pix]."""
    row, column = (
        np.clip(((at + 0.5) * (cells / size)).astype(np.int64), 0, cells - 1)
        for at, size in zip((y, x), shape, strict=True)
    )
    cell = row * cells + column
    new = np.argsort(cell, kind="stable")
    start = np.searchsorted(cell[new], np.arange(cells**2 + 1))
    block = np.searchsorted(start, np.linspace(0, len(cell), _BLOCKS + 1))
    block[0], block[-1] = 0, cells**2
    places = x[new], y[new], frame_x[new], frame_y[new]
    return Pairs(*places, exposure[new], new, start, block, int(exposure.max()) + 1)


def sweep(
    pairs: Pairs, base: NDArray, layer: Layer, before: Sweep | None, *, held: bool, clip: float, threads: int
) -> Sweep:
    """Link, take residuals, leave out outliers, average.

    A pair is used whose residual lies within `clip` times the scatter per axis from the median of its cell. The scatter
    is that of the cell, but at least that of the median cell, both by the median; so it holds whatever the correction
    still lacks, and neither mismatches nor cells of few stars mislead it.

    Parameters
    ----------
    base, layer
        corrected = base (2, n) + layer(raw).
    before
        Whose `used` the links go by; everyone without it.
    held
        Use those again, instead of judging anew.

    Raises
    ------
    ValueError
        An exposure with fewer than FEW pairs in use.
    """
    n, n_cells = pairs.x.size, len(pairs.start) - 1
    corrected, residual = base.copy(), np.empty((2, n))
    used = np.ones(n, np.bool_) if before is None else before.used.copy()
    sums, chip = np.zeros((_BLOCKS, pairs.n_exposures, _SUMS)), np.zeros(n, np.int64)
    mean, centre, spread = np.empty((2, n_cells)), np.zeros((2, n_cells)), np.zeros(n_cells)

    def add_up(k: int) -> None:
        part = slice(pairs.start[pairs.block[k]], pairs.start[pairs.block[k + 1]])
        layer.add(pairs.x[part], pairs.y[part], chip[part], corrected[:, part])
        _add_up(pairs, corrected, used, part.start, part.stop, sums[k])

    each(add_up, _BLOCKS, threads)
    links = similarities(sums.sum(0))

    def judge(k: int) -> None:
        first, last = pairs.block[k], pairs.block[k + 1]
        _residuals(pairs, corrected, links, first, last, residual)
        if not held:
            _medians(pairs.start, first, last, residual, centre, spread)

    each(judge, _BLOCKS, threads)
    if not held:
        known = spread[np.diff(pairs.start) >= FEW]
        spread = clip**2 / _MEDIAN * np.maximum(spread, np.median(known) if known.size else 0.0)
    each(
        lambda k: _average(pairs.start, *pairs.block[k : k + 2], residual, centre, spread, held, used, mean),
        _BLOCKS,
        threads,
    )
    return Sweep(links, residual, mean, used)


def similarities(sums: NDArray) -> NDArray[np.float64]:
    """Links (m, 4) by least squares from the sums (m, 8) of each exposure."""
    n, fx, fy, x, y, squares, along, across = sums.T
    if n.min() < FEW:
        raise ValueError(f"exposure {n.argmin()}: found {int(n.min())} usable pairs, expected at least {FEW}")
    size = squares - (fx**2 + fy**2) / n
    a, b = (along - (fx * x + fy * y) / n) / size, (across - (fy * x - fx * y) / n) / size
    return np.stack([a, b, (x - a * fx - b * fy) / n, (y - a * fy + b * fx) / n], axis=1)


@jit
def _add_up(pairs, corrected, used, first, last, sums):
    for k in range(first, last):
        if used[k]:
            e, fx, fy, x, y = pairs.exposure[k], pairs.frame_x[k], pairs.frame_y[k], corrected[0, k], corrected[1, k]
            sums[e, 0] += 1.0
            sums[e, 1] += fx
            sums[e, 2] += fy
            sums[e, 3] += x
            sums[e, 4] += y
            sums[e, 5] += fx * fx + fy * fy
            sums[e, 6] += fx * x + fy * y
            sums[e, 7] += fy * x - fx * y


@jit
def _residuals(pairs, corrected, links, first, last, residual):
    """Of cells `first` to `last`."""
    for k in range(pairs.start[first], pairs.start[last]):
        e, fx, fy = pairs.exposure[k], pairs.frame_x[k], pairs.frame_y[k]
        residual[0, k] = links[e, 0] * fx + links[e, 1] * fy + links[e, 2] - corrected[0, k]
        residual[1, k] = links[e, 0] * fy - links[e, 1] * fx + links[e, 3] - corrected[1, k]


@jit
def _medians(start, first, last, residual, centre, spread):
    """Medians of the residuals in each cell, and of their squared distances from there."""
    most = 0
    for c in range(first, last):
        most = max(most, start[c + 1] - start[c])
    some, count = np.empty((2, most)), np.empty(BINS, np.int64)
    for c in range(first, last):
        here = residual[:, start[c] : start[c + 1]]
        x, y = median(here[0], some[0], count), median(here[1], some[0], count)
        for k in range(here.shape[1]):
            some[1, k] = (here[0, k] - x) ** 2 + (here[1, k] - y) ** 2
        centre[0, c], centre[1, c] = x, y
        spread[c] = median(some[1, : here.shape[1]], some[0], count)


@jit
def _average(start, first, last, residual, centre, limit, held, used, mean):
    for c in range(first, last):
        n, x, y = 0, 0.0, 0.0
        for k in range(start[c], start[c + 1]):
            if not held:
                dx, dy = residual[0, k] - centre[0, c], residual[1, k] - centre[1, c]
                used[k] = dx * dx + dy * dy <= limit[c]
            if used[k]:
                n, x, y = n + 1, x + residual[0, k], y + residual[1, k]
        mean[0, c], mean[1, c] = (x / n, y / n) if n >= FEW else (np.nan, np.nan)
