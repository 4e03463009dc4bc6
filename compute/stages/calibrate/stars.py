"""Stamps of many exposures as stars: which belong together, and where each should stand."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from compute.kernels.calibrate.joint import Links
from compute.kernels.calibrate.stampfit import StampFits
from compute.kernels.calibrate.stamps import Stamps
from compute.kernels.frame.planefit import Fit
from compute.kernels.frame.reserve import reserved
from compute.kernels.frame.transforms import TransformError
from compute.settings import CalibrateSettings, FrameSettings
from compute.stages.cutting import Cut
from compute.stages.linking.align import middle_of, place_roughly
from compute.stages.linking.detections import Detections
from compute.stages.linking.epochs import epochs_of
from compute.stages.linking.sample import Sample
from compute.stages.linking.solve import iterate
from compute.stages.plane import Plane

__all__ = ["Pool", "Stars", "fiducials", "link", "pool_of"]

_SETTLED = 1e-3  # [pix of the frame] which clipped stars come and go within
_H = 0.5  # [pix of the frame] step of slopes


class Pool(NamedTuple):
    """All stamps side by side: pixels, middle pixels [detector pix], electrons in a unit of flux, the exposure each is
    of, where exposures begin.
    """

    light: NDArray[np.float32]
    weight: NDArray[np.float32]
    x_pixel: NDArray[np.float64]
    y_pixel: NDArray[np.float64]
    gain: NDArray[np.float64]
    exposure: NDArray[np.int64]
    first: NDArray[np.int64]

    def stamps(
        self, x: NDArray, y: NDArray, flux: NDArray, rows: NDArray | None = None, half: int | None = None
    ) -> Stamps:
        """Stamps with their stars at (x, y) from the middle pixels; some `rows`, and pixels within `half`, only."""
        of: slice | NDArray = slice(None) if rows is None else rows
        middle = self.light.shape[1] // 2
        inner = slice(None) if half is None else slice(middle - half, middle + half + 1)
        light, weight = (np.ascontiguousarray(each[:, inner, inner][of]) for each in (self.light, self.weight))
        return Stamps(light, weight, x, y, flux, self.x_pixel[of] + x, self.y_pixel[of] + y)


def pool_of(cuts: Iterable[Cut], rows: pd.DataFrame, settings: CalibrateSettings) -> Pool:
    """Stamps of all exposures, in their order: of each region of a fiducial `most` at the most, however many they are.

    Every exposure gives the same number, its brightest. A stamp takes 5 kB here, some 50 kB more during the last
    update, and with a `half` of 5 pix 10 kB during those before; `cuts` may be a generator, so that there is one
    unthinned exposure at a time.
    """
    fx, fy = fiducials(rows, settings.grid)
    share = max(settings.most // max(len(rows), 1), 1)
    cuts = [_thin(one, fx, fy, share) for one in cuts]
    sizes = [one.x.size for one in cuts]
    light, weight, x, y, gain = (
        np.concatenate([getattr(one, name) for one in cuts])
        for name in ("light", "weight", "x_pixel", "y_pixel", "gain")
    )
    return Pool(
        light, weight, x.astype(float), y.astype(float), gain, np.repeat(np.arange(len(cuts)), sizes),
        np.cumsum([0, *sizes]),
    )  # fmt: skip


def fiducials(rows: pd.DataFrame, grid: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions of a grid x grid of fiducials that reaches over all pixels of the exposures; one is in the middle."""
    x0, y0 = rows["x_start"].min(), rows["y_start"].min()
    x1, y1 = (rows["x_start"] + rows["n_x"]).max() - 1, (rows["y_start"] + rows["n_y"]).max() - 1
    if grid == 1:
        return np.array([(x0 + x1) / 2]), np.array([(y0 + y1) / 2])
    return np.linspace(x0, x1, grid), np.linspace(y0, y1, grid)


def _thin(one: Cut, fx: NDArray, fy: NDArray, most: int) -> Cut:
    """The `most` brightest stars of each fiducial's region, in the order they had."""
    region = np.abs(one.x_pixel[:, None] - fx).argmin(1) * fy.size + np.abs(one.y_pixel[:, None] - fy).argmin(1)
    order = np.lexsort((one.y_pixel, one.x_pixel, -one.flux, region))
    begin = np.searchsorted(region[order], region[order])
    kept = np.sort(order[np.arange(order.size) - begin < most])
    return one if kept.size == order.size else one._replace(**{n: getattr(one, n)[kept] for n in one._fields})


class Stars(NamedTuple):
    """Stars found in several exposures: the stamps that are theirs, in order of star, and where these should stand.

    `rows` (K,) of the pool; `links`; `x`, `y` (K,) imposed positions from the middle pixels [pix]; `flux` (K,);
    `reserved` (K,) those that no ePSF may be made from; `scatter` [pix] of the free positions about the imposed,
    robust; `fits` by exposure, how they lie on the frame.
    """

    rows: NDArray[np.int64]
    links: Links
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    reserved: NDArray[np.bool_]
    scatter: float
    fits: list[Fit | None]

    @property
    def star(self) -> NDArray[np.int64]:
        """Which star each stamp is of, (K,)."""
        return np.repeat(np.arange(self.links.start.size - 1), np.diff(self.links.start))

    def used(self) -> "Stars":
        """Those that are not reserved."""
        k = ~self.reserved
        start = np.append(0, np.cumsum(np.diff(self.links.start)[k[self.links.start[:-1]]]))
        links = self.links._replace(start=start, slope=self.links.slope[k], gain=self.links.gain[k])
        return self._replace(
            rows=self.rows[k], links=links, x=self.x[k], y=self.y[k], flux=self.flux[k], reserved=self.reserved[k]
        )


def link(
    pool: Pool,
    fits: StampFits,
    offset: tuple[NDArray, NDArray],
    rows: pd.DataFrame,
    plane: Plane,
    before: Stars | None,
    settings: CalibrateSettings,
    least: int = 3,
) -> Stars:
    """Identify, average and transform (Libralato et al. 2023, section 3), and impose the averages on every exposure.

    `offset` (K,) each is what distortion with structure finer than a polynomial adds to raw positions at every stamp;
    `before` tells where the exposures lay last time; a star must be found in `least` of them. Reserved stars take part
    in all of this.

    Raises
    ------
    UnusableError
        Where no star is found often enough, or none can be aligned.
    """
    x, y = pool.x_pixel + fits.x - offset[0], pool.y_pixel + fits.y - offset[1]
    samples = _samples(pool, x, y, fits)
    how = FrameSettings(
        raw_transform=settings.transform, radius=settings.radius, reserve=0.0, rounds=20, tolerance=_SETTLED
    )
    reasons = ["ok"] * len(samples)
    if before is None:
        starts, reasons = place_roughly(rows, samples, None, middle_of(rows, plane), plane, how)
    else:
        starts = [one and one.transform for one in before.fits]
    # Fewer do not tell an ePSF from positions, however few exposures there are.
    found = Detections(samples, starts, reasons, how, least, epochs_of(rows, how.epoch_gap))
    if before is not None:
        found.fits = list(before.fits)
    try:
        means, _ = iterate(found, None, how)
    except TransformError:
        placed = sum(one is not None for one in found.transforms)
        told = f"{x.size} images of stars in {len(samples)} exposures, {placed} of which could be placed"
        raise UnusableError("calibrate", told, f"stars common to {least} dithered exposures") from None
    zero, _, _ = found.photometry(middle_of(rows, plane))
    kept = np.array([found.transforms[k] is not None for k in found.exposure[found.rows]]) & np.isfinite(
        means.x[found.star]
    )
    stars = _impose(pool, fits, offset, found, means, zero, np.flatnonzero(kept), settings)
    by_place = reserved(means.x, means.y, settings.reserve)[found.star[kept]]
    return stars._replace(reserved=_reserved(stars, by_place, before, pool.exposure.size))


def _samples(pool: Pool, x: NDArray, y: NDArray, fits: StampFits) -> list[Sample]:
    mag = -2.5 * np.log10(np.maximum(fits.flux, 1e-30))
    var_mag = 1.1788 * fits.var_flux / np.maximum(fits.flux, 1e-30) ** 2
    parts = []
    for first, last in zip(pool.first[:-1], pool.first[1:], strict=True):
        of = slice(first, last)
        parts.append(
            Sample(
                np.arange(last - first), x[of], y[of], fits.var_x[of], fits.var_y[of], fits.cov_xy[of], mag[of],
                var_mag[of], False,
            )
        )  # fmt: skip
    return parts


def _reserved(stars: Stars, by_place: NDArray, before: Stars | None, n: int) -> NDArray[np.bool_]:
    """By place the first time; later as before, so that no star that was used crosses a border and becomes a judge."""
    known = np.zeros(n, np.int8)
    if before is not None:
        known[before.rows] = np.where(before.reserved, 1, 2)
    first = stars.links.start[:-1]
    was = np.maximum.reduceat(known[stars.rows], first)
    return np.where(was > 0, was == 1, by_place[first])[stars.star]


def _impose(pool, fits, offset, found, means, zero, kept, settings) -> Stars:
    """Averages back on the pixels of every exposure."""
    stamp, star = found.rows[kept], found.star[kept]
    names, star, count = np.unique(star, return_inverse=True, return_counts=True)
    exposure = pool.exposure[stamp]
    xm, ym = means.x[names][star], means.y[names][star]
    x, y, slope = np.empty(stamp.size), np.empty(stamp.size), np.empty((stamp.size, 2, 2))
    for k, transform in enumerate(found.transforms):
        of = exposure == k
        if transform is None or not of.any():
            continue
        x[of], y[of] = transform.invert(xm[of], ym[of])
        right, left = transform.invert(xm[of] + _H, ym[of]), transform.invert(xm[of] - _H, ym[of])
        up, down = transform.invert(xm[of], ym[of] + _H), transform.invert(xm[of], ym[of] - _H)
        slope[of, :, 0] = np.subtract(right, left).T / (2 * _H)
        slope[of, :, 1] = np.subtract(up, down).T / (2 * _H)
    x, y = x + offset[0][stamp] - pool.x_pixel[stamp], y + offset[1][stamp] - pool.y_pixel[stamp]
    gain = 10 ** (0.4 * np.nan_to_num(zero))[exposure]
    weight = gain**2 / fits.var_flux[stamp]
    common = np.bincount(star, weight * fits.flux[stamp] / gain) / np.bincount(star, weight)
    off = np.concatenate([fits.x[stamp] - x, fits.y[stamp] - y])
    start = np.append(0, np.cumsum(count))
    return Stars(
        stamp, Links(start, slope, gain, settings.slack), x, y, common[star] * gain,
        np.zeros(stamp.size, bool), float(1.4826 * np.nanmedian(np.abs(off))), list(found.fits),
    )  # fmt: skip
