"""ePSF tables between nothing and a cube: the first guess, their size, their fiducials, and what is kept."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.cubes import EpsfCube
from catalogs.errors import UnusableError
from compute.kernels.calibrate.epsf import NORMALISATION_RADIUS
from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stampfit import StampFits, conform, fit_stamps, light_centres, samples
from compute.kernels.spline import coefficients
from compute.settings import CalibrateSettings
from compute.stages.calibrate.stars import Pool, Stars, fiducials

__all__ = ["begin", "cube_of", "sized", "spread"]

_ORDER = 3


def begin(pool: Pool, settings: CalibrateSettings) -> tuple[StampFits, Table]:
    """Light centres and aperture sums, with errors as rough as they are, and an ePSF as wide as the stars."""
    zero, half = np.zeros(pool.exposure.size), settings.half
    raw = pool.stamps(zero, zero, np.ones(zero.size))
    x, y, flux = light_centres(raw)
    noise = np.full(zero.size, 0.05**2)
    fits = StampFits(x, y, flux, noise, noise, zero, (0.02 * flux) ** 2, zero * np.nan, zero * np.nan)
    n = _side(half, settings.oversampling)
    middle = np.array([0.0])
    blank = Table(np.zeros((1, 1, n, n)), middle, middle, settings.oversampling, _ORDER)
    return fits, sized(blank._replace(coef=_gaussian(pool, fits, blank)), half)


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


def sized(table: Table, half: int) -> Table:
    """The table with room for stamps of another half width, dark where it is new."""
    n, old = _side(half, table.oversampling), table.coef.shape[-1]
    if n == old:
        return table
    if n < old:
        cut = (old - n) // 2
        return table._replace(coef=table.coef[..., cut : cut + n, cut : cut + n].copy())
    pad = (n - old) // 2
    return table._replace(coef=np.pad(table.coef, ((0, 0), (0, 0), (pad, pad), (pad, pad))))


def spread(table: Table, rows: pd.DataFrame, n_images: int, settings: CalibrateSettings) -> Table:
    """One ePSF at every fiducial of the grid, which is as fine as there are star images for."""
    grid = max(1, min(settings.grid, int(np.sqrt(n_images / settings.per_fiducial))))
    fx, fy = fiducials(rows, grid)
    return table._replace(coef=np.tile(table.coef, (grid, grid, 1, 1)), fx=fx, fy=fy)


def cube_of(table: Table, rows: pd.DataFrame, stars: Stars, pool: Pool, name: str) -> EpsfCube:
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
