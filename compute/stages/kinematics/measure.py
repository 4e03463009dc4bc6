"""What the motions of one population are: a middle, a mixture of Gaussians, or a cluster among others."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import PiazziError
from catalogs.kinematics import KINEMATICS
from compute.kernels.kinematics.dispersion import fit_dispersion, root, velocity
from compute.kernels.kinematics.mixtures import Mixture, fit_mixture
from compute.kernels.kinematics.populations import clipped_median
from compute.kernels.kinematics.resampled import fit_peaks, resampled
from compute.settings import KinematicsSettings, PopulationSettings
from compute.stages.kinematics.choose import choose, covariances, member_radii, members, usable, values

__all__ = ["Measured", "measure", "on_zero_point"]


class Measured(NamedTuple):
    """Rows of KINEMATICS, and more numbers, of plain types, that no table has room for."""

    rows: pd.DataFrame
    numbers: dict[str, Any]


def measure(motions: pd.DataFrame, name: str, population: PopulationSettings, settings: KinematicsSettings) -> Measured:
    """Measure one population among rows of MOTIONS.

    Every population has a row for the clipped median of its motions, with the dispersion of the stars that are not
    clipped. With a cluster's `motion` these are only the stars within its radii, which also have a row as members. Each
    Gaussian of the mixture of all stars in the population's regions has a row, and its `background`; with several there
    is also the histogram along a line. A cluster has these where its `components` are two or more.

    Raises
    ------
    PiazziError
        Too few stars, with their number; a filter without magnitudes.
    """
    motions = motions[usable(motions, settings)]
    stars = motions[choose(motions, population, f"population {name}")].sort_values("star_id", kind="stable")
    v, c = values(stars), covariances(stars)
    numbers: dict[str, Any] = {"usable": len(motions), "stars": len(stars)}
    if stars.empty:
        raise PiazziError(f"population {name}: found 0 of {len(motions)} usable stars in its regions, expected some")
    inside = members(stars, population, f"population {name}")
    if not inside.any():
        found = f"found 0 of the {len(stars)} stars in its regions within the radii of its motion"
        raise PiazziError(f"population {name}: {found}, expected some")
    try:
        rows = [_middle(v[inside], c[inside], settings.clip)]
        if population.motion is not None:
            radii = member_radii(stars, population)[inside]
            rows.append(_members(v[inside], c[inside], np.array(population.motion), radii))
        if population.motion is None or population.components > 1:
            mixture, axis = _mixture(v, c, population, settings)
            rows += [_component(mixture, k, len(v)) for k in range(population.components)]
            if population.background:
                rows.append(_background(mixture, len(v)))
            numbers |= {"axis": axis, "mixture": _numbers(mixture)}
            if population.components > 1 and settings.samplings:
                numbers["histogram"] = _histogram(v, c, mixture, axis, settings)
    except ValueError as error:
        raise PiazziError(f"population {name}: {error}") from None
    table = pd.DataFrame(rows)
    return Measured(KINEMATICS.conform(_with_velocities(table.assign(population=name), settings)), numbers)


def on_zero_point(rows: pd.DataFrame, absolute: pd.Series, zero_points: pd.DataFrame) -> pd.DataFrame:
    """KINEMATICS with what tells of the zero point that all of a field's motions share.

    Parameters
    ----------
    rows
        KINEMATICS of the populations of a field.
    absolute
        That column of its MOTIONS.
    zero_points
        Its ZERO_POINTS; errors are missing where none of them is used.
    """
    used = zero_points[zero_points["used"]]
    errors = {f"zero_{axis}_error": used[f"pm{axis}_error"].max() for axis in ("ra", "dec")}  # of one row, or none
    return KINEMATICS.conform(rows.assign(absolute=bool(absolute.all()), **errors))


def _middle(v: NDArray, c: NDArray, clip: float) -> dict[str, Any]:
    middle = clipped_median(v, clip)
    radii = np.full(middle.used.sum(), middle.radius)
    found = fit_dispersion(v[middle.used], c[middle.used], centre=middle.median, radii=radii, others=False)
    pmra_error, pmdec_error = middle.error
    return {
        "method": "median", "component": 0, "n": int(middle.used.sum()), "fraction": middle.used.mean(),
        "fraction_error": 0.0, "pmra": middle.median[0], "pmdec": middle.median[1], "pmra_error": pmra_error,
        "pmdec_error": pmdec_error, "pmra_pmdec_corr": 0.0, **_isotropic(found.sigma, found.sigma_error),
    }  # fmt: skip


def _members(v: NDArray, c: NDArray, motion: NDArray, radii: NDArray) -> dict[str, Any]:
    found = fit_dispersion(v, c, centre=motion, radii=radii)
    return {
        "method": "members", "component": 1, "n": len(v), "fraction": found.share, "fraction_error": found.share_error,
        **_mean(found.mean, found.mean_covariance), **_isotropic(found.sigma, found.sigma_error),
    }  # fmt: skip


def _mixture(
    v: NDArray, c: NDArray, population: PopulationSettings, settings: KinematicsSettings
) -> tuple[Mixture, float]:
    """The mixture, and the position angle of the line along which its components are numbered [deg]."""
    axis = population.axis
    if axis is None:
        if len(v) < 3:
            raise ValueError(f"mixture: found {len(v)} stars, expected ten at least")
        (xx, xy), (_, yy) = np.cov(v.T)
        axis = float(np.degrees(np.arctan2(2 * xy, yy - xx)) / 2) % 180.0  # the longest axis, toward growing pmra
    found = fit_mixture(
        v, c, population.components, axis=axis, starts=settings.starts, seed=settings.seed,
        background=population.background,
    )  # fmt: skip
    return found, axis


def _component(mixture: Mixture, k: int, n: int) -> dict[str, Any]:
    (xx, xy), (_, yy) = mixture.dispersions[k]
    spread = mixture.dispersion_covariance(k)
    (ra, ra_error), (dec, dec_error) = (root(m, np.sqrt(spread[i, i])) for m, i in ((xx, 0), (yy, 2)))
    both, both_error = root((xx + yy) / 2, np.sqrt(spread[0, 0] + spread[2, 2] + 2 * spread[0, 2]) / 2)
    return {
        "method": "mixture", "component": k + 1, "n": n, "fraction": mixture.fractions[k],
        "fraction_error": mixture.fraction_errors[k], **_mean(mixture.means[k], mixture.mean_covariance(k)),
        "sigma_ra": ra, "sigma_dec": dec, "sigma_ra_error": ra_error, "sigma_dec_error": dec_error,
        "sigma_corr": float(np.clip(xy / (np.sqrt(xx) * np.sqrt(yy)), -1, 1)), "sigma": both, "sigma_error": both_error,
    }  # fmt: skip


def _background(mixture: Mixture, n: int) -> dict[str, Any]:
    return {
        "method": "background", "component": 0, "n": n, "fraction": mixture.background,
        "fraction_error": mixture.background_error,
    }  # fmt: skip


def _mean(mean: NDArray, covariance: NDArray) -> dict[str, Any]:
    ra_error, dec_error = np.sqrt(np.diag(covariance))
    corr = covariance[0, 1] / (ra_error * dec_error)
    return {
        "pmra": mean[0], "pmdec": mean[1], "pmra_error": ra_error, "pmdec_error": dec_error, "pmra_pmdec_corr": corr,
    }  # fmt: skip


def _isotropic(sigma: float, error: float) -> dict[str, Any]:
    single = error * np.sqrt(2.0)  # of one axis, which has half the stars' numbers
    return {
        "sigma_ra": sigma, "sigma_dec": sigma, "sigma_ra_error": single, "sigma_dec_error": single, "sigma_corr": 0.0,
        "sigma": sigma, "sigma_error": error,
    }  # fmt: skip


def _with_velocities(rows: pd.DataFrame, settings: KinematicsSettings) -> pd.DataFrame:
    """The same with what motions are at the distance of the settings."""
    if settings.distance is None:
        return rows
    for motion, name in (("pmra", "v_ra"), ("pmdec", "v_dec"), ("sigma", "sigma_v")):
        pairs = zip(rows[motion], rows[f"{motion}_error"], strict=True)
        found = [velocity(value, error, settings.distance, settings.distance_error) for value, error in pairs]
        rows[name], rows[f"{name}_error"] = zip(*found, strict=True)
    return rows


def _numbers(mixture: Mixture) -> dict[str, Any]:
    components = range(1, len(mixture.fractions) + 1)
    names = [f"fraction_{i}" for i in components]
    names += [f"{axis}_{i}" for i in components for axis in ("pmra", "pmdec")]
    names += [f"var_{pair}_{i}" for i in components for pair in ("ra_ra", "ra_dec", "dec_dec")]
    return {
        "log_likelihood": mixture.log_likelihood, "converged": mixture.converged, "parameters": names,
        "covariance": mixture.covariance.tolist(),
    }  # fmt: skip


def _histogram(v: NDArray, c: NDArray, mixture: Mixture, axis: float, settings: KinematicsSettings) -> dict[str, Any]:
    """Mean histogram of motions along a line, and as many Gaussians as the mixture has; they start where it ends."""
    along = np.array([np.sin(np.radians(axis)), np.cos(np.radians(axis))])
    noise = np.sqrt(np.einsum("nij,i,j->n", c, along, along))
    histogram = resampled(v @ along, noise, settings.bin, settings.samplings, settings.seed)
    seen = np.sqrt(np.einsum("kij,i,j->k", mixture.dispersions, along, along) + 2 * np.mean(noise**2))
    peaks = fit_peaks(histogram, mixture.fractions / mixture.fractions.sum(), mixture.means @ along, seen)
    return {name: each.tolist() if isinstance(each, np.ndarray) else each
            for name, each in (histogram._asdict() | peaks._asdict()).items()}  # fmt: skip
