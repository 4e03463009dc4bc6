"""Least squares whose matrix is never formed: conjugate gradients, and the roughness of tables of coefficients."""

import numpy as np
from numpy.typing import NDArray


def _dot(a: NDArray, b: NDArray) -> float:
    """Inner product whose last digits do not depend on the threads of a BLAS."""
    return float((a * b).sum())


def conjugate_gradients(multiply, b: NDArray, precondition, tolerance: float, steps: int):
    """Solution of multiply(x) = b, the gradient that is left relative to b's, and the steps taken.

    `multiply` is by a symmetric positive matrix, `precondition` by something near its inverse; it ends when the
    gradient has fallen by `tolerance`, or after `steps`.
    """
    x, r = np.zeros_like(b), b.copy()
    z = precondition(r)
    p, rz = z.copy(), _dot(r, z)
    begin = rz
    for step in range(steps):
        if rz <= tolerance**2 * begin or begin == 0.0:
            return x, float(np.sqrt(rz / begin)) if begin else 0.0, step
        q = multiply(p)
        alpha = rz / _dot(p, q)
        x += alpha * p
        r -= alpha * q
        z = precondition(r)
        rz, old = _dot(r, z), rz
        p *= rz / old
        p += z
    return x, float(np.sqrt(rz / begin)), steps


def bend(v: NDArray, spring: NDArray) -> NDArray:
    """Half the gradient of the roughness sum spring (second differences)^2, along both axes."""
    out = np.zeros_like(v)
    for axis in (2, 3):
        a, b, c = _three(v, axis)
        second = _middle(spring, axis - 2) * (a - 2.0 * b + c)
        d, e, f = _three(out, axis)
        d += second
        e -= 2.0 * second
        f += second
    return out


def _three(v: NDArray, axis: int) -> tuple[NDArray, NDArray, NDArray]:
    """Neighbours along an axis: before, here, after."""
    n = v.shape[axis]
    return tuple(v[(slice(None),) * axis + (slice(k, n - 2 + k),)] for k in range(3))  # type: ignore[return-value]


def _middle(v: NDArray, axis: int) -> NDArray:
    return v[1:-1] if axis == 0 else v[:, 1:-1]
