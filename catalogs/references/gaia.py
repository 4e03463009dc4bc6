"""Gaia DR3, known by its columns: which solutions to trust, and how far."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["DR3", "EPOCH", "QUALITY", "GaiaRules", "Systematics", "inflation", "is_gaia", "rejected"]

EPOCH = 2016.0
SIX_PARAMETERS = 95  # in astrometric_params_solved


class Systematics(NamedTuple):
    """Errors that all sources share [mas/yr, mas]: of zero points, never of a single star."""

    pm: float = 0.0
    parallax: float = 0.0


class GaiaRules(NamedTuple):
    """Limits within which a solution is kept, factors on covariances, and shared errors."""

    ruwe: float = 1.4
    ipd_gof_harmonic_amplitude: float = 0.2
    visibility_periods_used: int = 9
    astrometric_excess_noise_sig: float = 2.0
    duplicated_source: bool = False
    inflation: tuple[float, float] = (1.05, 1.22)
    systematics: Systematics = Systematics(0.026, 0.011)


DR3 = GaiaRules()  # shared errors of Vasiliev & Baumgardt 2021, MNRAS 505, 5978

_MOST = ("ruwe", "ipd_gof_harmonic_amplitude", "astrometric_excess_noise_sig", "duplicated_source")
_LEAST = ("visibility_periods_used",)
_SOLVED = "astrometric_params_solved"
QUALITY = (*_MOST, *_LEAST, _SOLVED)  # columns that rules look at, as far as they are there


def is_gaia(names: Iterable[str]) -> bool:
    """Whether columns are those of Gaia's third data release."""
    return {"source_id", "phot_g_mean_mag", "ruwe"} <= {name.lower() for name in names}


def rejected(values: Mapping[str, NDArray], rules: GaiaRules) -> dict[str, NDArray[np.bool_]]:
    """Rule to rows that it rejects; `values` has columns of QUALITY. What is missing is never rejected.

    Two-parameter solutions have no `ruwe`; whether they are kept is for those to say who need motions.
    """
    above = {name: values[name] > getattr(rules, name) for name in _MOST if name in values}
    return above | {name: values[name] < getattr(rules, name) for name in _LEAST if name in values}


def inflation(values: Mapping[str, NDArray], motions: NDArray[np.bool_], rules: GaiaRules) -> NDArray[np.float64]:
    """Factors on covariances: of 5- and of 6-parameter solutions, and 1 where there are no `motions`."""
    five, six = rules.inflation
    solved = values.get(_SOLVED, np.zeros(len(motions)))
    return np.where(motions, np.where(solved == SIX_PARAMETERS, six, five), 1.0)
