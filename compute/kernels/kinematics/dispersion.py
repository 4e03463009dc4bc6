"""Intrinsic dispersion by maximum likelihood, from motions whose errors differ from star to star."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import ncx2

__all__ = ["KMS", "Dispersion", "fit_dispersion", "root", "velocity"]

KMS = 4.74047  # km/s of 1 mas/yr at 1 kpc
_LEAST = 10  # stars
_STEP = 0.1  # of finite differences at the summit, in standard errors


class Dispersion(NamedTuple):
    """Mean (2,) and its covariance (2, 2), dispersion per axis, and share of the stars that belong, with errors.

    The share is 1 with error 0 where nothing else was allowed for. Errors are NaN where the likelihood has no summit.
    """

    mean: NDArray[np.float64]
    mean_covariance: NDArray[np.float64]
    sigma: float
    sigma_error: float
    share: float
    share_error: float
    log_likelihood: float


def fit_dispersion(
    values: NDArray,
    errors: NDArray,
    *,
    centre: NDArray | None = None,
    radii: NDArray | None = None,
    others: bool = True,
) -> Dispersion:
    """Mean and dispersion, the same along both axes, that `values` have beyond their errors.

    Each star has the density N(mean, C + sigma^2) (Libralato et al. 2022, section 4). Stars that were chosen for
    motions within a circle lack the tails, and others are among them; with `radii` the density is that inside the
    circle, plus a constant for the others unless there are none.

    Parameters
    ----------
    values
        (n, 2), finite.
    errors
        (n, 2, 2) covariances, positive definite.
    centre, radii
        (2,) and (n,): circles within which the stars were chosen.
    others
        Whether there may be others in the circles.

    Raises
    ------
    ValueError
        Fewer than ten stars, values that are not finite, or stars outside their circles.
    """
    v, c = np.asarray(values, np.float64), np.asarray(errors, np.float64)
    if len(v) < _LEAST:
        raise ValueError(f"dispersion: found {len(v)} stars, expected {_LEAST} at least")
    if not (np.isfinite(v).all() and np.isfinite(c).all() and (np.linalg.det(c) > 0).all()):
        raise ValueError("dispersion: found values or errors that are not usable, expected finite, positive definite")
    off = np.zeros(2) if centre is None else np.asarray(centre, np.float64)
    if radii is not None and (np.hypot(*(v - off).T) > radii).any():
        raise ValueError("dispersion: found stars outside their circles, expected those inside")
    unit = float(np.hypot(*np.std(v, axis=0)))
    off = np.median(v, axis=0) if centre is None else off
    stars = _Stars((v - off) / unit, c / unit**2, None if radii is None else np.asarray(radii) / unit)
    theta, covariance, likelihood = _summit(stars, others)
    sigma_error = float(np.sqrt(covariance[2, 2]))
    share, share_error = (1.0, 0.0) if radii is None else (1.0 - theta[3], float(np.sqrt(covariance[3, 3])))
    return Dispersion(
        off + unit * theta[:2], unit**2 * covariance[:2, :2], float(unit * theta[2]), unit * sigma_error, float(share),
        share_error, likelihood - 2 * len(v) * float(np.log(unit)),
    )  # fmt: skip


def root(variance: float, error: float) -> tuple[float, float]:
    """A standard deviation and its error, from a variance and the error of that.

    Where the variance is hardly more than its error, or none, the error is how far the deviation may reach upwards.
    """
    sigma, high = np.sqrt(max(variance, 0.0)), np.sqrt(max(variance, 0.0) + error)
    low = np.sqrt(max(variance - error, 0.0))
    return float(sigma), float(max(high - sigma, (high - low) / 2))


def velocity(motion: float, error: float, distance: float, distance_error: float) -> tuple[float, float]:
    """Velocity and its error [km/s] of a motion [mas/yr] at a distance [kpc]; errors of both in quadrature."""
    return KMS * motion * distance, float(KMS * np.hypot(error * distance, motion * distance_error))


class _Stars(NamedTuple):
    """In units of their scatter."""

    values: NDArray
    errors: NDArray
    radii: NDArray | None

    def likelihood(self, theta: NDArray) -> float:
        """Log-likelihood of mean, dispersion, and share of others."""
        xx, xy, yy = self.errors[:, 0, 0] + theta[2] ** 2, self.errors[:, 0, 1], self.errors[:, 1, 1] + theta[2] ** 2
        x, y = (self.values - theta[:2]).T
        det = xx * yy - xy**2
        log = -0.5 * ((yy * x**2 - 2 * xy * x * y + xx * y**2) / det + np.log(det)) - np.log(2 * np.pi)
        if self.radii is None:
            return float(log.sum())
        wide = (xx + yy) / 2
        inside = ncx2.cdf(self.radii**2 / wide, 2, (theta[0] ** 2 + theta[1] ** 2) / wide)
        density = (1 - theta[3]) * np.exp(log) / np.maximum(inside, 1e-12) + theta[3] / (np.pi * self.radii**2)
        return float(np.log(np.maximum(density, np.finfo(float).tiny)).sum())


def _summit(stars: _Stars, others: bool) -> tuple[NDArray, NDArray, float]:
    """Most likely parameters, their covariance, and the log-likelihood there."""
    noise = np.median(stars.errors[:, 0, 0] + stars.errors[:, 1, 1]) / 2
    spread = np.median(abs(stars.values - np.median(stars.values, axis=0))) / 0.6745
    start = [*np.median(stars.values, axis=0), np.sqrt(max(spread**2 - noise, 0.01 * spread**2))]
    bounds: list[tuple[float | None, float | None]] = [(None, None), (None, None), (0.0, None)]
    if stars.radii is not None:
        start, bounds = [*start, 0.1 * others], [*bounds, (0.0, 0.99 * others)]
    n = len(stars.values)
    found = minimize(
        lambda theta: -stars.likelihood(theta) / n, start, method="L-BFGS-B", jac="3-point", bounds=bounds,
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 500},
    )  # fmt: skip
    theta = found.x
    return theta, _covariance(stars, theta), stars.likelihood(theta)


def _covariance(stars: _Stars, theta: NDArray) -> NDArray:
    """Inverse of the observed information; no covariance with a share of others that is at its limit."""
    size = theta.size if theta.size == 3 or theta[3] > 1e-6 else 3
    covariance = np.zeros((theta.size, theta.size))
    scale = np.sqrt((np.trace(stars.errors, axis1=1, axis2=2).mean() / 2 + theta[2] ** 2) / len(stars.values))
    steps = _STEP * scale * np.eye(theta.size)[:size]
    if size == 4:
        steps[3] *= min(1.0, theta[3] / (2 * steps[3, 3]), (1 - theta[3]) / (2 * steps[3, 3]))

    def at(*shifts: NDArray) -> float:
        moved = theta + np.sum(shifts, axis=0)
        moved[2] = abs(moved[2])  # the likelihood is even in it
        return stars.likelihood(moved)

    information = np.empty((size, size))
    for i in range(size):
        for j in range(i + 1):
            pairs = ((a, b) for a in (1, -1) for b in (1, -1))
            total = sum(a * b * at(a * steps[i], b * steps[j]) for a, b in pairs)
            information[i, j] = information[j, i] = -total / (4 * steps[i, i] * steps[j, j])
    if np.linalg.eigvalsh(information).min() > 0:
        covariance[:size, :size] = np.linalg.inv(information)
    else:
        covariance[:] = np.nan
    return covariance
