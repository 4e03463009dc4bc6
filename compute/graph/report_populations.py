"""Populations of a field for its pages: which stars they are, their Gaussians, and figures of them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from catalogs.errors import PiazziError
from compute.kernels.kinematics.resampled import Histogram, Peaks
from compute.settings import KinematicsSettings, PopulationSettings
from compute.stages.kinematics.choose import choose, members, usable
from compute.stages.kinematics.compare import pair_by_place
from compute.stages.reference import load
from compute.stages.report.beside_peaks import disagreements
from compute.stages.report.members import member_figure
from compute.stages.report.motion_errors import gaia_figure
from compute.stages.report.motion_rows import Filters, choose_filters
from compute.stages.report.populations import population_figure
from compute.stages.report.projected import projection_figure
from compute.stages.report.vpd import Component

__all__ = ["Population", "compared", "notes", "populated", "populations", "shown_filters"]
_MARGIN = 0.01  # degrees around a field


class Population(NamedTuple):
    """A population: how it is chosen, which rows (n,) it holds, those without its motion, its Gaussians in order."""

    settings: PopulationSettings
    stars: NDArray[np.bool_]
    near: NDArray[np.bool_]
    components: list[Component]


def shown_filters(motions: pd.DataFrame, waves: Mapping[str, float], settings: KinematicsSettings | None) -> Filters:
    """Those that populations are chosen by, or else those that hold most stars."""
    for one in settings.populations.values() if settings else ():
        if one.cmd:
            return Filters(one.magnitude, *one.colour.split("-"))
    return choose_filters(motions, waves)


def populations(
    motions: pd.DataFrame, settings: KinematicsSettings | None, table: pd.DataFrame
) -> dict[str, Population]:
    """Populations among rows of MOTIONS by name; `table` is their KINEMATICS."""
    found: dict[str, Population] = {}
    if settings is None:
        return found
    good = usable(motions, settings)
    for name, one in settings.populations.items():
        rows = table[(table["population"] == name) & (table["method"] == "mixture")].sort_values("component")
        near = good & choose(motions, one)
        stars = near & members(motions, one)
        found[name] = Population(one, stars, near, [_component(row) for row in rows.itertuples()])
    return found


def _component(row: Any) -> Component:
    sigma = np.array([row.sigma_ra, row.sigma_dec])
    corr = 0.0 if np.isnan(row.sigma_corr) else row.sigma_corr
    return Component(row.fraction, np.array([row.pmra, row.pmdec]), np.outer(sigma, sigma) * [[1, corr], [corr, 1]])


def compared(
    motions: pd.DataFrame, rows: pd.DataFrame, settings: KinematicsSettings | None, middle: tuple[float, float],
    label: str,
) -> Iterator[tuple[str, Figure]]:  # fmt: skip
    """Beside another catalog, where one was named and can still be read."""
    if settings is None or settings.compare is None:
        return
    try:
        reach = float(np.hypot(rows["east"], rows["north"]).max()) / 3600 + _MARGIN
        radius = settings.compare.reference.radius or reach
        reference = load(settings.compare.reference.model_copy(update={"radius": radius}), middle)
    except (OSError, PiazziError):
        return
    other = reference.sources[reference.sources[["pmra", "pmdec", "mag"]].notna().all(axis=1)].reset_index(drop=True)
    mine, theirs = pair_by_place(motions, other, settings.compare.radius)
    source = other.iloc[theirs].reset_index(drop=True)
    pairs = rows.iloc[mine].reset_index(drop=True)
    pairs = pairs.assign(pmra_other=source["pmra"], pmdec_other=source["pmdec"], mag_other=source["mag"],
                         colour=source["mag"] - pairs["mag"])  # fmt: skip
    if len(pairs):
        which = reference.name.removesuffix(".parquet")
        yield f"compared-{_file_name(which)}", gaia_figure(pairs, settings.compare.magnitudes, label, which)


def populated(
    rows: pd.DataFrame, filters: Filters, known: Mapping[str, Population], told: Mapping[str, Any], label: str
) -> Iterator[tuple[str, Figure]]:
    """Populations together, the components of each, and members of clusters."""
    fields = {name: one for name, one in known.items() if one.settings.motion is None}
    if fields:
        stars = {name: one.stars for name, one in fields.items()}
        yield (
            "populations",
            population_figure(rows, stars, {name: one.components for name, one in fields.items()}, filters, label),
        )
    for name, one in known.items():
        if len(one.components) > 1:
            numbers = told.get("numbers", {}).get(name, {})
            along = _along(numbers.get("axis", one.settings.axis))
            # The mixture is of all stars of the regions, not only of a cluster's members.
            figure = projection_figure(rows[one.near], one.components, along, f"{label} {name}", _fitted(numbers))
            yield f"projection-{_file_name(name)}", figure
    for name, one in known.items():
        if one.settings.motion is not None:
            circles = _circles(one.settings.radii, rows["mag"])
            motion = np.array(one.settings.motion)
            figure = member_figure(rows, one.near, one.stars, motion, circles, filters, f"{label} {name}")
            yield f"members-{_file_name(name)}", figure


def notes(rows: pd.DataFrame, known: Mapping[str, Population], told: Mapping[str, Any]) -> dict[str, str]:
    """What is to be said below pictures of :func:`populated`, by their names: where two fits disagree."""
    found = {}
    for name, one in known.items():
        numbers = told.get("numbers", {}).get(name, {})
        fitted, along = _fitted(numbers), _along(numbers.get("axis"))
        if len(one.components) > 1 and fitted is not None and along is not None:
            covariance = np.array(numbers["mixture"]["covariance"], float)
            known_all = len(covariance) == 6 * len(one.components)  # older catalogs lack the last fraction's
            lines = disagreements(rows[one.near], one.components, covariance, along, fitted[1]) if known_all else []
            if lines:
                said = f"Peaks and mixture disagree by more than three errors: {'; '.join(lines)} (mas/yr; widths with "
                found[f"projection-{_file_name(name)}"] = said + "errors and noise)."
    return found


def _along(angle: float | None) -> NDArray[np.float64] | None:
    """(2,) unit vector in (pmra, pmdec) of a position angle [deg]."""
    return None if angle is None else np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])


def _fitted(numbers: Mapping[str, Any]) -> tuple[Histogram, Peaks] | None:
    """The stored histogram and its peaks, where there were samplings."""
    stored = numbers.get("histogram")
    if stored is None:
        return None
    arrays = {name: np.array(each, float) for name, each in stored.items() if name not in ("chi2", "dof")}
    bins = Histogram(*(arrays.pop(name) for name in Histogram._fields))
    return bins, Peaks(**arrays, chi2=stored["chi2"], dof=stored["dof"])


def _circles(radii: tuple[tuple[float, float], ...], mag: pd.Series) -> list[tuple[float, float, float]]:
    """Magnitudes from and to, and the mean radius there [mas/yr]; beyond the ends it stays what it is."""
    nodes = [(float(mag.min()), radii[0][1]), *radii, (float(mag.max()) + 1e-6, radii[-1][1])]
    pairs = zip(nodes, nodes[1:], strict=False)
    return [(bright, faint, (one + other) / 2) for (bright, one), (faint, other) in pairs if faint > bright]


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.+]", "_", text)
