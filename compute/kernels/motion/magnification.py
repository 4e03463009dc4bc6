"""How a change of single stars changes the magnification of an affine fit."""

import numpy as np
from numpy.typing import NDArray

from compute.kernels import polynomial2d

__all__ = ["influence"]


def influence(x: NDArray, y: NDArray, weight: NDArray, matrix: NDArray) -> NDArray[np.float64]:
    """Derivatives of the magnification of a weighted affine fit by the positions it is fitted to.

    The magnification of (x, y) -> matrix (x, y) + offset is m = sqrt |det matrix|, hence dm / dmatrix = m / 2 times the
    inverse transposed; the matrix depends linearly on the positions fitted to.

    Parameters
    ----------
    x, y
        (n,) where the map starts from.
    weight
        (3, n) elements xx, xy, yy of the inverse covariances of the positions fitted to; zero for stars left out.
    matrix
        (2, 2) of the fit.

    Returns
    -------
    (2, n), per unit of the positions fitted to. With C_i their covariances, the variance of m is the sum of
    d_i^T C_i d_i; what two fits share follows likewise from the products of their derivatives.
    """
    used = (weight[0] > 0) & (weight[2] > 0)
    low, high = (np.array([end(x[used]), end(y[used])]) for end in (np.min, np.max))
    middle, half = (low + high) / 2, float((high - low).max() / 2) or 1.0
    nothing = np.zeros((2, x.size))
    normal, _ = polynomial2d.normal_equations(x, y, nothing, weight, middle[0], middle[1], half, 1)
    slope = np.zeros((2, 3))
    slope[:, 1:] = np.sqrt(abs(np.linalg.det(matrix))) / 2 * np.linalg.inv(matrix).T / half
    terms = np.array([np.ones(x.size), (x - middle[0]) / half, (y - middle[1]) / half])
    along = np.linalg.solve(normal, slope.ravel()).reshape(2, 3) @ terms
    xx, xy, yy = weight
    return np.array([xx * along[0] + xy * along[1], xy * along[0] + yy * along[1]])
