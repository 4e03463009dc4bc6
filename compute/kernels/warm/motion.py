"""Compile the kernels that make motions, or load them from Numba's cache."""

import numpy as np

from compute.kernels.frame.planefit import fit
from compute.kernels.kinematics.bootstrap import bootstrap_means
from compute.kernels.match.crossmatch import match
from compute.kernels.motion.motions import fit_motions
from compute.kernels.motion.surroundings import Stars, local_means


def warm() -> None:
    """Call each kernel once with the types that stages use."""
    x, y = (axis.ravel().astype(float) for axis in np.meshgrid(np.arange(6), np.arange(6)))
    one, start = np.ones(x.size), np.arange(0, x.size + 1, 4)
    match(x, y, x, y, 0.1)
    for kind in ("similar", "affine", "poly2"):
        fit(kind, x, y, x, y, one, one).transform.apply(x, y)
    for factors in (None, (y, x)):
        fit_motions(start, x, x, y, one, one, 0 * one, 0.0, factors)
    local_means(x, y, x, np.arange(x.size), Stars(x, y, x, x, y, one, one), radius=2.0, magnitudes=3.0, most=2, least=1)
    bootstrap_means(np.stack([x, y], 1), np.ones((x.size, 2)), resamples=2)
