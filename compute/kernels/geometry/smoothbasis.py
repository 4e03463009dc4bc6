"""Fields of shifts over a detector: a polynomial, a surface of cubic B-splines, and functions of x or of y alone.

Surface and functions may break at given rows or columns, where another amplifier begins to read: on either side is a
spline of its own. Beyond the detector splines are constant.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from compute.kernels._jit import jit
from compute.kernels.polynomial2d import monomials, n_terms
from compute.kernels.spline import basis as weights
from compute.kernels.spline import taps

_CUBIC = taps(3)


class Splines(NamedTuple):
    """Uniform cubic B-splines along one coordinate, anew in each piece.

    `edges` (n_pieces + 1,) [pix] of the pieces, `cells` (n_pieces,) of each, `first` (n_pieces + 1,) its first
    coefficient; the last is the number of them, 0 where there is no spline.
    """

    edges: NDArray[np.float64]
    cells: NDArray[np.int64]
    first: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return int(self.first[-1])


def splines(n: int, width: float, breaks: Sequence[float] = ()) -> Splines:
    """Splines over `n` pixels, from -0.5 to n - 0.5, whose cells are about `width` [pix] wide; none for width 0."""
    edges = np.array([-0.5, *breaks, n - 0.5], float)
    if not (np.diff(edges) > 0).all():
        raise ValueError(f"breaks of splines are {list(breaks)}, expected rising places between -0.5 and {n - 0.5}")
    if width == 0:
        return Splines(edges[[0, -1]], np.zeros(1, np.int64), np.zeros(2, np.int64))
    cells = np.maximum(np.rint(np.diff(edges) / width), 1).astype(np.int64)
    return Splines(edges, cells, np.append(0, np.cumsum(cells + 3)))


class Basis(NamedTuple):
    """What a field is made of.

    Polynomials of total degree `order` in u = (x - x0) / half and v alike; a surface on the cells of `x` and `y`;
    functions of x on those of `columns`, of y on those of `rows`. Unless `cross`, only x is shifted as a function of x
    and only y as one of y.
    """

    order: int
    x0: float
    y0: float
    half: float
    x: Splines
    y: Splines
    columns: Splines
    rows: Splines
    cross: bool


def basis_of(
    n_x: int, n_y: int, *, order: int = 5, cells: int = 32, knot: float = 4.0, cross: bool = False,
    breaks_x: Sequence[float] = (), breaks_y: Sequence[float] = (),
) -> Basis:  # fmt: skip
    """Basis for a detector of `n_x` columns and `n_y` rows, about its middle.

    `cells` of the surface along the longer side and `knot` [pix] between the knots of functions of one coordinate; 0
    leaves them out. ValueError for an order below 1.
    """
    if order < 1:
        raise ValueError(f"order of the polynomial is {order}, expected 1 or more")
    half, width = max(n_x, n_y) / 2, max(n_x, n_y) / cells if cells else 0.0
    x, y = splines(n_x, width, breaks_x), splines(n_y, width, breaks_y)
    columns, rows = splines(n_x, knot, breaks_x), splines(n_y, knot, breaks_y)
    return Basis(order, (n_x - 1) / 2, (n_y - 1) / 2, half, x, y, columns, rows, cross)


class Field(NamedTuple):
    """Shifts over a detector: coefficients [pix] of a basis.

    `polynomial` (2, n_terms) of x and y by total degree, powers of u falling; `surface` (2, n_y, n_x); `columns`,
    `rows` (2, n) of the functions of x and of y.
    """

    basis: Basis
    polynomial: NDArray[np.float64]
    surface: NDArray[np.float64]
    columns: NDArray[np.float64]
    rows: NDArray[np.float64]


def zero(basis: Basis) -> Field:
    """No shift anywhere."""
    sizes = (n_terms(basis.order),), (basis.y.size, basis.x.size), (basis.columns.size,), (basis.rows.size,)
    return Field(basis, *(np.zeros((2, *size)) for size in sizes))


def evaluate(field: Field, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Shifts (2, ...) [pix] at raw positions of any one shape; NaN where a position is not finite."""
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    out = np.empty((2, x.size))
    _evaluate(field, np.ravel(x), np.ravel(y), out)
    return out.reshape(2, *x.shape)


@jit
def _evaluate(field, x, y, out):
    basis = field.basis
    terms, wx, wy, skip = np.empty(field.polynomial.shape[1]), np.empty(4), np.empty(4), np.empty(4)
    for k in range(x.size):
        if not (abs(x[k]) < np.inf and abs(y[k]) < np.inf):
            out[:, k] = np.nan
            continue
        monomials((x[k] - basis.x0) / basis.half, (y[k] - basis.y0) / basis.half, basis.order, terms)
        i, j = locate(basis.x, x[k], wx, skip), locate(basis.y, y[k], wy, skip)
        for axis in range(2):
            total = 0.0
            for term in range(terms.size):
                total += field.polynomial[axis, term] * terms[term]
            if field.surface.size:
                for b in range(4):
                    for a in range(4):
                        total += field.surface[axis, j + b, i + a] * wy[b] * wx[a]
            out[axis, k] = total
        _add_single(field.columns, basis.columns, x[k], wx, skip, out[:, k])
        _add_single(field.rows, basis.rows, y[k], wy, skip, out[:, k])


@jit(inline="always")
def _add_single(coefficients, splines, position, w, skip, out):
    if coefficients.size:
        i = locate(splines, position, w, skip)
        for axis in range(2):
            for a in range(4):
                out[axis] += coefficients[axis, i + a] * w[a]


@jit
def locate(splines, position, w, skip):
    """First of the four coefficients at a finite `position`, and their weights into `w` (4,)."""
    piece = 0
    while piece < splines.cells.size - 1 and position >= splines.edges[piece + 1]:
        piece += 1
    low, high, cells = splines.edges[piece], splines.edges[piece + 1], splines.cells[piece]
    place = min(max((position - low) / (high - low), 0.0), 1.0) * cells
    cell = max(min(int(place), cells - 1), 0)
    weights(place - cell, w, skip, _CUBIC)
    return splines.first[piece] + cell


def stiffness(splines: Splines, roughness: float, size: float) -> sparse.csr_array:
    """Inverse covariance (n, n) of coefficients, from sigmas [pix] of their second differences and of their values."""
    bends = sparse.block_diag([_second_differences(cells + 3) for cells in splines.cells])
    return sparse.csr_array(bends.T @ bends / roughness**2 + sparse.eye_array(splines.size) / size**2)


def surface_stiffness(x: Splines, y: Splines, roughness: float, size: float) -> sparse.csr_array:
    """:func:`stiffness` of a surface (n_y, n_x), raveled, along both coordinates."""
    along_x, along_y = stiffness(x, roughness, 2**0.5 * size), stiffness(y, roughness, 2**0.5 * size)
    return sparse.kron(sparse.eye_array(y.size), along_x) + sparse.kron(along_y, sparse.eye_array(x.size))


def _second_differences(n: int) -> sparse.dia_array:
    return sparse.diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(n - 2, n))
