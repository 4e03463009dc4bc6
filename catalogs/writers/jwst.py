"""JWST level-2b imaging frames (`_cal`) of NIRISS and NIRCam, keywords where the JWST data models keep them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from catalogs.errors import UnusableError
from catalogs.readers import nircam, niriss
from catalogs.readers.jwst import Camera
from catalogs.readers.jwst_geometry import SIZE, Detector
from catalogs.writers.frame import Card, ChipImage, FrameFacts, image, moment, primary, publish

CAMERAS = {"NIRISS": niriss.CAMERA, "NIRCAM": nircam.CAMERA}

# Frames averaged in a group, and frames skipped before the next.
READOUTS = {
    "NISRAPID": (1, 0),
    "NIS": (4, 0),
    "RAPID": (1, 0),
    "BRIGHT1": (1, 1),
    "BRIGHT2": (2, 0),
    "SHALLOW2": (2, 3),
    "SHALLOW4": (4, 1),
    "MEDIUM2": (2, 8),
    "MEDIUM8": (8, 2),
    "DEEP2": (2, 18),
    "DEEP8": (8, 12),
}

# Reference point (V2, V3) [arcsec] and angle from V3 to +y [deg] of the aperture NIS_CEN (SIAF); +x runs towards -V2.
NIS_CEN = (-291.141, -698.015, 0.56126717)
PARITY = -1

PLANES = ("AREA", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT")

# Plausible ones of one delivery, in the form that files of the archive have them.
VERSIONS: dict[str, Card] = {
    "CAL_VER": "1.20.2",
    "CRDS_CTX": "jwst_1303.pmap",
    "SDP_VER": "2025_1a",
    "PRD_VER": "PRDOPSSOC-075",
}


def jwst_root(
    program: int, observation: int, visit: int, group: int, sequence: int, activity: int, number: int, detector: str
) -> str:
    """File root of an exposure, such as ``jw01086001001_02101_00003_nis``.

    Parameters
    ----------
    program, observation, visit
        At most five, three and three digits.
    group, sequence, activity
        Visit group, parallel sequence and activity; the last, up to 1295, in base 36 as the archive has it.
    number, detector
        Exposure within the activity, and NIS, NRCB1, NRCALONG ...

    Raises
    ------
    UnusableError
        When a number does not fit its digits.
    """
    limits = (100_000, 1000, 1000, 100, 10, 1296, 100_000)
    values = (program, observation, visit, group, sequence, activity, number)
    if any(not 0 <= value < limit for value, limit in zip(values, limits, strict=True)):
        raise UnusableError("JWST exposure name", values, f"numbers from 0 to below {limits}")
    last = np.base_repr(activity, 36).lower().zfill(2)
    return f"jw{program:05d}{observation:03d}{visit:03d}_{group:02d}{sequence}{last}_{number:05d}_{detector.lower()}"


def write(folder: Path | str, facts: FrameFacts, chips: Sequence[ChipImage]) -> list[Path]:
    """Write one `_cal` file.

    Raises
    ------
    UnusableError
        For a filter, detector or readout pattern the instrument has not, and arrays off the detector.
    """
    camera: Camera = facts.pick("instrument", CAMERAS)
    detector: Detector = facts.pick("detector", camera.detectors)
    if [chip.name for chip in chips] != [facts.detector]:
        raise UnusableError(f"{facts.root} chips", [chip.name for chip in chips], facts.detector)
    (chip,) = chips
    name = f"{facts.root}_cal.fits"
    hdus = [
        primary({"FILENAME": name} | _primary(facts, camera) | _array(facts, detector, chip.data.shape)),
        image(chip.data, "SCI", _science(facts, chip)),
        image(chip.error, "ERR", {"BUNIT": "MJy/sr"}),
        image(chip.bits.astype(np.uint32), "DQ", {}),
    ]
    if unknown := set(chip.planes) - set(PLANES):
        raise UnusableError(f"{facts.root} planes", sorted(unknown), " or ".join(PLANES))
    hdus += [image(chip.planes[plane], plane, {}) for plane in PLANES if plane in chip.planes]
    return publish(folder, {name: hdus})


def _wheels(facts: FrameFacts, camera: Camera) -> dict[str, Card]:
    """FILTER and PUPIL, and for NIRCam the module and channel, which must have the filter."""
    if facts.instrument != "NIRCAM":
        wheel, pupil = facts.pick("filter", {name: wheels for wheels, name in camera.filters.items()})
        return {"FILTER": wheel, "PUPIL": pupil}
    long = facts.detector.endswith("LONG")
    # A filter of the pupil wheel belongs to the channel of the wide one before it.
    own = {name: wheels for wheels, name in camera.filters.items() if (wheels[0] in nircam.LONG) == long}
    wheel, pupil = facts.pick("filter", own)
    module, channel = facts.detector[3], "LONG" if long else "SHORT"
    return {"MODULE": module, "CHANNEL": channel, "FILTER": wheel, "PUPIL": pupil}


def _primary(facts: FrameFacts, camera: Camera) -> dict[str, Card]:
    frames, gap = facts.pick("readout", READOUTS)
    (date, time), (end_date, end_time) = moment(facts.mjd_start), moment(facts.mjd_end)
    return {
        "DATE": f"{end_date}T{end_time}",
        "TIMESYS": "UTC",
        "TIMEUNIT": "s",
        "DATAMODL": "ImageModel",
        "TELESCOP": "JWST",
        **VERSIONS,
        "DATE-OBS": date,
        "TIME-OBS": time,
        "DATE-BEG": f"{date}T{time}",
        "DATE-END": f"{end_date}T{end_time}",
        "PROGRAM": f"{facts.program:05d}",
        "OBSERVTN": f"{facts.observation:03d}",
        "VISIT": f"{facts.visit:03d}",
        "EXPOSURE": f"{facts.number:05d}",
        "TARGPROP": facts.target,
        "TARGTYPE": "MOVING" if facts.track else "FIXED",
        "TARG_RA": facts.ra_target,
        "TARG_DEC": facts.dec_target,
        "INSTRUME": facts.instrument,
        "DETECTOR": facts.detector,
        **_wheels(facts, camera),
        "EXP_TYPE": camera.exp_type,
        "EXPSTART": facts.mjd_start,
        "EXPMID": (facts.mjd_start + facts.mjd_end) / 2,
        "EXPEND": facts.mjd_end,
        "READPATT": facts.readout,
        "NINTS": 1,
        "NGROUPS": facts.n_groups,
        "NFRAMES": frames,
        "GROUPGAP": gap,
        "NSAMPLES": 1,
        "TSAMPLE": 10.0,
        "TFRAME": facts.t_frame,
        "TGROUP": facts.t_group,
        "EFFINTTM": facts.exptime,
        "EFFEXPTM": facts.exptime,
        "DURATION": _elapsed(facts),
    }


def _array(facts: FrameFacts, detector: Detector, shape: tuple[int, ...]) -> dict[str, Card]:
    """Where the array lies on the detector and how it is read."""
    n_y, n_x = shape
    full = facts.subarray == "FULL"
    expected = f"{'all' if full else 'a piece'} of {SIZE} x {SIZE}"
    inside = 0 <= facts.x_start <= SIZE - n_x and 0 <= facts.y_start <= SIZE - n_y
    if not inside or (full and shape != (SIZE, SIZE)):
        found = f"{n_x} x {n_y} pixels at ({facts.x_start}, {facts.y_start})"
        raise UnusableError(f"{facts.root} subarray {facts.subarray}", found, expected)
    # Apertures call the long-wave detectors NRCA5 and NRCB5, and the whole of NIRISS its centre.
    whole = "CEN" if facts.detector == "NIS" else "FULL"
    aperture = f"{facts.detector.replace('LONG', '5')}_{whole if full else facts.subarray}"
    return {
        "SUBARRAY": facts.subarray,
        "SUBSTRT1": facts.x_start + 1,
        "SUBSTRT2": facts.y_start + 1,
        "SUBSIZE1": n_x,
        "SUBSIZE2": n_y,
        "FASTAXIS": detector.fast,
        "SLOWAXIS": detector.slow,
        "NOUTPUTS": 4 if full else 1,
        "APERNAME": aperture,
        "PPS_APER": aperture,
    }


def _elapsed(facts: FrameFacts) -> float:
    return round((facts.mjd_end - facts.mjd_start) * 86400, 5)  # [s], to what a date in double precision resolves


def _science(facts: FrameFacts, chip: ChipImage) -> dict[str, Card]:
    wcs = chip.wcs
    # NIRCam's apertures are taken as aligned with V3; where they lie is left out.
    v2, v3, angle = NIS_CEN if facts.instrument == "NIRISS" else (None, None, 0.0)
    squared = None if facts.pixar_sr is None else facts.pixar_sr * np.degrees(3600.0) ** 2
    return {
        "BUNIT": "MJy/sr",
        "PHOTMJSR": facts.photmjsr,
        "PIXAR_SR": facts.pixar_sr,
        "PIXAR_A2": squared,
        **wcs.cards(pc=True),
        "VPARITY": PARITY,
        "V3I_YANG": angle,
        "V2_REF": v2,
        "V3_REF": v3,
        "RA_REF": wcs.ra,
        "DEC_REF": wcs.dec,
        "ROLL_REF": (facts.position_angle + PARITY * angle) % 360.0,
        "PA_APER": facts.position_angle,
        "VA_SCALE": facts.va_scale,
        "MJD-BEG": facts.mjd_start,
        "MJD-AVG": (facts.mjd_start + facts.mjd_end) / 2,
        "MJD-END": facts.mjd_end,
        "XPOSURE": facts.exptime,
        "TELAPSE": _elapsed(facts),
        "REFFRAME": "EME2000",
        **dict(zip(("JWST_X", "JWST_Y", "JWST_Z"), facts.observer or (), strict=False)),
        **dict(zip(("JWST_DX", "JWST_DY", "JWST_DZ"), facts.velocity or (), strict=False)),
    }
