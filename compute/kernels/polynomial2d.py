"""Polynomials of the plane in normalised coordinates: values, inverse, normal equations.

Terms stand by total degree, powers of u falling: 1, u, v, u2, uv, v2, u3, ... with u = (x - centre_x) / scale and v
alike; `coefficients` (2, n_terms) are those of x and of y.
"""

import numpy as np

from compute.kernels._jit import jit

_STEPS = 30  # Newton's steps; four do where a distortion is gentle


def n_terms(order: int) -> int:
    """Number of terms up to total degree `order`."""
    return (order + 1) * (order + 2) // 2


@jit
def monomials(u, v, order, terms):
    """Fill `terms` (n_terms,) with their values at normalised u, v."""
    terms[0] = 1.0
    for degree in range(1, order + 1):
        first = degree * (degree + 1) // 2
        for k in range(degree):
            terms[first + k] = u * terms[first - degree + k]
        terms[first + degree] = v * terms[first - 1]


@jit
def _value(terms, coefficients):
    x = y = 0.0
    for k in range(terms.size):
        x += coefficients[0, k] * terms[k]
        y += coefficients[1, k] * terms[k]
    return x, y


@jit
def evaluate(x, y, centre_x, centre_y, scale, order, coefficients, out):
    """Values at `x`, `y` (n,) into `out` (2, n)."""
    terms = np.empty(coefficients.shape[1])
    for i in range(x.size):
        monomials((x[i] - centre_x) / scale, (y[i] - centre_y) / scale, order, terms)
        out[0, i], out[1, i] = _value(terms, coefficients)


@jit
def _jacobian(terms, order, coefficients):
    xu = xv = yu = yv = 0.0
    for degree in range(1, order + 1):
        first = degree * (degree + 1) // 2
        for k in range(degree):
            below = terms[first - degree + k]
            xu += coefficients[0, first + k] * (degree - k) * below
            yu += coefficients[1, first + k] * (degree - k) * below
            xv += coefficients[0, first + k + 1] * (k + 1) * below
            yv += coefficients[1, first + k + 1] * (k + 1) * below
    return xu, xv, yu, yv


@jit
def invert(x, y, centre_x, centre_y, scale, order, coefficients, tolerance, out):
    """Where the polynomial has the values `x`, `y` (n,), into `out` (2, n), by Newton's method from its linear part.

    NaN where steps do not fall below `tolerance` (of normalised coordinates).
    """
    terms = np.empty(coefficients.shape[1])
    for i in range(x.size):
        out[:, i] = np.nan
        u = v = 0.0
        for _ in range(_STEPS):
            monomials(u, v, order, terms)
            at_x, at_y = _value(terms, coefficients)
            xu, xv, yu, yv = _jacobian(terms, order, coefficients)
            determinant = xu * yv - xv * yu
            du = (yv * (x[i] - at_x) - xv * (y[i] - at_y)) / determinant
            dv = (xu * (y[i] - at_y) - yu * (x[i] - at_x)) / determinant
            u, v = u + du, v + dv
            if du * du + dv * dv < tolerance * tolerance:
                out[0, i], out[1, i] = centre_x + scale * u, centre_y + scale * v
                break


@jit
def normal_equations(x, y, residual, weight, centre_x, centre_y, scale, order):
    """Matrix (2 n_terms, 2 n_terms) and right side (2 n_terms,), x before y, of weighted least squares.

    `residual` (2, n) is what is to be explained, `weight` (3, n) the xx, xy, yy of each star's 2x2 matrix of weights.
    """
    m, n = (order + 1) * (order + 2) // 2, (2 * order + 1) * (order + 1)
    terms, matrix, right = np.empty(n), np.empty((2 * m, 2 * m)), np.zeros(2 * m)
    of_xx, of_xy, of_yy = np.zeros(n), np.zeros(n), np.zeros(n)
    for i in range(x.size):
        monomials((x[i] - centre_x) / scale, (y[i] - centre_y) / scale, 2 * order, terms)
        xx, xy, yy = weight[0, i], weight[1, i], weight[2, i]
        right_x = xx * residual[0, i] + xy * residual[1, i]
        right_y = xy * residual[0, i] + yy * residual[1, i]
        for k in range(m):
            right[k] += right_x * terms[k]
            right[m + k] += right_y * terms[k]
        for k in range(n):
            of_xx[k] += xx * terms[k]
            of_xy[k] += xy * terms[k]
            of_yy[k] += yy * terms[k]
    # A product of terms is a term of the sum of their degrees, and of the sum of their places among those of a degree.
    for degree in range(order + 1):
        for a in range(degree + 1):
            j = degree * (degree + 1) // 2 + a
            for other in range(order + 1):
                for b in range(other + 1):
                    k = other * (other + 1) // 2 + b
                    both = (degree + other) * (degree + other + 1) // 2 + a + b
                    matrix[j, k], matrix[m + j, m + k] = of_xx[both], of_yy[both]
                    matrix[m + j, k] = matrix[j, m + k] = of_xy[both]
    return matrix, right
