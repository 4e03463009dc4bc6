"""Steps to the least squares that iterated averages of :mod:`compute.kernels.geometry.published` approach by halves."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, eye_array
from scipy.sparse.linalg import spsolve

from compute.kernels.geometry.cellmeans import Pairs, Sweep
from compute.kernels.geometry.layers import Polynomial, Table
from compute.kernels.threads import each


def powers(order: int) -> tuple[NDArray, NDArray]:
    """Powers of u and of v of the terms up to a total degree, by rising degree."""
    both = [(degree - j, j) for degree in range(order + 1) for j in range(degree + 1)]
    return tuple(np.array(both).T)


def design(x: NDArray, y: NDArray, layer: Polynomial) -> NDArray:
    """Terms (n, n_terms) at raw positions."""
    u, v = (x - layer.x0) / layer.half, (y - layer.y0) / layer.half
    i, j = powers(layer.terms.shape[-1] - 1)
    up, vp = np.vander(u, i.max() + 1, increasing=True), np.vander(v, i.max() + 1, increasing=True)
    return up[:, i] * vp[:, j]


def polynomials(pairs: Pairs, state: Sweep, layer: Polynomial, threads: int) -> NDArray[np.float64]:
    """Terms (2, p, p) to add to `layer`: least squares of the used pairs, links of the exposures free.

    Of linear terms the two skews alone are free.
    """
    i, j = powers(layer.terms.shape[-1] - 1)
    m = i.size
    free = np.delete(np.eye(2 * m), [0, 1, 2, m, m + 1, m + 2], axis=1)
    skew = np.zeros((2 * m, 2))
    skew[[1, m + 2], 0], skew[[2, m + 1], 1] = (1, -1), (1, 1)
    free = np.hstack([free, skew])

    def one(e: int) -> tuple[NDArray, NDArray]:
        k = np.flatnonzero(state.used & (pairs.exposure == e))
        terms, (fx, fy) = design(pairs.x[k], pairs.y[k], layer), (pairs.frame_x[k], pairs.frame_y[k])
        of_terms = np.vstack([terms @ free[:m], terms @ free[m:]])
        zero, unit = np.zeros(k.size), np.ones(k.size)
        link, _ = np.linalg.qr(np.vstack([np.stack([fx, fy, unit, zero], 1), np.stack([fy, -fx, zero, unit], 1)]))
        of_terms -= link @ (link.T @ of_terms)
        return of_terms.T @ of_terms, of_terms.T @ state.residual[:, k].ravel()

    normal, right = (sum(parts) for parts in zip(*each(one, pairs.n_exposures, threads), strict=True))
    found, p = np.zeros(layer.terms.shape[1:]), free @ np.linalg.solve(normal, right)
    found[:, i, j] = p.reshape(2, m)
    return found


def table(pairs: Pairs, state: Sweep, layer: Table) -> NDArray[np.float64]:
    """Values (n_y, n_x, 2) to add to `layer`: least squares of the used pairs.

    Every node counts as one pair with no residual, so that nodes near few stars stay where they are.
    """
    k = np.flatnonzero(state.used)
    (i, s), (j, t) = (_within(at[k], axis) for at, axis in ((pairs.x, layer.x), (pairs.y, layer.y)))
    n_x, shape = layer.x.size, (k.size, layer.x.size * layer.y.size)
    row = np.arange(k.size)
    corners = [((1 - t) * (1 - s), j * n_x + i), ((1 - t) * s, j * n_x + i + 1),
               (t * (1 - s), (j + 1) * n_x + i), (t * s, (j + 1) * n_x + i + 1)]  # fmt: skip
    weights, columns = (np.concatenate(parts) for parts in zip(*corners, strict=True))
    bilinear = coo_array((weights, (np.tile(row, 4), columns)), shape).tocsr()
    normal = (bilinear.T @ bilinear + eye_array(shape[1])).tocsc()
    pull = bilinear.T @ state.residual[:, k].T - layer.values.reshape(-1, 2)
    return spsolve(normal, pull).reshape(layer.values.shape)


def _within(at: NDArray, knots: NDArray) -> tuple[NDArray, NDArray]:
    """Lower knots and fractions of the cells that hold positions; beyond the knots, of their ends."""
    k = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, knots.size - 2)
    return k, np.clip((at - knots[k]) / (knots[k + 1] - knots[k]), 0.0, 1.0)
