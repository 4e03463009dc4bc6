"""The Cramer-Rao bound of x, y and flux of lone stars, from the true ePSF; it shares nothing with the fitter."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from compute.stages.simulate.epsfs import OVERSAMPLING, TrueEpsf
from compute.stages.simulate.setup import Setup

_REACH = 4  # pix of the true table that 5x5 pixels can touch, and some for the spline's ends


class Bound(NamedTuple):
    """Least standard deviations of x, y [pix] and of charge [e], (n,) each."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    electrons: NDArray[np.float64]


def bound(setup: Setup, x: NDArray, y: NDArray, electrons: NDArray, half: int = 2) -> Bound:
    """Bound for stars at raw pixels `x`, `y`, fitted on (2 half + 1)^2 pixels whose sky is known.

    A ramp of n groups counts photons from its first to its last, a share (n - 1) / n of the exposure; read noise goes
    through the least-squares slope, 6 s^2 / (t^2 n (n^2 - 1)) where s is that of the difference of two reads.
    """
    n = setup.exposure.n_groups
    share = (n - 1) / n
    read = 6 * (setup.detector.read_noise * n) ** 2 / (n * (n * n - 1))
    i, j = np.rint(x), np.rint(y)
    step = np.arange(-half, half + 1.0)
    dx = np.broadcast_to(((i - x)[:, None] + step)[:, None, :], (x.size, step.size, step.size))
    dy = np.broadcast_to(((j - y)[:, None] + step)[:, :, None], dx.shape)
    light, by_x, by_y = _shape(setup.epsf, x, y, dx, dy)
    flux = electrons[:, None, None]
    variance = (flux * light + setup.sky) / share + read
    jacobian = np.stack([-flux * by_x, -flux * by_y, light], axis=-1)
    information = np.einsum("nijk,nijl,nij->nkl", jacobian, jacobian, 1 / variance)
    return Bound(*np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2)).T)


def _shape(epsf: TrueEpsf, x: NDArray, y: NDArray, dx: NDArray, dy: NDArray) -> NDArray[np.float64]:
    """The true ePSF and its derivatives along both axes at offsets (n, m, m), bilinear between fiducials: (3, ...)."""
    middle, cut = epsf.values.shape[-1] // 2, _REACH * OVERSAMPLING
    inner = np.s_[middle - cut : middle + cut + 1]
    offset = np.arange(-cut, cut + 1) / OVERSAMPLING
    shape = np.zeros((3, *dx.shape))
    for k, along_y in enumerate(np.eye(epsf.fy.size)):
        for m, along_x in enumerate(np.eye(epsf.fx.size)):
            weight = np.interp(y, epsf.fy, along_y) * np.interp(x, epsf.fx, along_x)
            near = weight > 0
            spline = RectBivariateSpline(offset, offset, epsf.values[k, m, inner, inner], kx=5, ky=5)
            for row, (of_y, of_x) in enumerate(((0, 0), (0, 1), (1, 0))):
                shape[row, near] += weight[near, None, None] * spline.ev(dy[near], dx[near], of_y, of_x)
    return shape
