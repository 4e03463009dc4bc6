"""Between nouns and kernels: an exposure as the arrays kernels take, a cube as the model they evaluate."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalogs.cubes import EpsfCube
from catalogs.errors import UnusableError
from catalogs.exposure import Exposure
from catalogs.readers.jwst_geometry import SIZE
from catalogs.readers.jwst_times import CAMERAS
from compute.kernels.calibrate.fatter import FluxTerm
from compute.kernels.measure.chain import Frame, Model
from compute.kernels.measure.columns import BAD, GOOD, SATURATED
from compute.kernels.spline import coefficients
from compute.kernels.timing import Readout, delay

DAY = 86400.0  # s


def frame_of(exposure: Exposure) -> Frame:
    """Pixels, mask and noise maps of an exposure for the kernels."""
    mask = np.where(exposure.good, GOOD, BAD).astype(np.uint8)
    mask[exposure.saturated] = SATURATED
    return Frame(exposure.data, mask, exposure.poisson, exposure.floor)


def model_of(cube: EpsfCube, exposure: Exposure, spline_order: int) -> Model:
    """The ePSF cube in the pixels of an exposure's array, prefiltered.

    A cube that was solved for as a spline is that spline, whatever `spline_order` says.
    """
    spline_order = int(cube.extra.get("spline_order", spline_order))
    x0, y0 = exposure.header.x_start, exposure.header.y_start
    return Model.of(cube.values, cube.fx - x0, cube.fy - y0, cube.oversampling, spline_order)


def flux_term_of(cube: EpsfCube, spline_order: int) -> FluxTerm | None:
    """How the cube's ePSF changes with a star's charge, a spline as of :func:`model_of`; None if it does not."""
    if cube.flux_term is None or cube.flux_unit is None or not cube.flux_term.any():
        return None
    spline_order = int(cube.extra.get("spline_order", spline_order))
    middle = cube.flux_term.shape[0] // 2
    # A table that ends where its light does is drawn no farther.
    reach = min(int(np.abs(np.argwhere(cube.flux_term) - middle).max()) + 2 * cube.oversampling, middle)
    inner = slice(middle - reach, middle + reach + 1)
    coef = coefficients(cube.flux_term, spline_order)[inner, inner]
    return FluxTerm.of(coef, cube.oversampling, spline_order, cube.flux_unit)


def star_times(exposure: Exposure, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Mid-times [d, MJD UTC] of stars at array positions `x`, `y` (n,), as `pixel_time` gives by default.

    NIRCam and NIRISS add the delay of the star's pixel; for other instruments, and where the reader tells no
    amplifiers, all stars have the middle of the exposure.

    Raises
    ------
    UnusableError
        For axes of readout that are not perpendicular.
    """
    header = exposure.header
    if header.instrument not in CAMERAS or not exposure.amplifiers:
        return np.full(np.shape(x), header.mjd_mid)
    amplifier = exposure.amplifiers[0]
    # Amplifiers carry their own directions, which alternate; the rule wants that of the first.
    fast = amplifier.fast if amplifier.name in "AC" else -amplifier.fast
    if {abs(fast), abs(amplifier.slow)} != {1, 2}:
        place = f"{header.exposure} FASTAXIS, SLOWAXIS"
        raise UnusableError(place, (fast, amplifier.slow), "one along x (+-1) and one along y (+-2)")
    if header.subarray == "FULL":
        readout = Readout(SIZE, SIZE, fast, amplifier.slow, 4)
        x, y = np.asarray(x) + header.x_start, np.asarray(y) + header.y_start
    else:
        readout = Readout(header.n_x, header.n_y, fast, amplifier.slow, len(exposure.amplifiers))
    return header.mjd_mid + delay(x, y, readout) / DAY
