"""Normal equations of a distortion and of links of exposures, from which stars' positions are eliminated.

A measurement k of star s in exposure e says, in pixels of the detector,

    raw_k + D(raw_k) + L_e(raw_k) = M_e^-1 (p_s - o_e),

with D a field of shifts, (M_e, o_e) the present link of the exposure to the frame, and L_e its small change. The two
coordinates p_s of each star, and what is known of them beforehand, enter through a Schur complement: no unknowns.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.geometry.smoothbasis import Basis, Field, locate, zero
from compute.kernels.polynomial2d import monomials, n_terms

LINKS = {"similar": 4, "affine": 6}  # parameters of a link


class Layout(NamedTuple):
    """Where unknowns stand: terms of the polynomial, links (`link` numbers each), surface, functions of x, of y.

    Of the polynomial there are neither constants nor, by and by, what links can do: with similarities two linear
    terms stay, u in x less v in y and v in x plus u in y; with affine links none. Of functions, -1 is one that is not.
    """

    terms: int
    skew: bool
    link: int
    links: int
    surface: int
    columns_x: int
    columns_y: int
    rows_x: int
    rows_y: int
    total: int


def layout_of(basis: Basis, links: str, n_exposures: int) -> Layout:
    """The unknowns of a basis and of links of a kind."""
    terms, skew = n_terms(basis.order) - 3, links == "similar"
    at = 2 * terms + 2 * skew
    surface = at + LINKS[links] * n_exposures
    end = surface + 2 * basis.x.size * basis.y.size
    sizes = [basis.columns.size, basis.columns.size * basis.cross, basis.rows.size * basis.cross, basis.rows.size]
    first = [end + sum(sizes[:k]) if size else -1 for k, size in enumerate(sizes)]
    columns_x, columns_y, rows_x, rows_y = first
    return Layout(terms, skew, LINKS[links], at, surface, columns_x, columns_y, rows_x, rows_y, end + sum(sizes))


def field_of(basis: Basis, layout: Layout, unknowns: NDArray) -> Field:
    """The field that a vector of unknowns (total,) tells."""
    field, n = zero(basis), layout.terms
    field.polynomial[:, 3:] = unknowns[: 2 * n].reshape(2, n)
    if layout.skew:
        on, off = unknowns[2 * n : 2 * n + 2]
        field.polynomial[:, 1:3] = [[on, off], [off, -on]]
    field.surface[:] = unknowns[layout.surface :][: field.surface.size].reshape(field.surface.shape)
    for values, places in (
        (field.columns, (layout.columns_x, layout.columns_y)), (field.rows, (layout.rows_x, layout.rows_y)),
    ):  # fmt: skip
        for axis, place in enumerate(places):
            if place >= 0:
                values[axis] = unknowns[place : place + values.shape[1]]
    return field


@jit
def sparse_row(basis, layout, x, y, u, v, exposure, work, index, value):
    """Derivatives of one measurement by the unknowns: `index` rising, `value` (., 2) of x and y; returns how many.

    `exposure` below 0 leaves out its link. `work` is a row of `n_terms` and three of 4 numbers.
    """
    terms, wx, wy, skip = work
    raw_u, raw_v = (x - basis.x0) / basis.half, (y - basis.y0) / basis.half
    monomials(raw_u, raw_v, basis.order, terms)
    n = 0
    for axis in range(2):
        for k in range(layout.terms):
            n = _put(index, value, n, axis * layout.terms + k, axis, terms[3 + k])
    if layout.skew:
        index[n], value[n, 0], value[n, 1] = n, raw_u, -raw_v
        index[n + 1], value[n + 1, 0], value[n + 1, 1] = n + 1, raw_v, raw_u
        n += 2
    if exposure >= 0:
        at = layout.links + layout.link * exposure
        if layout.link == 4:
            n = _put(index, value, n, at, 0, 1.0)
            n = _put(index, value, n, at + 1, 1, 1.0)
            index[n], value[n, 0], value[n, 1] = at + 2, u, v
            index[n + 1], value[n + 1, 0], value[n + 1, 1] = at + 3, v, -u
            n += 2
        else:
            for axis in range(2):
                n = _put(index, value, n, at + 3 * axis, axis, 1.0)
                n = _put(index, value, n, at + 3 * axis + 1, axis, u)
                n = _put(index, value, n, at + 3 * axis + 2, axis, v)
    n_x, n_y = basis.x.first[-1], basis.y.first[-1]
    if n_x * n_y > 0:
        i, j = locate(basis.x, x, wx, skip), locate(basis.y, y, wy, skip)
        for axis in range(2):
            for b in range(4):
                at = layout.surface + (axis * n_y + j + b) * n_x + i
                for a in range(4):
                    n = _put(index, value, n, at + a, axis, wy[b] * wx[a])
    if layout.columns_x >= 0:
        i = locate(basis.columns, x, wx, skip)
        n = _put_four(index, value, n, layout.columns_x + i, 0, wx)
        if layout.columns_y >= 0:
            n = _put_four(index, value, n, layout.columns_y + i, 1, wx)
    if layout.rows_y >= 0:
        j = locate(basis.rows, y, wy, skip)
        if layout.rows_x >= 0:
            n = _put_four(index, value, n, layout.rows_x + j, 0, wy)
        n = _put_four(index, value, n, layout.rows_y + j, 1, wy)
    return n


@jit(inline="always")
def _put(index, value, n, at, axis, number):
    index[n], value[n, axis], value[n, 1 - axis] = at, number, 0.0
    return n + 1


@jit(inline="always")
def _put_four(index, value, n, at, axis, numbers):
    for a in range(4):
        n = _put(index, value, n, at + a, axis, numbers[a])
    return n


@jit(inline="always")
def work_of(layout):
    """Scratch for :func:`sparse_row`, and its index and value."""
    longest = 2 * layout.terms + 2 + 6 + 32 + 16
    work = np.empty(layout.terms + 3), np.empty(4), np.empty(4), np.empty(4)
    return work, np.empty(longest, np.int64), np.empty((longest, 2))


@jit
def assemble(basis, layout, rows, order, weight, residual, inverse, normal, right):
    """Add to `normal` (total, total), the lower triangle, and `right` (total,) what measurements say of the unknowns.

    Stars are taken in `order`, best such that neighbours follow each other: they share unknowns, and so memory. They
    are at their most likely positions: `residual` and `inverse` are of
    :func:`compute.kernels.geometry.placed.positions` with the same `weight`.
    """
    work, index, value = work_of(layout)
    left = np.empty_like(value)
    pull, seen, found = np.zeros((layout.total, 2)), np.zeros(layout.total, np.bool_), np.empty(layout.total, np.int64)
    for s in order:
        many = 0
        for k in range(rows.start[s], rows.start[s + 1]):
            e = rows.exposure[k]
            n = sparse_row(basis, layout, rows.x[k], rows.y[k], rows.u[k], rows.v[k], e, work, index, value)
            j, xx, xy, yy = rows.inward[e], weight[0, k], weight[1, k], weight[2, k]
            for a in range(n):
                i = index[a]
                left[a, 0] = xx * value[a, 0] + xy * value[a, 1]
                left[a, 1] = xy * value[a, 0] + yy * value[a, 1]
                right[i] += left[a, 0] * residual[0, k] + left[a, 1] * residual[1, k]
                if not seen[i]:
                    seen[i], found[many], many = True, i, many + 1
                pull[i, 0] += j[0, 0] * left[a, 0] + j[1, 0] * left[a, 1]
                pull[i, 1] += j[0, 1] * left[a, 0] + j[1, 1] * left[a, 1]
            _add_products(normal, index[:n], left, value)
        some = np.sort(found[:many])
        _take_star(normal, some, pull, inverse[:, s])
        for i in some:
            pull[i], seen[i] = 0.0, False


@jit
def _add_products(normal, index, left, value):
    for a in range(index.size):
        row, p, q = normal[index[a]], left[a, 0], left[a, 1]
        for b in range(a + 1):
            row[index[b]] += p * value[b, 0] + q * value[b, 1]


@jit
def _take_star(normal, index, pull, inverse):
    """Take from `normal` what the star's own position explains."""
    short = np.empty((index.size, 2))
    for a in range(index.size):
        short[a] = pull[index[a]]
    for a in range(index.size):
        row = normal[index[a]]
        p = inverse[0] * short[a, 0] + inverse[1] * short[a, 1]
        q = inverse[1] * short[a, 0] + inverse[2] * short[a, 1]
        for b in range(a + 1):
            row[index[b]] -= p * short[b, 0] + q * short[b, 1]
