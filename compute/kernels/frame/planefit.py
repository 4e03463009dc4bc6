"""Fits of transformations of the plane to pairs of positions, some of which are no pairs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels import polynomial2d
from compute.kernels.frame import robust
from compute.kernels.frame.transforms import KINDS, Transform, TransformError

_SINGULAR = 1e13  # condition of normal equations, unit diagonal, beyond which nothing is determined
_CAUCHY_ROUNDS = 40
_FEW = 50  # stars, below which subsets of them are tried
_SUBSETS = 200
_SETTLED = 1e-2  # of the scatter: from there clipping goes on
_EXACT = 1e-12  # of the largest coordinate: residuals below are rounding


class Fit(NamedTuple):
    """A transformation and how well it describes the stars.

    `used` (n,); `rms_x`, `rms_y` of the residuals of the used stars; `chi2` of them with their formal errors (1 where
    none were given) and `dof`, its degrees of freedom.
    """

    transform: Transform
    used: NDArray
    rms_x: float
    rms_y: float
    n_used: int
    chi2: float
    dof: int


def fit(
    kind: str,
    x1: ArrayLike,
    y1: ArrayLike,
    x2: ArrayLike,
    y2: ArrayLike,
    error_x: ArrayLike = 1.0,
    error_y: ArrayLike = 1.0,
    correlation: ArrayLike = 0.0,
    *,
    clip: float = 3.0,
    max_rounds: int = 20,
    formal: bool = False,
    start: Transform | None = None,
    centre: tuple[float, float] | None = None,
    scale: float | None = None,
) -> Fit:
    """Transformation from (x1, y1) to (x2, y2), each (n,), by weighted least squares without the outliers.

    A fit with Cauchy's weights, which a third of mismatches does not lead astray, begins; then stars are left out
    whose residual exceeds `clip` times the scatter per axis that the residuals of stars with like formal errors really
    have, until these are the same as before or `max_rounds` were made.

    Parameters
    ----------
    kind
        One of `transforms.KINDS`. A similarity has the parity that leaves less scatter, or that of `start`.
    error_x, error_y, correlation
        Formal errors of x2 - x2(x1, y1) and y2 - y2(x1, y1), in units of x2 and y2. Stars with NaN anywhere, or without
        positive errors, are not used.
    formal
        Covariance from the formal errors alone; otherwise scaled by chi2 per degree of freedom (NaN without any).
    start
        Begin by clipping residuals from this instead of with Cauchy's weights: quicker, where one iterates.
    centre, scale
        Of the normalised coordinates; middle and half the extent of the stars unless given.

    Raises
    ------
    TransformError
        Fewer stars than it takes, or at places that do not determine the parameters.
    """
    pairs, good = _pairs(x1, y1, x2, y2, error_x, error_y, correlation)
    _enough(kind, int(good.sum()))
    frame = _frame(pairs, centre, scale)
    groups = robust.alike(pairs.error)
    problems = [_Problem(kind, parity, pairs, frame) for parity in ((1, -1) if kind == "similar" else (1,))]
    if start is not None:
        problem = problems[0] if start.parity == 1 else problems[-1]
        residual = np.stack([pairs.x2, pairs.y2]) - np.stack(start.apply(pairs.x1, pairs.y1))
    else:
        begun = [(problem, *problem.cauchy(groups)) for problem in problems]
        problem, _, residual = min(begun, key=lambda one: np.median(one[1]))
    kept, coefficients, residual, covariance = problem.clipped(residual, groups, clip, max_rounds)
    chi2, dof = float(_squared(residual, pairs.weight)[kept].sum()), int(2 * kept.sum() - KINDS[kind][1])
    if not formal:
        covariance = covariance * (chi2 / dof / robust.kept_variance(clip) if dof > 0 else np.nan)
    used = np.zeros(good.size, bool)
    used[np.flatnonzero(good)[kept]] = True
    rms_x, rms_y = np.sqrt((residual[:, kept] ** 2).mean(1))
    transform = Transform(kind, coefficients, covariance, *frame)
    return Fit(transform, used, float(rms_x), float(rms_y), int(kept.sum()), chi2, dof)


class _Pairs(NamedTuple):
    """Usable pairs: positions (n,), `weight` (3, n): xx, xy, yy of the inverse covariances, and error (n,)."""

    x1: NDArray
    y1: NDArray
    x2: NDArray
    y2: NDArray
    weight: NDArray
    error: NDArray


def _squared(residual: NDArray, weight: NDArray) -> NDArray:
    """Squares (n,) of residuals (2, n), in units of their errors."""
    xx, xy, yy = weight
    return xx * residual[0] ** 2 + 2 * xy * residual[0] * residual[1] + yy * residual[1] ** 2


def _pairs(*columns: ArrayLike) -> tuple[_Pairs, NDArray]:
    table = np.array(np.broadcast_arrays(*(np.atleast_1d(np.asarray(column, float)) for column in columns)))
    good = np.isfinite(table).all(0) & (table[4] > 0) & (table[5] > 0) & (abs(table[6]) < 1)
    x1, y1, x2, y2, ex, ey, rho = np.ascontiguousarray(table[:, good])
    weight = np.stack([1 / ex**2, -rho / (ex * ey), 1 / ey**2]) / (1 - rho**2)
    return _Pairs(x1, y1, x2, y2, weight, np.sqrt(ex * ey)), good


def _frame(pairs: _Pairs, centre: tuple[float, float] | None, scale: float | None) -> tuple[tuple[float, float], float]:
    """Centre and scale of the normalised coordinates."""
    low, high = np.stack([pairs.x1, pairs.y1]).min(1), np.stack([pairs.x1, pairs.y1]).max(1)
    middle = centre or (float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2)
    return middle, float(scale or (high - low).max() / 2 or 1.0)


def _enough(kind: str, n: int) -> None:
    expected = KINDS[kind][1] // 2
    if n < expected:
        raise TransformError(f"transform {kind}: found {n} star{'s' * (n != 1)}, expected at least {expected}")


@dataclass(frozen=True)
class _Problem:
    """One kind and parity of transformation for some pairs; coefficients are fixed + basis @ parameters."""

    kind: str
    parity: int
    pairs: _Pairs
    frame: tuple[tuple[float, float], float]

    @property
    def fixed(self) -> NDArray:
        """Coefficients (2, n_terms) to begin with: the unit matrix for shifts, which leave it so."""
        out = np.zeros((2, polynomial2d.n_terms(KINDS[self.kind][0])))
        if self.kind == "shift":
            out[:, 1:3] = self.frame[1] * np.eye(2)
        return out

    @property
    def basis(self) -> NDArray:
        """(2 n_terms, n_parameters): how the raveled coefficients follow from the free parameters."""
        m, s = polynomial2d.n_terms(KINDS[self.kind][0]), self.parity
        if self.kind == "shift":
            return np.eye(2 * m)[:, [0, m]]
        if self.kind == "similar":
            return np.array([[1, 0, 0, 0], [0, 0, s, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, -s], [0, 0, 1, 0.0]])
        return np.eye(2 * m)

    def residual(self, coefficients: NDArray) -> NDArray:
        """(2, n), found minus transformed."""
        out = np.empty((2, self.pairs.x1.size))
        (x, y), scale = self.frame
        polynomial2d.evaluate(self.pairs.x1, self.pairs.y1, x, y, scale, KINDS[self.kind][0], coefficients, out)
        out[0], out[1] = self.pairs.x2 - out[0], self.pairs.y2 - out[1]
        return out

    def step(self, coefficients: NDArray, residual: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
        """Least squares with `weight` (3, n), from the `residual` of `coefficients`: new coefficients, covariance."""
        (x, y), scale = self.frame
        normal, right = polynomial2d.normal_equations(
            self.pairs.x1, self.pairs.y1, residual, weight, x, y, scale, KINDS[self.kind][0]
        )
        basis = self.basis
        normal, right = basis.T @ normal @ basis, basis.T @ right
        size = np.sqrt(np.maximum(np.diag(normal), np.finfo(float).tiny))
        values, vectors = np.linalg.eigh(normal / np.outer(size, size))
        condition = values[-1] / values[0] if values[0] > 0 else np.inf
        if not condition < _SINGULAR:
            raise TransformError(
                f"transform {self.kind}: found stars on a line or a curve that leaves it undetermined "
                f"(condition {condition:.0e}), expected below {_SINGULAR:.0e}"
            )
        root = basis @ (vectors / np.sqrt(values) / size[:, None])
        covariance = root @ root.T
        parameters = (vectors / values) @ (vectors.T @ (right / size)) / size
        return coefficients + (basis @ parameters).reshape(coefficients.shape), covariance

    def cauchy(self, groups: list[NDArray]) -> tuple[NDArray, NDArray]:
        """Scatter (n,) and residuals (2, n) of the fit with Cauchy's weights.

        It begins without formal errors, lest a mismatched bright star dominate.
        """
        alike, everyone = np.zeros_like(self.pairs.weight), np.ones(self.pairs.x1.size, bool)
        alike[[0, 2]] = 1.0
        coefficients = self.step(self.fixed, self.residual(self.fixed), alike)[0]
        if everyone.size <= _FEW:
            coefficients = self.least_median(coefficients)
        residual = self.residual(coefficients)
        for formal in (alike, self.pairs.weight):
            for _ in range(_CAUCHY_ROUNDS):
                squared = _squared(residual, formal)
                sigma = robust.scatter(squared, everyone, groups, KINDS[self.kind][1])
                coefficients, _ = self.step(coefficients, residual, formal * robust.cauchy(squared, sigma))
                before, residual = residual, self.residual(coefficients)
                if not (_squared(residual - before, formal) > (_SETTLED * sigma) ** 2).any():
                    break
        return sigma, residual

    def least_median(self, coefficients: NDArray) -> NDArray:
        """Those of subsets just large enough, or the `coefficients` given, that leave the least median of squares."""
        n, n_parameters = self.pairs.x1.size, KINDS[self.kind][1]
        origin = self.residual(self.fixed)
        columns = [origin - self.residual(self.fixed + column.reshape(2, -1)) for column in self.basis.T]
        design = np.moveaxis(np.array(columns), 0, 2)  # (2, n, n_parameters)
        subsets = np.random.default_rng(0).random((_SUBSETS, n)).argsort(1)[:, : n_parameters // 2]
        square = np.moveaxis(design[:, subsets], 0, 1).reshape(_SUBSETS, n_parameters, n_parameters)
        right = np.moveaxis(origin[:, subsets], 0, 1).reshape(_SUBSETS, n_parameters, 1)
        parameters = (np.linalg.pinv(square, rcond=1e-9) @ right)[:, :, 0]
        candidates = [coefficients, *(self.fixed + (parameters @ self.basis.T).reshape(_SUBSETS, 2, -1))]
        squares = np.concatenate([self.residual(coefficients)[None], origin - np.tensordot(parameters, design, (1, 2))])
        rank = min((n + n_parameters // 2) // 2, n - 1)  # the parameters follow some stars exactly
        return candidates[int(np.argmin(np.partition((squares**2).sum(1), rank, axis=1)[:, rank]))]

    def clipped(
        self, residual: NDArray, groups: list[NDArray], clip: float, max_rounds: int
    ) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Who is used (n,), coefficients, residuals and covariance of least squares, from the `residual` of a start."""
        pairs, kept = self.pairs, np.ones(self.pairs.x1.size, bool)
        rounding = _EXACT * max(abs(pairs.x2).max(), abs(pairs.y2).max())
        coefficients, origin = self.fixed, self.residual(self.fixed)
        for number in range(max_rounds):
            squared = _squared(residual, pairs.weight)
            sigma = robust.scatter(squared, kept, groups, KINDS[self.kind][1])
            before = kept
            kept = (squared <= (clip * sigma) ** 2) | ((residual**2).sum(0) <= rounding**2)
            if number > 0 and (kept == before).all():
                break
            _enough(self.kind, int(kept.sum()))
            coefficients, _ = self.step(self.fixed, origin, pairs.weight * kept)
            residual = self.residual(coefficients)
        # A second step takes off the rounding of the first.
        coefficients, covariance = self.step(coefficients, residual, pairs.weight * kept)
        return kept, coefficients, self.residual(coefficients), covariance
