"""Compile the kernels that solve for ePSFs, or load them from Numba's cache."""

import numpy as np

from compute.kernels.calibrate.averaging import average
from compute.kernels.calibrate.epsf import gaussian_table
from compute.kernels.calibrate.explained import cores_left, pulls, unexplained_out
from compute.kernels.calibrate.joint import Links, Table, solve
from compute.kernels.calibrate.stampfit import conform, fit_stamps
from compute.kernels.calibrate.stamps import Stamps
from compute.kernels.spline import coefficients


def warm() -> None:
    """Call each kernel once with the types that stages use."""
    middle, n = np.zeros(1), 53
    table = Table(coefficients(gaussian_table(0.8, 4, n)[None, None], 3), middle, middle, 4, 3)
    zero, one = np.zeros(2), np.ones(2)
    light = np.ones((2, 11, 11), np.float32)
    stamps = Stamps(light, light.copy(), zero, zero.copy(), one, zero.copy(), zero.copy())
    links = Links(np.array([0, 2]), np.tile(np.eye(2), (2, 1, 1)), one, 0.01)
    for tied in (links, None):
        solve(table, stamps, tied, np.ones((n, n)), radius=5.0, tolerance=0.1, steps=1)
    model, pull = light.astype(float), light.copy()
    cores_left(light, model, zero)
    pulls(light, light, model, 0.01, 0.1, pull)
    unexplained_out(light, model, pull, 0.01, 5.0, pull)
    average(table, stamps, rounds=1)
    fit_stamps(conform(table, 5.0), stamps)
