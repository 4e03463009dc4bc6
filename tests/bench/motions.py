"""Motions against least squares of all stars at once in NumPy: the same normal equations, solved in batches."""

import numpy as np

from compute.kernels.motion.motions import fit_motions
from tests.bench.pairs import compare as timed

STARS, EPOCHS, YEAR = 1_000_000, 3, 2016.0


def compare() -> list[dict]:
    """Stars per second of either."""
    rng = np.random.default_rng(11)
    n = STARS * EPOCHS
    start, time = np.arange(0, n + 1, EPOCHS), np.tile([2006.39, 2015.1, 2022.33], STARS)
    x, y = rng.normal(0.0, 1e4, (2, n))
    ex, ey = rng.uniform(0.1, 1.0, (2, n))
    rows = time, x, y, ex**2, ey**2, rng.uniform(-0.5, 0.5, n) * ex * ey
    found, (parameters, covariance) = fit_motions(start, *rows, YEAR), batches(*rows)
    columns = [0, 1, 3, 4]
    agrees = np.allclose(found.parameters[:, columns], parameters, rtol=1e-9, atol=1e-6) and np.allclose(
        found.covariance[:, columns][:, :, columns], covariance, rtol=1e-6
    )
    work = f"{STARS} stars at {EPOCHS} epochs, correlated errors: places, motions, covariances, chi2"
    return [
        timed("motions / NumPy", work, lambda t=t: fit_motions(start, *rows, YEAR, None, t), lambda: batches(*rows),
              amount=STARS, threads=t, pairs=3, agrees=bool(agrees))
        for t in (1, 2)
    ]  # fmt: skip


def batches(time, x, y, var_x, var_y, cov):
    """Parameters (n, 4) and covariances (n, 4, 4)."""
    years, shape = (time - YEAR).reshape(STARS, EPOCHS), (STARS, EPOCHS)
    design = np.zeros((*shape, 2, 4))
    design[..., 0, 0] = design[..., 1, 1] = 1.0
    design[..., 0, 2] = design[..., 1, 3] = years
    inverse = np.stack([var_y, -cov, -cov, var_x], axis=-1) / (var_x * var_y - cov**2)[:, None]
    weighted = inverse.reshape(*shape, 2, 2) @ design
    normal = np.einsum("neki,nekj->nij", design, weighted)
    right = np.einsum("neki,nek->ni", weighted, np.stack([x, y], axis=-1).reshape(*shape, 2))
    covariance = np.linalg.inv(normal)
    return np.einsum("nij,nj->ni", covariance, right), covariance
