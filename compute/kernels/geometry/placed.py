"""Stars on the frame of several exposures, each where its measurements and what is known of it put it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit


class Rows(NamedTuple):
    """Measurements in order of star.

    Raw `x`, `y` (n,), corrected and normalised `u`, `v` (n,), `exposure` (n,), `start` (S + 1,) of each star; `inward`
    (n_exposures, 2, 2) derivatives of corrected by frame position.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    exposure: NDArray[np.int64]
    start: NDArray[np.int64]
    inward: NDArray


@jit
def positions(rows, corrected, offset, weight, known, prior, position, residual, inverse):
    """Each star's most likely position, given all else.

    `corrected` (2, n) [pix], `offset` (n_exposures, 2) of links, `weight` (3, n): xx, xy, yy of inverse covariances;
    `known` (2, S) is where stars are to be, with inverse covariances `prior` (3, S), zero where nothing is known. Fills
    `position` (2, S), `residual` (2, n), position less measurement [pix of the detector], and `inverse` (3, S), the
    covariance of the position.
    """
    for s in range(rows.start.size - 1):
        a, b, c = prior[0, s], prior[1, s], prior[2, s]
        p, q = a * known[0, s] + b * known[1, s], b * known[0, s] + c * known[1, s]
        for k in range(rows.start[s], rows.start[s + 1]):
            e = rows.exposure[k]
            (ja, jb), (jc, jd) = rows.inward[e, 0], rows.inward[e, 1]
            at_x = corrected[0, k] + ja * offset[e, 0] + jb * offset[e, 1]
            at_y = corrected[1, k] + jc * offset[e, 0] + jd * offset[e, 1]
            # The columns of inward, weighted.
            xa, ya = weight[0, k] * ja + weight[1, k] * jc, weight[1, k] * ja + weight[2, k] * jc
            xb, yb = weight[0, k] * jb + weight[1, k] * jd, weight[1, k] * jb + weight[2, k] * jd
            a += xa * ja + ya * jc
            b += xa * jb + ya * jd
            c += xb * jb + yb * jd
            p += xa * at_x + ya * at_y
            q += xb * at_x + yb * at_y
        determinant = a * c - b * b
        inverse[0, s], inverse[1, s], inverse[2, s] = c / determinant, -b / determinant, a / determinant
        x, y = inverse[0, s] * p + inverse[1, s] * q, inverse[1, s] * p + inverse[2, s] * q
        position[0, s], position[1, s] = x, y
        for k in range(rows.start[s], rows.start[s + 1]):
            e = rows.exposure[k]
            j, dx, dy = rows.inward[e], x - offset[e, 0], y - offset[e, 1]
            residual[0, k] = j[0, 0] * dx + j[0, 1] * dy - corrected[0, k]
            residual[1, k] = j[1, 0] * dx + j[1, 1] * dy - corrected[1, k]


@jit
def own_share(rows, weight, inverse, share):
    """Part `share` (n,) that a measurement has in its star's position: 1 where nothing else is known of it."""
    for s in range(rows.start.size - 1):
        a, b, c = inverse[0, s], inverse[1, s], inverse[2, s]
        for k in range(rows.start[s], rows.start[s + 1]):
            j = rows.inward[rows.exposure[k]]
            xx = a * j[0, 0] ** 2 + 2 * b * j[0, 0] * j[0, 1] + c * j[0, 1] ** 2
            yy = a * j[1, 0] ** 2 + 2 * b * j[1, 0] * j[1, 1] + c * j[1, 1] ** 2
            xy = a * j[0, 0] * j[1, 0] + b * (j[0, 0] * j[1, 1] + j[0, 1] * j[1, 0]) + c * j[0, 1] * j[1, 1]
            share[k] = 0.5 * (weight[0, k] * xx + 2 * weight[1, k] * xy + weight[2, k] * yy)
