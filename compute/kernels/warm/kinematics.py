"""Compile the kernels of kinematics, or load them from Numba's cache."""

import numpy as np

from compute.kernels.kinematics.mixtures import fit_mixture


def warm() -> None:
    """Call each kernel once with the types that stages use."""
    values = np.random.default_rng(1).standard_normal((30, 2))
    fit_mixture(values, np.broadcast_to(0.1 * np.eye(2), (30, 2, 2)), 1)
