"""Stage `scales`: mean scales by filter and visit, how they change within one, and by how much they differ."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.stats import chi2

from catalogs.scales import SCALE_DIFFERENCES, SCALE_MEANS
from compute.kernels.motion.scattered import fit
from compute.stages.scales import CENTRAL, Scales, scales, scales_within

__all__ = ["Tables", "summary", "tables"]

_CAMERA = ["instrument", "detector", "filter", "against"]
_GAP = 2.0  # [d] exposures farther apart are of two visits


class _Mean(NamedTuple):
    """A row of SCALE_MEANS, the weights (n,) of all exposures in it, and its variance but for what is common."""

    row: dict[str, Any]
    weights: NDArray
    variance: float


class Tables(NamedTuple):
    """SCALES, SCALE_MEANS and SCALE_DIFFERENCES."""

    scales: pd.DataFrame
    scale_means: pd.DataFrame
    scale_differences: pd.DataFrame


def tables(epochs: Sequence[tuple[pd.DataFrame, pd.DataFrame]], name: str) -> Tables:
    """All there is to tell of the scales of one detector, against a catalog and against central exposures.

    Parameters
    ----------
    epochs
        What :func:`compute.stages.scales.scales` takes of each epoch, of all filters. Epochs are looked at one by one,
        as a star that moved is another source: what they share by errors of the catalog is not told.
    name
        What the catalog is called; scales against central exposures are called ``central:<name>``.
    """
    against = {name: [scales(found, rows, name) for found, rows in epochs]}
    against[f"{CENTRAL}:{name}"] = [scales_within(found, rows) for found, rows in epochs]
    parts = []
    for label, each in against.items():
        whole = _joined(each)
        table = whole.table.assign(against=label)
        parts.append((table, *summary(table, whole.common)))
    return Tables(*(pd.concat(same, ignore_index=True) for same in zip(*parts, strict=True)))


def _joined(parts: Sequence[Scales]) -> Scales:
    """Scales that share no errors, in one table."""
    table = pd.concat([part.table for part in parts], ignore_index=True)
    return Scales(table, block_diag(np.zeros((0, 0)), *(part.common for part in parts)))


def summary(table: pd.DataFrame, common: NDArray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean scales (Libralato et al. 2023, Table 1), and how they differ between filters and between visits.

    A scale that differs between the exposures of a visit by more than their errors has a scatter, with which the mean's
    error and that of a change with time are reckoned. The error that a mean shares with others cancels from differences
    as far as they were made with the same sources.

    Parameters
    ----------
    table, common
        Of a :class:`compute.stages.scales.Scales`.

    Returns
    -------
    SCALE_MEANS, SCALE_DIFFERENCES. The latter are of two filters in one visit or of one filter in two.
    """
    found = [_mean(table, common, rows) for rows in _visits(table)]
    means = SCALE_MEANS.conform(pd.DataFrame([one.row for one in found], columns=SCALE_MEANS.names))
    pairs = [(a, b) for a, b in combinations(found, 2) if _comparable(a.row, b.row)]
    rows = [_difference(a, b, common) for a, b in pairs]
    return means, SCALE_DIFFERENCES.conform(pd.DataFrame(rows, columns=SCALE_DIFFERENCES.names))


def _visits(table: pd.DataFrame) -> list[NDArray]:
    """Row numbers of each camera's visits."""
    good = table[table["status"] == "ok"].sort_values([*_CAMERA, "mjd", "exposure"])
    found = []
    for _, part in good.groupby(_CAMERA):
        found += np.split(part.index.to_numpy(), np.flatnonzero(np.diff(part["mjd"]) > _GAP) + 1)
    return found


def _mean(table: pd.DataFrame, common: NDArray, rows: NDArray) -> _Mean:
    part = table.loc[rows]
    values, own, shared = part["scale"].to_numpy(), part["scale_error"].to_numpy() ** 2, common[np.ix_(rows, rows)]
    covariance = np.diag(own) + shared
    flat = fit(np.ones((rows.size, 1)), values, covariance)
    weights = np.zeros(len(table))
    weights[rows] = flat.weights[0]
    variance = float(flat.weights[0] ** 2 @ (own + np.nan_to_num(flat.scatter) ** 2))
    slope, slope_error = _slope(24 * (part["mjd"] - part["mjd"].mean()).to_numpy(), values, covariance)
    row = part.iloc[0][_CAMERA].to_dict() | {
        "mjd": part["mjd"].mean(),
        "n": rows.size,
        "scale": flat.coefficients[0],
        "scale_error": np.sqrt(variance),
        "common_error": np.sqrt(weights @ common @ weights),
        "scatter": flat.scatter,
        "chi2": flat.chi2,
        "dof": flat.dof,
        "p": chi2.sf(flat.chi2, flat.dof) if flat.dof else np.nan,
        "slope": slope,
        "slope_error": slope_error,
    }
    return _Mean(row, weights, variance)


def _slope(hours: NDArray, values: NDArray, covariance: NDArray) -> tuple[float, float]:
    """Change with time and its error, scatter about the line included."""
    if hours.size < 3 or np.ptp(hours) == 0:
        return np.nan, np.nan
    line = fit(np.column_stack([np.ones(hours.size), hours]), values, covariance)
    along = line.weights[1]
    return float(line.coefficients[1]), float(np.sqrt(along @ covariance @ along + line.scatter**2 * along @ along))


def _comparable(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Of one detector and catalog, and of either one filter or one visit."""
    same = all(a[name] == b[name] for name in _CAMERA if name != "filter")
    return same and (a["filter"] == b["filter"] or abs(a["mjd"] - b["mjd"]) <= _GAP)


def _difference(a: _Mean, b: _Mean, common: NDArray) -> dict[str, Any]:
    weights = b.weights - a.weights
    error = np.sqrt(a.variance + b.variance + weights @ common @ weights)
    difference = b.row["scale"] - a.row["scale"]
    return {name: a.row[name] for name in (*_CAMERA, "mjd")} | {
        "filter_2": b.row["filter"],
        "mjd_2": b.row["mjd"],
        "difference": difference,
        "error": error,
        "significance": difference / error,
    }
