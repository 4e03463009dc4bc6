"""HST `_flt` and `_flc` frames: what the cameras of ACS and WFC3 have in common."""

import numpy as np
from numpy.typing import NDArray

from catalogs.exposure import Amplifier, Chip, Exposure, HeaderRecord
from catalogs.flags import Flag
from catalogs.readers._open import Cards, FitsFile
from catalogs.readers.checks import check_exptime, check_pixels, check_unit, check_word
from catalogs.readers.dq import HstBit
from catalogs.readers.hst_chips import Camera, Stack, read_stack
from catalogs.readers.noise import quiet_floor
from catalogs.readers.pointing import pointing

UNITS = {"ELECTRONS": "electron", "ELECTRONS/S": "electron/s", "COUNTS": "electron"}


def read(camera: Camera, filter_name: str, file: FitsFile, root: str) -> tuple[Exposure, ...]:
    """Read one frame; the two chips of WFC and UVIS become one abutted array.

    Raises
    ------
    UnusableError
        For other modes or units, missing extensions or keywords, and geometry that contradicts itself.
    """
    primary, sci = file.cards(), file.cards("SCI", (file.versions("SCI") or [1])[0])
    unit, exptime = check_unit(sci, tuple(UNITS)), check_exptime(primary, "EXPTIME")
    stack = read_stack(camera, file)
    data, error, shape = stack.data, stack.error, stack.data.shape
    amplifiers = _amplifiers(camera, primary, stack)
    notes = []
    if unit == "COUNTS":
        notes.append("BUNIT COUNTS: multiplied by the gain")
        for amplifier in amplifiers:
            data[_section(amplifier)] *= amplifier.gain
            error[_section(amplifier)] *= amplifier.gain
    if stack.area is None:
        notes.append("no SIP polynomial: all pixels taken as equal")
    unflagged = (stack.bits & camera.unusable) == 0
    if stack.time is not None:
        unflagged &= stack.time > 0
    check_pixels(file.name, data, error, unflagged)
    saturated = (stack.bits & camera.saturated) != 0
    good = unflagged & ~saturated & np.isfinite(data) & np.isfinite(error) & (error > 0)
    poisson = _poisson(stack, exptime) if unit == "ELECTRONS/S" else np.ones(shape, np.float32)
    least = _least_floor(camera, unit, exptime)
    uncorrected = camera.ccd and primary.maybe_text("PCTECORR") != "COMPLETE"
    record = hst_record(
        primary,
        sci,
        stack.chips,
        root=root,
        detector=camera.detector,
        filter_name=filter_name,
        subarray=primary.maybe_text("APERTURE") or "",
        readout=primary.maybe_text("CCDAMP" if camera.ccd else "SAMP_SEQ") or "",
        shape=shape,
        corner=(stack.x, stack.y),
        image_unit=UNITS[unit],
    )
    exposure = Exposure(
        header=record,
        data=data,
        error=error,
        good=good,
        saturated=saturated,
        area=np.ones(shape, np.float32) if stack.area is None else stack.area,
        poisson=poisson,
        floor=_floor(stack, amplifiers, poisson, good, least),
        chips=stack.chips,
        amplifiers=amplifiers,
        flags=int(Flag.CTE) if uncorrected else 0,
        notes=tuple(notes),
    )
    return (exposure,)


def check_imaging(primary: Cards) -> None:
    """Reject spectra, coronagraphy and spatial scans."""
    if primary.maybe_text("OBSTYPE") is not None:
        check_word(primary, "OBSTYPE", ("IMAGING",))
    if primary.maybe_text("SCAN_TYP") is not None:
        check_word(primary, "SCAN_TYP", ("N",), "a pointed exposure")


def _section(amplifier: Amplifier) -> tuple[slice, slice]:
    return slice(amplifier.y_lo, amplifier.y_hi), slice(amplifier.x_lo, amplifier.x_hi)


def _amplifiers(camera: Camera, primary: Cards, stack: Stack) -> tuple[Amplifier, ...]:
    """Sections read through each output: quadrants of the frame, or all of it where CCDAMP names one amplifier.

    Amplifiers stand in the corners and read from there inwards.
    """
    n_y, n_x = stack.data.shape
    used = (primary.maybe_text("CCDAMP") if camera.ccd else None) or camera.quadrants
    alone = len(used) == 1
    found = []
    for corner, name in enumerate(camera.quadrants):
        right, top = corner % 2 == 1, corner < 2
        x_edges = (0, camera.width) if alone else (right * camera.width // 2, (right + 1) * camera.width // 2)
        y_edges = (0, camera.height) if alone else (top * camera.height // 2, (top + 1) * camera.height // 2)
        x_lo, x_hi = (int(np.clip(edge - stack.x, 0, n_x)) for edge in x_edges)
        y_lo, y_hi = (int(np.clip(edge - stack.y, 0, n_y)) for edge in y_edges)
        if (alone and name != used) or x_lo >= x_hi or y_lo >= y_hi:
            continue
        gain = primary.maybe_number(f"ATODGN{name}") or primary.maybe_number("CCDGAIN") or 1.0
        noise = primary.maybe_number(f"READNSE{name}") or camera.read_noise
        found.append(Amplifier(name, x_lo, x_hi, y_lo, y_hi, gain, noise, -1 if right else 1, -2 if top else 2))
    return tuple(found)


def _poisson(stack: Stack, exptime: float) -> NDArray[np.float32]:
    """Variance per unit of a count rate: one over the time each pixel was integrated."""
    if stack.time is None:
        return np.full(stack.data.shape, 1 / exptime, dtype=np.float32)
    return np.divide(np.float32(1), stack.time, out=np.full_like(stack.time, 1 / exptime), where=stack.time > 0)


def _least_floor(camera: Camera, unit: str, exptime: float) -> float:
    """Factor of read noise squared below which no floor is believed.

    A CCD pixel is read once; a ramp of many reads may halve the noise of a pair.
    """
    return (0.5 if camera.ccd else 0.25) / (exptime**2 if unit == "ELECTRONS/S" else 1.0)


def _floor(
    stack: Stack,
    amplifiers: tuple[Amplifier, ...],
    poisson: NDArray[np.float32],
    good: NDArray[np.bool_],
    least: float,
) -> NDArray[np.float32]:
    """Variance without signal: one value an amplifier; usable hot pixels add the noise of their dark current."""
    data, error = stack.data, stack.error
    floor = np.empty(data.shape, dtype=np.float32)
    for amplifier in amplifiers:
        part = _section(amplifier)
        quiet = quiet_floor(data[part], error[part], poisson[part], good[part])
        bound = least * amplifier.read_noise**2
        floor[part] = 2 * bound if quiet is None else max(bound, quiet)
    hot = good & ((stack.bits & (HstBit.HOT | HstBit.WARM)) != 0)
    own = error[hot] ** 2 - poisson[hot] * np.maximum(data[hot], 0)
    floor[hot] = np.maximum(floor[hot], own)
    return floor


def hst_record(
    primary: Cards,
    sci: Cards,
    chips: tuple[Chip, ...],
    *,
    root: str,
    detector: str,
    filter_name: str,
    subarray: str,
    readout: str,
    shape: tuple[int, ...],
    corner: tuple[int, int],
    image_unit: str,
) -> HeaderRecord:
    """Collect the header record of an HST frame; the pointing is that of the array's middle."""
    n_y, n_x = shape
    middle = next(chip for chip in chips if (n_y - 1) / 2 < chip.y_hi)
    centre = pointing(middle.wcs, corner[0] + (n_x - 1) / 2, corner[1] + (n_y - 1) / 2)
    start, end = primary.number("EXPSTART"), primary.number("EXPEND")
    rootname = primary.text("ROOTNAME").lower()
    return HeaderRecord(
        exposure=root,
        program=primary.whole("PROPOSID"),
        observation=rootname[6:8],
        visit=(primary.maybe_text("LINENUM") or rootname[4:6]).split(".")[0],
        instrument=primary.text("INSTRUME"),
        detector=detector,
        filter=filter_name,
        subarray=subarray,
        readout=readout,
        n_x=n_x,
        n_y=n_y,
        x_start=corner[0],
        y_start=corner[1],
        exptime=primary.number("EXPTIME"),
        mjd_start=start,
        mjd_mid=(start + end) / 2,
        mjd_end=end,
        ra=centre.ra,
        dec=centre.dec,
        position_angle=centre.position_angle,
        va_scale=sci.maybe_number("VAFACTOR"),
        photmjsr=None,
        observer_x=None,
        observer_y=None,
        observer_z=None,
        image_unit=image_unit,
        cal_ver=primary.maybe_text("CAL_VER"),
        crds_ctx=primary.maybe_text("CRDS_CTX"),
        sdp_ver=primary.maybe_text("OPUS_VER"),
        prd_ver=None,
    )
