"""Telescope pupils and the wavefront errors over them, on a square grid of `n` cells across `width` metres."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

# JWST: 18 hexagons, 1.32 m from flat to flat, 7 mm apart, flats above and below. Struts as bars from the middle:
# direction [deg from +x], width [m]; the one at the top throws the horizontal spike.
_SEGMENT, _GAP, _STRUTS = 1.32, 0.007, ((90.0, 0.10), (235.0, 0.12), (305.0, 0.12))
_REFERENCE, _REFERENCE_VANE = 1.3, 0.25  # radius and vanes of the pupil alignment reference [m]
JWST_WIDTH = 6.7

# HST: 2.4 m, secondary baffle a third of it, four vanes, three mirror pads. WFPC2 relays the pupil past a second,
# larger obscuration.
HST_WIDTH = 2.44
_APERTURE, _BAFFLE, _RELAY, _VANE, _PAD = 2.4, 0.33, 0.40, 0.026, 0.078
_WAVES = 80  # of polishing errors: enough for a smooth halo


class Pupil(NamedTuple):
    """Transmission (n, n) from 0 to 1, the segment each cell belongs to (-1 outside), cell size [m]."""

    transmission: NDArray[np.float64]
    segment: NDArray[np.int16]
    step: float


def _grid(n: int, width: float, fine: int) -> tuple[NDArray, NDArray]:
    """Coordinates [m] of `fine` points a side in every cell: (1, n fine) and (n fine, 1)."""
    place = ((np.arange(n * fine) + 0.5) / (n * fine) - 0.5) * width
    return place[None, :], place[:, None]


def _coarse(mask: NDArray, fine: int) -> NDArray[np.float64]:
    n_y, n_x = (length // fine for length in mask.shape)
    return mask.reshape(n_y, fine, n_x, fine).mean(axis=(1, 3))


def _turned(x: NDArray, y: NDArray, degrees: float) -> tuple[NDArray, NDArray]:
    """Coordinates along a direction and across it."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return x * cos + y * sin, y * cos - x * sin


def _hexagon(x: NDArray, y: NDArray, flat: float) -> NDArray[np.bool_]:
    return np.all([abs(_turned(x, y, angle)[0]) <= flat / 2 for angle in (30.0, 90.0, 150.0)], axis=0)


def segment_centres() -> NDArray[np.float64]:
    """Centres of the 18 segments, (18, 2) [m], inner ring first."""
    pitch = _SEGMENT + _GAP
    steps = [pitch * np.array([np.cos(a), np.sin(a)]) for a in np.radians([30.0, 90.0])]
    lattice = [(i, j) for i in range(-2, 3) for j in range(-2, 3) if abs(i + j) <= 2 and (i, j) != (0, 0)]
    # 30 and 90 degrees are 60 apart: the third direction of the lattice is their difference.
    lattice.sort(key=lambda each: (max(abs(each[0]), abs(each[1]), abs(each[0] + each[1])), each))
    return np.array([i * steps[0] + j * steps[1] for i, j in lattice])


def jwst_pupil(n: int, alignment: bool = False, fine: int = 4) -> Pupil:
    """The segmented primary seen past its secondary's three struts.

    `alignment` adds the reference that sits in NIRISS's CLEARP position and hides about a sixth of the light.
    """
    x, y = _grid(n, JWST_WIDTH, fine)
    open_, segment = np.zeros((n * fine, n * fine), bool), np.full((n, n), -1, np.int16)
    span = int(np.ceil(1.2 * _SEGMENT / JWST_WIDTH * n)) + 1  # cells that hold a segment from corner to corner
    for number, (cx, cy) in enumerate(segment_centres()):
        left, low = (max(int((c / JWST_WIDTH + 0.5) * n - span / 2), 0) for c in (cx, cy))
        columns, rows = slice(left * fine, (left + span) * fine), slice(low * fine, (low + span) * fine)
        inside = _hexagon(x[:, columns] - cx, y[rows] - cy, _SEGMENT)
        open_[rows, columns] |= inside
        segment[low : low + span, left : left + span][_coarse(inside, fine) > 0] = number
    for direction, width in _STRUTS:
        along, across = _turned(x, y, direction)
        open_ &= ~((along > 0) & (abs(across) < width / 2))
        if alignment:
            open_ &= ~((along < 0) & (abs(across) < _REFERENCE_VANE / 2))
    if alignment:
        open_ &= np.hypot(x, y) > _REFERENCE
    return Pupil(_coarse(open_, fine), segment, JWST_WIDTH / n)


def hst_pupil(n: int, relay: bool = False, fine: int = 4) -> Pupil:
    """The round primary; `relay` adds what the WFPC2 relay optics hide."""
    x, y = _grid(n, HST_WIDTH, fine)
    radius = _APERTURE / 2
    r = np.hypot(x, y)
    open_ = (r <= radius) & (r >= radius * (_RELAY if relay else _BAFFLE))
    for direction in (45.0, 135.0):
        open_ &= abs(_turned(x, y, direction)[1]) > _VANE / 2
    for direction in (90.0, 210.0, 330.0):
        along, across = _turned(x, y, direction)
        open_ &= np.hypot(along - 0.89 * radius, across) > _PAD * radius
    return Pupil(_coarse(open_, fine), np.zeros((n, n), np.int16), HST_WIDTH / n)


MODES = ("defocus", "astigmatism", "oblique", "coma_x", "coma_y", "trefoil_x", "trefoil_y", "spherical")
Mode = Literal["defocus", "astigmatism", "oblique", "coma_x", "coma_y", "trefoil_x", "trefoil_y", "spherical"]


def zernikes(pupil: Pupil) -> dict[str, NDArray[np.float64]]:
    """Low modes over the circle around the pupil, each with unit rms over it."""
    n = len(pupil.transmission)
    x = (np.arange(n) + 0.5) / n * 2 - 1
    r2, xx, yy = x[None, :] ** 2 + x[:, None] ** 2, np.broadcast_to(x, (n, n)), np.broadcast_to(x[:, None], (n, n))
    modes = {
        "defocus": 2 * r2 - 1, "astigmatism": xx**2 - yy**2, "oblique": 2 * xx * yy,
        "coma_x": (3 * r2 - 2) * xx, "coma_y": (3 * r2 - 2) * yy,
        "trefoil_x": xx**3 - 3 * xx * yy**2, "trefoil_y": 3 * xx**2 * yy - yy**3, "spherical": 6 * r2**2 - 6 * r2 + 1,
    }  # fmt: skip
    weight = pupil.transmission / pupil.transmission.sum()
    scaled = {}
    for name in MODES:
        mode = modes[name] - (modes[name] * weight).sum()
        scaled[name] = mode / np.sqrt((mode**2 * weight).sum())
    return scaled


def segment_errors(pupil: Pupil, rms: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Piston, tip and tilt of every segment as a map with `rms` over the pupil, in the unit of `rms`; (n, n)."""
    n = len(pupil.transmission)
    if pupil.segment.max() < 1:
        return _ripples(pupil, rms, rng)
    place = (np.arange(n) + 0.5 - n / 2) * pupil.step
    wavefront = np.zeros((n, n))
    for number, (cx, cy) in enumerate(segment_centres()):
        piston, tip, tilt = rng.normal(size=3)
        mine = pupil.segment == number
        wavefront += mine * (piston + 1.5 * (tip * (place[None, :] - cx) + tilt * (place[:, None] - cy)) / _SEGMENT)
    return _scaled(wavefront, pupil, rms)


def _ripples(pupil: Pupil, rms: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Polishing errors of a round mirror: waves of 2 to 30 cycles across it, the shorter the smaller."""
    n = len(pupil.transmission)
    place = (np.arange(n) + 0.5) / n
    wavefront = np.zeros((n, n))
    for _ in range(_WAVES):
        cycles, direction, phase = rng.uniform(2, 30), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        across = place[None, :] * np.cos(direction) + place[:, None] * np.sin(direction)
        wavefront += cycles**-1.5 * np.sin(2 * np.pi * cycles * across + phase)
    return _scaled(wavefront, pupil, rms)


def _scaled(wavefront: NDArray, pupil: Pupil, rms: float) -> NDArray[np.float64]:
    weight = pupil.transmission / pupil.transmission.sum()
    wavefront = wavefront - (wavefront * weight).sum()
    return wavefront * rms / np.sqrt((wavefront**2 * weight).sum())
