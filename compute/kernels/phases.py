"""What dithers do to a bias that repeats with every pixel."""

import numpy as np
from numpy.typing import NDArray


def damping(position: NDArray, start: NDArray, harmonic: int = 1) -> float:
    """Share of a pixel-phase bias that is left in the mean of a star's positions, 1 without dithers.

    A bias b cos(2 pi k x) has, in the mean over images at phases x_i, the size b |mean exp(2 pi i k x_i)|; this is its
    root mean square over stars. Averaging positions and rebuilding the ePSF in turns gains this factor a pass.

    Parameters
    ----------
    position
        (K,) pixel coordinates along one axis, in order of star.
    start
        (S + 1,) where each star's images begin; every star has one.
    harmonic
        k, periods per pixel.
    """
    turn = np.exp(2j * np.pi * harmonic * position)
    mean = np.add.reduceat(turn, start[:-1]) / np.diff(start)
    return float(np.sqrt(np.mean(np.abs(mean) ** 2)))
