"""A first ePSF from one exposure alone: Anderson & King 2000, section 4, with the remedy of section 5.2 for no dithers.

Without dithers nothing averages the pixel-phase bias of the positions away. What is known is that stars fall evenly on
pixels: positions are moved until they do, the ePSF is rebuilt from the moved positions, and the two settle together.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from compute.kernels.calibrate import epsf
from compute.kernels.measure import columns
from compute.kernels.measure.chain import Fits, Frame, Model, Sources, draw, find, fit_rounds

_REACH = 12.5  # [pix] half width of the tables
_ISOLATION = 5.0  # [pix] no brighter neighbour within this, A&K 2000 section 4.1
_SKY = (8.0, 12.0)  # [pix] far enough out that the wings are not taken for sky
_FEW = 8  # stars below which only a width is fitted
_INNER = 4  # adjust-and-smooth rounds at fixed positions
_WIDTHS = np.geomspace(0.4, 2.5, 8)  # [pix] trial Gaussian cores


class Built(NamedTuple):
    """Tables (n_fy, n_fx, n, n), fiducials [pix of the frame], stars used per fiducial, how it was built, and
    whether that is only a width.
    """

    tables: NDArray[np.float64]
    fx: NDArray[np.float64]
    fy: NDArray[np.float64]
    n_samples: NDArray[np.int64]
    how: str
    rough: bool


def build(
    frame: Frame,
    *,
    oversampling: int,
    grid: int,
    stars: int,
    signal_to_noise: float,
    per_fiducial: int,
    passes: int,
    threads: int = 1,
) -> Built:
    """Build the ePSF of one frame from its own bright, isolated, unsaturated stars; `threads` change no result.

    Raises
    ------
    ValueError
        If the frame shows no star to build from.
    """
    n = int(2 * _REACH * oversampling) + 1
    tables = _best_gaussian(frame, oversampling, n, signal_to_noise, threads)
    ny, nx = frame.image.shape
    corner = np.zeros(1)
    model = Model.of(tables, corner, corner, oversampling, 5)
    sources = find(frame, model, 10.0, 2.5, 0.5, threads)
    clear = distance_transform_edt(frame.mask != columns.SATURATED) if (frame.mask == columns.SATURATED).any() else None
    fits = _fit(frame, model, sources, 2, threads)
    chosen = _choose(fits, sources, clear, stars, signal_to_noise)
    if chosen.size < _FEW:
        return Built(
            tables, corner, corner, np.array([[chosen.size]]), f"Gaussian width from {chosen.size} stars", True
        )

    side = int(np.clip(np.sqrt(chosen.size / per_fiducial), 1, grid))
    fx = np.linspace(0, nx - 1, side) if side > 1 else np.array([(nx - 1) / 2])
    fy = np.linspace(0, ny - 1, side) if side > 1 else np.array([(ny - 1) / 2])
    tables = np.repeat(np.repeat(tables, side, 0), side, 1)
    samples = np.zeros((side, side), np.int64)
    for _ in range(passes):
        tables, samples = _rebuild(frame, fits, chosen, tables, fx, fy, oversampling, threads)
        model = Model.of(tables, fx, fy, oversampling, 5)
        fits = _fit(frame, model, sources, 2, threads)
        chosen = _choose(fits, sources, clear, stars, signal_to_noise)
        if chosen.size < _FEW:
            break
    return Built(tables, fx, fy, samples, f"{side}x{side} from {samples.sum()} stars of this exposure", False)


def _fit(frame: Frame, model: Model, sources: Sources, rounds: int, threads: int) -> Fits:
    return fit_rounds(
        frame, model, sources, rounds=rounds, half=2, taper=(0.0, 0.0), template_error=0.01, max_iterations=20,
        annulus=_SKY, threads=threads,
    )  # fmt: skip


def _best_gaussian(
    frame: Frame, oversampling: int, n: int, signal_to_noise: float, threads: int
) -> NDArray[np.float64]:
    """The Gaussian table (1, 1, n, n) that fits the brighter peaks best, judged by their median QFIT."""
    corner = np.zeros(1)
    models = [
        Model.of(epsf.gaussian_table(s, oversampling, n)[None, None], corner, corner, oversampling, 3) for s in _WIDTHS
    ]
    found = find(frame, models[3], 10.0, _ISOLATION, 0.5, threads)
    single = found.n_saturated == 0
    found = Sources(found.x[single], found.y[single], found.n_saturated[single])
    if found.x.size == 0:
        raise ValueError("no star above 10 sigma to take an ePSF from")
    best, lowest = 0, np.inf
    for k, model in enumerate(models):
        fits = _fit(frame, model, found, 1, threads)
        rows = fits.rows
        bright = rows[:, columns.FLUX] ** 2 > signal_to_noise**2 * rows[:, columns.VAR_FLUX]
        judged = rows[bright if bright.any() else slice(None)]
        quality = np.nanmedian(np.where(np.isnan(judged[:, columns.QFIT]), 9.99, judged[:, columns.QFIT]))
        if quality < lowest:
            best, lowest = k, quality
    return epsf.gaussian_table(_WIDTHS[best], oversampling, n)[None, None]


def _choose(fits: Fits, sources: Sources, clear: NDArray | None, stars: int, signal_to_noise: float) -> NDArray:
    """Indices of the stars to build from: brightest first, whole, isolated, and fitting no worse than their like."""
    rows = fits.rows
    flux = np.nan_to_num(rows[:, columns.FLUX])
    state = rows[:, columns.STATE].astype(int)
    whole = (state == columns.CONVERGED) & (sources.n_saturated == 0)
    good = whole & (flux**2 > signal_to_noise**2 * rows[:, columns.VAR_FLUX]) & (rows[:, columns.NEIGHBOUR] < 0.05)
    x, y = rows[:, columns.X], rows[:, columns.Y]
    if clear is not None:
        j, i = (np.clip(np.round(p).astype(int), 0, s - 1) for p, s in zip((y, x), clear.shape, strict=True))
        good &= clear[j, i] > 2 * _ISOLATION
    k = np.flatnonzero(good)
    pairs = cKDTree(np.column_stack([x, y])).query_ball_point(np.column_stack([x[k], y[k]]), _ISOLATION)
    k = k[[flux[near].max() <= flux[s] for s, near in zip(k, pairs, strict=True)]] if k.size else k
    if k.size == 0:
        return k
    qfit = rows[k, columns.QFIT]
    middle = np.nanmedian(qfit)
    k = k[qfit < middle + 4.0 * 1.4826 * np.nanmedian(abs(qfit - middle)) + 1e-9]
    return k[np.argsort(-flux[k], kind="stable")][:stars]


def _rebuild(frame, fits, chosen, tables, fx, fy, oversampling, threads):
    """One pass: flatten the pixel phases, then adjust and smooth the tables a few times at those positions."""
    x, y, flux = (fits.rows[:, c].copy() for c in (columns.X, columns.Y, columns.FLUX))
    x = epsf.flatten_phases(x, epsf.phase_harmonics(x[chosen]))
    y = epsf.flatten_phases(y, epsf.phase_harmonics(y[chosen]))
    flux = np.nan_to_num(flux)
    region = abs(y[chosen, None] - fy).argmin(1) * fx.size + abs(x[chosen, None] - fx).argmin(1)
    shape = (fy.size * fx.size, *tables.shape[2:])
    mean, count = np.zeros(shape), np.zeros(shape)
    for _ in range(_INNER):
        model = Model.of(tables, fx, fy, oversampling, 5)
        drawn = draw(frame, model, x, y, flux, threads)
        epsf.average_residuals(
            frame.image, drawn, *frame[1:], x[chosen], y[chosen], flux[chosen], fits.sky[chosen], region,
            oversampling, int(_REACH), 4, mean, count,
        )  # fmt: skip
        fresh = (epsf.smooth(t, oversampling) for t in tables.reshape(shape) + mean)
        fresh = (epsf.even_phases(epsf.recentre(t, oversampling), oversampling) for t in fresh)
        tables = np.stack([epsf.normalise(t, oversampling) for t in fresh]).reshape(*tables.shape)
    return tables, np.bincount(region, minlength=shape[0]).reshape(fy.size, fx.size)
