"""A campaign as a list of exposures: when each is taken, where it really points, and where its header says so."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import PiazziError
from catalogs.writers import hst_root, jwst_root
from compute.campaign import Campaign, Observation
from compute.kernels.simulate.motion import displaced
from compute.kernels.simulate.projection import tangent
from compute.kernels.simulate.readout import frame_time
from compute.kernels.simulate.streams import stream
from compute.stages.simulate.instruments import INSTRUMENTS, Band, Instrument

ARCSEC = np.pi / 648_000  # rad
_OVERHEAD = {"JWST": 60.0, "HST": 180.0}  # s between exposures
_SPOTS = {
    "none": ((0, 0),),
    "line": ((-1, -0.2), (0, 0), (1, 0.2)),
    "box": ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)),
    "3x3": tuple((i, j) for j in (-1, 0, 1) for i in (-1, 0, 1)),
    "5x5": tuple((i, j) for j in (-2, -1, 0, 1, 2) for i in (-2, -1, 0, 1, 2)),
}
_REPEAT, _REPEAT_ROLL = 0.003, 0.0005  # arcsec, deg: how well a pointing is held from exposure to exposure
_SHARPEST = 0.9  # micron up to which the focus setting holds
_SUBPIXEL = 0.15  # arcsec, widest random part of a dither: pixel phases come out even


class Exposure(NamedTuple):
    """One exposure to be taken.

    `ra`, `dec`, `position_angle` [deg] and `drift` (relative change of scale) are true; the `header` ones are what the
    file tells. `observation` is its place in the campaign.
    """

    root: str
    observation: int
    number: int
    filter: str
    mjd_start: float
    exptime: float
    n_groups: int
    ra: float
    dec: float
    position_angle: float
    header_ra: float
    header_dec: float
    header_position_angle: float
    drift: float
    focus: float


def plan(campaign: Campaign) -> list[Exposure]:
    """Every exposure of a campaign, in the order of its observations; names and draws depend on nothing else."""
    found = []
    for index, observation in enumerate(campaign.observations):
        found += _observation(campaign, index, observation)
    return found


def _observation(campaign: Campaign, index: int, observation: Observation) -> list[Exposure]:
    instrument = INSTRUMENTS[observation.instrument]
    instrument.detector(observation.detector)
    field, effects, angle = campaign.field_of(observation), campaign.effects, observation.position_angle
    mjd, found = start(observation), []
    # The guide star's error is that of a visit: all its exposures share it.
    visit = stream(campaign.seed, "visit", observation.program, observation.observation)
    miss, turned = visit.normal(0, effects.pointing_error, 2) * ARCSEC, float(visit.normal(0, effects.roll_error))
    for number, (filter_name, step) in enumerate(_dithers(campaign.seed, observation), start=1):
        band = instrument.band(filter_name)
        groups, exptime = _times(instrument, band, observation)
        root = _root(observation, number)
        rng = stream(campaign.seed, "exposure", root)
        followed = np.array(observation.track) / 1e3 * ((mjd - start(observation)) * 86400 + exptime / 2)
        place = axes(angle) @ step + (observation.dx, observation.dy) + followed
        ra, dec = displaced(field.ra, field.dec, *(place + rng.normal(0, _REPEAT, 2)) * ARCSEC)
        true_angle = (angle + rng.normal(0, _REPEAT_ROLL)) % 360.0
        header_ra, header_dec = displaced(ra, dec, *miss)
        swing = convergence(ra, dec, header_ra, header_dec)
        found.append(
            Exposure(
                root, index, number, filter_name, mjd, exptime, groups, float(ra), float(dec), float(true_angle),
                float(header_ra), float(header_dec), float((true_angle + turned + swing) % 360.0),
                float(rng.normal(0, effects.scale_drift)), -abs(float(rng.normal(0, _focus(effects.focus, band)))),
            )
        )  # fmt: skip
        mjd += (exptime + _OVERHEAD[instrument.telescope]) / 86400
    return found


def _focus(rms: float, band: Band) -> float:
    """Rms loss of the core: what a defocus takes from it falls with the square of the wavelength."""
    return rms * min(1.0, (_SHARPEST / band.pivot) ** 2)


def start(observation: Observation) -> float:
    """Start of the first exposure [MJD]."""
    return 51544.5 + (observation.epoch - 2000.0) * 365.25


def _dithers(seed: int, observation: Observation) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Filter, and step along the detector's axes (2,) [arcsec], of every exposure."""
    for filter_name in observation.filters:
        for spot in _SPOTS[observation.dither]:
            rng = stream(seed, "pointing", observation.program, observation.observation, filter_name, *spot)
            widest = 0.0 if observation.dither == "none" else _SUBPIXEL
            step = observation.step * np.array(spot) + rng.uniform(-widest, widest, 2)
            yield from [(filter_name, step)] * observation.exposures


def _times(instrument: Instrument, band: Band, observation: Observation) -> tuple[int, float]:
    """Groups and exposure time [s]."""
    if instrument.telescope == "HST":
        return 0, observation.exptime or instrument.exptime
    size = _size(instrument, observation)
    step = frame_time(size, size)
    groups = observation.groups or (round(observation.exptime / step) if observation.exptime else band.groups)
    if not 2 <= groups <= 255:
        found = f"{observation.exptime} s are {groups} groups of {step:.3f} s"
        raise PiazziError(f"simulate: exptime of program {observation.program}: {found}, expected 2 to 255")
    return groups, groups * step


def _size(instrument: Instrument, observation: Observation) -> int:
    """Side of the array that is read [pix]; CCDs have no subarrays."""
    width = instrument.detector(observation.detector)[0].width
    return observation.size or width if instrument.telescope == "JWST" else width


def _root(observation: Observation, number: int) -> str:
    if INSTRUMENTS[observation.instrument].telescope == "HST":
        return hst_root(observation.instrument, observation.program, observation.observation, number)
    detector = INSTRUMENTS[observation.instrument].detector(observation.detector)[0].name
    return jwst_root(observation.program, observation.observation, 1, 2, 1, 1, number, detector)


def axes(position_angle: float) -> NDArray[np.float64]:
    """(2, 2) matrix from pixel offsets to east and north, for +y at `position_angle` [deg] and east on the left."""
    sin, cos = np.sin(np.radians(position_angle)), np.cos(np.radians(position_angle))
    return np.array([[-cos, sin], [sin, cos]])


def convergence(ra: float, dec: float, other_ra: float, other_dec: float) -> float:
    """By how much a direction's position angle grows from one point of the sky to another nearby [deg]."""
    half = np.radians(np.remainder(other_ra - ra + 180.0, 360.0) - 180.0) / 2
    rise, fall = np.radians((dec + other_dec) / 2), np.radians((dec - other_dec) / 2)
    return float(np.degrees(2 * np.arctan2(np.sin(rise) * np.sin(half), np.cos(fall) * np.cos(half))))


def half_width(campaign: Campaign, name: str) -> float:
    """Half side of the square of sky around a field's centre that some exposure may see [arcsec]."""
    widest = 0.0
    for exposure in plan(campaign):
        observation = campaign.observations[exposure.observation]
        field, instrument = campaign.field_of(observation), INSTRUMENTS[observation.instrument]
        if field.name != name:
            continue
        away = np.abs(tangent(exposure.ra, exposure.dec, field.ra, field.dec)).max() / ARCSEC
        away += np.hypot(*observation.track) / 1e3 * exposure.exptime / 2
        for detector in instrument.detector(observation.detector):
            corner = _size(instrument, observation) / np.sqrt(2) * detector.scale / 1e3
            widest = max(widest, away + corner + np.hypot(detector.v_x, detector.v_y))
    return widest * 1.03 + 5.0  # distortion, and light from beyond the edges
