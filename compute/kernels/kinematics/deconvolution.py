"""The likelihood of a mixture of Gaussians seen through the errors of single stars: its slope, its bend, and EM.

Errors and intrinsic covariances of motions are rows xx, xy, yy; formulas as in Bovy, Hogg & Roweis (2011), section 3.
Beside the Gaussians there may be a background, of one density everywhere: it has a fraction, and nothing else is free.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit

__all__ = ["Model", "climb_by_em", "gradient_of", "hessian_of", "narrowest", "packed", "slope", "unpacked"]

_LN_2_PI = 1.8378770664093453
_STEP = 1e-3  # of finite differences, in units of what a parameter's neighbours tell


class Model(NamedTuple):
    """Fractions (k,), means (k, 2), and intrinsic covariances (k, 3) of the components.

    With a background there is one fraction more, its, and `density` is not 0.
    """

    fractions: NDArray
    means: NDArray
    spreads: NDArray
    density: float = 0.0

    @property
    def gaussian(self) -> NDArray:
        """Fractions of the Gaussians (k,)."""
        return self.fractions[: len(self.means)]


def climb_by_em(v: NDArray, c: NDArray, model: Model, steps: int) -> tuple[Model, float]:
    """So many steps of EM, each written with the gradient: no step lowers the likelihood."""
    likelihood = -np.inf
    for _ in range(steps):
        likelihood, shares, by_mean, by_spread, _ = gradient_of(v, c, *model)
        each = shares[: len(by_mean), None]
        shift, grown = _product(model.spreads, by_mean) / each, 2.0 * _sandwich(model.spreads, by_spread) / each
        outer = np.stack([shift[:, 0] ** 2, shift[:, 0] * shift[:, 1], shift[:, 1] ** 2], axis=1)
        spreads = _positive(model.spreads + grown - outer)
        model = Model(shares / len(v), model.means + shift, spreads, model.density)
    return model, likelihood


def slope(v: NDArray, c: NDArray, model: Model) -> tuple[float, NDArray]:
    """Log-likelihood, and its derivatives by the free parameters."""
    likelihood, _, by_mean, by_spread, by_fraction = gradient_of(v, c, *model)
    by_spread = by_spread * np.array([1.0, 2.0, 1.0])  # xy stands twice in the matrix
    return likelihood, np.concatenate([by_fraction[:-1] - by_fraction[-1], by_mean.ravel(), by_spread.ravel()])


def hessian_of(v: NDArray, c: NDArray, model: Model, usual: float) -> NDArray:
    """Second derivatives, by central differences of the first ones; `usual` is the variance that errors have."""
    at, k = packed(model), len(model.means)
    wide = (model.spreads[:, 0] + model.spreads[:, 2]) / 2 + usual
    possible = 100.0 * (narrowest(model.spreads) + narrowest(c).min())  # so that C + V stays positive
    spread = np.repeat(np.minimum(usual, possible), 3)
    scales = np.full(len(model.fractions) - 1, model.fractions.min()), np.repeat(np.sqrt(wide), 2), spread
    columns = []
    for j, scale in enumerate(_STEP * np.concatenate(scales)):
        step = np.zeros(at.size)
        step[j] = scale
        up, down = (slope(v, c, unpacked(at + sign * step, k, model.density))[1] for sign in (1, -1))
        columns.append((up - down) / (2 * scale))
    hessian = np.array(columns)
    return (hessian + hessian.T) / 2


def packed(model: Model) -> NDArray:
    """The free parameters (6 k - 1,) or, with a background, (6 k,): all fractions but the last, means, covariances."""
    return np.concatenate([model.fractions[:-1], model.means.ravel(), model.spreads.ravel()])


def unpacked(theta: NDArray, k: int, density: float) -> Model:
    """Inverse of :func:`packed`, for `k` Gaussians."""
    free, means, spreads = np.split(theta, [theta.size - 5 * k, theta.size - 3 * k])
    return Model(np.append(free, 1.0 - free.sum()), means.reshape(k, 2), spreads.reshape(k, 3), density)


def narrowest(spreads: NDArray) -> NDArray:
    """The smaller eigenvalue of each covariance."""
    xx, xy, yy = spreads.T
    return (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)


def _product(spreads: NDArray, vectors: NDArray) -> NDArray:
    """V g of each component."""
    xx, xy, yy = spreads.T
    x, y = vectors.T
    return np.stack([xx * x + xy * y, xy * x + yy * y], axis=1)


def _sandwich(spreads: NDArray, middle: NDArray) -> NDArray:
    """V G V of each component."""
    v, g = (m[:, [0, 1, 1, 2]].reshape(-1, 2, 2) for m in (spreads, middle))
    return (v @ g @ v).reshape(-1, 4)[:, [0, 1, 3]]


def _positive(spreads: NDArray) -> NDArray:
    """The same, without what rounding takes below zero."""
    xx, xy, yy = spreads.T
    xx, yy = np.maximum(xx, np.finfo(float).tiny), np.maximum(yy, np.finfo(float).tiny)
    most = np.sqrt(xx) * np.sqrt(yy) * (1 - 1e-12)
    return np.stack([xx, np.clip(xy, -most, most), yy], axis=1)


@jit
def gradient_of(v, c, fractions, means, spreads, density):
    """Log-likelihood; stars of each component; derivatives by means, by spreads (as matrices), and by fractions.

    With T = C + V and d = v - mean, those are the sums of q T^-1 d, of q (T^-1 d d' T^-1 - T^-1) / 2, and of q / f,
    where q is the probability that a star belongs to the component.
    """
    k = means.shape[0]
    total, shares = 0.0, np.zeros(fractions.size)
    by_mean, by_spread = np.zeros((k, 2)), np.zeros((k, 3))
    log, inverse, pull = np.empty(fractions.size), np.empty((k, 3)), np.empty((k, 2))
    for i in range(v.shape[0]):
        most = -np.inf
        for j in range(k):
            a, b, d = c[i, 0] + spreads[j, 0], c[i, 1] + spreads[j, 1], c[i, 2] + spreads[j, 2]
            det = a * d - b * b
            x, y = v[i, 0] - means[j, 0], v[i, 1] - means[j, 1]
            inverse[j, 0], inverse[j, 1], inverse[j, 2] = d / det, -b / det, a / det
            pull[j, 0] = inverse[j, 0] * x + inverse[j, 1] * y
            pull[j, 1] = inverse[j, 1] * x + inverse[j, 2] * y
            log[j] = np.log(fractions[j]) - 0.5 * (np.log(det) + x * pull[j, 0] + y * pull[j, 1])
            most = max(most, log[j])
        if k < fractions.size:
            log[k] = np.log(fractions[k] * density) + _LN_2_PI
            most = max(most, log[k])
        whole = 0.0
        for j in range(fractions.size):
            log[j] = np.exp(log[j] - most)
            whole += log[j]
        total += most + np.log(whole) - _LN_2_PI
        for j in range(fractions.size):
            q = log[j] / whole
            shares[j] += q
            if j == k:
                break
            by_mean[j, 0] += q * pull[j, 0]
            by_mean[j, 1] += q * pull[j, 1]
            by_spread[j, 0] += 0.5 * q * (pull[j, 0] * pull[j, 0] - inverse[j, 0])
            by_spread[j, 1] += 0.5 * q * (pull[j, 0] * pull[j, 1] - inverse[j, 1])
            by_spread[j, 2] += 0.5 * q * (pull[j, 1] * pull[j, 1] - inverse[j, 2])
    return total, shares, by_mean, by_spread, shares / fractions
