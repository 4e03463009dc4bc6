"""Near-infrared detectors read without being reset: slopes of ramps, their noise, full wells, crowded charge."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Ramp(NamedTuple):
    """Slopes of a frame's ramps; NaN, with their variances, where fewer than two groups are good."""

    rate: NDArray[np.float32]
    """(n_y, n_x) [e/s]"""
    var_poisson: NDArray[np.float32]
    """Photon variance [(e/s)^2] as told from the noisy slope."""
    var_rnoise: NDArray[np.float32]
    """Read-noise variance [(e/s)^2]."""
    good_groups: NDArray[np.uint8]
    """Groups below full well."""


def brighter_fatter(charge: NDArray, strength: float, full_well: float) -> NDArray:
    """Charge after bright pixels have pushed some of it over their four edges.

    Across an edge goes strength / 2 * mean * difference / full_well of the two pixels' charge; as mean times difference
    is half the difference of squares, all four together are a Laplacian of the square. What one pixel loses the others
    gain, so that the sum stays; nothing crosses the border of the array. Charge above full well, or below none, counts
    as that much, so that no pixel loses more than `strength` of full well.

    The loss of a lone pixel at full well is exactly the fraction `strength`. With neighbours at shares s of full well
    it is strength * (1 - mean s^2): 0.94 of `strength` for s = 0.25, about that of a NIRISS star centred on a pixel.
    This is one step for the whole exposure, where real charge drifts all along the ramp.

    Parameters
    ----------
    charge
        (n_y, n_x) [e].
    strength
        Fraction lost at full well.
    full_well
        [e]
    """
    out = np.array(charge)
    if strength == 0:
        return out
    squares = np.clip(out, 0, full_well)
    squares *= squares
    squares *= strength / (4 * full_well)
    for axis in (0, 1):
        step = np.diff(squares, axis=axis)
        below, above = (out[:-1], out[1:]) if axis == 0 else (out[:, :-1], out[:, 1:])
        below += step
        above -= step
    return out


def expose_ramp(
    rate: NDArray,
    t_group: float,
    n_groups: int,
    full_well: ArrayLike,
    read_noise: ArrayLike,
    rng: np.random.Generator,
    *,
    photon: bool = True,
    read: bool = True,
    saturate: bool = True,
) -> Ramp:
    """Slopes of ramps of `n_groups` groups read at t_group, 2 t_group, ...

    A group is good while the charge expected by then is within full well. Photons counted between the first and the
    last good group are Poisson; read noise goes through an ordinary least-squares slope of n good groups, with variance
    12 sigma^2 / (t_group^2 n (n^2 - 1)) and sigma = read_noise / sqrt(2) of one read.

    The photon variance is what a pipeline can know: the noisy slope, not below zero, over the time from first to last
    good group. It is right on average, but low pixels get small errors and high ones large: weighted means come out
    low by about one electron, and at counts below the read noise the cut at zero makes it too large on average. The
    variances are given whether or not `photon` and `read` let the noise itself be drawn.

    Parameters
    ----------
    rate
        (n_y, n_x) noiseless rate [e/s], with sky and dark current; none where negative.
    full_well, read_noise
        Numbers or maps: full well [e], and noise of the difference of two reads [e].

    Raises
    ------
    ValueError
        For ramps of fewer than 2 or more than 255 groups.
    """
    if not 2 <= n_groups <= 255:
        raise ValueError(f"n_groups is {n_groups}, expected 2 to 255: a slope needs two")
    truth = np.maximum(rate, 0, dtype=np.float32)
    good = _good_groups(truth * np.float32(t_group), full_well, n_groups) if saturate else n_groups
    groups = np.broadcast_to(np.asarray(good, np.uint8), truth.shape)
    n = np.arange(n_groups + 1, dtype=np.float64)
    n[:2] = np.nan
    span = (t_group * (n - 1)).astype(np.float32)[groups]
    scale = (6 / (t_group**2 * n * (n**2 - 1))).astype(np.float32)
    var_rnoise = scale[groups]
    var_rnoise *= np.asarray(read_noise, np.float32) ** 2
    slope = _count(truth, span, rng) if photon else truth + 0 * span
    if read:
        noise = rng.standard_normal(truth.shape, dtype=np.float32)
        noise *= np.sqrt(var_rnoise)
        slope += noise
    var_poisson: NDArray[np.float32] = np.maximum(slope, 0)
    var_poisson /= span
    return Ramp(slope, var_poisson, var_rnoise, np.array(groups))


def _good_groups(per_group: NDArray[np.float32], full_well: ArrayLike, n_groups: int) -> NDArray[np.uint8]:
    """Groups of each ramp that are within full well, at most `n_groups`."""
    with np.errstate(divide="ignore"):
        groups = np.asarray(full_well, np.float32) / per_group
    return np.minimum(groups, n_groups).astype(np.uint8)


def _count(truth: NDArray[np.float32], span: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Rate of the photons counted within `span`; NaN where that is NaN."""
    expected = np.fmax(truth * span, 0)
    slope = rng.poisson(expected).astype(np.float32)
    slope /= span
    return slope


def grow(mask: NDArray[np.bool_], by: int = 1) -> NDArray[np.bool_]:
    """Mask with the neighbours, diagonal ones too, within `by` pixels."""
    grown = mask.copy()
    for _ in range(by):
        rows = grown.copy()
        rows[1:] |= grown[:-1]
        rows[:-1] |= grown[1:]
        grown = rows.copy()
        grown[:, 1:] |= rows[:, :-1]
        grown[:, :-1] |= rows[:, 1:]
    return grown
