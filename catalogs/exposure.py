"""One detector's exposure, as every reader returns it and every stage receives it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from catalogs.wcs import TanWcs

__all__ = ["Amplifier", "Chip", "Exposure", "HeaderRecord"]


@dataclass(frozen=True)
class HeaderRecord:
    """The columns of EXPOSURES that the file itself tells; None where it does not.

    `x_start`, `y_start` are the 0-based full-detector coordinates of array element [0, 0]; times are UTC.
    """

    exposure: str
    program: int
    observation: str
    visit: str
    instrument: str
    detector: str
    filter: str
    subarray: str
    readout: str
    n_x: int
    n_y: int
    x_start: int
    y_start: int
    exptime: float
    mjd_start: float
    mjd_mid: float
    mjd_end: float
    ra: float
    dec: float
    position_angle: float
    va_scale: float | None
    photmjsr: float | None
    observer_x: float | None
    observer_y: float | None
    observer_z: float | None
    image_unit: str
    cal_ver: str | None
    crds_ctx: str | None
    sdp_ver: str | None
    prd_ver: str | None

    @property
    def epoch(self) -> float:
        """Julian epoch of mid-exposure [yr]; UTC and TDB differ by 2e-6 yr."""
        return 2000.0 + (self.mjd_mid - 51544.5) / 365.25


@dataclass(frozen=True)
class Chip:
    """Rows [y_lo, y_hi) of the array that lie on one chip, and that chip's WCS in full-detector pixels."""

    name: str
    y_lo: int
    y_hi: int
    wcs: TanWcs


@dataclass(frozen=True)
class Amplifier:
    """Array section read through one output: bounds [lo, hi), gain [electrons per DN], read noise [electrons].

    `fast`, `slow` are +-1 (along +-x) or +-2 (along +-y), 0 where unknown.
    """

    name: str
    x_lo: int
    x_hi: int
    y_lo: int
    y_hi: int
    gain: float
    read_noise: float
    fast: int = 0
    slow: int = 0


@dataclass(frozen=True, eq=False)
class Exposure:
    """Pixels, masks, noise and geometry of one detector. All arrays are (n_y, n_x), indexed [y, x].

    The noise model of a pixel holding signal S (image unit, sky included) is
    ``variance = poisson * max(S, 0) + floor``: both maps are built so that this equals the variance of the electron
    count converted to image units.

    Attributes
    ----------
    data, error
        float32, image unit; `error` is the one-sigma array of the file, or the noise model where there is none.
    good
        Pixels a fit may use: finite, positive error, not flagged unusable, not saturated.
    saturated
        Full-well or A/D saturated pixels.
    area
        float32, pixel area relative to the nominal one; 1 where unknown.
    poisson, floor
        float32, variance per unit of signal [image unit] and without signal [image unit^2].
    flags
        Bits of :class:`catalogs.flags.Flag` that every star of this exposure inherits (CUTOUT, CTE).
    notes
        What the reader had to decide, one sentence each, for the log.
    """

    header: HeaderRecord
    data: NDArray[np.float32]
    error: NDArray[np.float32]
    good: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    area: NDArray[np.float32]
    poisson: NDArray[np.float32]
    floor: NDArray[np.float32]
    chips: tuple[Chip, ...]
    amplifiers: tuple[Amplifier, ...]
    flags: int = 0
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self):
        for name in ("data", "error", "good", "saturated", "area", "poisson", "floor"):
            array = getattr(self, name)
            if array.shape != (self.header.n_y, self.header.n_x):
                raise ValueError(f"{name} has shape {array.shape}, header says {(self.header.n_y, self.header.n_x)}")
            array.setflags(write=False)
