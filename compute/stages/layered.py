"""A distortion cube's layers as kernels take them."""

from typing import Any

import numpy as np

from catalogs.distortion import DistortionCube, LookUpTable, PixelMap
from compute.kernels.geometry.layers import Layer, Polynomial, Table
from compute.kernels.geometry.layers import PixelMap as KernelMap

__all__ = ["layers_of"]


def layers_of(cube: DistortionCube) -> tuple[Layer, ...]:
    """A cube's layers as kernels take them."""
    return tuple(_kernel_layer(layer) for layer in cube.layers)


def _kernel_layer(layer: Any) -> Layer:
    if isinstance(layer, PixelMap):
        return KernelMap(_interleaved(layer.values), layer.chips)
    if isinstance(layer, LookUpTable):
        return Table(_interleaved(layer.values), layer.x, layer.y)
    return Polynomial(layer.coefficients, layer.middle[0], layer.middle[1], layer.half)


def _interleaved(values: np.ndarray) -> np.ndarray:
    """Axes of a map side by side, (n_y, n_x, 2): a position then touches half the memory."""
    return np.ascontiguousarray(np.moveaxis(values, 0, -1))
