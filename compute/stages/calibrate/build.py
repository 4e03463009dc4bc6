"""The passes: link stars, solve for the ePSF and their positions together, fit all stamps anew."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from catalogs.cubes import EpsfCube
from catalogs.errors import UnusableError
from compute.kernels.epsf import NORMALISATION_RADIUS
from compute.kernels.joint import Table, solve
from compute.kernels.phases import damping
from compute.kernels.spline import coefficients
from compute.kernels.stampfit import StampFits, conform, fit_stamps, light_centres, samples
from compute.kernels.stamps import Stamps, sample_stamps
from compute.settings import CalibrateSettings
from compute.stages.calibrate.stars import Pool, Stars, link, pool_of
from compute.stages.cutting import HALF, Cut
from compute.stages.plane import Plane

__all__ = ["Built", "build"]

_ORDER = 3
_UNDITHERED = 0.95  # share of a pixel-phase bias that dithers may leave
_SINGLE = 2  # passes with one ePSF for the whole detector
_CLIP, _WRONG = 5.0, 0.01  # [sigma]; share by which an ePSF may be wrong before pixels are taken for outliers
_CELL, _FEW = 64, 8  # [pix] cells of the distortion that polynomials leave, and least stamps in one


class Built(NamedTuple):
    """An ePSF cube, and a row per pass: stars, stamps, what changed, scatter of positions."""

    cube: EpsfCube
    passes: pd.DataFrame


def build(
    rows: pd.DataFrame, cuts: list[Cut], plane: Plane, settings: CalibrateSettings, name: str, threads: int = 1
) -> Built:
    """Build the ePSF of one detector and filter from the cut-out stars of its exposures.

    Parameters
    ----------
    rows
        EXPOSURES, in the order of `cuts`.
    name
        What the cube's `source` says.
    threads
        Of the joint solve; they change no result.

    Raises
    ------
    UnusableError
        With too few stars, or exposures that share none.
    """
    pool = pool_of(cuts)
    _enough(pool.exposure.size, settings)
    fits, table = _begin(pool, settings)
    offset = np.zeros(pool.exposure.size), np.zeros(pool.exposure.size)
    transforms, told, change = None, [], np.inf
    for number in range(settings.passes):
        stars = link(pool, fits, offset, rows, plane, transforms, settings)
        _enough(stars.rows.size, settings)
        transforms = stars.transforms
        damped = _dithered(pool, stars)
        if number == _SINGLE:
            table = _spread(table, rows, stars.rows.size, settings)
        if number > 0:
            offset = _fine(pool, fits, stars, offset)
        last = number == settings.passes - 1 or (number > _SINGLE and change < settings.settled)
        half = HALF if last else settings.half
        table, change = _update(pool, stars, _sized(table, half), half, settings, threads)
        fits = fit_stamps(table, pool.stamps(fits.x, fits.y, fits.flux))
        told.append({
            "pass": number + 1, "stars": stars.links.start.size - 1, "stamps": stars.rows.size, "change": change,
            "scatter": stars.scatter, "qfit": float(np.nanmedian(fits.qfit[stars.rows])),
            "damping_x": damped[0], "damping_y": damped[1],
        })  # fmt: skip
        if last:
            break
    return Built(_cube(table, rows, stars, pool, name), pd.DataFrame(told))


def _enough(n: int, settings: CalibrateSettings) -> None:
    if n < settings.least:
        raise UnusableError(
            "calibrate", f"{n} images of bright, lonely stars in several exposures", f"{settings.least}"
        )


def _dithered(pool: Pool, stars: Stars) -> tuple[float, float]:
    """What dithers leave of a pixel-phase bias along x and y; UnusableError where they leave it all."""
    start = stars.links.start
    x, y = pool.x_pixel[stars.rows] + stars.x, pool.y_pixel[stars.rows] + stars.y
    damped = damping(x, start), damping(y, start)
    for axis, left in zip("xy", damped, strict=True):
        if left > _UNDITHERED:
            found = f"exposures at the same pixel phases in {axis}, whose mean has {left:.2f} of a single one's bias"
            raise UnusableError("calibrate", found, f"at most {_UNDITHERED}: dithers by fractions of a pixel")
    return damped


def _begin(pool: Pool, settings: CalibrateSettings) -> tuple[StampFits, Table]:
    """Light centres and aperture sums, with errors as rough as they are, and an ePSF as wide as the stars."""
    zero, half = np.zeros(pool.exposure.size), settings.half
    raw = pool.stamps(zero, zero, np.ones(zero.size))
    x, y, flux = light_centres(raw)
    noise = np.full(zero.size, 0.05**2)
    fits = StampFits(x, y, flux, noise, noise, zero, (0.02 * flux) ** 2, zero, zero)
    n = _side(half, settings.oversampling)
    middle = np.array([0.0])
    blank = Table(np.zeros((1, 1, n, n)), middle, middle, settings.oversampling, _ORDER)
    return fits, _sized(blank._replace(coef=_gaussian(pool, fits, blank)), half)


def _gaussian(pool: Pool, fits: StampFits, table: Table) -> NDArray:
    """The Gaussian that describes the stamps best, of several widths."""
    n, best, least = table.coef.shape[-1], None, np.inf
    rows = np.argsort(-fits.flux, kind="stable")[:500]
    u = (np.arange(n) - n // 2) / table.oversampling
    for sigma in np.geomspace(0.4, 2.5, 10):
        profile = np.exp(-(u**2) / (2 * sigma**2))
        coef = coefficients(np.outer(profile, profile)[None, None], _ORDER)
        trial = conform(table._replace(coef=coef), NORMALISATION_RADIUS)
        stamps = pool.stamps(fits.x[rows], fits.y[rows], fits.flux[rows], rows)
        quality = float(np.nanmedian(fit_stamps(trial, stamps, template=0.1).qfit))
        if quality < least:
            best, least = trial.coef, quality
    if best is None:
        raise UnusableError("calibrate", "no star that a Gaussian describes", "stars")
    return best


def _side(half: int, oversampling: int) -> int:
    """Samples of a table that reaches over stamps of this half width, wherever in their middle pixel stars are."""
    return 2 * int(oversampling * (half + 1.5)) + 1


def _sized(table: Table, half: int) -> Table:
    """The table with room for stamps of another half width, dark where it is new."""
    n, old = _side(half, table.oversampling), table.coef.shape[-1]
    if n == old:
        return table
    if n < old:
        cut = (old - n) // 2
        return table._replace(coef=table.coef[..., cut : cut + n, cut : cut + n].copy())
    pad = (n - old) // 2
    return table._replace(coef=np.pad(table.coef, ((0, 0), (0, 0), (pad, pad), (pad, pad))))


def _spread(table: Table, rows: pd.DataFrame, n_images: int, settings: CalibrateSettings) -> Table:
    """One ePSF at every fiducial of the grid, which is as fine as there are star images for."""
    x0, y0 = rows["x_start"].min(), rows["y_start"].min()
    x1, y1 = (rows["x_start"] + rows["n_x"]).max() - 1, (rows["y_start"] + rows["n_y"]).max() - 1
    grid = max(1, min(settings.grid, int(np.sqrt(n_images / settings.per_fiducial))))
    if grid == 1:
        return table._replace(fx=np.array([(x0 + x1) / 2]), fy=np.array([(y0 + y1) / 2]))
    fx, fy = np.linspace(x0, x1, grid), np.linspace(y0, y1, grid)
    return table._replace(coef=np.tile(table.coef, (grid, grid, 1, 1)), fx=fx, fy=fy)


def _update(
    pool: Pool, stars: Stars, table: Table, half: int, settings: CalibrateSettings, threads: int
) -> tuple[Table, float]:
    """One joint step; how much the ePSF changed (rms, over the peak, within 1.5 pix)."""
    stamps = pool.stamps(stars.x, stars.y, stars.flux, stars.rows, half)
    stamps = stamps._replace(weight=_robust(table, stamps))
    n = table.coef.shape[-1]
    radius = np.hypot(*(np.mgrid[:n, :n] - n // 2)) / table.oversampling
    found = solve(
        table, stamps, stars.links, settings.stiffness * (1.0 + radius**6), radius=NORMALISATION_RADIUS, tolerance=1e-3,
        steps=settings.steps, threads=threads,
    )  # fmt: skip
    new = conform(table._replace(coef=table.coef + found.coef), NORMALISATION_RADIUS)
    core = radius < 1.5
    changed = (new.coef - table.coef)[..., core]
    return new, float(np.sqrt(np.mean(changed**2)) / new.coef[..., core].max())


def _robust(table: Table, stamps: Stamps) -> NDArray[np.float32]:
    """Weights with the ePSF's own error, and none for pixels that no star explains (A&K 2000, section 4.2.1).

    What a pixel may be off by also grows with what the ePSF leaves of its core: a first ePSF, far too wide, would else
    have all cores taken for outliers.
    """
    psi, gx, gy = (np.empty(stamps.light.shape) for _ in range(3))
    where = (stamps.x, stamps.y, stamps.at_x, stamps.at_y)
    sample_stamps(table.coef, table.fx, table.fy, table.oversampling, table.taps, *where, psi, gx, gy)
    model = stamps.flux[:, None, None] * psi
    middle = stamps.light.shape[-1] // 2
    off, core = np.abs(stamps.light - model), slice(middle - 2, middle + 3)
    left = off[:, core, core].sum((1, 2)) / np.maximum(model[:, core, core].sum((1, 2)), 1e-30)
    with np.errstate(divide="ignore"):
        variance = 1.0 / stamps.weight + (_WRONG * model) ** 2
    pull = off / np.sqrt(variance + (np.median(left) * model) ** 2)
    scale = max(1.0, float(np.median(pull[stamps.weight > 0]) / 0.6745))
    return np.where(pull < _CLIP * scale, 1.0 / variance, 0.0).astype(np.float32)


def _fine(pool: Pool, fits: StampFits, stars: Stars, before: tuple[NDArray, NDArray]) -> tuple[NDArray, NDArray]:
    """What is left between free and imposed positions, averaged in cells of the detector, added to what was known."""
    x, y = pool.x_pixel, pool.y_pixel
    i, j = ((axis[stars.rows] // _CELL).astype(int) for axis in (x, y))
    shape = int(y.max() // _CELL) + 1, int(x.max() // _CELL) + 1
    cell = j * shape[1] + i
    count = np.bincount(cell, minlength=shape[0] * shape[1])
    out = []
    for free, imposed, known in ((fits.x, stars.x, before[0]), (fits.y, stars.y, before[1])):
        off = np.clip(np.nan_to_num(free[stars.rows] - imposed), -5 * stars.scatter, 5 * stars.scatter)
        mean = np.bincount(cell, off, minlength=count.size) / np.maximum(count, 1)
        mean *= count / (count + _FEW)  # few stamps tell little
        place = (y / _CELL - 0.5), (x / _CELL - 0.5)
        out.append(known + map_coordinates(mean.reshape(shape), place, order=1, mode="nearest"))
    return out[0], out[1]


def _cube(table: Table, rows: pd.DataFrame, stars: Stars, pool: Pool, name: str) -> EpsfCube:
    """The ePSF as it is kept: at its own sampling, with the spline that goes with it."""
    values = samples(table)
    cut = (values.shape[-1] - (2 * int(12.5 * table.oversampling) + 1)) // 2
    values = values[..., cut : values.shape[-1] - cut, cut : values.shape[-1] - cut] if cut > 0 else values
    kx = np.abs(pool.x_pixel[stars.rows, None] - table.fx).argmin(1)
    ky = np.abs(pool.y_pixel[stars.rows, None] - table.fy).argmin(1)
    n = np.bincount(ky * table.fx.size + kx, minlength=table.fx.size * table.fy.size)
    row = rows.iloc[0]
    return EpsfCube(
        values, table.fx, table.fy, table.oversampling, NORMALISATION_RADIUS, n.reshape(table.fy.size, table.fx.size),
        row["instrument"], row["detector"], row["filter"], name, extra={"spline_order": _ORDER},
    )  # fmt: skip
