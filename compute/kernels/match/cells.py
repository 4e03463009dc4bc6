"""Rows of a catalogue sorted into the cells of a grid, so that what is near on the sky is near in memory.

Both the sort and the way back go through pieces that fit the processor's cache: a place at random in a large array
costs more than a search.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.match.grid import Grid, cell, known, power_of_two
from compute.kernels.threads import each, shares

_BAND = 4096  # rows that are sorted into cells at a time, within the processor's cache
_BANDS = 1024  # at most, for that many places are written to at a time


class Cells(NamedTuple):
    """Points in the order of their cells, and within a cell in that of the catalogue.

    `order` (n,) are their rows in the catalogue, `start` (cells + 1,) where each cell begins, `low` and `high` their
    box. Rows without a position are left out.
    """

    points: NDArray
    order: NDArray
    start: NDArray
    low: NDArray
    high: NDArray


def sort(points: NDArray, box: tuple[NDArray, NDArray], grid: Grid, threads: int = 1) -> Cells:
    """Sort by counting, first into bands of rows of cells, then each band into its cells."""
    n, parts = len(points), shares(len(points), threads)
    bands = min(grid.rows, _BANDS, power_of_two(n / _BAND))
    shift = (grid.columns * grid.rows // bands).bit_length() - 1  # a cell's band, of a power of two of cells
    count, folded = np.zeros((threads, bands), np.int64), np.empty(n, np.int64)
    each(lambda t: _fold(points, *parts[t], grid, shift, folded, count[t]), threads, threads)
    at, edges = _places(count)
    total, dim = edges[-1], points.shape[1]
    banded, index, key = np.empty((total, dim)), np.empty(total, np.int64), np.empty(total, np.int64)
    each(lambda t: _move_to_bands(points, folded, *parts[t], shift, at[t], banded, index, key), threads, threads)
    cells = Cells(np.empty_like(banded), np.empty_like(index), np.empty(grid.columns * grid.rows + 1, np.int64), *box)
    cells.start[0] = 0
    parts = shares(bands, threads)
    each(lambda t: _sort_bands(banded, index, key, *parts[t], edges, *cells[:3]), threads, threads)
    return cells


def unsort(index: NDArray, row: NDArray, distance: NDArray, n: int, threads: int = 1) -> tuple[NDArray, NDArray]:
    """Results (m,) in the order (n,) of the catalogue: first moved to its pieces, then to their places within.

    Rows that are -1 are left out, and -1 and NaN where nothing is left.
    """
    pieces, parts = n // _BAND + 1, shares(len(index), threads)
    count = np.zeros((threads, pieces), np.int64)
    each(lambda t: _count_pieces(index, row, *parts[t], count[t]), threads, threads)
    at, edges = _places(count)
    moved = tuple(np.empty(edges[-1], array.dtype) for array in (index, row, distance))
    each(lambda t: _move_to_pieces(index, row, distance, *parts[t], at[t], *moved), threads, threads)
    rows, distances, parts = np.full(n, -1), np.full(n, np.nan), shares(pieces, threads)
    each(lambda t: _place(*moved, edges[parts[t][0]], edges[parts[t][1]], rows, distances), threads, threads)
    return rows, distances


def _places(count: NDArray) -> tuple[NDArray, NDArray]:
    """Of counts (threads, k), where what each thread has of each kind begins, and where each kind does (k + 1,)."""
    end = np.cumsum(count.T).reshape(count.T.shape).T
    return np.ascontiguousarray(end - count), np.append(0, end[-1])


@jit
def _fold(points, first, last, grid, shift, folded, count):
    """The cell of each point in the folded grid, -1 without a position; `count` how many there are in each band."""
    for k in range(first, last):
        folded[k] = -1
        if known(points, k):
            column, row = cell(points, k, grid.per_unit)
            c = (row & (grid.rows - 1)) * grid.columns + (column & (grid.columns - 1))
            folded[k] = c
            count[c >> shift] += 1


@jit
def _move_to_bands(points, folded, first, last, shift, at, moved, index, key):
    for k in range(first, last):
        c = folded[k]
        if c >= 0:
            j = at[c >> shift]
            at[c >> shift], index[j], key[j] = j + 1, k, c
            _copy(points, k, moved, j)


@jit
def _sort_bands(points, index, key, first, last, edges, sorted_points, sorted_index, start):
    """Sort bands `first` to `last`: `start` counts one cell ahead, and is where cells begin once they are filled."""
    width = (start.size - 1) // (edges.size - 1)
    for band in range(first, last):
        begin = edges[band]
        start[band * width + 1 : (band + 1) * width + 1] = 0
        for k in range(begin, edges[band + 1]):
            start[key[k] + 1] += 1
        for c in range(band * width + 1, (band + 1) * width + 1):
            begin, start[c] = begin + start[c], begin
        for k in range(edges[band], edges[band + 1]):
            j = start[key[k] + 1]
            start[key[k] + 1], sorted_index[j] = j + 1, index[k]
            _copy(points, k, sorted_points, j)


@jit(inline="always")
def _copy(points, k, others, j):
    others[j, 0], others[j, 1] = points[k, 0], points[k, 1]
    if points.shape[1] == 3:
        others[j, 2] = points[k, 2]


@jit
def _count_pieces(index, row, first, last, count):
    for k in range(first, last):
        if row[k] >= 0:
            count[index[k] // _BAND] += 1


@jit
def _move_to_pieces(index, row, distance, first, last, at, moved_index, moved_row, moved_distance):
    for k in range(first, last):
        if row[k] >= 0:
            j = at[index[k] // _BAND]
            at[index[k] // _BAND] = j + 1
            moved_index[j], moved_row[j], moved_distance[j] = index[k], row[k], distance[k]


@jit
def _place(index, row, distance, first, last, rows, distances):
    for k in range(first, last):
        rows[index[k]], distances[index[k]] = row[k], distance[k]
