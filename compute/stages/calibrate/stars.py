"""Stamps of many exposures as stars: which belong together, and where each should stand."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from compute.kernels.joint import Links
from compute.kernels.stampfit import StampFits
from compute.kernels.stamps import Stamps
from compute.kernels.transforms import Transform, TransformError
from compute.settings import CalibrateSettings, FrameSettings
from compute.stages.cutting import Cut
from compute.stages.linking.align import place_roughly
from compute.stages.linking.detections import Detections
from compute.stages.linking.sample import Sample
from compute.stages.linking.solve import iterate
from compute.stages.plane import Plane

__all__ = ["Pool", "Stars", "pool_of"]

_H = 0.5  # [pix of the frame] step of slopes


class Pool(NamedTuple):
    """All stamps side by side: pixels, middle pixels [detector pix], the exposure each is of, where exposures begin."""

    light: NDArray[np.float32]
    weight: NDArray[np.float32]
    x_pixel: NDArray[np.float64]
    y_pixel: NDArray[np.float64]
    exposure: NDArray[np.int64]
    first: NDArray[np.int64]

    def stamps(
        self, x: NDArray, y: NDArray, flux: NDArray, rows: NDArray | None = None, half: int | None = None
    ) -> Stamps:
        """Stamps with their stars at (x, y) from the middle pixels; some `rows`, and pixels within `half`, only."""
        rows = np.arange(self.exposure.size) if rows is None else rows
        middle = self.light.shape[1] // 2
        inner = slice(None) if half is None else slice(middle - half, middle + half + 1)
        at_x, at_y = self.x_pixel[rows] + x, self.y_pixel[rows] + y
        light, weight = self.light[rows][:, inner, inner], self.weight[rows][:, inner, inner]
        return Stamps(np.ascontiguousarray(light), np.ascontiguousarray(weight), x, y, flux, at_x, at_y)


def pool_of(cuts: list[Cut]) -> Pool:
    """Stamps of all exposures, in their order."""
    sizes = [one.x.size for one in cuts]
    joined = [
        np.concatenate([getattr(one, name) for one in cuts]) for name in ("light", "weight", "x_pixel", "y_pixel")
    ]
    return Pool(
        joined[0], joined[1], joined[2].astype(float), joined[3].astype(float),
        np.repeat(np.arange(len(cuts)), sizes), np.cumsum([0, *sizes]),
    )  # fmt: skip


class Stars(NamedTuple):
    """Stars found in several exposures: the stamps that are theirs, in order of star, and where these should stand.

    `rows` (K,) of the pool; `links`; `x`, `y` (K,) imposed positions from the middle pixels [pix]; `flux` (K,);
    `scatter` [pix] of the free positions about the imposed, robust; `transforms` by exposure.
    """

    rows: NDArray[np.int64]
    links: Links
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    scatter: float
    transforms: list[Transform | None]


def link(
    pool: Pool,
    fits: StampFits,
    offset: tuple[NDArray, NDArray],
    rows: pd.DataFrame,
    plane: Plane,
    before: list[Transform | None] | None,
    settings: CalibrateSettings,
) -> Stars:
    """Identify, average and transform (Libralato et al. 2023, section 3), and impose the averages on every exposure.

    `offset` (K,) each is what distortion with structure finer than a polynomial adds to raw positions at every stamp;
    `before` where the exposures lay last time.

    Raises
    ------
    UnusableError
        Where no star is found in three exposures, or none can be aligned.
    """
    x, y = pool.x_pixel + fits.x - offset[0], pool.y_pixel + fits.y - offset[1]
    samples = _samples(pool, x, y, fits)
    how = FrameSettings(raw_transform=settings.transform, radius=settings.radius, reserve=0.0, rounds=20)
    reasons = ["ok"] * len(samples)
    if before is None:
        before, reasons = place_roughly(rows, samples, None, _middle(rows, plane), plane, how)
    # Fewer do not tell an ePSF from positions, however few exposures there are.
    found = Detections(samples, before, reasons, how, least=how.min_found)
    try:
        means, _ = iterate(found, None, how)
    except TransformError:
        placed = sum(one is not None for one in found.transforms)
        told = f"{x.size} images of stars in {len(samples)} exposures, {placed} of which could be placed"
        raise UnusableError("calibrate", told, f"stars common to {how.min_found} dithered exposures") from None
    zero, _, _ = found.photometry(_middle(rows, plane))
    kept = np.array([found.transforms[k] is not None for k in found.exposure[found.rows]]) & np.isfinite(
        means.x[found.star]
    )
    return _impose(pool, fits, offset, found, means, zero, np.flatnonzero(kept), settings)


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


def _middle(rows: pd.DataFrame, plane: Plane) -> int:
    x, y = plane.pixel(rows["ra"], rows["dec"])
    return int(np.argmin(np.hypot(x - np.median(x), y - np.median(y)).round(6)))


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
        float(1.4826 * np.nanmedian(np.abs(off))), list(found.transforms),
    )  # fmt: skip
