"""The chain of one frame on arrays: sky, find, fit, draw, and round again."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from compute.kernels.measure import columns, detect, starfit
from compute.kernels.measure.cores import saturated_cores
from compute.kernels.measure.render import by_phase, draw_stars, take_away
from compute.kernels.measure.sky import annulus_sky, sky_mesh
from compute.kernels.spline import coefficients, evaluate, taps
from compute.kernels.threads import each

_CORE_HALF = 6  # saturated stars are fitted on 13x13 pixels: their wings are all that is left of them
_CORE_SKY = (9.0, 12.0)  # [pix]
_LEFT_OVER = 0.15  # share of a star's light that its subtraction may leave in a pixel
_APART = 2.0  # [pix] a source nearer to a fitted one than this is a piece of it
_BLOCK = 64  # [pix] rows searched at a time

_BAND, _STARS = 128, 512  # rows drawn, and stars fitted, at a time
_LOST, _NEAREST = 0.1, 5  # of the noise of a pixel below which a star is not drawn on; least reach [pix]


class Frame(NamedTuple):
    """Pixels of one detector: float32 image and noise maps, uint8 mask (0 good, 1 bad, 2 saturated), all (n_y, n_x)."""

    image: NDArray[np.float32]
    mask: NDArray[np.uint8]
    poisson: NDArray[np.float32]
    floor: NDArray[np.float32]


class Model(NamedTuple):
    """An ePSF ready to evaluate: spline coefficients (n_fy, n_fx, n, n) and fiducials in the frame's pixels."""

    coef: NDArray[np.float64]
    fx: NDArray[np.float64]
    fy: NDArray[np.float64]
    oversampling: int
    taps: tuple[int, ...]

    @classmethod
    def of(cls, tables: NDArray, fx: NDArray, fy: NDArray, oversampling: int, order: int) -> "Model":
        """Prefilter the tables (n_fy, n_fx, n, n)."""
        return cls(coefficients(tables, order), fx.astype(float), fy.astype(float), oversampling, taps(order))

    @property
    def radius(self) -> int:
        """Whole pixels the table reaches [pix]."""
        return (self.coef.shape[3] - 1) // 2 // self.oversampling

    def at(self, x: float, y: float, dx: NDArray, dy: NDArray) -> NDArray[np.float64]:
        """The ePSF of a star at (x, y) in pixels offset by `dx`, `dy`, any shape."""
        n = dx.size
        flat = evaluate(*self[:4], self.taps, np.full(n, x), np.full(n, y), dx.ravel().astype(float), dy.ravel() * 1.0)
        return flat.reshape(dx.shape)


class Sources(NamedTuple):
    """What was found: starting positions [pix] and the number of saturated pixels behind each (0: not saturated)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    n_saturated: NDArray[np.int64]


class Fits(NamedTuple):
    """Result of the last round: rows of :data:`compute.kernels.measure.columns.COLUMNS`, sky, and all stars drawn."""

    rows: NDArray[np.float64]
    sky: NDArray[np.float64]
    sky_error: NDArray[np.float64]
    drawn: NDArray[np.float32]


def find(frame: Frame, model: Model, threshold: float, isolation: float, sharpness: float, threads: int = 1) -> Sources:
    """Stars above `threshold` sigma that are the highest within `isolation` pix and no sharper than the ePSF allows.

    `sharpness` places the cut between the sharpest star there can be (0) and a lone pixel (1); a peak must be beyond
    it by two standard errors to be dropped. The result does not depend on `threads`.
    """
    x, y = _peaks(frame, model, threshold, isolation, sharpness, threads)
    cores = saturated_cores(frame.mask == columns.SATURATED)
    n = np.concatenate([np.zeros(x.size, np.int64), cores[2]])
    return Sources(np.concatenate([x, cores[0]]), np.concatenate([y, cores[1]]), n)


def find_hidden(
    frame: Frame,
    model: Model,
    sources: Sources,
    fits: Fits,
    threshold: float,
    isolation: float,
    sharpness: float,
    threads: int = 1,
) -> Sources:
    """Fitted sources where they now stand, and those that show once these are taken away.

    What a wrong ePSF leaves of a bright star is no star: a seventh of the model counts as noise, nothing within 2 pix
    of a known source is new, and what is new must stand twice as far above its noise, halos being uneven.
    """
    left, noise = np.empty_like(frame.image), np.empty_like(frame.image)
    take_away(frame.image, fits.drawn, frame.poisson, frame.floor, _LEFT_OVER, left, noise)
    hidden = Frame(left, frame.mask, frame.poisson, noise)
    x, y = _peaks(hidden, model, 2.0 * threshold, isolation, sharpness, threads)
    known = fits.rows[:, (columns.X, columns.Y)]
    new = cKDTree(known).query(np.column_stack([x, y]), distance_upper_bound=_APART)[0] > _APART
    return Sources(
        np.concatenate([known[:, 0], x[new]]),
        np.concatenate([known[:, 1], y[new]]),
        np.concatenate([sources.n_saturated, np.zeros(int(new.sum()), np.int64)]),
    )


def _peaks(
    frame: Frame, model: Model, threshold: float, isolation: float, sharpness: float, threads: int
) -> tuple[NDArray, NDArray]:
    """Positions of significant peaks that are not sharper than stars and not beside saturated pixels.

    Rows are searched in blocks that stay in a core's cache; blocks know nothing of one another nor of threads.
    """
    ny, nx = frame.image.shape
    grid = np.arange(-2.0, 3.0)
    phases = np.arange(-0.375, 0.5, 0.25)
    offsets = np.stack(np.broadcast_arrays(*np.ix_(phases, phases, grid, grid)))
    middle = (nx - 1) / 2, (ny - 1) / 2
    template = model.at(*middle, offsets[1] + offsets[3], offsets[0] + offsets[2]).mean((0, 1)).astype(np.float32)
    centred = model.at(*middle, grid[None, 1:4] + 0 * grid[1:4, None], grid[1:4, None] + 0 * grid[None, 1:4])
    sharpest = centred.max() / centred.sum()
    limit, near = sharpest + sharpness * (1.0 - sharpest), detect.disc(isolation)
    level = sky_mesh(frame.image, frame.mask, threads)

    def search(block: int) -> tuple[NDArray, NDArray]:
        start = block * _BLOCK
        return detect.search(*frame, level, template, threshold, near, limit, start, min(start + _BLOCK, ny))

    found = each(search, -(-ny // _BLOCK), threads)
    x, y = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return x, y


def fit_rounds(
    frame: Frame,
    model: Model,
    sources: Sources,
    *,
    rounds: int,
    half: int,
    taper: tuple[float, float],
    template_error: float,
    max_iterations: int,
    annulus: tuple[float, float],
    threads: int = 1,
    seen: Callable[[NDArray, NDArray, NDArray], Frame] | None = None,
) -> Fits:
    """Fit every source `rounds` times; from the second round on each star sees its neighbours, and its sky every star,
    taken away. Positions of stars whose fit fails stay where they were found. The result does not depend on `threads`.

    `seen` gives the frame that is fitted from the second round on, from the x, y, flux of the round before; saturated
    stars have no flux there.
    """
    x, y, core = sources.x.copy(), sources.y.copy(), sources.n_saturated > 0
    n = x.size
    flux, sky, sky_error = np.zeros(n), np.zeros(n), np.zeros(n)
    rows = np.full((n, len(columns.COLUMNS)), np.nan)
    drawn = np.zeros_like(frame.image)
    wide = min(_CORE_HALF, model.radius - 3)
    for turn in range(rounds):
        if seen is not None and turn > 0:
            frame = seen(x, y, np.where(core, 0.0, flux))
        for chosen, width, ring, edge in ((~core, half, annulus, taper), (core, wide, _CORE_SKY, (0.0, 0.0))):
            k = np.flatnonzero(chosen)
            here, level, out = (x[k], y[k], flux[k]), np.empty((2, k.size)), np.empty((k.size, rows.shape[1]))
            how = width, edge, template_error, max_iterations
            _fit_blocks(frame, model, drawn, here, ring, how, level, out, threads)
            rows[k], sky[k], sky_error[k] = out, *level
        x, y = rows[:, columns.X].copy(), rows[:, columns.Y].copy()
        flux = np.nan_to_num(rows[:, columns.FLUX])
        drawn = draw(frame, model, x, y, flux, threads)
    return Fits(rows, sky, sky_error, drawn)


def _fit_blocks(
    frame: Frame,
    model: Model,
    drawn: NDArray[np.float32],
    stars: tuple[NDArray, NDArray, NDArray],
    ring: tuple[float, float],
    how: tuple[int, tuple[float, float], float, int],
    level: NDArray[np.float64],
    out: NDArray[np.float64],
    threads: int,
) -> None:
    """Sky and fit of stars (x, y, flux): fills `level` (2, n), the sky and its error, and the rows of `out`."""

    def fit(block: int) -> None:
        at = slice(block * _STARS, (block + 1) * _STARS)
        (x, y, flux), (sky, error) = (a[at] for a in stars), level[:, at]
        annulus_sky(frame.image, drawn, frame.mask, x, y, *ring, sky, error)
        starfit.fit_stars(frame.image, drawn, *frame[1:], x, y, flux, sky, error, *model, *how, out[at])

    each(fit, -(-out.shape[0] // _STARS), threads)


def draw(frame: Frame, model: Model, x: NDArray, y: NDArray, flux: NDArray, threads: int = 1) -> NDArray[np.float32]:
    """All stars of positive flux as one float32 image like the frame's, each out to where it is lost in the noise.

    Bands of rows are drawn apart, in each the stars between the same fiducials one after another: their tables stay in
    the cache. Stars of the least reach need only the middle of the tables.
    """
    drawn, ny = np.zeros_like(frame.image), frame.image.shape[0]
    reach = reaches(frame, model, flux)
    usable, n_bands = (flux > 0.0) & np.isfinite(flux + x + y), -(-ny // _BAND)
    middle = model.coef.shape[3] // 2
    least = min((_NEAREST + 1) * model.oversampling + len(model.taps) // 2, middle)
    for width, chosen in ((least, reach <= _NEAREST), (middle, reach > _NEAREST)):
        k = np.flatnonzero(chosen & usable)
        band = np.clip(np.round(y[k]), 0, ny - 1).astype(int) // _BAND
        order = np.lexsort((np.searchsorted(model.fx, x[k]), np.searchsorted(model.fy, y[k]), band))
        stars = tuple(a[k[order]] for a in (x, y, flux, reach))
        first = np.searchsorted(band[order], np.arange(-1, n_bands + 2))
        inner = slice(middle - width, middle + width + 1)
        light = by_phase(model.coef[:, :, inner, inner], model.oversampling)
        how = light, 2 * width + 1, model.fx, model.fy, model.taps

        def shed(row: int, stars: tuple = stars, first: NDArray = first, how: tuple = how) -> None:
            near = [a[first[row] : first[row + 3]] for a in stars]
            draw_stars(drawn, row * _BAND, min((row + 1) * _BAND, ny), *near[:3], *how, near[3])

        each(shed, n_bands, threads)
    return drawn


def reaches(frame: Frame, model: Model, flux: NDArray) -> NDArray[np.int64]:
    """Half sides of the squares that :func:`draw` draws stars in, (N,) [pix]: where they are lost in the noise."""
    quiet = _LOST * np.sqrt(np.nanmedian(frame.floor[:: max(frame.floor.shape[0] // 64, 1)]))
    fall = _fall(model, frame.image.shape)
    bright = np.nan_to_num(flux, posinf=0.0)
    most = (model.coef.shape[3] // 2 - len(model.taps) // 2) // model.oversampling - 1
    reach = np.searchsorted(-fall, -quiet / np.maximum(bright, 1e-30), side="right")
    return np.clip(reach, _NEAREST, max(most, _NEAREST))


def _fall(model: Model, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Largest share of a star's flux in any pixel at or beyond each whole distance along an axis [0 ... radius]."""
    n = model.radius
    offsets = np.arange(-n, n + 1.0)
    dx, dy = (grid.astype(float) for grid in np.meshgrid(offsets, offsets))
    values = np.abs(model.at((shape[1] - 1) / 2, (shape[0] - 1) / 2, dx, dy))
    most = np.zeros(n + 1)
    np.maximum.at(most, np.maximum(np.abs(dx), np.abs(dy)).astype(int).ravel(), values.ravel())
    return np.maximum.accumulate(most[::-1])[::-1]
