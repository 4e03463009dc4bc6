"""The good stars of all exposures of a frame in one set of arrays."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from compute.kernels.frame.averages import Common, Means, mean_positions, mean_values
from compute.kernels.frame.floors import floor, left
from compute.kernels.frame.identify import identify
from compute.kernels.frame.planefit import Fit, fit
from compute.kernels.frame.reserve import reserved
from compute.kernels.frame.transforms import KINDS, Transform, TransformError
from compute.settings import FrameSettings
from compute.stages.linking.placements import placements
from compute.stages.linking.sample import Sample, on_frame

__all__ = ["Detections"]

_APART = 1e6  # [pix of the frame] between epochs, where stars are identified
_MAG_CLIP, _MAG_LEAST, _MAG_SETTLED = 4.0, 0.02, 1e-5  # [sigma], [mag], [mag]


class Detections:
    """Samples side by side, and how their exposures lie on the frame now.

    Attributes
    ----------
    transforms, fits, reasons
        By exposure; None for those that are not placed, with the reason.
    floors
        By exposure, noise beyond the formal errors [pix of the frame].
    least
        Exposures that a star must be found in.
    epoch
        By exposure, number of its epoch: in each a star is another one, for it may have moved.
    rows
        Detections that are part of a star, in order of star; `start` tells where each star's begin.
    """

    def __init__(
        self,
        samples: list[Sample],
        starts: list[Transform | None],
        reasons: list[str],
        settings: FrameSettings,
        least: int,
        epoch: NDArray[np.int64] | None = None,
    ):
        self.settings, self.samples, self.least = settings, samples, least
        self.epoch = np.zeros(len(samples), np.int64) if epoch is None else epoch
        self.transforms, self.reasons = list(starts), list(reasons)
        self.fits: list[Fit | None] = [None] * len(samples)
        self.floors = np.zeros(len(samples))
        sizes = [one.x.size for one in samples]
        self.first = np.cumsum([0, *sizes])
        self.exposure = np.repeat(np.arange(len(samples)), sizes)
        self.mag, self.var_mag = (np.concatenate([one[n] for one in samples]) for n in (6, 7))

    def _placed(self) -> Iterator[tuple[int, Transform]]:
        for k, transform in enumerate(self.transforms):
            if transform is not None:
                yield k, transform

    @property
    def gauge(self) -> str:
        """Kind of transformation that all exposures may have in common without any star's telling."""
        return min((self._kind(k) for k, _ in self._placed()), key=list(KINDS).index, default="affine")

    def _kind(self, k: int) -> str:
        return self.settings.transform if self.samples[k].corrected else self.settings.raw_transform

    def on_frame(self) -> NDArray[np.float64]:
        """x, y, var_x, var_y, cov_xy of all detections, floors included, (5, n); NaN of exposures not placed."""
        out = np.full((5, self.exposure.size), np.nan)
        for k, transform in self._placed():
            out[:, self.first[k] : self.first[k + 1]] = on_frame(self.samples[k], transform, self.floors[k])
        return out

    def group(self) -> None:
        """Say which detections are one star; only stars found often enough stay."""
        x, y, var_x, var_y, _ = self.on_frame()
        rank = np.empty(x.size, np.int64)
        rank[np.lexsort((np.arange(x.size), var_x + var_y))] = np.arange(x.size)
        apart = x + _APART * self.epoch[self.exposure]
        star = identify(apart, y, self.exposure, rank, self.settings.radius)
        count = np.bincount(star[star >= 0], minlength=x.size)
        keep = np.flatnonzero((star >= 0) & (count[star] >= self.least))
        self.rows = keep[np.lexsort((keep, star[keep]))]
        if self.rows.size == 0:
            raise TransformError(f"found no star in {self.least} exposures (min_found), expected many")
        founder = star[self.rows]
        self.start = np.append(np.flatnonzero(np.diff(founder, prepend=-1)), self.rows.size)
        self.founder = founder[self.start[:-1]]
        self.star = np.repeat(np.arange(self.founder.size), np.diff(self.start))
        exposure = self.exposure[self.rows]
        order = np.argsort(exposure, kind="stable")
        ends = np.cumsum(np.bincount(exposure, minlength=len(self.samples)))
        self.rows_of = np.split(order, ends[:-1])  # by exposure: to look through all for each would be its square

    def _of(self, k: int) -> NDArray[np.int64]:
        """Rows of exposure `k` that solves are made from."""
        of = self.rows_of[k]
        return of[self.used[of] & ~self.reserved[self.star[of]]]

    def average(self) -> Means:
        """Mean positions of all stars at the present transformations."""
        self.at = self.on_frame()[:, self.rows]
        x, y, var_x, var_y, cov_xy = self.at
        common = self._common(self.floors)
        means, self.used = mean_positions(self.start, x, y, var_x, var_y, cov_xy, self.settings.clip, common)
        self.reserved = reserved(means.x, means.y, self.settings.reserve)
        return means

    def _common(self, floors: NDArray) -> Common:
        """What detections have in common of the floors of their exposures, by row."""
        of = self.exposure[self.rows]
        return Common(placements(self.transforms)[of], floors[of])

    def transform(self, means: Means) -> float:
        """Transform every exposure to the means; the farthest that any corner of one moved [pix of the frame]."""
        farthest = 0.0
        for k, transform in self._placed():
            of = self._of(k)
            one, star = self.samples[k].take(self.rows[of] - self.first[k]), self.star[of]
            kind, before = self._kind(k), self.fits[k]
            try:
                found = fit(
                    kind, one.x, one.y, means.x[star], means.y[star], np.sqrt(self.at[2, of] + means.var_x[star]),
                    np.sqrt(self.at[3, of] + means.var_y[star]), clip=self.settings.clip,
                    start=None if before is None else before.transform,
                )  # fmt: skip
            except TransformError as error:
                self.transforms[k], self.fits[k], self.reasons[k] = None, None, str(error)
                continue
            corners = one.x[[one.x.argmin(), one.x.argmax()]], one.y[[one.y.argmin(), one.y.argmax()]]
            moved = np.subtract(transform.apply(*corners), found.transform.apply(*corners))
            farthest = max(farthest, float(np.abs(moved).max()))
            self.transforms[k], self.fits[k] = found.transform, found
        return farthest

    def estimate_floors(self, means: Means) -> None:
        """Noise of each exposure beyond its formal errors, from residuals about the means."""
        at, common = self.on_frame()[:, self.rows], self._common(self.floors)
        formal, share = np.full((2, 2, self.rows.size), np.nan)
        of = np.flatnonzero(self.used & np.isfinite(at[2]))
        for axis in (0, 1):
            variance = at[2 + axis, of]
            bare = variance - common.error[of] ** 2
            formal[axis, of], share[axis, of] = left(self.star[of], common.group[of], bare, variance)
        residual = at[:2] - np.array([means.x, means.y])[:, self.star]
        for k, _ in self._placed():
            of = self._of(k)
            self.floors[k] = np.nan_to_num(floor(*(each[:, of].ravel() for each in (residual, formal, share))))

    def photometry(self, base: int) -> tuple[NDArray, NDArray, NDArray]:
        """Zero points, their errors and the floors of magnitudes, by exposure, so that all agree with `base`."""
        n = len(self.samples)
        exposure, mag, var = self.exposure[self.rows], self.mag[self.rows], self.var_mag[self.rows]
        zero, error, extra = np.zeros(n), np.full(n, np.nan), np.zeros(n)
        for _ in range(self.settings.rounds):
            total, before = var + extra[exposure] ** 2, zero.copy()
            common = self._common(extra)
            mean, var_mean, _ = mean_values(self.start, mag + zero[exposure], total, _MAG_CLIP, common)
            formal, share = np.full((2, mag.size), np.nan)
            of = np.flatnonzero(np.isfinite(mag) & (total > 0))
            formal[of], share[of] = left(self.star[of], common.group[of], var[of], total[of])
            for k, _ in self._placed():
                of = self._of(k)
                of = of[np.isfinite(mag[of]) & np.isfinite(mean[self.star[of]])]
                if of.size == 0:
                    continue
                star = self.star[of]
                offset, noise = mean[star] - mag[of], np.sqrt(total[of] + var_mean[star])
                near = np.abs(offset - np.median(offset)) < np.maximum(_MAG_CLIP * noise, _MAG_LEAST)
                weight = near / noise**2
                zero[k], error[k] = (weight * offset).sum() / weight.sum(), 1 / np.sqrt(weight.sum())
                extra[k] = np.nan_to_num(floor(offset - zero[k], formal[of], share[of]))
            if np.isfinite(error[base]):
                zero -= zero[base]
            if np.abs(zero - before).max() < _MAG_SETTLED:
                break
        return np.where(np.isnan(error), np.nan, zero), error, extra
