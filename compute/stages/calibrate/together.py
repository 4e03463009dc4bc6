"""Filters of one detector as an effective dither (Anderson & King 2000, section 5.2): common positions, own ePSFs.

Exposures through several filters that were not dithered see a star at different pixel phases all the same, where the
filters differ in scale and distortion. A star has one position in all of them; each filter has its own ePSF, and each
star its own flux through each.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stampfit import StampFits, fit_stamps
from compute.kernels.calibrate.stamps import Stamps
from compute.settings import CalibrateSettings
from compute.stages.calibrate.build import Built
from compute.stages.calibrate.judged import judge, numbers, samplings
from compute.stages.calibrate.passes import SINGLE, changed, dithered, enough, fine
from compute.stages.calibrate.solvers import improve
from compute.stages.calibrate.stars import Pool, Stars, link, pool_of
from compute.stages.calibrate.tables import begin, cube_of, sized, spread
from compute.stages.cutting import HALF, Cut
from compute.stages.plane import Plane

__all__ = ["build_together"]

_LEAST = 2  # exposures of whatever filter that a star must be found in
_APART = 1e9  # [pix] between the fiducials of filters that are solved for as one table: none has a part in another's
_SLOWER = 2  # times as many passes, where positions are averaged and not solved for


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

    def take(self, stars: Stars, first: int) -> None:
        """Its part of the stars of all filters, whose stamps here begin at `first`, with fluxes of its own."""
        self.of = (stars.rows >= first) & (stars.rows < first + self.pool.exposure.size)
        rows, gain = stars.rows[self.of] - first, stars.links.gain[self.of]
        _, star, count = np.unique(stars.star[self.of], return_inverse=True, return_counts=True)
        weight = gain**2 / self.fits.var_flux[rows]
        flux = np.bincount(star, weight * self.fits.flux[rows] / gain) / np.bincount(star, weight)
        links = stars.links._replace(start=np.append(0, np.cumsum(count)), slope=stars.links.slope[self.of], gain=gain)
        self.stars = stars._replace(
            rows=rows, links=links, x=stars.x[self.of], y=stars.y[self.of], flux=flux[star] * gain,
            reserved=stars.reserved[self.of],
        )  # fmt: skip

    def become(self, table: Table) -> None:
        """A new ePSF, and all stamps fitted with it."""
        self.change, self.used = changed(self.table, table), self.stars.used()
        self.table = table
        self.fits = fit_stamps(table, self.pool.stamps(self.fits.x, self.fits.y, self.fits.flux))

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
        With too few stars through any of the filters, or where all see a star at the same distances in pixel phase,
        which lets the same bias stand in each.
    """
    parts = [_Camera(*camera, settings) for camera in cameras]
    rows = pd.concat([one.rows for one in parts], ignore_index=True)
    pool, begins, group = _side_by_side([one.pool for one in parts])
    stars: Stars | None = None
    passes, last = settings.passes * (1 if settings.solver == "joint" else _SLOWER), False
    for number in range(passes + 1):
        offset = tuple(np.concatenate([one.offset[axis] for one in parts]) for axis in (0, 1))
        stars = link(pool, _all_fits(parts), (offset[0], offset[1]), rows, plane, stars, settings, least=_LEAST)
        for one, first in zip(parts, begins, strict=True):
            one.take(stars, first)
            if number > 0:
                one.offset = fine(one.pool, one.fits, one.stars, one.offset)
            one.seen.append(judge(number, one.pool, one.fits, one.stars))
        damped = dithered(pool, stars.used(), group)
        if number > 0:
            _tell(parts, number, damped)
            if last:
                break
        settled = max(one.change for one in parts) < settings.settled
        last = number == passes - 1 or (number > SINGLE and settled)
        _improve(parts, stars, number, HALF if last else settings.half, settings, threads)
    return [one.built() for one in parts]


def _improve(
    parts: list[_Camera], stars: Stars, number: int, half: int, settings: CalibrateSettings, threads: int
) -> None:
    """The next ePSF of every filter: one table of all, whose stamps stand far apart, and one position per star."""
    images = [int((~one.stars.reserved).sum()) for one in parts]
    for one, count in zip(parts, images, strict=True):
        enough(count, f"stars of {one.name} not reserved", one.pool, settings)
        one.table = sized(spread(one.table, one.rows, min(images), settings) if number == SINGLE else one.table, half)
    stamps, flux = _stamps(parts, stars, half)
    tables = [one.table for one in parts]
    fx = np.concatenate([table.fx + k * _APART for k, table in enumerate(tables)])
    whole = tables[0]._replace(coef=np.concatenate([table.coef for table in tables], axis=1), fx=fx)
    # In units of the star's flux through all filters, what a stamp has of it.
    mean = np.add.reduceat(flux, stars.links.start[:-1]) / np.diff(stars.links.start)
    links = stars._replace(flux=flux, links=stars.links._replace(gain=flux / mean[stars.star])).used().links
    kept = ~stars.reserved
    stamps = stamps._replace(**{name: getattr(stamps, name)[kept] for name in stamps._fields})
    new = improve(whole, stamps, links, settings, threads)
    for one, table, coef in zip(parts, tables, np.split(new.coef, len(parts), axis=1), strict=True):
        one.become(table._replace(coef=np.ascontiguousarray(coef)))


def _stamps(parts: list[_Camera], stars: Stars, half: int) -> tuple[Stamps, NDArray[np.float64]]:
    """Stamps of all filters in the order of `stars`, and their imposed fluxes."""
    pieces = [
        one.pool.stamps(one.stars.x, one.stars.y, one.stars.flux, one.stars.rows, half)._asdict() for one in parts
    ]
    for k, piece in enumerate(pieces):
        piece["at_x"] = piece["at_x"] + k * _APART
    order = np.argsort(np.concatenate([np.flatnonzero(one.of) for one in parts]), kind="stable")
    whole = Stamps(**{name: np.concatenate([piece[name] for piece in pieces])[order] for name in Stamps._fields})
    return whole, whole.flux


def _tell(parts: list[_Camera], number: int, damped: tuple[float, float]) -> None:
    for one in parts:
        one.told.append({
            "pass": number, "stars": one.used.links.start.size - 1, "stamps": one.used.rows.size,
            "reserved": int(one.stars.reserved.sum()), "change": one.change, "damping_x": damped[0],
            "damping_y": damped[1],
        } | numbers(one.seen[-1]))  # fmt: skip


def _side_by_side(pools: list[Pool]) -> tuple[Pool, list[int], NDArray[np.int64]]:
    """All stamps without their pixels, which linking does not look at; where each pool's begin, and whose each is."""
    sizes = [pool.exposure.size for pool in pools]
    exposures = np.cumsum([0, *(pool.first.size - 1 for pool in pools)])
    first = np.cumsum([0, *sizes])
    ends = [pool.first[1:] + begin for pool, begin in zip(pools, first, strict=False)]
    x, y, gain = (np.concatenate([getattr(pool, name) for pool in pools]) for name in ("x_pixel", "y_pixel", "gain"))
    exposure = np.concatenate([pool.exposure + k for pool, k in zip(pools, exposures, strict=False)])
    nothing = np.empty((0, 1, 1), np.float32)
    whole = Pool(nothing, nothing, x, y, gain, exposure, np.concatenate([[0], *ends]))
    return whole, first[:-1].tolist(), np.repeat(np.arange(len(pools)), sizes)


def _all_fits(parts: list[_Camera]) -> StampFits:
    return StampFits(*(np.concatenate(columns) for columns in zip(*(one.fits for one in parts), strict=True)))
