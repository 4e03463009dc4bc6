"""Between nouns and kernels: an exposure as the arrays kernels take, a cube as the model they evaluate."""

import numpy as np

from catalogs.cubes import EpsfCube
from catalogs.exposure import Exposure
from compute.kernels.chain import Frame, Model
from compute.kernels.columns import BAD, GOOD, SATURATED


def frame_of(exposure: Exposure) -> Frame:
    """Pixels, mask and noise maps of an exposure for the kernels."""
    mask = np.where(exposure.good, GOOD, BAD).astype(np.uint8)
    mask[exposure.saturated] = SATURATED
    return Frame(exposure.data, mask, exposure.poisson, exposure.floor)


def model_of(cube: EpsfCube, exposure: Exposure, spline_order: int) -> Model:
    """The ePSF cube in the pixels of an exposure's array, prefiltered."""
    x0, y0 = exposure.header.x_start, exposure.header.y_start
    return Model.of(cube.values, cube.fx - x0, cube.fy - y0, cube.oversampling, spline_order)
