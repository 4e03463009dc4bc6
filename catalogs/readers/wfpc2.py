"""WFPC2 calibrated frames: four chips in ``c0m`` extensions or a waivered ``c0f`` cube, flags in a file beside."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.exposure import Amplifier, Chip, Exposure
from catalogs.flags import Flag
from catalogs.readers._open import Cards, FitsFile, flag_bits, open_fits
from catalogs.readers.checks import check_exptime, check_filter, check_pixels, check_unit, check_word
from catalogs.readers.dq import WFPC2_UNUSABLE, Wfpc2Bit
from catalogs.readers.hst import hst_record
from catalogs.readers.names import flag_file
from catalogs.readers.pointing import tan_wcs
from catalogs.readers.wfpc2_geometry import SIZE, pixel_area

# The 12-bit converter clips at 4095 DN; bias and flat move that to some 3500 DN, above which counts are suspect
# whether or not the clipped pixel was flagged (WFPC2 Data Handbook).
CLIPPED = 3500.0


@dataclass(frozen=True)
class Detector:
    """Scale [mas/pix], (gain, read noise) by ATODGAIN [electrons/DN, electrons], first unvignetted column and row."""

    scale: float
    electronics: dict[int, tuple[float, float]]
    x_first: int
    y_first: int


DETECTORS = {
    "PC1": Detector(45.5, {7: (7.12, 5.24), 15: (13.99, 7.02)}, 44, 54),
    "WF2": Detector(99.6, {7: (7.12, 5.51), 15: (14.50, 7.84)}, 49, 24),
    "WF3": Detector(99.6, {7: (6.90, 5.22), 15: (13.95, 6.99)}, 29, 44),
    "WF4": Detector(99.6, {7: (7.10, 5.19), 15: (13.95, 8.32)}, 44, 44),
}
LAST = 796  # last column and row in use

GROUP_KEYS = ("DETECTOR", "CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")


class _Plane(NamedTuple):
    """One chip: its name, its own keywords, pixels [DN] and flags."""

    name: str
    cards: Cards
    data: NDArray[np.float32]
    bits: NDArray[np.uint32]


def read(file: FitsFile, root: str) -> tuple[Exposure, ...]:
    """Read the chips of a frame, four of them as a rule, each in its own 800x800 pixels.

    Raises
    ------
    UnusableError
        For binned or non-imaging modes, missing keywords or group parameters, and a missing data-quality file.
    """
    primary = file.cards()
    check_word(primary, "MODE", ("FULL",), "pixels not binned")
    filter_name = check_filter(primary, ("FILTNAM1", "FILTNAM2"), blank="")
    gain = primary.whole("ATODGAIN")
    if gain not in (7, 15):
        raise UnusableError(f"{primary.place} ATODGAIN", gain, "7 or 15")
    check_exptime(primary, "EXPTIME")
    planes = _extensions if file.versions("SCI") else _cube
    with open_fits(_beside(file), f"data-quality flags beside {file.name}") as quality:
        return tuple(_exposure(plane, primary, root, filter_name, gain) for plane in planes(file, quality))


def _beside(file: FitsFile) -> str:
    """Path of the data-quality file."""
    path = flag_file(file.path)
    if path is None:
        raise UnusableError(f"{file.name} (file name)", "neither _c0m nor _c0f", "a name that tells its flag file's")
    return path


def _extensions(file: FitsFile, quality: FitsFile) -> Iterator[_Plane]:
    """Chips of a ``c0m`` file; the flags' extensions are called SCI too."""
    for version in file.versions("SCI"):
        cards = file.cards("SCI", version)
        if cards.maybe_text("BUNIT") is not None:
            check_unit(cards, ("COUNTS", "DN"))
        data, bits = file.image("SCI", version, (SIZE, SIZE)), quality.bits("SCI", version, (SIZE, SIZE))
        yield _Plane(_name(cards), cards, data, bits)


def _cube(file: FitsFile, quality: FitsFile) -> Iterator[_Plane]:
    """Chips of a waivered ``c0f`` cube; the rows of the table behind it are what was one header per group."""
    cube, flags = (np.atleast_3d(each.array("PRIMARY").T).T for each in (file, quality))
    if cube.shape[1:] != (SIZE, SIZE) or flags.shape != cube.shape:
        raise UnusableError(f"{file.name}[PRIMARY] shape", f"{cube.shape}, flags {flags.shape}", "(4, 800, 800), both")
    groups = file.rows(1, GROUP_KEYS)
    if len(groups) != len(cube):
        raise UnusableError(f"{file.name}[1]", f"a table of {len(groups)} rows", f"parameters of {len(cube)} groups")
    for index, row in enumerate(groups):
        header = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"} | row
        cards = Cards(header, f"{file.name}[group {index + 1}]")
        yield _Plane(_name(cards), cards, np.ascontiguousarray(cube[index], np.float32), flag_bits(flags[index]))


def _name(cards: Cards) -> str:
    number = cards.whole("DETECTOR")
    if not 1 <= number <= len(DETECTORS):
        raise UnusableError(f"{cards.place} DETECTOR", number, "1 to 4")
    return tuple(DETECTORS)[number - 1]


def _exposure(plane: _Plane, primary: Cards, root: str, filter_name: str, gain: int) -> Exposure:
    detector, data = DETECTORS[plane.name], plane.data
    electrons, read_noise = detector.electronics[gain]
    wcs = tan_wcs(plane.cards, 0, 0, detector.scale)
    poisson = np.full(data.shape, 1 / electrons, dtype=np.float32)
    floor = np.full(data.shape, (read_noise / electrons) ** 2, dtype=np.float32)
    error = np.sqrt(poisson * np.maximum(data, 0) + floor)
    unflagged = (plane.bits & WFPC2_UNUSABLE) == 0
    unflagged[: detector.y_first] = unflagged[LAST + 1 :] = False
    unflagged[:, : detector.x_first] = unflagged[:, LAST + 1 :] = False
    check_pixels(f"{plane.cards.place} {plane.name}", data, error, unflagged)
    chips = (Chip(plane.name, 0, SIZE, wcs),)
    record = hst_record(
        primary,
        plane.cards,
        chips,
        root=root,
        detector=plane.name,
        filter_name=filter_name,
        subarray=primary.text("MODE"),
        readout=f"ATODGAIN={gain}",
        shape=data.shape,
        corner=(0, 0),
        image_unit="DN",
    )
    saturated = ((plane.bits & Wfpc2Bit.AD_LIMIT) != 0) | (data > CLIPPED)
    return Exposure(
        header=record,
        data=data,
        error=error,
        good=unflagged & ~saturated & np.isfinite(data),
        saturated=saturated,
        area=pixel_area(plane.name),
        poisson=poisson,
        floor=floor,
        chips=chips,
        amplifiers=(Amplifier(plane.name, 0, SIZE, 0, SIZE, electrons, read_noise, fast=1, slow=2),),
        flags=int(Flag.CTE),
    )
