"""What every pass over the stamps does: the next ePSF, what dithers leave of its bias, what polynomials leave."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from catalogs.errors import UnusableError
from compute.kernels.joint import Table
from compute.kernels.phases import damping
from compute.kernels.stampfit import StampFits
from compute.settings import CalibrateSettings
from compute.stages.calibrate.solvers import improve
from compute.stages.calibrate.stars import Pool, Stars

__all__ = ["SINGLE", "dithered", "enough", "fine", "update"]

SINGLE = 2  # passes with one ePSF for the whole detector
_UNDITHERED = 0.95  # share of a pixel-phase bias that dithers may leave
_CELL, _FEW = 64, 8  # [pix] cells of the distortion that polynomials leave, and least stamps in one


def enough(n: int, what: str, pool: Pool, settings: CalibrateSettings) -> None:
    """Raise UnusableError, with the numbers, for fewer images than make an ePSF."""
    if n < settings.least:
        found = f"{n} images of {what} in {pool.first.size - 1} exposures"
        raise UnusableError("calibrate", found, f"{settings.least} images at least")


def update(
    pool: Pool, stars: Stars, table: Table, half: int, settings: CalibrateSettings, threads: int
) -> tuple[Table, float]:
    """The next ePSF from stars where they should stand; how much it changed (rms, over the peak, within 1.5 pix)."""
    stamps = pool.stamps(stars.x, stars.y, stars.flux, stars.rows, half)
    new = improve(table, stamps, stars.links, settings, threads)
    n = table.coef.shape[-1]
    core = np.hypot(*(np.mgrid[:n, :n] - n // 2)) < 1.5 * table.oversampling
    changed = (new.coef - table.coef)[..., core]
    return new, float(np.sqrt(np.mean(changed**2)) / new.coef[..., core].max())


def dithered(pool: Pool, stars: Stars) -> tuple[float, float]:
    """What dithers leave of a pixel-phase bias along x and y; UnusableError where they leave it all."""
    start = stars.links.start
    x, y = pool.x_pixel[stars.rows] + stars.x, pool.y_pixel[stars.rows] + stars.y
    damped = damping(x, start), damping(y, start)
    for axis, left in zip("xy", damped, strict=True):
        if left > _UNDITHERED:
            found = f"exposures at the same pixel phases in {axis}, whose mean has {left:.2f} of a single one's bias"
            raise UnusableError("calibrate", found, f"at most {_UNDITHERED}: dithers by fractions of a pixel")
    return damped


def fine(pool: Pool, fits: StampFits, stars: Stars, before: tuple[NDArray, NDArray]) -> tuple[NDArray, NDArray]:
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
