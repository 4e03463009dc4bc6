"""MOTIONS of stars drawn from populations that are known: the old, three groups of the young, and a cluster's place."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from catalogs.motions import with_magnitudes

CENTRE = 80.49, -69.5  # [deg]
CLUSTER = 80.53, -69.515
ERRORS = 0.015, 0.060  # of motions along an axis, least and most [mas/yr]


@dataclass(frozen=True)
class Group:
    """Stars that move together: how many of hundred, mean motion, and dispersion per axis [mas/yr]."""

    share: float
    motion: tuple[float, float]
    sigma: float


OLD = Group(1.0, (1.90, 0.38), 0.144)
# As in Libralato et al. (2023), figures 22 and 23: one apart, a cluster, and a wide group on which it lies.
YOUNG = (Group(0.12, (1.62, 0.10), 0.050), Group(0.20, (1.87, 0.32), 0.024), Group(0.68, (1.93, 0.44), 0.090))


@dataclass(frozen=True)
class Drawn:
    """Rows of MOTIONS, and of which population (0 is old, then the young ones) each star is."""

    motions: pd.DataFrame
    group: np.ndarray = field(repr=False)


def draw(seed: int, n_old: int = 2000, n_young: int = 3000) -> Drawn:
    """Old stars are red and young ones blue; faint ones have larger errors; the second young group is in one place."""
    rng = np.random.default_rng(seed)
    shares = np.array([one.share for one in YOUNG])
    group = np.concatenate([np.zeros(n_old, int), 1 + rng.choice(3, n_young, p=shares)])
    groups, n = (OLD, *YOUNG), n_old + n_young
    true = np.array([one.motion for one in groups])[group]
    true += np.array([one.sigma for one in groups])[group][:, None] * rng.standard_normal((n, 2))
    covariance, mag = errors(n, rng)
    seen = true + np.einsum("nij,nj->ni", np.linalg.cholesky(covariance), rng.standard_normal((n, 2)))
    ra, dec = places(group == 2, rng)
    deviation = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    columns = {
        "star_id": np.arange(n), "ra": ra, "dec": dec, "ref_epoch": 2022.33, "ra_error": 0.3, "dec_error": 0.3,
        "pmra": seen[:, 0], "pmdec": seen[:, 1], "pmra_error": deviation[:, 0], "pmdec_error": deviation[:, 1],
        "pmra_pmdec_corr": covariance[:, 0, 1] / deviation.prod(axis=1), "n_epochs": 2, "n_used": 18, "baseline": 15.94,
        "chi2": 0.0, "flags": 0, "absolute": True, "aligning": False, "mag_F090W": mag,
        "mag_F150W": mag - np.where(group == 0, 0.6, -0.1) - 0.05 * rng.standard_normal(n),
    }  # fmt: skip
    table = with_magnitudes(["F090W", "F150W"])
    return Drawn(table.conform(pd.DataFrame(columns)), group)


def errors(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Covariances (n, 2, 2) of motions, and magnitudes (n,) from 17 to 20 that they follow."""
    mag = rng.uniform(17.0, 20.0, n)
    usual = ERRORS[0] * (ERRORS[1] / ERRORS[0]) ** ((mag - 17.0) / 3.0)
    each = np.clip(usual[:, None] * rng.uniform(0.8, 1.25, (n, 2)), *ERRORS)
    corr = rng.uniform(-0.3, 0.3, n)
    covariance = np.einsum("ni,nj->nij", each, each)
    covariance[:, 0, 1] *= corr
    covariance[:, 1, 0] *= corr
    return covariance, mag


def places(clustered: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places [deg] in a field of 130 arcsec, those `clustered` about a centre of theirs."""
    n, stretch = clustered.size, np.cos(np.radians(CENTRE[1]))
    off = rng.uniform(-65.0, 65.0, (n, 2)) / 3600.0
    near = 8.0 / 3600.0 * rng.standard_normal((n, 2))
    middle = np.where(clustered[:, None], CLUSTER, CENTRE)
    off = np.where(clustered[:, None], near, off)
    return middle[:, 0] + off[:, 0] / stretch, middle[:, 1] + off[:, 1]
