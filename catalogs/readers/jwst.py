"""JWST level-2b imaging (`_cal`): what NIRISS and NIRCam frames have in common."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.exposure import Chip, Exposure, HeaderRecord
from catalogs.flags import Flag
from catalogs.readers._open import Cards, FitsFile
from catalogs.readers.checks import check_exptime, check_pixels, check_unit, check_word
from catalogs.readers.dq import JWST_UNUSABLE, JwstBit
from catalogs.readers.jwst_geometry import Corner, Detector, amplifiers, find_corner
from catalogs.readers.names import path_key
from catalogs.readers.noise import ramp_poisson
from catalogs.readers.pointing import pointing, tan_wcs
from catalogs.wcs import TanWcs


@dataclass(frozen=True)
class Camera:
    """An imaging mode: its EXP_TYPE, detectors, and the (FILTER, PUPIL) pairs that image, with the filter's name."""

    exp_type: str
    detectors: dict[str, Detector]
    filters: dict[tuple[str, str], str]


def read(camera: Camera, file: FitsFile, root: str) -> tuple[Exposure, ...]:
    """Read one `_cal` frame.

    Raises
    ------
    UnusableError
        For other modes, products or units, missing extensions or keywords, and geometry that contradicts itself.
    """
    primary = file.cards()
    filter_name = _imaging_filter(camera, primary)
    detector_name = check_word(primary, "DETECTOR", tuple(camera.detectors))
    detector = camera.detectors[detector_name]
    for extension in ("WHT", "CON"):
        if file.versions(extension):
            raise UnusableError(file.place(extension), "a resampled image", "detector pixels (a _cal file)")
    sci = file.cards("SCI")
    check_unit(sci, ("MJY/SR",))
    exptime = check_exptime(primary, "EFFEXPTM")

    data = file.image("SCI")
    error = file.image("ERR", shape=data.shape)
    bits = file.bits("DQ", shape=data.shape)
    corner = find_corner(primary, sci, data.shape)
    wcs = tan_wcs(sci, corner.x, corner.y, detector.scale)
    unflagged = (bits & JWST_UNUSABLE) == 0
    check_pixels(file.name, data, error, unflagged)

    notes = []
    if corner.cutout:
        notes.append(f"cutout of a full frame: origin ({corner.x}, {corner.y}) inferred from CRPIX")
    good = unflagged & np.isfinite(data) & (error > 0) & np.isfinite(error)
    poisson, floor = _noise(file, data, error, good, detector.gain, notes)
    good &= np.isfinite(floor) & (floor > 0)
    header = _header(file, root, detector_name, filter_name, data.shape, corner, exptime, wcs)
    return (
        Exposure(
            header=header,
            data=data,
            error=error,
            good=good,
            saturated=((bits & JwstBit.SATURATED) != 0) & (((bits & JwstBit.DO_NOT_USE) != 0) | np.isnan(data)),
            area=_area(file, data.shape, notes),
            poisson=poisson,
            floor=floor,
            chips=(Chip(detector_name, 0, data.shape[0], wcs),),
            amplifiers=amplifiers(primary, detector, data.shape, corner),
            flags=int(Flag.CUTOUT) if corner.cutout else 0,
            notes=tuple(notes),
        ),
    )


def _imaging_filter(camera: Camera, primary: Cards) -> str:
    check_word(primary, "EXP_TYPE", (camera.exp_type,))
    wheel, pupil = primary.text("FILTER"), primary.text("PUPIL")
    if (wheel, pupil) in camera.filters:
        return path_key(camera.filters[wheel, pupil], f"{primary.place} FILTER")
    pupils = sorted(p for w, p in camera.filters if w == wheel)
    if not pupils:
        known = ", ".join(sorted({w for w, _ in camera.filters}))
        raise UnusableError(f"{primary.place} FILTER", repr(wheel), f"one of {known}")
    raise UnusableError(f"{primary.place} PUPIL", repr(pupil), f"{' or '.join(pupils)} with FILTER {wheel}")


def _counted_poisson(file: FitsFile, gain: float) -> float:
    """Photon variance per unit of signal [MJy/sr] if every photon between the first group and the last were counted."""
    primary = file.cards()
    groups = primary.maybe_number("NGROUPS") or 0
    share = (groups - 1) / groups if groups > 1 else 1.0
    return file.cards("SCI").number("PHOTMJSR") / (gain * check_exptime(primary, "EFFEXPTM") * share)


def _noise(
    file: FitsFile,
    data: NDArray[np.float32],
    error: NDArray[np.float32],
    good: NDArray[np.bool_],
    gain: float,
    notes: list[str],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Maps `poisson` and `floor`, from the variances of the ramp fit where the file has them."""
    poisson = None
    if file.versions("VAR_POISSON"):
        poisson = ramp_poisson(data, error, file.image("VAR_POISSON", shape=data.shape), good)
    if poisson is None:
        notes.append("VAR_POISSON absent or without bright pixels: photon noise from gain and exposure time")
        poisson = np.full(data.shape, _counted_poisson(file, gain), dtype=np.float32)
    if file.versions("VAR_RNOISE"):
        return poisson, file.image("VAR_RNOISE", shape=data.shape)
    notes.append("no VAR_RNOISE: variance without signal from ERR")
    return poisson, np.maximum(error**2 - poisson * np.maximum(data, 0), np.float32(1e-12))


def _area(file: FitsFile, shape: tuple[int, ...], notes: list[str]) -> NDArray[np.float32]:
    if file.versions("AREA"):
        area = file.image("AREA", shape=shape)
        return np.where(np.isfinite(area) & (area > 0), area, np.float32(1))
    notes.append("no AREA: all pixels taken as equal")
    return np.ones(shape, dtype=np.float32)


def _times(primary: Cards, sci: Cards, exptime: float) -> tuple[float, float, float]:
    """Start, middle and end [MJD, UTC]."""
    start = primary.maybe_number("EXPSTART") or sci.maybe_number("MJD-BEG")
    end = primary.maybe_number("EXPEND") or sci.maybe_number("MJD-END")
    middle = primary.maybe_number("EXPMID") or ((start + end) / 2 if start and end else sci.maybe_number("MJD-AVG"))
    if not middle:
        middle = primary.number("EXPMID", "the middle of the exposure as MJD")
    half = exptime / 2 / 86400
    return start or middle - half, middle, end or middle + half


def _header(
    file: FitsFile,
    root: str,
    detector_name: str,
    filter_name: str,
    shape: tuple[int, ...],
    corner: Corner,
    exptime: float,
    wcs: TanWcs,
) -> HeaderRecord:
    primary, sci, (n_y, n_x) = file.cards(), file.cards("SCI"), shape
    start, middle, end = _times(primary, sci, exptime)
    centre = pointing(wcs, corner.x + (n_x - 1) / 2, corner.y + (n_y - 1) / 2)
    return HeaderRecord(
        exposure=root,
        program=primary.whole("PROGRAM"),
        observation=primary.text("OBSERVTN"),
        visit=primary.text("VISIT"),
        instrument=primary.text("INSTRUME"),
        detector=detector_name,
        filter=filter_name,
        subarray=primary.text("SUBARRAY"),
        readout=primary.maybe_text("READPATT") or "",
        n_x=n_x,
        n_y=n_y,
        x_start=corner.x,
        y_start=corner.y,
        exptime=exptime,
        mjd_start=start,
        mjd_mid=middle,
        mjd_end=end,
        ra=centre.ra,
        dec=centre.dec,
        position_angle=centre.position_angle,
        va_scale=sci.maybe_number("VA_SCALE"),
        photmjsr=sci.maybe_number("PHOTMJSR"),
        observer_x=sci.maybe_number("JWST_X"),
        observer_y=sci.maybe_number("JWST_Y"),
        observer_z=sci.maybe_number("JWST_Z"),
        image_unit="MJy/sr",
        cal_ver=primary.maybe_text("CAL_VER"),
        crds_ctx=primary.maybe_text("CRDS_CTX"),
        sdp_ver=primary.maybe_text("SDP_VER"),
        prd_ver=primary.maybe_text("PRD_VER"),
    )
