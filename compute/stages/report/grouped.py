"""Populations of a simulated field beside the true ones."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compute.kernels.kinematics.populations import clipped_median
from compute.settings import KinematicsSettings
from compute.stages.kinematics.choose import choose, usable
from compute.stages.report.moved import beside, zero_point

__all__ = ["Told", "population_table", "populations_beside"]


class Told(NamedTuple):
    """One number of a population: what it is, found with its error, and true."""

    name: str
    found: float
    error: float
    true: float

    def __str__(self) -> str:
        return f"{self.found:.3f} ± {self.error:.3f}, true {self.true:.3f}"


def populations_beside(
    kinematics: pd.DataFrame, motions: pd.DataFrame, truth: pd.DataFrame, settings: KinematicsSettings
) -> list[Told]:
    """What KINEMATICS tell of populations, and what the true motions of the same stars do.

    Where a true population has the name of one that was looked at, as a cluster, it is compared with the component of
    the mixture that moves most like it; of others the clipped median is compared, and the dispersion of what is not
    clipped. True motions stand on the zero point of MOTIONS.

    Parameters
    ----------
    kinematics, motions
        KINEMATICS and MOTIONS of a field.
    truth
        STARS of the simulated sky.
    settings
        What KINEMATICS were made with.
    """
    clean = motions[usable(motions, settings)]
    mine, theirs = beside(clean, truth)
    added = [zero_point(mine[name] - theirs[name], mine[f"{name}_error"]) for name in ("pmra", "pmdec")]
    told = []
    for name, population in settings.populations.items():
        kept, rows = choose(mine, population), kinematics[kinematics["population"] == name]
        of, true = theirs["population"].to_numpy()[kept], theirs[["pmra", "pmdec"]].to_numpy()[kept] + added
        if rows.empty or not kept.any():
            continue
        if (of == name).any():
            told += _of_component(rows[rows["method"] == "mixture"], true[of == name], float(np.mean(of == name)))
        else:
            middle = clipped_median(true, settings.clip)
            told += _compared(rows[rows["method"] == "median"].iloc[0], middle.median, true[middle.used])
    return told


def _of_component(rows: pd.DataFrame, true: NDArray, share: float) -> list[Told]:
    """The component whose mean is nearest to that of the true members, with its share of all stars."""
    mean = true.mean(axis=0)
    row = rows.iloc[int(np.argmin(np.hypot(*(rows[["pmra", "pmdec"]].to_numpy() - mean).T)))]
    name = f"{row['population']}: share of the stars"
    return [Told(name, row["fraction"], row["fraction_error"], share), *_compared(row, mean, true)]


def _compared(row: pd.Series, mean: NDArray, true: NDArray) -> list[Told]:
    """Means and dispersion of a row of KINEMATICS beside those of the true motions (n, 2) of its stars."""
    spread = float(np.sqrt(true.var(axis=0, ddof=1).mean()))
    values = ("pmra", "pmdec", "sigma"), (*mean, spread), ("pmra", "pmdec", "dispersion")
    return [
        Told(f"{row['population']}: {label} [mas/yr]", row[name], row[f"{name}_error"], float(value))
        for name, value, label in zip(*values, strict=True)
    ]


def population_table(told: list[Told]) -> list[dict[str, Any]]:
    """Rows for a page."""
    return [
        {
            "": one.name, "found": f"{one.found:.3f}", "error": f"{one.error:.3f}", "true": f"{one.true:.3f}",
            "off [errors]": f"{(one.found - one.true) / one.error:.1f}",
        }
        for one in told
    ]  # fmt: skip
