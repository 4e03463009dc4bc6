"""Where a detector sees the sky: truth from catalog positions to pixels, and back."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from catalogs.readers import nircam, niriss
from compute.campaign import Observation
from compute.kernels.simulate.distortion import Distortion, forward, inverse
from compute.kernels.simulate.motion import apparent, displaced
from compute.kernels.simulate.projection import tangent
from compute.kernels.simulate.readout import delay
from compute.stages.simulate.instruments import Array, Detector, Instrument
from compute.stages.simulate.observer import AU, observer
from compute.stages.simulate.plan import ARCSEC, Exposure, axes, convergence

LIGHT = 299_792.458  # km/s
MAS = ARCSEC / 1e3
EDGE = 90.0  # pix beyond an array from which light may still fall on it
_READOUTS = {**niriss.CAMERA.detectors, **nircam.CAMERA.detectors}


@dataclass(frozen=True)
class Pointing:
    """A detector's true place on the sky during one exposure: a tangent point at its middle.

    `scale` [mas/pix] holds the drift but not `va_scale`; `rate` [mas/s], east and north, is how fast the pointing
    moves; `mjd_mid` is the middle for the pixel that is read first.
    """

    ra: float
    dec: float
    position_angle: float
    scale: float
    va_scale: float
    mjd_mid: float
    observer: NDArray[np.float64]
    velocity: NDArray[np.float64]
    middle: tuple[float, float]
    rate: tuple[float, float]

    @property
    def epoch(self) -> float:
        """Julian year of the middle."""
        return 2000.0 + (self.mjd_mid - 51544.5) / 365.25

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(2, 2) from corrected pixels off the middle to east and north [rad]."""
        return axes(self.position_angle) * self.scale * self.va_scale * MAS

    def corrected(self, ra: ArrayLike, dec: ArrayLike) -> tuple[NDArray, NDArray]:
        """Sky to corrected pixels."""
        east, north = tangent(ra, dec, self.ra, self.dec)
        (a, b), (c, d) = np.linalg.inv(self.matrix)
        return self.middle[0] + a * east + b * north, self.middle[1] + c * east + d * north

    def sky(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        """Corrected pixels to sky; inverse of :meth:`corrected`."""
        (a, b), (c, d) = self.matrix
        dx, dy = np.asarray(x, float) - self.middle[0], np.asarray(y, float) - self.middle[1]
        return displaced(self.ra, self.dec, a * dx + b * dy, c * dx + d * dy)


def point(exposure: Exposure, instrument: Instrument, detector: Detector, observation: Observation) -> Pointing:
    """The pointing of one detector: its offset in the focal plane, velocity aberration, drift."""
    mjd_mid = exposure.mjd_start + exposure.exptime / 172_800
    position, velocity = observer(instrument.telescope, mjd_mid)
    ra, dec, angle = offset(exposure.ra, exposure.dec, exposure.position_angle, detector)
    return Pointing(
        ra, dec, angle, detector.scale * (1 + exposure.drift),
        aberration(ra, dec, velocity), mjd_mid, position, velocity, detector.middle, observation.track,
    )  # fmt: skip


def offset(ra: float, dec: float, position_angle: float, detector: Detector) -> tuple[float, float, float]:
    """Sky position of a detector's middle for a pointing, and the position angle of its +y there [deg]."""
    east, north = axes(position_angle) @ np.array([detector.v_x, detector.v_y]) * ARCSEC
    found = displaced(ra, dec, east, north)
    there = float(found[0]), float(found[1])
    return *there, (position_angle + detector.turn + convergence(ra, dec, *there)) % 360.0


def aberration(ra: float, dec: float, velocity: NDArray[np.float64]) -> float:
    """Factor by which velocity aberration stretches the scale: (1 + u beta) / sqrt(1 - beta^2)."""
    ra, dec = np.radians(ra), np.radians(dec)
    towards = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    beta = velocity / LIGHT
    return float((1 + towards @ beta) / np.sqrt(1 - beta @ beta))


@dataclass(frozen=True, eq=False)
class Located:
    """Sources on or near one array: sky, corrected and raw positions, array coordinates, trails, times.

    All (n,) but `trail` (2, n) [pix]; `rows` are places in the table that was asked about.
    """

    rows: NDArray[np.int64]
    ra: NDArray
    dec: NDArray
    x_gdc: NDArray
    y_gdc: NDArray
    x: NDArray
    y: NDArray
    array_x: NDArray
    array_y: NDArray
    inside: NDArray[np.bool_]
    mjd: NDArray
    trail: NDArray


def locate(
    sources: pd.DataFrame,
    pointing: Pointing,
    truth: Distortion,
    detector: Detector,
    chip: int,
    array: Array,
    corner: tuple[int, int],
    exptime: float,
) -> Located:
    """Put sources on one array of a detector whose element [0, 0] is chip pixel `corner`.

    Sources move by their motions and parallaxes where they have them. In a tracked exposure they trail: positions are
    those of the middle of their own pixel's exposure.
    """
    ra, dec = _seen(sources, pointing)
    x_gdc, y_gdc = pointing.corrected(ra, dec)
    # Corrected and raw positions differ by some hundred pixels at most: a first cut before the exact inverse.
    rows = np.flatnonzero(_near(x_gdc - corner[0], y_gdc - corner[1] - array.y, array, EDGE + 3 * detector.width / 40))
    ra, dec, x_gdc, y_gdc = (each[rows] for each in (ra, dec, x_gdc, y_gdc))
    x, y = inverse(truth, x_gdc, y_gdc, chip)
    late, trail = _late(detector, array, x - corner[0], y - corner[1]), np.zeros((2, len(rows)))
    if any(pointing.rate):
        velocity = -np.linalg.inv(pointing.matrix) @ np.asarray(pointing.rate) * MAS  # corrected pix/s
        for _ in range(2):  # when a source is seen depends on its pixel, and its pixel on when
            x, y = inverse(truth, x_gdc + velocity[0] * late, y_gdc + velocity[1] * late, chip)
            late = _late(detector, array, x - corner[0], y - corner[1])
        x_gdc, y_gdc = forward(truth, x, y, chip)
        half = velocity / 2 * exptime
        start, end = (inverse(truth, x_gdc + way * half[0], y_gdc + way * half[1], chip) for way in (-1, 1))
        trail = np.array(end) - np.array(start)
    array_x, array_y = x - corner[0], y - corner[1] - array.y
    low, high = truth.chips[chip]
    inside = (array_x >= -0.5) & (array_x < array.n_x - 0.5) & (array_y >= -0.5) & (array_y < array.n_y - 0.5)
    inside &= (y >= low - 0.5) & (y < min(high, detector.height) - 0.5)
    keep = np.flatnonzero(_near(array_x, array_y, array, EDGE))
    return Located(
        rows[keep], ra[keep], dec[keep], x_gdc[keep], y_gdc[keep], x[keep], y[keep], array_x[keep], array_y[keep],
        inside[keep], pointing.mjd_mid + late[keep] / 86400, trail[:, keep],
    )  # fmt: skip


def _seen(sources: pd.DataFrame, pointing: Pointing) -> tuple[NDArray, NDArray]:
    """Directions at the time of the exposure, of sources that move or stand still."""
    ra, dec = sources["ra"].to_numpy(), sources["dec"].to_numpy()
    if "pmra" not in sources:
        return ra, dec
    pmra, pmdec, parallax, epoch = (sources[name].to_numpy() for name in ("pmra", "pmdec", "parallax", "ref_epoch"))
    return apparent(ra, dec, pmra, pmdec, parallax, pointing.epoch - epoch, pointing.observer / AU)


def _near(x: NDArray, y: NDArray, array: Array, margin: float) -> NDArray[np.bool_]:
    """Whether array positions are at most `margin` pix off the array."""
    return (x > -margin) & (x < array.n_x + margin) & (y > -margin) & (y < array.n_y + margin)


def _late(detector: Detector, array: Array, x: NDArray, y: NDArray) -> NDArray[np.float64]:
    """Seconds after the first pixel at which array positions are read; none on a CCD, which has a shutter."""
    readout = _READOUTS.get(detector.name)
    if readout is None:
        return np.zeros(len(x))
    return delay(x, y, array.n_x, array.n_y, readout.fast, readout.slow)
