"""Transformations of the plane: shift, similarity, affine (six parameters), polynomials up to the fifth order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels import polynomial2d

# Order of the polynomial and number of free parameters. Kinds of the first order stand by generality.
KINDS = {
    "shift": (1, 2), "similar": (1, 4), "affine": (1, 6), "poly2": (2, 12), "poly3": (3, 20), "poly4": (4, 30),
    "poly5": (5, 42),
}  # fmt: skip
_LINEAR = ("shift", "similar", "affine")
_CLOSE = 1e-13  # of normalised coordinates: 1e-10 pix on a detector


class TransformError(ValueError):
    """No transformation can be had from the stars given; the message has the numbers."""


@dataclass(frozen=True)
class Transform:
    """(x, y) -> (x', y'), each a polynomial of u = (x - centre_x) / scale and v = (y - centre_y) / scale.

    Attributes
    ----------
    kind
        One of `KINDS`.
    coefficients
        (2, n_terms), of x' and y'; terms 1, u, v, u2, uv, v2, ... by total degree.
    covariance
        (2 n_terms, 2 n_terms) of the raveled coefficients; not of full rank for shifts and similarities.
    centre, scale
        (2,) and number, in units of x and y.
    """

    kind: str
    coefficients: NDArray
    covariance: NDArray
    centre: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0

    @classmethod
    def linear(cls, matrix: ArrayLike, offset: ArrayLike, kind: str = "affine") -> "Transform":
        """Offset + matrix (x, y), exactly known."""
        coefficients = np.column_stack([np.asarray(offset, float), np.asarray(matrix, float)])
        return cls(kind, coefficients, np.zeros((6, 6)))

    @classmethod
    def similar(cls, scale: float, rotation: float, offset: ArrayLike = (0.0, 0.0), parity: int = 1) -> "Transform":
        """Similarity with the magnification `scale`, `rotation` [deg] and `parity` given, exactly known."""
        a, b = scale * np.cos(np.radians(rotation)), scale * np.sin(np.radians(rotation))
        return cls.linear([[parity * a, b], [-parity * b, a]], offset, "similar")

    @property
    def order(self) -> int:
        """Total degree."""
        return KINDS[self.kind][0]

    def apply(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        """x', y' (n,) of the positions x, y (n,)."""
        x, y = _vector(x), _vector(y)
        out = np.empty((2, x.size))
        polynomial2d.evaluate(x, y, *self.centre, self.scale, self.order, self.coefficients, out)
        return out[0], out[1]

    def invert(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        """The positions whose images x, y (n,) are: exact to rounding, NaN where a polynomial has no inverse nearby."""
        x, y = _vector(x), _vector(y)
        if self.order == 1:
            return self.inverse().apply(x, y)
        out = np.empty((2, x.size))
        polynomial2d.invert(x, y, *self.centre, self.scale, self.order, self.coefficients, _CLOSE, out)
        return out[0], out[1]

    def inverse(self) -> "Transform":
        """Inverse of a linear transformation, with its covariance."""
        self._need_linear("inverse")
        offset, back = self.coefficients[:, 0], np.linalg.inv(self.coefficients[:, 1:])
        scale = 1 / np.sqrt(abs(np.linalg.det(back)))
        size = self.scale * scale
        coefficients = np.column_stack([self.centre, size * back])
        # A change d of offset and matrix moves the inverse by -back d (1, back): (x, y) times (1, u, v) as a product.
        terms = np.block([[np.full((1, 1), self.scale), np.zeros((1, 2))], [np.zeros((2, 1)), size * back]])
        by = np.kron(-back, terms.T)
        return Transform(self.kind, coefficients, by @ self.covariance @ by.T, (offset[0], offset[1]), scale)

    def compose(self, first: "Transform") -> "Transform":
        """`first`, then this, both linear and independent of each other."""
        self._need_linear("compose")
        first._need_linear("compose")
        inner = np.vstack(
            [[1.0, 0.0, 0.0], (first.coefficients - np.array([self.centre, (0, 0), (0, 0)]).T) / self.scale]
        )
        outer = self.coefficients[:, 1:] / self.scale
        by, by_first = np.kron(np.eye(2), inner.T), np.kron(outer, np.eye(3))
        covariance = by @ self.covariance @ by.T + by_first @ first.covariance @ by_first.T
        kind = max(self.kind, first.kind, key=_LINEAR.index)
        return Transform(kind, self.coefficients @ inner, covariance, first.centre, first.scale)

    def _need_linear(self, what: str) -> None:
        if self.order > 1:
            raise TransformError(f"{what}: found transform {self.kind}, expected one of {', '.join(_LINEAR)}")

    @property
    def matrix(self) -> NDArray:
        """((A, B), (C, D)) of x' = A x + B y, y' = C x + D y at the centre."""
        return self.coefficients[:, 1:3] / self.scale

    @property
    def parity(self) -> int:
        """1, or -1 where the transformation mirrors."""
        return 1 if np.linalg.det(self.matrix) > 0 else -1

    @property
    def magnification(self) -> float:
        """Scale, the root of |AD - BC|."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def rotation(self) -> float:
        """atan2(B - C, A + D) [deg]; with negative parity, of the matrix after the x axis was mirrored: -A, -C."""
        (a, b), (c, d) = self.matrix * (self.parity, 1)
        return float(np.degrees(np.arctan2(b - c, a + d)))

    @property
    def skews(self) -> tuple[float, float]:
        """On-axis (A - D) / 2, half the difference of the axes' scales, and off-axis (B + C) / 2, half their departure
        from a right angle [rad, times the scale]; with negative parity of -A, -C. Both vanish for a similarity.
        """
        (a, b), (c, d) = self.matrix * (self.parity, 1)
        return float(a - d) / 2, float(b + c) / 2


def _vector(x: ArrayLike) -> NDArray:
    return np.atleast_1d(np.asarray(x, float))
