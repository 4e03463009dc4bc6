"""Bright, lonely stars of one exposure, cut out with their neighbours and sky taken away."""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from catalogs.cubes import EpsfCube
from catalogs.exposure import Exposure
from compute.kernels.calibrate.fatter import FluxTerm, electrons, narrowed, uncharged
from compute.kernels.calibrate.stamps import sample_stamps
from compute.kernels.measure import columns
from compute.kernels.measure.chain import Fits, Frame, Model, Sources, find, find_hidden, fit_rounds, reaches
from compute.settings import StampSettings
from compute.stages.frames import flux_term_of, frame_of, model_of

__all__ = ["HALF", "Cut", "cut"]

HALF = 12  # [pix] half width of stamps
_CLEAR = 10.0  # [pix] from saturated pixels
_FULL = columns.HAS_BAD | columns.BAD_CORE | columns.HAS_SATURATED | columns.AT_EDGE


class Cut(NamedTuple):
    """Stamps of K stars: pixels less sky and neighbours and 1 / variance (K, m, m); middle pixels [detector pix]; the
    star from there [pix], flux; electrons in a unit of flux.
    """

    light: NDArray[np.float32]
    weight: NDArray[np.float32]
    x_pixel: NDArray[np.int64]
    y_pixel: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    gain: NDArray[np.float64]


def cut(exposure: Exposure, cube: EpsfCube, settings: StampSettings) -> Cut:
    """Find all stars with a first ePSF, and cut out those that tell of it, brightest first.

    They are at most `stars`, fitted whole, stand above `signal_to_noise`, have no brighter neighbour within `isolation`
    [pix], and are not near saturated pixels nor within a stamp of the edge. Where the ePSF has a flux term, stamps are
    those of stars without charge.
    """
    frame, model, term = frame_of(exposure), model_of(cube, exposure, 5), flux_term_of(cube, 5)
    sources = find(frame, model, 5.0, 2.5, 0.5)
    fits, seen = _fit(frame, model, term, sources)
    sources = find_hidden(seen, model, sources, fits, 5.0, 2.5, 0.5)
    fits, seen = _fit(frame, model, term, sources)
    chosen = _choose(frame, fits, sources, settings)
    return _cut(seen, model, fits, chosen, exposure.header.x_start, exposure.header.y_start)


def _fit(frame: Frame, model: Model, term: FluxTerm | None, sources: Sources) -> tuple[Fits, Frame]:
    """Fits of all sources, and the frame without the light that their charge displaces."""
    seen = None if term is None else partial(narrowed, frame, term)
    fits = fit_rounds(
        frame, model, sources, rounds=3, half=2, taper=(0.0, 0.0), template_error=0.01, max_iterations=20,
        annulus=(6.0, 9.0), seen=seen,
    )  # fmt: skip
    return fits, frame if term is None else uncharged(frame, term, sources, fits)


def _choose(frame: Frame, fits: Fits, sources: Sources, settings: StampSettings) -> NDArray[np.int64]:
    rows = fits.rows
    x, y, flux = rows[:, columns.X], rows[:, columns.Y], rows[:, columns.FLUX]
    state = rows[:, columns.STATE].astype(int)
    ny, nx = frame.image.shape
    good = (sources.n_saturated == 0) & (state & columns.CONVERGED != 0) & (state & _FULL == 0)
    good &= flux > settings.signal_to_noise * np.sqrt(rows[:, columns.VAR_FLUX])
    good &= (x > HALF + 1) & (x < nx - HALF - 2) & (y > HALF + 1) & (y < ny - HALF - 2)
    if (frame.mask == columns.SATURATED).any():
        full = cKDTree(np.argwhere(frame.mask == columns.SATURATED))
        good &= full.query(np.column_stack([y, x]), distance_upper_bound=_CLEAR)[0] > _CLEAR
    tree = cKDTree(np.column_stack([x, y]))
    light = np.nan_to_num(flux)
    lonely = [
        k for k in np.flatnonzero(good)
        if light[tree.query_ball_point((x[k], y[k]), settings.isolation)].max() <= light[k]
    ]  # fmt: skip
    order = np.array(lonely, np.int64)
    return order[np.argsort(-light[order], kind="stable")][: settings.stars]


def _cut(frame: Frame, model: Model, fits: Fits, chosen: NDArray, x_start: int, y_start: int) -> Cut:
    """Stamps with everything but the star itself taken away."""
    x, y, flux = (fits.rows[chosen, k].copy() for k in (columns.X, columns.Y, columns.FLUX))
    xp, yp = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    side = np.arange(-HALF, HALF + 1)
    j, i = yp[:, None, None] + side[:, None], xp[:, None, None] + side
    own, skip = np.empty(j.shape[:1] + (side.size, side.size)), np.empty((chosen.size, side.size, side.size))
    fiducials = (model.coef, model.fx, model.fy, model.oversampling, model.taps)
    sample_stamps(*fiducials, x - xp, y - yp, x, y, own, skip, skip.copy())
    # The frame's drawing ends where a star is lost in the noise, and so must what is put back.
    drawn = np.maximum(np.abs(side), np.abs(side[:, None])) <= reaches(frame, model, flux)[:, None, None]
    own *= drawn * flux[:, None, None]
    light = frame.image[j, i] - fits.sky[chosen, None, None] - fits.drawn[j, i] + own
    variance = frame.poisson[j, i] * np.maximum(fits.drawn[j, i] + fits.sky[chosen, None, None], 0) + frame.floor[j, i]
    weight = np.where(frame.mask[j, i] == columns.GOOD, 1.0 / variance, 0.0)
    light = np.where(weight > 0, light, 0.0)
    return Cut(
        light.astype(np.float32), weight.astype(np.float32), xp + x_start, yp + y_start, x - xp, y - yp, flux,
        electrons(frame, x, y),
    )  # fmt: skip
