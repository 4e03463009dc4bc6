"""Compile the kernels that make and match master frames, or load them from Numba's cache."""

import numpy as np

from compute.kernels.frame.align import align_near
from compute.kernels.frame.averages import Common, mean_positions, medians
from compute.kernels.frame.floors import floor
from compute.kernels.frame.identify import identify
from compute.kernels.frame.planefit import fit
from compute.kernels.frame.transforms import Transform
from compute.kernels.match.crossmatch import match


def warm() -> None:
    """Call each kernel once with the types that stages use."""
    x, y = (axis.ravel().astype(float) ** 1.1 for axis in np.meshgrid(np.arange(6), np.arange(5)))
    one, rows = np.ones(x.size), np.arange(x.size)
    for kind in ("similar", "affine", "poly3"):
        found = fit(kind, x, y, x, y, one, one).transform
        found.apply(x, y)
    match(x, y, x, y, 0.1)
    star = identify(x, y, np.zeros(x.size, np.int64), rows, 0.1)
    start = np.append(np.sort(star), x.size)
    _, used = mean_positions(start, x, y, one, one, 0 * one, 4.0, Common(rows, one))
    medians(start, one, used)
    floor(x, one, one)
    align_near(x, y, one, x, y, one, Transform.linear(np.eye(2), np.zeros(2), "similar"), radius=1.0)
