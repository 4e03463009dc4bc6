"""What every pass over the stamps does: the next ePSF, what dithers leave of its bias, what polynomials leave."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from catalogs.errors import UnusableError
from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.phases import damping_between
from compute.kernels.calibrate.stampfit import StampFits
from compute.settings import CalibrateSettings
from compute.stages.calibrate.solvers import improve
from compute.stages.calibrate.stars import Pool, Stars

__all__ = ["SINGLE", "changed", "dithered", "enough", "fine", "update"]

SINGLE = 2  # passes with one ePSF for the whole detector
_UNDITHERED = 0.95  # share of a pixel-phase bias that dithers may leave
_HARDLY = 0.98  # the same where several ePSFs are solved for at once, which tells from little
_CELL = 64.0  # [pix] cells of the distortion that polynomials leave; wider ones where they have fewer stamps
_USUAL, _FEW = 25, 8  # stamps in a cell; those that tell little


def enough(n: int, what: str, pool: Pool, settings: CalibrateSettings) -> None:
    """Raise UnusableError, with the numbers, for fewer images than make an ePSF."""
    if n < settings.least:
        found = f"{n} images of {what} in {pool.first.size - 1} exposures"
        raise UnusableError("calibrate", found, f"{settings.least} images at least")


def update(
    pool: Pool, stars: Stars, table: Table, half: int, settings: CalibrateSettings, threads: int
) -> tuple[Table, float]:
    """The next ePSF from stars where they should stand; how much it :func:`changed`."""
    stamps = pool.stamps(stars.x, stars.y, stars.flux, stars.rows, half)
    new = improve(table, stamps, stars.links, settings, threads)
    return new, changed(table, new)


def changed(old: Table, new: Table) -> float:
    """How much an ePSF changed within 1.5 pix, rms over all fiducials, over the peak."""
    n = old.coef.shape[-1]
    core = np.hypot(*(np.mgrid[:n, :n] - n // 2)) < 1.5 * old.oversampling
    off = (new.coef - old.coef)[..., core]
    return float(np.sqrt(np.mean(off**2)) / new.coef[..., core].max())


def dithered(pool: Pool, stars: Stars, group: NDArray[np.int64] | None = None) -> tuple[float, float]:
    """What dithers leave of a pixel-phase bias along x and y; UnusableError where they leave it all.

    `group` (K,) tells which of several ePSFs a stamp of the pool is of.
    """
    x, y = pool.x_pixel[stars.rows] + stars.x, pool.y_pixel[stars.rows] + stars.y
    of = np.zeros(x.size, np.int64) if group is None else group[stars.rows]
    left_x, left_y = (damping_between(axis, stars.links.start, of) for axis in (x, y))
    damped, most = (left_x, left_y), _UNDITHERED if group is None else _HARDLY
    for axis, left in zip("xy", damped, strict=True):
        if left > most:
            found = f"exposures at the same pixel phases in {axis}, whose mean has {left:.2f} of a single one's bias"
            raise UnusableError("calibrate", found, f"at most {most}: dithers by fractions of a pixel")
    return damped


def fine(pool: Pool, fits: StampFits, stars: Stars, before: tuple[NDArray, NDArray]) -> tuple[NDArray, NDArray]:
    """What is left between free and imposed positions, averaged in cells of the detector, added to what was known."""
    x, y = pool.x_pixel - pool.x_pixel.min(), pool.y_pixel - pool.y_pixel.min()
    # With few stars of their own phases in a cell, it would take up what averages are to tell.
    size = max(_CELL, float(np.sqrt((x.max() + 1) * (y.max() + 1) * _USUAL / stars.rows.size)))
    i, j = ((axis[stars.rows] // size).astype(int) for axis in (x, y))
    shape = int(y.max() // size) + 1, int(x.max() // size) + 1
    cell = j * shape[1] + i
    count = np.bincount(cell, minlength=shape[0] * shape[1])
    out = []
    for free, imposed, known in ((fits.x, stars.x, before[0]), (fits.y, stars.y, before[1])):
        off = np.clip(np.nan_to_num(free[stars.rows] - imposed), -5 * stars.scatter, 5 * stars.scatter)
        mean = np.bincount(cell, off, minlength=count.size) / np.maximum(count, 1)
        mean *= count / (count + _FEW)  # few stamps tell little
        place = (y / size - 0.5), (x / size - 0.5)
        out.append(known + map_coordinates(mean.reshape(shape), place, order=1, mode="nearest"))
    return out[0], out[1]
