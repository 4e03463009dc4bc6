"""Filters of one detector as an effective dither (Anderson & King 2000, section 5.2): common positions, own ePSFs.

Exposures through several filters that were not dithered see a star at different pixel phases all the same, for filters
differ in scale and distortion. Positions are averaged over all of them; each filter's ePSF is solved at those.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from compute.kernels.stampfit import StampFits, fit_stamps
from compute.settings import CalibrateSettings
from compute.stages.calibrate.build import Built
from compute.stages.calibrate.judged import judge, numbers, samplings
from compute.stages.calibrate.passes import SINGLE, dithered, enough, fine, update
from compute.stages.calibrate.stars import Pool, Stars, link, pool_of
from compute.stages.calibrate.tables import begin, cube_of, sized, spread
from compute.stages.cutting import HALF, Cut
from compute.stages.plane import Plane

__all__ = ["build_together"]

_LEAST = 2  # exposures of whatever filter that a star must be found in
_SLOWER = 2  # times as many passes as with positions that are solved for, not averaged


class _Camera:
    """One filter: its exposures, stamps and fits, and its ePSF as it is now."""

    def __init__(self, rows: pd.DataFrame, cuts: Iterable[Cut], name: str, settings: CalibrateSettings):
        self.rows, self.name, self.pool = rows, name, pool_of(cuts, rows, settings)
        enough(self.pool.exposure.size, f"bright, lonely stars for {name}", self.pool, settings)
        self.fits, self.table = begin(self.pool, settings)
        self.offset = np.zeros(self.pool.exposure.size), np.zeros(self.pool.exposure.size)
        self.told: list[dict] = []
        self.seen: list[pd.DataFrame] = []
        self.change = np.inf

    def improve(self, number: int, last: bool, settings: CalibrateSettings, threads: int) -> None:
        """The next ePSF from this filter's part of the stars."""
        self.used = self.stars.used()
        enough(self.used.rows.size, f"stars of {self.name} not reserved", self.pool, settings)
        if number == SINGLE:
            self.table = spread(self.table, self.rows, self.used.rows.size, settings)
        half = HALF if last else settings.half
        self.table, self.change = update(self.pool, self.used, sized(self.table, half), half, settings, threads)
        self.fits = fit_stamps(self.table, self.pool.stamps(self.fits.x, self.fits.y, self.fits.flux))

    def take(self, stars: Stars, first: int) -> None:
        """Its part of the stars of all filters, whose stamps here begin at `first`, with fluxes of its own."""
        of = (stars.rows >= first) & (stars.rows < first + self.pool.exposure.size)
        rows, gain = stars.rows[of] - first, stars.links.gain[of]
        _, star, count = np.unique(stars.star[of], return_inverse=True, return_counts=True)
        weight = gain**2 / self.fits.var_flux[rows]
        flux = np.bincount(star, weight * self.fits.flux[rows] / gain) / np.bincount(star, weight)
        links = stars.links._replace(start=np.append(0, np.cumsum(count)), slope=stars.links.slope[of], gain=gain)
        self.stars = stars._replace(
            rows=rows, links=links, x=stars.x[of], y=stars.y[of], flux=flux[star] * gain, reserved=stars.reserved[of]
        )

    def built(self) -> Built:
        """What has come of it."""
        cube = cube_of(self.table, self.rows, self.used, self.pool, self.name)
        seen = pd.concat(self.seen, ignore_index=True)
        return Built(cube, pd.DataFrame(self.told), seen, samplings(self.table, self.pool, self.stars))


def build_together(
    cameras: Sequence[tuple[pd.DataFrame, Iterable[Cut], str]],
    plane: Plane,
    settings: CalibrateSettings,
    threads: int = 1,
) -> list[Built]:
    """Build the ePSFs of several filters of one detector whose exposures saw the same stars.

    Parameters
    ----------
    cameras
        EXPOSURES of each filter, their cut-out stars in the same order, and the name of its cube.

    Raises
    ------
    UnusableError
        With too few stars through any of the filters, or where all exposures share their pixel phases.
    """
    how = settings.model_copy(update={"solver": "direct" if settings.solver == "joint" else settings.solver})
    parts = [_Camera(*camera, how) for camera in cameras]
    rows = pd.concat([one.rows for one in parts], ignore_index=True)
    pool, begins = _side_by_side([one.pool for one in parts])
    stars: Stars | None = None
    passes, last = _SLOWER * how.passes, False
    for number in range(passes + 1):
        offset = tuple(np.concatenate([one.offset[axis] for one in parts]) for axis in (0, 1))
        stars = link(pool, _all_fits(parts), (offset[0], offset[1]), rows, plane, stars, how, least=_LEAST)
        for one, first in zip(parts, begins, strict=True):
            one.take(stars, first)
            if number > 0:
                one.offset = fine(one.pool, one.fits, one.stars, one.offset)
            one.seen.append(judge(number, one.pool, one.fits, one.stars))
        damped = dithered(pool, stars.used())
        if number > 0:
            _tell(parts, number, damped)
            if last:
                break
        settled = max(one.change for one in parts) < how.settled
        last = number == passes - 1 or (number > SINGLE and settled)
        for one in parts:
            one.improve(number, last, how, threads)
    return [one.built() for one in parts]


def _tell(parts: list[_Camera], number: int, damped: tuple[float, float]) -> None:
    for one in parts:
        one.told.append({
            "pass": number, "stars": one.used.links.start.size - 1, "stamps": one.used.rows.size,
            "reserved": int(one.stars.reserved.sum()), "change": one.change, "damping_x": damped[0],
            "damping_y": damped[1],
        } | numbers(one.seen[-1]))  # fmt: skip


def _side_by_side(pools: list[Pool]) -> tuple[Pool, list[int]]:
    """All stamps without their pixels, which linking does not look at; where each pool's begin."""
    sizes = [pool.exposure.size for pool in pools]
    exposures = np.cumsum([0, *(pool.first.size - 1 for pool in pools)])
    first = np.cumsum([0, *sizes])
    ends = [pool.first[1:] + begin for pool, begin in zip(pools, first, strict=False)]
    x, y, gain = (np.concatenate([getattr(pool, name) for pool in pools]) for name in ("x_pixel", "y_pixel", "gain"))
    exposure = np.concatenate([pool.exposure + k for pool, k in zip(pools, exposures, strict=False)])
    nothing = np.empty((0, 1, 1), np.float32)
    return Pool(nothing, nothing, x, y, gain, exposure, np.concatenate([[0], *ends])), first[:-1].tolist()


def _all_fits(parts: list[_Camera]) -> StampFits:
    return StampFits(*(np.concatenate(columns) for columns in zip(*(one.fits for one in parts), strict=True)))
