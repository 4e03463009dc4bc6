"""Noise maps: variance per unit of signal, and variance without signal."""

import numpy as np
from numpy.typing import NDArray

FEW = 30  # pixels below which a median is not trusted


def ramp_poisson(
    data: NDArray[np.float32],
    error: NDArray[np.float32],
    variance: NDArray[np.float32],
    usable: NDArray[np.bool_],
) -> NDArray[np.float32] | None:
    """Photon variance per unit of signal of a fitted ramp: one value a frame, but for ramps cut short.

    The ratio variance/data is read off pixels far above their noise and its median serves the whole frame, since in
    single faint pixels it is mostly noise. A bright pixel whose ratio exceeds the median by half lost groups to
    saturation and keeps its own.

    Parameters
    ----------
    data, error, variance, usable
        (n_y, n_x) signal, one-sigma error, photon variance of the ramp fit, pixels to trust.

    Returns
    -------
    map
        (n_y, n_x) [image unit], or None when too few pixels stand above their noise to tell.
    """
    counted = usable & (data > 3 * error) & (variance > 0)
    bright = counted & (data > 10 * error)
    sample = bright if np.count_nonzero(bright) >= FEW else counted
    if np.count_nonzero(sample) < FEW:
        return None
    frame = np.median(variance[sample] / data[sample])
    poisson = np.full(data.shape, frame, dtype=np.float32)
    ratio = np.divide(variance, data, out=np.zeros_like(data), where=bright)
    short = ratio > 1.5 * frame
    poisson[short] = ratio[short]
    return poisson


def quiet_floor(
    data: NDArray[np.float32], error: NDArray[np.float32], poisson: NDArray[np.float32], usable: NDArray[np.bool_]
) -> float | None:
    """Variance without signal of one amplifier, from the errors of its sky pixels; None when they are too few.

    What the sky's own photons do not explain is read noise, dark current and post-flash together. Sky is what lies
    below the median plus three median absolute deviations.
    """
    level = data[usable]
    if level.size < FEW:
        return None
    median = np.median(level)
    sky = level <= median + 3 * np.median(np.abs(level - median))
    variance = error[usable][sky] ** 2 - poisson[usable][sky] * np.maximum(level[sky], 0)
    return float(np.median(variance))
