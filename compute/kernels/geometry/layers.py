"""Layers of a distortion for many positions: each adds its shifts, or their derivatives, to arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit

_TILE = 64  # positions whose polynomials advance together, in vector registers


class Polynomial(NamedTuple):
    """`terms` (n_chips, 2, p, p) [chip, axis, power of u, power of v], u = (x - x0) / half, v = (y - y0) / half.

    Only terms whose powers sum to less than p count; the others are to be zero.
    """

    terms: NDArray[np.float64]
    x0: float
    y0: float
    half: float

    def add(self, x, y, chip, shift):
        """Add shifts to `shift` (2, n)."""
        _polynomials(self.terms, self.x0, self.y0, self.half, x, y, chip, shift)

    def add_slopes(self, x, y, chip, slopes):
        """Add derivatives to `slopes` (4, n): of the x shift along x and y, of the y shift along x and y."""
        n_chips, _, size, _ = self.terms.shape
        powers = np.arange(1, size)
        slope = np.zeros((n_chips, 2, 2, size, size))
        slope[:, :, 0, :-1] = self.terms[:, :, 1:] * powers[:, None] / self.half
        slope[:, :, 1, :, :-1] = self.terms[:, :, :, 1:] * powers / self.half
        _polynomials(slope.reshape(n_chips, 4, size, size), self.x0, self.y0, self.half, x, y, chip, slopes)


class Table(NamedTuple):
    """`values` (n_y, n_x, 2) [y, x, axis] at increasing positions `x`, `y`; bilinear between, constant beyond."""

    values: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def add(self, x, y, chip, shift):
        """Add shifts to `shift` (2, n)."""
        _table(*self, x, y, shift)

    def add_slopes(self, x, y, chip, slopes):
        """Add derivatives to `slopes` (4, n)."""
        _table_slopes(*self, x, y, slopes)


class PixelMap(NamedTuple):
    """`values` (n_y, n_x, 2) [y, x, axis] at pixel centres, `chips` (n_chips, 2) rows [first, end) of each chip.

    Bilinear between pixel centres of one chip, constant beyond them; NaN values give NaN around them.
    """

    values: NDArray[np.floating]
    chips: NDArray[np.int64]

    def add(self, x, y, chip, shift):
        """Add shifts to `shift` (2, n)."""
        _map(*self, x, y, chip, shift)

    def add_slopes(self, x, y, chip, slopes):
        """Add derivatives to `slopes` (4, n)."""
        _map_slopes(*self, x, y, chip, slopes)


Layer = Polynomial | Table | PixelMap


@jit
def _polynomials(terms, x0, y0, half, x, y, chip, out):
    """Add polynomials `terms` (n_chips, k, p, p) of each position's chip to `out` (k, n)."""
    n_chips, n, size, _ = terms.shape
    u, v, row, total = np.zeros(_TILE), np.zeros(_TILE), np.empty(_TILE), np.empty(_TILE)
    for start in range(0, x.size, _TILE):
        m = min(_TILE, x.size - start)
        for t in range(m):
            u[t], v[t] = (x[start + t] - x0) / half, (y[start + t] - y0) / half
        for c in range(n_chips):
            if not (chip[start : start + m] == c).any():
                continue
            for k in range(n):
                total[:] = 0.0
                for i in range(size - 1, -1, -1):
                    row[:] = 0.0
                    for j in range(size - 1 - i, -1, -1):
                        term = terms[c, k, i, j]
                        for t in range(_TILE):
                            row[t] = row[t] * v[t] + term
                    for t in range(_TILE):
                        total[t] = total[t] * u[t] + row[t]
                for t in range(m):
                    if chip[start + t] == c:
                        out[k, start + t] += total[t]


@jit(inline="always")
def _cell(position, knots):
    """Lower knot, fraction and width of the cell of increasing `knots` that holds `position`; width 0 beyond them."""
    last = knots.size - 1
    if not position > knots[0]:
        return 0, 0.0, 0.0
    if not position < knots[last]:
        return last - 1, 1.0, 0.0
    k = min(int((position - knots[0]) / (knots[last] - knots[0]) * last), last - 1)
    while position < knots[k]:
        k -= 1
    while position >= knots[k + 1]:
        k += 1
    width = knots[k + 1] - knots[k]
    return k, (position - knots[k]) / width, width


@jit(inline="always")
def _known(x, y):
    """Whether a position is finite; comparisons, because reassociation lets the compiler take sums apart."""
    return abs(x) < np.inf and abs(y) < np.inf


@jit(inline="always")
def _bilinear(values, i, j, s, t, k):
    """Value at fractions `s`, `t` of the cell above (i, j); what has no weight is not looked at."""
    right, up = i + (s > 0.0), j + (t > 0.0)
    low = (1.0 - s) * values[j, i, k] + s * values[j, right, k]
    return (1.0 - t) * low + t * ((1.0 - s) * values[up, i, k] + s * values[up, right, k])


@jit(inline="always")
def _differences(values, i, j, right, up, s, t, k):
    """Differences of a cell's values along x and along y."""
    a, b, c, d = 1.0 * values[j, i, k], 1.0 * values[j, right, k], 1.0 * values[up, i, k], 1.0 * values[up, right, k]
    return (1.0 - t) * (b - a) + t * (d - c), (1.0 - s) * (c - a) + s * (d - b)


@jit
def _table(values, knots_x, knots_y, x, y, out):
    for n in range(x.size):
        if not _known(x[n], y[n]):
            out[:, n] = np.nan
            continue
        i, s, _ = _cell(x[n], knots_x)
        j, t, _ = _cell(y[n], knots_y)
        for k in range(2):
            out[k, n] += _bilinear(values, i, j, s, t, k)


@jit
def _table_slopes(values, knots_x, knots_y, x, y, out):
    for n in range(x.size):
        if not _known(x[n], y[n]):
            out[:, n] = np.nan
            continue
        i, s, width = _cell(x[n], knots_x)
        j, t, height = _cell(y[n], knots_y)
        for k in range(2):
            along, across = _differences(values, i, j, i + 1, j + 1, s, t, k)
            if width > 0.0:
                out[2 * k, n] += along / width
            if height > 0.0:
                out[2 * k + 1, n] += across / height


@jit
def _map(values, chips, x, y, chip, out):
    last_x = values.shape[1] - 1.0
    for n in range(x.size):
        if not _known(x[n], y[n]):
            out[:, n] = np.nan
            continue
        px = min(max(x[n], 0.0), last_x)
        py = min(max(y[n], 1.0 * chips[chip[n], 0]), chips[chip[n], 1] - 1.0)
        i, j = int(px), int(py)
        for k in range(2):
            out[k, n] += _bilinear(values, i, j, px - i, py - j, k)


@jit
def _map_slopes(values, chips, x, y, chip, out):
    last_x = values.shape[1] - 1
    for n in range(x.size):
        if not _known(x[n], y[n]):
            out[:, n] = np.nan
            continue
        first, last = chips[chip[n], 0], chips[chip[n], 1] - 1
        px, py = min(max(x[n], 0.0), 1.0 * last_x), min(max(y[n], 1.0 * first), 1.0 * last)
        i, j = int(px), int(py)
        for k in range(2):
            along, across = _differences(values, i, j, min(i + 1, last_x), min(j + 1, last), px - i, py - j, k)
            if 0.0 < x[n] < last_x:
                out[2 * k, n] += along
            if first < y[n] < last:
                out[2 * k + 1, n] += across
