"""Compile every kernel that draws, or load it from Numba's cache."""

import numpy as np

from compute.kernels.simulate.ccd import bleed, trail
from compute.kernels.simulate.distortion import Distortion, forward
from compute.kernels.simulate.drawing import RADIUS, Table, by_phase, draw_stars, draw_wings
from compute.kernels.simulate.rays import cosmic_rays


def warm() -> None:
    """Call each kernel once with the types that stages use."""
    image, one = np.zeros((40, 40)), np.full(1, 20.0)
    table = Table(by_phase(np.zeros((1, 1, 313, 313)), 12), np.zeros(1), np.zeros(1))
    draw_stars(image, *table, one, one, one, RADIUS)
    draw_wings(image, np.zeros((65, 65)), 4, one, one, one, np.full(1, 7), RADIUS)
    chips = np.array([[0, 40]])
    forward(Distortion(np.zeros((1, 2, 6, 6)), np.zeros((2, 40, 40), np.float32), chips, (20.0, 20.0), 20.0), one, one)
    charge = np.full((8, 8), 10.0, np.float32)
    bleed(charge, 5.0)
    trail(charge, np.arange(8.0), 1.0)
    trail(charge, np.arange(8.0), 1.0, upward=False)
    cosmic_rays((8, 8), 3, np.random.default_rng(0), 2.0)
