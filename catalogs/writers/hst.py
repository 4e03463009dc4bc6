"""HST `_flt` and `_flc` frames of the two-chip cameras, ACS/WFC and WFC3/UVIS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from catalogs.errors import UnusableError
from catalogs.readers import acs, wfc3
from catalogs.readers.hst_chips import Camera as Layout
from catalogs.writers.frame import Card, ChipImage, FrameFacts, image, moment, primary, publish, short_flags

LETTERS = {"ACS": "j", "WFC3": "i", "WFPC2": "u"}


@dataclass(frozen=True)
class Camera:
    """A camera: chips, wheels by filter, angle from V3 to +y [deg] (SIAF, middle of the chips), version of software."""

    layout: Layout
    wheels: Mapping[str, Mapping[str, Card]]
    turn: float
    version: str


_FIRST = ("F475W", "F502N", "F550M", "F555W", "F606W", "F625W", "F658N", "F775W", "F850LP", "F892N")
_SECOND = ("F435W", "F660N", "F814W")
_UVIS = (
    "F200LP F218W F225W F275W F280N F300X F336W F343N F350LP F373N F390M F390W F395N F410M F438W F467M F469N F475W "
    "F475X F487N F502N F547M F555W F600LP F606W F621M F625W F631N F645N F656N F657N F658N F665N F673N F680N F689M "
    "F763M F775W F814W F845M F850LP F953N"
)

CAMERAS = {
    "ACS": Camera(
        acs.CAMERAS["WFC"],
        {name: {"FILTER1": name, "FILTER2": "CLEAR2L"} for name in _FIRST}
        | {name: {"FILTER1": "CLEAR1L", "FILTER2": name} for name in _SECOND},
        177.57,
        "10.3.5 (01-Sep-2022)",
    ),
    "WFC3": Camera(
        wfc3.CAMERAS["UVIS"],
        {name: {"FILTER": name} for name in _UVIS.split()},
        44.80,
        "3.6.2 (May-27-2021)",
    ),
}


def hst_root(instrument: str, program: int, observation: int, number: int) -> str:
    """File root of an exposure, nine characters as the archive names them: ``jpppoonnq``.

    Parameters
    ----------
    instrument
        ACS, WFC3 or WFPC2, which gives the first letter.
    program, observation, number
        Below 46656, 100 and 1296; the first and the last are written in base 36.

    Raises
    ------
    UnusableError
        When a number does not fit its characters.
    """
    values, limits = (program, observation, number), (46656, 100, 1296)
    if any(not 0 <= value < limit for value, limit in zip(values, limits, strict=True)):
        raise UnusableError("HST exposure name", values, f"program, observation, number from 0 to below {limits}")
    first, last = (np.base_repr(value, 36).lower() for value in (program, number))
    return f"{LETTERS[instrument]}{first:0>3}{observation:02d}{last:0>2}{'t' if instrument == 'WFPC2' else 'q'}"


def write(folder: Path | str, facts: FrameFacts, chips: Sequence[ChipImage]) -> list[Path]:
    """Write one `_flc` file, or `_flt` where charge transfer was not corrected for; chip 2, the lower, comes first.

    Raises
    ------
    UnusableError
        For a filter or detector the camera has not, and for other chips than its two.
    """
    camera: Camera = facts.pick("instrument", CAMERAS)
    layout = camera.layout
    facts.pick("detector", {layout.detector: layout})
    check_chips(facts, chips, {chip.name: (chip.rows, layout.width) for chip in layout.chips.values()})
    name = f"{facts.root}_{'flc' if facts.cte_corrected else 'flt'}.fits"
    hdus: list[fits.PrimaryHDU | fits.ImageHDU] = [primary(_primary(facts, camera, name))]
    images = {chip.name: chip for chip in chips}
    for version, (number, place) in enumerate(sorted(layout.chips.items(), key=lambda each: each[1].y), 1):
        chip = images[place.name]
        common: dict[str, Card] = {"ROOTNAME": facts.root, "EXPNAME": facts.root, "CCDCHIP": number}
        hdus += [
            image(chip.data, "SCI", common | {"BUNIT": "ELECTRONS"} | sky_cards(facts, chip), version),
            image(chip.error, "ERR", common | {"BUNIT": "ELECTRONS"}, version),
            image(short_flags(chip.bits), "DQ", common, version),
        ]
    return publish(folder, {name: hdus})


def check_chips(facts: FrameFacts, chips: Sequence[ChipImage], shapes: dict[str, tuple[int, int]]) -> None:
    """UnusableError unless there is each of the named chips once, of its shape."""
    found = sorted((chip.name, chip.data.shape) for chip in chips)
    if found != sorted(shapes.items()):
        raise UnusableError(f"{facts.root} chips", found, str(shapes))


def common_cards(facts: FrameFacts, name: str) -> dict[str, Card]:
    """Primary keywords that all cameras of HST share."""
    (date, time), (end_date, _) = moment(facts.mjd_start), moment(facts.mjd_end)
    return {
        "DATE": end_date,
        "FILENAME": name,
        "TELESCOP": "HST",
        "INSTRUME": facts.instrument,
        "ROOTNAME": facts.root,
        "IMAGETYP": "EXT",
        "TARGNAME": facts.target,
        "RA_TARG": facts.ra_target,
        "DEC_TARG": facts.dec_target,
        "PROPOSID": facts.program,
        "LINENUM": f"{facts.observation:02d}.{facts.number:03d}",
        "MTFLAG": "T" if facts.track else "",
        "DATE-OBS": date,
        "TIME-OBS": time[:8],
        "EXPSTART": facts.mjd_start,
        "EXPEND": facts.mjd_end,
        "EXPTIME": facts.exptime,
    }


def _primary(facts: FrameFacts, camera: Camera, name: str) -> dict[str, Card]:
    wheels = facts.pick("filter", camera.wheels)
    return {
        **common_cards(facts, name),
        "CAL_VER": camera.version,
        "OBSTYPE": "IMAGING",
        "OBSMODE": "ACCUM",
        "DETECTOR": facts.detector,
        **wheels,
        "APERTURE": facts.detector,
        "SUBARRAY": False,
        "PA_V3": (facts.position_angle - camera.turn) % 360.0,
        "CCDAMP": camera.layout.quadrants,
        "CCDGAIN": round(2 * facts.gain) / 2,  # commanded in halves; what came of it is ATODGN
        **{f"ATODGN{amplifier}": facts.gain for amplifier in camera.layout.quadrants},
        **{f"READNSE{amplifier}": facts.read_noise for amplifier in camera.layout.quadrants},
        "PCTECORR": "COMPLETE" if facts.cte_corrected else "OMIT",
    }


def sky_cards(facts: FrameFacts, chip: ChipImage) -> dict[str, Card]:
    """Where a chip looks."""
    return {
        **chip.wcs.cards(),
        "LTV1": 0.0,
        "LTV2": 0.0,
        "LTM1_1": 1.0,
        "LTM2_2": 1.0,
        "PA_APER": facts.position_angle,
        "VAFACTOR": facts.va_scale,
        "PHOTFLAM": facts.photflam,
        "PHOTPLAM": facts.photplam,
        "PHOTZPT": -21.1,
        "ORIENTAT": chip.wcs.position_angle,
    }
