"""Compile the kernels that solve for distortions, or load them from Numba's cache."""

import numpy as np

from compute.kernels.frame.transforms import Transform
from compute.kernels.geometry import published
from compute.kernels.geometry.combined import Measured, Reference, solve
from compute.kernels.geometry.pixelmap import nearest_medians
from compute.kernels.geometry.smoothbasis import basis_of, evaluate


def warm() -> None:
    """Call each kernel once with the types that stages use."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(2.0, 32.0, 5.0), np.arange(2.0, 32.0, 5.0)))
    stars = np.arange(x.size)
    measured = Measured(x, y, 0.01, 0.01, 0.0, 0 * stars, stars)
    basis = basis_of(32, 32, order=2, cells=2, knot=16.0)
    found = solve(measured, Reference(x, y, 0.01, 0.01, 0.0), [Transform.similar(1.0, 0.0)], basis, rounds=1)
    evaluate(found.field, x, y)
    for direct in (False, True):
        published.solve(x, y, x, y, 0 * stars, (32, 32), order=1, cells=2, table_cells=2, max_rounds=1, direct=direct)
    nearest_medians(x, y, np.column_stack([x, y]), stars, (0, 2), (0, 2), count=5)
