"""The chain of one frame on arrays: sky, find, fit, draw, and round again."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from compute.kernels import columns, detect, starfit
from compute.kernels.render import draw_stars
from compute.kernels.sky import annulus_sky, sky_map
from compute.kernels.spline import coefficients, evaluate, taps

_CORE_HALF = 6  # saturated stars are fitted on 13x13 pixels: their wings are all that is left of them
_CORE_SKY = (9.0, 12.0)  # [pix]
_LEFT_OVER = 0.15  # share of a star's light that its subtraction may leave in a pixel
_APART = 2.0  # [pix] a source nearer to a fitted one than this is a piece of it
_CLEAR = 2.5  # [pix] peaks this near a saturated pixel belong to its star


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
    """Result of the last round: rows of :data:`compute.kernels.columns.COLUMNS`, sky, and all stars drawn."""

    rows: NDArray[np.float64]
    sky: NDArray[np.float64]
    sky_error: NDArray[np.float64]
    drawn: NDArray[np.float32]


def find(frame: Frame, model: Model, threshold: float, isolation: float, sharpness: float) -> Sources:
    """Stars above `threshold` sigma that are the highest within `isolation` pix and no sharper than the ePSF allows.

    `sharpness` places the cut between the sharpest star there can be (0) and a lone pixel (1); a peak must be beyond
    it by two standard errors to be dropped.
    """
    x, y = _peaks(frame, model, threshold, isolation, sharpness)
    cores = detect.saturated_cores(frame.mask == columns.SATURATED)
    n = np.concatenate([np.zeros(x.size, np.int64), cores[2]])
    return Sources(np.concatenate([x, cores[0]]), np.concatenate([y, cores[1]]), n)


def find_hidden(
    frame: Frame, model: Model, sources: Sources, fits: Fits, threshold: float, isolation: float, sharpness: float
) -> Sources:
    """Fitted sources where they now stand, and those that show once these are taken away.

    What a wrong ePSF leaves of a bright star is no star: a seventh of the model counts as noise, nothing within 2 pix
    of a known source is new, and what is new must stand twice as far above its noise, halos being uneven.
    """
    left = frame.image - fits.drawn
    noise = frame.floor + frame.poisson * fits.drawn + (_LEFT_OVER * fits.drawn) ** 2
    x, y = _peaks(Frame(left, frame.mask, frame.poisson, noise), model, 2.0 * threshold, isolation, sharpness)
    known = fits.rows[:, (columns.X, columns.Y)]
    new = cKDTree(known).query(np.column_stack([x, y]), distance_upper_bound=_APART)[0] > _APART
    return Sources(
        np.concatenate([known[:, 0], x[new]]),
        np.concatenate([known[:, 1], y[new]]),
        np.concatenate([sources.n_saturated, np.zeros(int(new.sum()), np.int64)]),
    )


def _peaks(frame: Frame, model: Model, threshold: float, isolation: float, sharpness: float) -> tuple[NDArray, NDArray]:
    """Positions of significant peaks that are not sharper than stars and not beside saturated pixels."""
    ny, nx = frame.image.shape
    sky = sky_map(frame.image, frame.mask)
    grid = np.arange(-2.0, 3.0)
    phases = np.arange(-0.375, 0.5, 0.25)
    offsets = np.stack(np.broadcast_arrays(*np.ix_(phases, phases, grid, grid)))
    middle = (nx - 1) / 2, (ny - 1) / 2
    template = model.at(*middle, offsets[1] + offsets[3], offsets[0] + offsets[2]).mean((0, 1))
    ratio = np.empty_like(frame.image)
    detect.significance(frame.image, sky, *frame[1:], template, ratio)
    x, y = np.empty(ny * nx // 4, np.int64), np.empty(ny * nx // 4, np.int64)
    n = detect.peaks(ratio, threshold, isolation, 1, x, y)
    x, y = x[:n], y[:n]
    value, error = np.empty(n), np.empty(n)
    detect.sharpness(frame.image, sky, *frame[1:], x, y, value, error)
    centred = model.at(*middle, grid[None, 1:4] + 0 * grid[1:4, None], grid[1:4, None] + 0 * grid[None, 1:4])
    sharpest = centred.max() / centred.sum()
    keep = ~(value - 2.0 * error > sharpest + sharpness * (1.0 - sharpest))
    saturated = frame.mask == columns.SATURATED
    if saturated.any():
        keep &= distance_transform_edt(~saturated)[y, x] > _CLEAR
    return _refine(ratio, x[keep], y[keep])


def _refine(ratio, x, y):
    """Vertex of the parabola through each peak and its two neighbours along either axis, at most half a pixel away."""
    ny, nx = ratio.shape
    out = []
    for peak, dx, dy in ((x, 1, 0), (y, 0, 1)):
        before = ratio[np.maximum(y - dy, 0), np.maximum(x - dx, 0)]
        after = ratio[np.minimum(y + dy, ny - 1), np.minimum(x + dx, nx - 1)]
        bend = 2.0 * ratio[y, x] - before - after
        with np.errstate(divide="ignore", invalid="ignore"):
            out.append(peak + np.where(bend > 0, np.clip(0.5 * (after - before) / bend, -0.5, 0.5), 0.0))
    return out[0], out[1]


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
) -> Fits:
    """Fit every source `rounds` times; from the second round on each star sees its neighbours, and its sky every star,
    taken away. Positions of stars whose fit fails stay where they were found.
    """
    x, y = sources.x.copy(), sources.y.copy()
    n = x.size
    flux, sky, sky_error = np.zeros(n), np.zeros(n), np.zeros(n)
    rows = np.full((n, len(columns.COLUMNS)), np.nan)
    drawn = np.zeros_like(frame.image)
    core = sources.n_saturated > 0
    wide = min(_CORE_HALF, model.radius - 3)
    for _ in range(rounds):
        for chosen, width, ring, edge in ((~core, half, annulus, taper), (core, wide, _CORE_SKY, (0.0, 0.0))):
            k = np.flatnonzero(chosen)
            if k.size == 0:
                continue
            level, error, out = np.empty(k.size), np.empty(k.size), np.empty((k.size, rows.shape[1]))
            annulus_sky(frame.image, drawn, frame.mask, x[k], y[k], *ring, level, error)
            starfit.fit_stars(
                frame.image, drawn, *frame[1:], x[k], y[k], flux[k], level, error, *model, width, edge,
                template_error, max_iterations, out,
            )  # fmt: skip
            rows[k], sky[k], sky_error[k] = out, level, error
        x, y = rows[:, columns.X].copy(), rows[:, columns.Y].copy()
        flux = np.nan_to_num(rows[:, columns.FLUX])
        drawn = draw(frame, model, x, y, flux)
    return Fits(rows, sky, sky_error, drawn)


def draw(frame: Frame, model: Model, x: NDArray, y: NDArray, flux: NDArray) -> NDArray[np.float32]:
    """All stars of positive flux as one float32 image like the frame's."""
    drawn = np.zeros_like(frame.image)
    draw_stars(drawn, x, y, flux, *model, model.radius)
    return drawn
