"""Stage `combine`: motions of single exposures to those of fields and of all, and whether they agree."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compute.kernels.kinematics.dispersion import velocity
from compute.kernels.motion.weighted import Agreement, Means, weighted_means
from compute.settings import CombineSettings

__all__ = ["COMPARED", "Combined", "combine"]

COMPARED = ("exposures of a field and instrument", "instruments of a field", "fields")
_MOTIONS, _ERRORS = ["mu_w", "mu_n"], ["sigma_w", "sigma_n"]
_VELOCITIES, _VELOCITY_ERRORS = ["v_w", "v_n"], ["sigma_v_w", "sigma_v_n"]


@dataclass(frozen=True, eq=False)
class Combined:
    """Error-weighted means, and how far what they are made of agrees.

    Attributes
    ----------
    instruments, fields, overall
        A row for each instrument of a field, each field, and one for all: `field`, `instrument` as far as they apply,
        `n` exposures, `mu_w`, `mu_n`, `sigma_w`, `sigma_n` [mas/yr]; with a distance the heliocentric `v_w`, `v_n`,
        `sigma_v_w`, `sigma_v_n` [km/s], the distance's error in all of them.
    agreement
        Of exposures, instruments and fields, in the order of COMPARED: Sohn et al. 2012, equations 2 to 4.
    settings
        The distance.
    """

    instruments: pd.DataFrame
    fields: pd.DataFrame
    overall: pd.DataFrame
    agreement: tuple[Agreement, Agreement, Agreement]
    settings: CombineSettings

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it; chances are None where nothing could disagree.

        `fields`, `instruments` of each, and `all` have means of the same keys; under `n` they have exposures.
        """
        motions = _MOTIONS + _ERRORS
        instruments: dict[str, dict] = {name: {} for name in self.fields["field"]}
        n: dict[str, dict] = {name: {} for name in self.fields["field"]}
        for row in self.instruments.to_dict("records"):
            instruments[row["field"]][row["instrument"]] = {name: row[name] for name in motions}
            n[row["field"]][row["instrument"]] = row["n"]
        fields = dict(zip(self.fields["field"], self.fields["n"].tolist(), strict=True))
        told = {
            **self._means(motions),
            "n": {"fields": fields, "instruments": n, "all": int(self.overall["n"].sum())},
            "chi2": [one.chi2 for one in self.agreement],
            "dof": [one.dof for one in self.agreement],
            "p": [None if math.isnan(one.p) else one.p for one in self.agreement],
            "compared": COMPARED,
            "instruments": instruments,
            "unit": "mas/yr",
        }
        if self.settings.distance is not None:
            told["velocities"] = {
                **self._means(_VELOCITIES + _VELOCITY_ERRORS),
                "frame": "heliocentric",
                "unit": "km/s",
                "distance_kpc": self.settings.distance,
                "distance_error_kpc": self.settings.distance_error,
            }
        return told

    def _means(self, names: list[str]) -> dict[str, Any]:
        fields = dict(zip(self.fields["field"], self.fields[names].to_dict("records"), strict=True))
        return {"fields": fields, "all": self.overall[names].to_dict("records")[0]}


def combine(motions: pd.DataFrame, settings: CombineSettings) -> Combined:
    """Weighted means of exposures by instrument, of instruments by field, of fields (Sohn et al. 2012, 4.1 and 4.2).

    A field's mean is that of its exposures, for weights add up. Instruments may be any number; two have equation 3.

    Parameters
    ----------
    motions
        The columns of EXPOSURE_MOTIONS. Fields and instruments come out in the order in which they are there first.
    settings
        A distance for velocities.
    """
    camera = motions.groupby(["field", "instrument"], sort=False).ngroup().to_numpy()
    cameras = motions[["field", "instrument"]].drop_duplicates()
    field, names = pd.factorize(cameras["field"])
    every = np.zeros(len(names), int)
    by_camera = weighted_means(motions[_MOTIONS], motions[_ERRORS], camera)
    by_field = weighted_means(by_camera.value, by_camera.error, field)
    overall = weighted_means(by_field.value, by_field.error, every)
    return Combined(
        _table(cameras, by_camera, camera, settings),
        _table(pd.DataFrame({"field": names}), by_field, field[camera], settings),
        _table(pd.DataFrame(index=[0]), overall, every[field[camera]], settings),
        (by_camera.agreement, by_field.agreement, overall.agreement),
        settings,
    )


def _table(keys: pd.DataFrame, means: Means, group: NDArray, settings: CombineSettings) -> pd.DataFrame:
    """Means with their keys and the number of exposures, `group` of each of which is given."""
    table = keys.reset_index(drop=True).assign(n=np.bincount(group))
    table[_MOTIONS], table[_ERRORS] = means.value, means.error
    if settings.distance is not None:
        distance = settings.distance, settings.distance_error
        each = zip(means.value.ravel(), means.error.ravel(), strict=True)
        speed, error = np.array([velocity(*one, *distance) for one in each]).T.reshape(2, *means.value.shape)
        table[_VELOCITIES], table[_VELOCITY_ERRORS] = speed, error
    return table
