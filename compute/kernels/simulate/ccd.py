"""CCDs: bleeding, trails of charge transfer, noise, analogue-to-digital converters."""

from math import exp

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels._jit import jit

_TRAPS = 3.0  # traps after 2048 rows at severity 1, per root of charge [e^1/2]
_SHARE, _SHORT, _LONG = 0.5, 4.0, 22.0  # of charge released quickly, and the trail's two scales [rows]


def bleed(electrons: NDArray[np.floating], full_well: float) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Spill charge above `full_well` up and down its column, half each way, until it finds room.

    Charge that reaches the top or the bottom is gone; all other is kept.

    Returns
    -------
    electrons, saturated
        (n_y, n_x) charge, nowhere above full well, and pixels that are full.
    """
    out = np.array(electrons)
    if out.max(initial=0) > full_well:
        _spill(out, out.dtype.type(full_well))
    return out, out >= full_well


@jit
def _spill(q, full_well):
    """Move excess charge in place: all that goes up, then all that goes down."""
    n_y, n_x = q.shape
    down = np.zeros((n_y, n_x), q.dtype)
    carried = np.zeros(n_x, np.float64)
    for j in range(n_y):
        for i in range(n_x):
            if q[j, i] > full_well:
                half = (q[j, i] - full_well) / 2
                carried[i] += half
                down[j, i] = half
                q[j, i] = full_well
            elif carried[i] > 0.0:
                _fill(q, carried, full_well, j, i)
    carried[:] = 0.0
    for j in range(n_y - 1, -1, -1):
        for i in range(n_x):
            if carried[i] > 0.0:
                _fill(q, carried, full_well, j, i)
            carried[i] += down[j, i]


@jit(inline="always")
def _fill(q, carried, full_well, j, i):
    """Put as much of a column's carried charge into a pixel as it holds."""
    if carried[i] < full_well - q[j, i]:
        q[j, i] += carried[i]
        carried[i] = 0.0
    else:
        carried[i] -= full_well - q[j, i]
        q[j, i] = full_well


def trail(
    electrons: NDArray[np.floating], rows_to_readout: ArrayLike, severity: float, *, upward: bool = True
) -> NDArray[np.floating]:
    """Charge after its transfer to the amplifier through traps, which give back what they hold a few rows late.

    A pixel of charge q loses q k / (k + sqrt(q)), with k growing as rows over 2048: k sqrt(q) as a rule, a larger part
    of faint stars than of bright ones, and never more than there is. Half comes back with a scale of 4 rows and half
    with 22, all but some percent within 60. A level sky stays level since each pixel gets what those before it lost.
    Whatever is still held at the array's end is gone; all other charge is kept. At severity 1 a star of 1000 e on a sky
    of 30 e, 2000 rows away, loses an eighth of its light within 2.5 pix, as near the end of a long mission.

    Traps already filled by a packet ahead take no less from the next, unlike real ones.

    Parameters
    ----------
    electrons
        (n_y, n_x) charge of one chip [e].
    rows_to_readout
        (n_y,) transfers of each row to the amplifier.
    severity
        1 for the end of a long mission, 0 for none.
    upward
        Whether trails point to larger y, with the amplifier at the bottom.
    """
    out = np.array(electrons)
    if severity > 0:
        traps = _TRAPS * severity / 2048 * np.asarray(rows_to_readout, np.float64)
        _trail(out if upward else out[::-1], traps if upward else traps[::-1])
    return out


@jit
def _trail(q, traps):
    """Move charge to larger rows in place, given each row's constant of capture."""
    n_y, n_x = q.shape
    short, long = np.zeros(n_x, np.float32), np.zeros(n_x, np.float32)
    from_short, from_long = np.float32(1 - exp(-1 / _SHORT)), np.float32(1 - exp(-1 / _LONG))
    share = np.float32(_SHARE)
    for j in range(n_y):
        k = np.float32(traps[j])
        row = q[j]
        for i in range(n_x):
            charge = max(row[i], np.float32(0.0))
            lost = charge * k / (k + np.sqrt(charge) + np.float32(1e-20))
            quick, slow = short[i] * from_short, long[i] * from_long
            row[i] += quick + slow - lost
            short[i] += share * lost - quick
            long[i] += (np.float32(1.0) - share) * lost - slow


def expose_ccd(
    light: NDArray[np.floating],
    read_noise: ArrayLike,
    rng: np.random.Generator,
    *,
    photon: bool = True,
    read: bool = True,
) -> NDArray[np.float32]:
    """Noisy electrons of an exposure that collects `light` [e]; read noise [e] is a number or a map."""
    electrons = (rng.poisson(np.maximum(light, 0)) if photon else light).astype(np.float32)
    if read:
        noise = rng.standard_normal(electrons.shape, dtype=np.float32)
        noise *= np.asarray(read_noise, np.float32)
        electrons += noise
    return electrons


def ccd_error(electrons: NDArray[np.floating], read_noise: ArrayLike) -> NDArray[np.float32]:
    """One-sigma error as pipelines write it, from noisy data: root of electrons, not below zero, and read noise^2."""
    variance = np.maximum(electrons, 0, dtype=np.float32)
    variance += np.asarray(read_noise, np.float32) ** 2
    return np.sqrt(variance, out=variance)


def digitise(
    electrons: NDArray[np.floating], gain: float, limit_dn: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Whole counts [DN] of a converter of `gain` [e/DN], and pixels it clipped at `limit_dn`.

    Rounding adds a variance of 1/12 DN^2.
    """
    counts = np.rint(np.divide(electrons, gain, dtype=np.float32))
    clipped = counts >= limit_dn
    return np.minimum(counts, limit_dn, dtype=np.float32), clipped
