"""The instruments that can be simulated: detectors, passbands, noise. Values are typical ones, rounded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from catalogs.errors import PiazziError

PLANCK = 6.626e-34  # J s


@dataclass(frozen=True)
class Band:
    """A passband: pivot and width [micron], throughput of all, groups of a usual JWST ramp."""

    pivot: float
    width: float
    throughput: float
    groups: int = 7


@dataclass(frozen=True)
class Array:
    """One readout array: its name in files, columns, rows, row of the abutted frame it starts at."""

    name: str
    n_x: int
    n_y: int
    y: int = 0


@dataclass(frozen=True)
class Detector:
    """A detector, or two that abut and share a pixel frame.

    `scale` [mas/pix] at its middle; `full_well` of a pixel and `limit` of the converter [e]; `diffusion` [pix rms];
    `v_x`, `v_y` [arcsec] and `turn` [deg] where it lies from the pointing and how it is turned; `gap` between its chips
    [pix].
    """

    name: str
    arrays: tuple[Array, ...]
    scale: float
    gain: float
    read_noise: float
    full_well: float
    diffusion: float
    v_x: float = 0.0
    v_y: float = 0.0
    turn: float = 0.0
    gap: float = 0.0
    limit: float = np.inf

    @property
    def saturation(self) -> float:
        """Charge that saturates a pixel [e]."""
        return min(self.full_well, self.limit)

    @property
    def width(self) -> int:
        """Columns of the abutted frame."""
        return self.arrays[0].n_x

    @property
    def height(self) -> int:
        """Rows of the abutted frame."""
        return self.width

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle [pix]."""
        return (self.width - 1) / 2, (self.height - 1) / 2


@dataclass(frozen=True)
class Instrument:
    """What a telescope and camera do to light before any detector effect.

    `area` collecting area [m^2]; `wavefront` rms error of the optics [m], and its change across the field relative to
    that; `sky` AB magnitudes per square arcsec; `exptime` [s] of a usual CCD exposure; `stops` the filters seen past
    the pupil alignment reference.
    """

    name: str
    telescope: Literal["JWST", "HST"]
    area: float
    wavefront: float
    variation: float
    bands: dict[str, Band]
    detectors: Mapping[str, tuple[Detector, ...]]
    sky: float = 22.5
    exptime: float = 0.0
    ray_length: float = 4.0
    ray_rate: float = 1.1
    pixel: float = 15e-4  # cm
    stops: frozenset[str] = frozenset()

    def band(self, name: str) -> Band:
        """A passband; PiazziError with those there are."""
        return _pick(self.bands, name, f"{self.name} filter")

    def detector(self, name: str) -> tuple[Detector, ...]:
        """The detectors read together under a name; PiazziError with those there are."""
        return _pick(self.detectors, name or next(iter(self.detectors)), f"{self.name} detector")

    def electrons(self, band: Band, mag: np.ndarray | float) -> np.ndarray | float:
        """Electrons per second from AB magnitudes."""
        photons = 3.631e-23 * band.width / band.pivot / PLANCK  # per second and square metre at magnitude 0
        return self.area * band.throughput * photons * 10 ** (-0.4 * np.asarray(mag))


def _pick(table: Mapping, name: str, what: str):
    if name not in table:
        raise PiazziError(f"simulate: {what} is {name!r}, expected one of {', '.join(table)}")
    return table[name]


def _square(name: str, size: int) -> tuple[Array, ...]:
    return (Array(name, size, size),)


def _nircam(name: str, scale: float, gain: float, read_noise: float, full_well: float) -> tuple[Detector, ...]:
    return (Detector(name, _square(name, 2048), scale, gain, read_noise, full_well, 0.25),)


_NIRISS = {
    "F090W": Band(0.902, 0.194, 0.36, 5), "F115W": Band(1.153, 0.225, 0.42, 5), "F140M": Band(1.404, 0.142, 0.46, 7),
    "F150W": Band(1.501, 0.316, 0.47, 5), "F158M": Band(1.587, 0.190, 0.47, 7), "F200W": Band(1.992, 0.459, 0.50, 5),
    "F277W": Band(2.764, 0.699, 0.42, 7), "F356W": Band(3.594, 0.894, 0.45, 9), "F380M": Band(3.825, 0.204, 0.43, 13),
    "F430M": Band(4.283, 0.204, 0.40, 15), "F444W": Band(4.427, 0.984, 0.40, 11), "F480M": Band(4.815, 0.300, 0.34, 15),
}  # fmt: skip
_NIRCAM = {
    "F070W": Band(0.704, 0.128, 0.22), "F090W": Band(0.902, 0.194, 0.29), "F115W": Band(1.154, 0.225, 0.32),
    "F150W": Band(1.501, 0.318, 0.38), "F182M": Band(1.845, 0.238, 0.41), "F200W": Band(1.990, 0.461, 0.42),
    "F277W": Band(2.786, 0.672, 0.35), "F356W": Band(3.563, 0.787, 0.41), "F360M": Band(3.621, 0.372, 0.41),
    "F444W": Band(4.421, 1.024, 0.40),
}  # fmt: skip
_ACS = {
    "F435W": Band(0.433, 0.084, 0.30), "F475W": Band(0.475, 0.136, 0.35), "F606W": Band(0.592, 0.210, 0.43),
    "F775W": Band(0.769, 0.143, 0.42), "F814W": Band(0.806, 0.214, 0.38),
}  # fmt: skip
_UVIS = {
    "F336W": Band(0.335, 0.051, 0.19), "F438W": Band(0.433, 0.062, 0.23), "F606W": Band(0.589, 0.213, 0.28),
    "F814W": Band(0.803, 0.154, 0.22),
}  # fmt: skip
_WFPC2 = {
    "F439W": Band(0.431, 0.048, 0.04), "F555W": Band(0.544, 0.122, 0.11), "F606W": Band(0.600, 0.150, 0.13),
    "F814W": Band(0.800, 0.149, 0.09),
}  # fmt: skip

_WFPC2_LIMIT = 7.0 * (4095 - 340)  # e: the range of the 12-bit converter less the bias
_WF = {"limit": _WFPC2_LIMIT, "scale": 99.6, "gain": 7.0, "read_noise": 5.3, "full_well": 90_000.0, "diffusion": 0.28}

INSTRUMENTS = {
    "NIRISS": Instrument(
        "NIRISS", "JWST", 25.4, 76e-9, 0.45, _NIRISS,
        {"NIS": (Detector("NIS", _square("NIS", 2048), 65.569, 1.61, 23.0, 100_000.0, 0.31),)},
        ray_length=1.5, ray_rate=5.0, pixel=18e-4,
        stops=frozenset({"F277W", "F356W", "F380M", "F430M", "F444W", "F480M"}),
    ),
    "NIRCAM": Instrument(
        "NIRCAM", "JWST", 25.4, 60e-9, 0.4, _NIRCAM,
        {f"NRC{m}{n}": _nircam(f"NRC{m}{n}", 31.1, 2.05, 15.8, 105_000.0) for m in "BA" for n in "1234"}
        | {f"NRC{m}LONG": _nircam(f"NRC{m}LONG", 62.9, 1.82, 13.3, 83_000.0) for m in "BA"},
        ray_length=1.5, ray_rate=5.0, pixel=18e-4,
    ),
    "ACS": Instrument(
        "ACS", "HST", 4.0, 38e-9, 0.4, _ACS,
        {"WFC": (Detector("WFC", (Array("WFC2", 4096, 2048), Array("WFC1", 4096, 2048, 2048)), 49.73, 2.0, 4.0,
                          80_000.0, 0.41, gap=50.0),)},
        exptime=500.0,
    ),
    "WFC3": Instrument(
        "WFC3", "HST", 4.0, 34e-9, 0.4, _UVIS,
        {"UVIS": (Detector("UVIS", (Array("UVIS2", 4096, 2051), Array("UVIS1", 4096, 2051, 2048)), 39.773, 1.56, 3.1,
                           70_000.0, 0.33, gap=31.0),)},
        exptime=500.0,
    ),
    "WFPC2": Instrument(
        "WFPC2", "HST", 4.0, 30e-9, 0.3, _WFPC2,
        {"WFPC2": (  # the faces of the pyramid meet at pixel (0, 0) of every chip
            Detector("PC1", _square("PC1", 800), 45.5, 7.0, 5.2, 90_000.0, 0.28, v_x=18.0, v_y=18.0,
                     limit=_WFPC2_LIMIT),
            Detector("WF2", _square("WF2", 800), v_x=-38.0, v_y=38.0, turn=90.0, **_WF),
            Detector("WF3", _square("WF3", 800), v_x=-38.0, v_y=-38.0, turn=180.0, **_WF),
            Detector("WF4", _square("WF4", 800), v_x=38.0, v_y=-38.0, turn=270.0, **_WF),
        )},
        exptime=400.0,
    ),
}  # fmt: skip
