"""Motions and populations of simulated fields against the truth, over as many skies as there are seeds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from distributed import Client
from numpy.typing import NDArray
from scipy.stats import chi2

from compute.stages.kinematics.choose import choose, usable
from tests.accuracy.figures import Figure, scatter
from tests.accuracy.lmc import AXES, EPOCHS, GROUPS, KINEMATICS, POPULATIONS, Field, observed
from tests.kinematic import OLD, YOUNG

SCENE = "motions"
AGAINST = ("east", "north", "mag_F090W", "colour", "phase_x", "phase_y")
SYSTEMATIC = 0.026  # that all motions of Gaia share [mas/yr]; the simulated ones do not
WELL = 0.145  # largest error at the first epoch of a star that is well measured there [mas]
_OUT, _BINS = 6.0, 10


class Trend(NamedTuple):
    """Pulls in bins: chance of means as far from zero, root mean squares, and stars of a bin."""

    p: float
    rms: NDArray[np.float64]
    n: int


def populations(seeds: range) -> list[Figure]:
    """Figures of all seeds together."""
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:
        return figures([observed(seed, client) for seed in seeds])


def figures(fields: Sequence[Field]) -> list[Figure]:
    """Of the motions of stars, of zero points, and of populations."""
    return _of_stars(fields) + _of_zero_points(fields) + _of_means(fields) + _of_dispersions(fields)


def pulls(stars: pd.DataFrame) -> pd.DataFrame:
    """Clean stars with `pull_pmra`, `pull_pmdec`: off the truth, less the six numbers that alignment leaves free."""
    stars = stars[stars["flags"] == 0].reset_index(drop=True)
    for axis in AXES:
        error = stars[f"{axis}_error"].to_numpy()
        off = (stars[axis] - stars[f"true_{axis}"]).to_numpy() / error
        design = np.column_stack([np.ones(len(stars)), stars["east"], stars["north"]]) / error[:, None]
        near = abs(off - np.median(off)) < _OUT * np.median(abs(off - np.median(off)))
        stars[f"pull_{axis}"] = off - design @ np.linalg.lstsq(design[near], off[near])[0]
    return stars


def trend(against: NDArray, pull: NDArray) -> Trend:
    """Pulls (n,) in bins of equal numbers of what they may follow (n,)."""
    known = np.isfinite(against)
    order = np.argsort(against[known], kind="stable")
    parts = np.array_split(pull[known][order], _BINS)
    square = sum(part.size * part.mean() ** 2 for part in parts)
    return Trend(float(chi2.sf(square, _BINS)), np.array([_rms(part) for part in parts]), parts[0].size)


def true_shares(stars: pd.DataFrame) -> NDArray[np.float64]:
    """Of the groups among the stars that kinematics takes for young ones (3,)."""
    taken = usable(stars, KINEMATICS) & choose(stars, POPULATIONS["young"])
    counts = stars["population"][taken].value_counts()
    return np.array([counts[name] for name in GROUPS]) / taken.sum()


def mean_covariance(field: Field) -> NDArray[np.float64]:
    """Of the means of the three groups (6, 6): of the mixture, and of the link by which epochs are aligned."""
    (link,) = (row for row in field.motion["epochs"] if "covariance" in row)
    places = field.stars.groupby("population")[["east", "north"]].median().loc[[*GROUPS]].to_numpy()
    design = np.column_stack([np.ones(3), places * 1000 / link["half_width"]])
    turn = np.einsum("gc,ab->gabc", design, np.eye(2)).reshape(6, 6)
    mixture = np.array(field.numbers["young"]["mixture"]["covariance"])[2:8, 2:8]
    return mixture + turn @ np.array(link["covariance"]) @ turn.T / (EPOCHS[1] - EPOCHS[0]) ** 2


def _of_stars(fields: Sequence[Field]) -> list[Figure]:
    stars = pd.concat([pulls(field.stars) for field in fields], ignore_index=True)
    # Two epochs cannot tell the parallax of a near star, 0.6 mas, from 40 uas/yr of motion.
    stars = stars[stars["population"] != "milky-way"]
    good = stars[(stars[[f"pull_{axis}" for axis in AXES]].abs() < _OUT).all(axis=1)]
    pull = {axis: good[f"pull_{axis}"].to_numpy() for axis in AXES}
    trends = [trend(good[name].to_numpy(float), pull[axis]) for name in AGAINST for axis in AXES]
    spread = max(((rms, one.n) for one in trends for rms in one.rms), key=lambda each: abs(each[0] - 1))
    well = stars[stars["first_error"] < WELL]
    error = 1000 * float(well[["pmra_error", "pmdec_error"]].median().max())
    out = 100 * (1 - len(good) / len(stars))
    return [
        *(scatter(SCENE, f"pull of {axis}", (_rms(pull[axis]), len(good)), 0.95, 1.05) for axis in AXES),
        scatter(SCENE, "pull, farthest of bins of place, magnitude, colour, phase", spread),
        Figure(SCENE, "trends of pulls with these, least p of 12", min(t.p for t in trends), 0.0, len(good), 1e-3),
        Figure(SCENE, "off by 6 errors and more [%]", out, 0.0, len(stars)),
        Figure(SCENE, f"median error, first epoch below {WELL} mas [uas/yr]", error, 0.0, len(well), high=15.0),
    ]


def _of_zero_points(fields: Sequence[Field]) -> list[Figure]:
    """Against their true ones, by the statistical part of their errors."""
    off, spreads = [], []
    for field in fields:
        still = field.stars[field.stars["aligning"]]
        weight = still["pmra_error"] ** -2
        off += [field.zero[k] - np.average(still[f"true_{axis}"] - still[axis], weights=weight)
                for k, axis in enumerate(AXES)]  # fmt: skip
        row = field.motion["zero_points"][1]
        spreads.append(np.diag([row[f"{axis}_error"] ** 2 - SYSTEMATIC**2 for axis in AXES]))
    return _agreement("zero points against Gaia", np.array(off), spreads)


def _of_means(fields: Sequence[Field]) -> list[Figure]:
    true = np.array([group.motion for group in YOUNG]) - OLD.motion
    off, wrong = [], []
    for field in fields:
        young = field.rows("young", "mixture")
        off.append((young[AXES].to_numpy() - field.zero - true).ravel())
        wrong.append(abs(young["fraction"].to_numpy() - true_shares(field.stars)))
    told = _agreement("means of young groups", np.concatenate(off), [mean_covariance(field) for field in fields])
    n = int(np.mean([field.rows("young", "mixture")["n"].iloc[0] for field in fields]))
    return [*told, Figure(SCENE, "shares of young groups, farthest off [%]", 100 * np.max(wrong), 0.0, n, high=3.0)]


def _of_dispersions(fields: Sequence[Field]) -> list[Figure]:
    old = [abs(field.rows("old", "median")["sigma"].item() / OLD.sigma - 1) for field in fields]
    told = [Figure(SCENE, "dispersion of old stars, farthest off [%]", 100 * max(old), 0.0, len(old), high=5.0)]
    for method in ("mixture", "members"):
        rows = [field.rows("cluster", method).nsmallest(1, "sigma") for field in fields]
        sigma, error = (np.array([row[name].item() for row in rows]) for name in ("sigma", "sigma_error"))
        told += _agreement(
            f"dispersion of the cluster, {method}", sigma - YOUNG[1].sigma, np.split(error**2, error.size)
        )
    return told


def _agreement(name: str, off: NDArray, spreads: Sequence[NDArray]) -> list[Figure]:
    """Chance of chi2, and the farthest pull, of deviations (n,) with covariances that follow each other."""
    parts = np.split(off, len(spreads))
    spreads = [np.atleast_2d(spread) for spread in spreads]
    square = sum(part @ np.linalg.solve(spread, part) for part, spread in zip(parts, spreads, strict=True))
    pull = off / np.sqrt(np.concatenate([np.diag(spread) for spread in spreads]))
    return [
        Figure(SCENE, f"{name}, p of chi2", float(chi2.sf(square, off.size)), 0.0, off.size, 0.01, 0.99),
        Figure(SCENE, f"{name}, farthest pull", float(abs(pull).max()), 0.0, off.size, high=4.0),
    ]


def _rms(values: NDArray) -> float:
    return float(np.sqrt(np.mean(values**2)))
