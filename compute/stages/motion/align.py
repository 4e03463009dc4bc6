"""Which stars stand still on average, and how the positions of each epoch lie on those of the first."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import PiazziError, UnusableError
from catalogs.flags import Flag
from compute.kernels.frame.planefit import Fit, fit
from compute.kernels.frame.transforms import Transform, TransformError
from compute.kernels.motion.meanmotions import MeanMotion, mean_motion
from compute.kernels.motion.motions import Motions, fit_motions
from compute.settings import MotionSettings
from compute.stages.motion.positions import REFERENCE, Epoch, Positions

__all__ = ["Alignment", "align", "aligned", "chosen", "fit_all", "magnitude_of", "plane_motions", "transforms"]

_UNFIT = np.uint32(sum(flag for flag in Flag if flag not in (Flag.GROUP_FIT, Flag.CTE, Flag.CUTOUT)))
_UNIT = 100_000.0  # [mas] of the links' normalised coordinates


class Alignment(NamedTuple):
    """How epochs lie on each other.

    `links`, by number of the epoch, are None for the `base`, on whose positions the others are put. `members`
    (n_stars,) are the stars that say so, `mean` their mean motion once it is done, of the `motion` (n_stars, 2) of all
    candidates with their `covariance` (n_stars, 2, 2), after so many `rounds`; it is `settled` where the last of them
    chose the stars of the one before.
    """

    base: int
    links: list[Fit | None]
    members: NDArray[np.bool_]
    mean: MeanMotion
    motion: NDArray[np.float64]
    covariance: NDArray[np.float64]
    rounds: int
    settled: bool


def chosen(positions: Positions, mags: pd.DataFrame, magnitude: str, settings: MotionSettings) -> NDArray[np.bool_]:
    """Stars (n_stars,) without a flag, inside the limits of magnitude and colour.

    `mags` are magnitudes of the stars, row by row; `magnitude` is the filter of limits, as :func:`magnitude_of` has it.

    Raises
    ------
    UnusableError
        Where no star has a magnitude in a filter that limits are set in.
    """
    mag = _magnitude(mags, magnitude)
    inside = np.bitwise_or.reduceat(positions.flags & _UNFIT, positions.start[:-1]) == 0
    inside &= _between(mag, settings.bright, settings.faint)
    if settings.blue is not None or settings.red is not None:
        one, other = (_magnitude(mags, name) for name in settings.colour.split("-"))
        inside &= _between(one - other, settings.blue, settings.red)
    return inside


def magnitude_of(mags: pd.DataFrame, settings: MotionSettings) -> str:
    """The filter of magnitude limits: as told, or the one of the field's own that most stars have."""
    return settings.magnitude or str(mags.drop(columns=REFERENCE, errors="ignore").notna().sum().idxmax())


def align(
    positions: Positions, epochs: Sequence[Epoch], candidates: NDArray[np.bool_], settings: MotionSettings
) -> Alignment:
    """Align epochs with the `candidates` (n_stars,) that move together, chosen anew until they are the same stars.

    Raises
    ------
    PiazziError
        Fewer stars than the settings ask for, or at places that do not determine the links; none that move together.
    """
    base, members, dispersion, rounds, settled = _base_of(positions, epochs), candidates, 0.0, 0, False
    while not settled and rounds < settings.rounds:
        links = [
            None if k == base else _link(positions, k, base, epochs[k].name, members, dispersion, settings)
            for k in range(len(epochs))
        ]
        motion, covariance = plane_motions(fit_all(aligned(positions, transforms(links)), epochs[base].time))
        motion[~candidates] = np.nan
        try:
            mean = mean_motion(motion, covariance, settings.sigmas)
        except ValueError as error:
            raise PiazziError(f"motion: aligning stars: {error}") from None
        rounds, settled = rounds + 1, bool((mean.used == members).all())
        dispersion, members = mean.dispersion, mean.used
    return Alignment(base, links, members, mean, motion, covariance, rounds, settled)


def transforms(links: Sequence[Fit | None]) -> list[Transform | None]:
    """The links alone."""
    return [None if link is None else link.transform for link in links]


def aligned(positions: Positions, links: Sequence[Transform | None]) -> Positions:
    """Positions put on the base's. Links differ from unity by 1e-3 at most, and so would errors."""
    x, y = positions.x.copy(), positions.y.copy()
    for k, link in enumerate(links):
        if link is not None:
            of = positions.epoch == k
            x[of], y[of] = link.apply(x[of], y[of])
    return positions._replace(x=x, y=y)


def fit_all(
    positions: Positions, epoch: float, factors: tuple[NDArray, NDArray] | None = None, threads: int = 1
) -> Motions:
    """Motions of all stars, with places at `epoch`."""
    p = positions
    return fit_motions(p.start, p.time, p.x, p.y, p.var_x, p.var_y, p.cov_xy, epoch, factors, threads)


def plane_motions(found: Motions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Motions (n, 2) along x and y, and their covariances (n, 2, 2)."""
    return found.parameters[:, 3:].copy(), found.covariance[:, 3:, 3:]


def _base_of(positions: Positions, epochs: Sequence[Epoch]) -> int:
    """The epoch that others are put on: the first, and of several at its time the one with most stars."""
    count = np.bincount(positions.epoch, minlength=len(epochs))
    return min(range(len(epochs)), key=lambda k: (round(epochs[k].time, 2), -count[k], k))


def _link(
    positions: Positions, k: int, base: int, name: str, members: NDArray, dispersion: float, settings: MotionSettings
) -> Fit:
    """From the positions of epoch `k` to those of the base; `dispersion` [mas/yr] makes stars differ too."""
    row = np.full((2, members.size), -1)
    for number, epoch in enumerate((k, base)):
        of = np.flatnonzero(positions.epoch == epoch)
        row[number, positions.star[of]] = of
    one, other = row[:, members & (row >= 0).all(axis=0)]
    if one.size < settings.least:
        raise UnusableError(f"motion: {name}", f"{one.size} aligning stars", f"{settings.least} at least")
    p = positions
    spread = (dispersion * (p.time[one] - p.time[other])) ** 2
    ex, ey = (np.sqrt(var[one] + var[other] + spread) for var in (p.var_x, p.var_y))
    correlation = (p.cov_xy[one] + p.cov_xy[other]) / (ex * ey)
    places = p.x[one], p.y[one], p.x[other], p.y[other]
    try:
        return fit(settings.link, *places, ex, ey, correlation, clip=settings.sigmas, centre=(0.0, 0.0), scale=_UNIT)
    except TransformError as error:
        raise PiazziError(f"motion: link of {name}: {error}") from None


def _magnitude(mags: pd.DataFrame, name: str) -> NDArray[np.float64]:
    if name not in mags or mags[name].isna().all():
        raise UnusableError(f"motion: magnitudes in {name}", "none", f"one of {', '.join(mags.columns)}")
    return mags[name].to_numpy(float)


def _between(value: NDArray, low: float | None, high: float | None) -> NDArray[np.bool_]:
    """Inside open limits; NaN is inside where there are none."""
    inside = np.ones(value.size, bool)
    if low is not None:
        inside &= value > low
    if high is not None:
        inside &= value < high
    return inside
