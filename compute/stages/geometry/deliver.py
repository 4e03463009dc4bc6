"""A solved distortion as a cube: a polynomial in the standard gauge, and a map of what it leaves of every pixel."""

from dataclasses import replace

import numpy as np
from numpy.polynomial.polynomial import polyvander2d
from numpy.typing import NDArray

from catalogs.distortion import DistortionCube, PixelMap, Polynomial
from catalogs.layers import LookUpTable
from compute.kernels.geometry.distortion import forward
from compute.stages.layered import layers_of

__all__ = ["delivered", "in_gauge", "rest_of", "shifts"]

_STEP = 8  # [pix] grid of the polynomial fit
_ROWS = 128  # of pixels evaluated together


def shifts(cube: DistortionCube) -> NDArray[np.float64]:
    """What a cube adds to the position of every pixel, (2, n_y, n_x) [axis, y, x]."""
    layers, (n_y, n_x) = layers_of(cube), cube.shape
    out = np.empty((2, n_y, n_x))
    for first in range(0, n_y, _ROWS):
        y, x = np.mgrid[first : min(first + _ROWS, n_y), :n_x].astype(float)
        out[:, first : first + _ROWS] = np.array(forward(layers, x, y, cube.chip_of(y))) - (x, y)
    return out


def rest_of(cube: DistortionCube) -> NDArray[np.float64]:
    """The shifts (2, n_y, n_x) of all layers but the polynomial."""
    return shifts(replace(cube, layers=tuple(one for one in cube.layers if not isinstance(one, Polynomial))))


def delivered(total: NDArray, cube: DistortionCube, order: int) -> DistortionCube:
    """A cube with the shifts `total` (2, n_y, n_x): the polynomials that fit them best, and a map of the rest.

    Everything else is as in `cube`.
    """
    polynomial = _fitted(total, cube.chips, order)
    smooth = shifts(replace(cube, layers=(polynomial,)))
    return in_gauge(replace(cube, layers=(polynomial, PixelMap((total - smooth).astype(np.float32), cube.chips))))


def in_gauge(cube: DistortionCube) -> DistortionCube:
    """The same up to a similarity: zero shift, no rotation and unit determinant of the polynomial at its middle.

    Of several chips, the polynomials' mean.
    """
    polynomial = next(layer for layer in cube.layers if isinstance(layer, Polynomial))
    terms, mean = polynomial.coefficients, polynomial.coefficients.mean(0)
    slope = np.eye(2) + np.column_stack([mean[:, 1, 0], mean[:, 0, 1]]) / polynomial.half
    angle = np.arctan2(slope[1, 0] - slope[0, 1], slope[0, 0] + slope[1, 1])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / np.sqrt(np.linalg.det(slope))
    terms = np.einsum("ab,cbij->caij", turn, terms)
    terms[:, :, 0, 0] -= turn @ mean[:, 0, 0]
    terms[:, :, 1, 0] += (turn - np.eye(2))[:, 0] * polynomial.half
    terms[:, :, 0, 1] += (turn - np.eye(2))[:, 1] * polynomial.half
    layers: list[Polynomial | LookUpTable | PixelMap] = [replace(polynomial, coefficients=terms)]
    for layer in cube.layers:
        if isinstance(layer, LookUpTable | PixelMap):
            turned = np.einsum("ab,byx->ayx", turn, layer.values)
            layers.append(replace(layer, values=turned.astype(layer.values.dtype)))
    return replace(cube, layers=tuple(layers))


def _fitted(total: NDArray, chips: NDArray, order: int) -> Polynomial:
    """The polynomials of the chips nearest to the shifts."""
    n_y, n_x = total.shape[1:]
    middle, half = ((n_x - 1) / 2, (n_y - 1) / 2), max(n_x, n_y) / 2
    i, j = (index.ravel() for index in np.mgrid[: order + 1, : order + 1])
    free = i + j <= order
    terms = np.zeros((len(chips), 2, order + 1, order + 1))
    for chip, (first, end) in enumerate(chips):
        y, x = (axis.ravel() for axis in np.mgrid[first + _STEP // 2 : end : _STEP, _STEP // 2 : n_x : _STEP])
        design = polyvander2d((x - middle[0]) / half, (y - middle[1]) / half, [order, order])[:, free]
        found, *_ = np.linalg.lstsq(design, total[:, y, x].T, rcond=None)
        terms[chip][:, i[free], j[free]] = found.T
    return Polynomial(terms, middle, half)
