"""Large-scale terms of a field of shifts: what they are, how well they are known, and what fixes their gauge."""

from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.polynomial.polynomial import polyvander2d
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.geometry.smoothbasis import Basis, Field, evaluate
from compute.kernels.geometry.starless import Layout, sparse_row, work_of

_NODES = 48  # along each coordinate, of integrals over the detector; more than a surface usually has cells


class Terms(NamedTuple):
    """Terms of a field in Legendre's polynomials over the detector, products P_i(u) P_j(v) named u^i v^j.

    A term's coefficient is its shift at the detector's edge [pix]; `functional` (m, n_unknowns) tells it.
    """

    names: tuple[str, ...]
    functional: NDArray[np.float64]


def powers(order: int) -> list[tuple[int, int]]:
    """Powers of u and v, by total degree, those of u falling."""
    return [(degree - j, j) for degree in range(order + 1) for j in range(degree + 1)]


def terms_of(basis: Basis, layout: Layout) -> Terms:
    """Terms up to the order of the basis that are no shift, rotation or scale, nor what affine links can do."""
    (x, across), (y, along) = (_quadrature(splines.edges, basis.order) for splines in (basis.x, basis.y))
    products = np.array([np.outer(along[j], across[i]).ravel() for i, j in powers(basis.order)])
    both = np.zeros((2, len(products), layout.total))
    _project(basis, layout, np.tile(x, y.size), np.repeat(y, x.size), products, both)
    names = [f"{axis} {_power('u', i)}{_power('v', j)}" for axis in "xy" for i, j in powers(basis.order)[3:]]
    functional = [both[0, 3:], both[1, 3:]]
    if layout.skew:
        names += ["skew on axis", "skew off axis"]
        functional += [(both[0, 1:2] - both[1, 2:3]) / 2, (both[0, 2:3] + both[1, 1:2]) / 2]
    return Terms(tuple(names), np.concatenate(functional))


def _power(name: str, power: int) -> str:
    return ("", name, f"{name}{power}")[min(power, 2)]


def _quadrature(edges: NDArray, order: int) -> tuple[NDArray, NDArray]:
    """Places (n,) and weights (order + 1, n) that integrate a function times Legendre's polynomials to coefficients."""
    nodes, weights = legendre.leggauss(_NODES)
    places = (edges[0] + edges[-1]) / 2 + (edges[-1] - edges[0]) / 2 * nodes
    return places, (legendre.legvander(nodes, order) * (np.arange(order + 1) + 0.5) * weights[:, None]).T


@jit
def _project(basis, layout, x, y, weight, out):
    """Add the unknowns' parts in shifts at x, y (n,), times `weight` (m, n), to `out` (2, m, n_unknowns)."""
    work, index, value = work_of(layout)
    for k in range(x.size):
        n = sparse_row(basis, layout, x[k], y[k], 0.0, 0.0, -1, work, index, value)
        for t in range(weight.shape[0]):
            for a in range(n):
                for axis in range(2):
                    out[axis, t, index[a]] += weight[t, k] * value[a, axis]


def large_scale(field: Field) -> NDArray[np.float64]:
    """The polynomial (2, n_terms) nearest to a field over the whole detector, of the order and form of its own."""
    basis = field.basis
    fractions = (np.arange(2 * _NODES) + 0.5) / (2 * _NODES)
    x, y = (axis.edges[0] + (axis.edges[-1] - axis.edges[0]) * fractions for axis in (basis.x, basis.y))
    x, y = (axis.ravel() for axis in np.meshgrid(x, y))
    rest = field._replace(polynomial=np.zeros_like(field.polynomial))
    square = polyvander2d((x - basis.x0) / basis.half, (y - basis.y0) / basis.half, [basis.order] * 2)
    design = square.reshape(x.size, basis.order + 1, -1)[:, *np.transpose(powers(basis.order))]
    return field.polynomial + np.linalg.lstsq(design, evaluate(rest, x, y).T, rcond=None)[0].T


def gauge(field: Field, affine: bool = False) -> tuple[Field, NDArray, NDArray]:
    """The field in the gauge in which its large scale has no shift, no rotation and unit determinant at the middle.

    With `affine` it has no linear term at all there.

    Returns
    -------
    field
        With corrected positions c' = turn (c - middle) + middle + shift in place of c.
    turn, shift
        (2, 2) and (2,) [pix].
    """
    basis, smooth = field.basis, large_scale(field)
    linear = np.eye(2) + smooth[:, 1:3] / basis.half
    if affine:
        turn = np.linalg.inv(linear)
    else:
        left, _, right = np.linalg.svd(linear)
        turn = (left @ right).T / np.sqrt(np.linalg.det(linear))
    shift = -turn @ smooth[:, 0]
    polynomial = turn @ field.polynomial
    polynomial[:, 0] += shift
    polynomial[:, 1:3] += (turn - np.eye(2)) * basis.half
    surface = np.einsum("ab,bij->aij", turn, field.surface)
    return Field(basis, polynomial, surface, turn @ field.columns, turn @ field.rows), turn, shift
