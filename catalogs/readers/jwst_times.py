"""When a NIRCam or NIRISS array was exposed and how it was read, of any product in detector pixels."""

import re
from dataclasses import dataclass

import numpy as np

from catalogs.errors import UnusableError
from catalogs.readers import nircam, niriss
from catalogs.readers._open import Cards, FitsFile, open_fits
from catalogs.readers.checks import check_word
from catalogs.readers.jwst import Camera
from catalogs.readers.jwst_geometry import SIZE, Corner, find_corner

CAMERAS = {"NIRCAM": nircam.CAMERA, "NIRISS": niriss.CAMERA}
_COLUMNS = ("integration_number", "int_start_MJD_UTC", "int_mid_MJD_UTC", "int_end_MJD_UTC")


@dataclass(frozen=True)
class ReadTimes:
    """Middle of an exposure or of one integration, and the order in which its array is read.

    Attributes
    ----------
    place
        File name, for messages.
    x_start, y_start, n_x, n_y
        The array in the file: full-detector pixel of its element [0, 0], and its size.
    full
        Whether the whole detector was read, of which the file may hold a cutout.
    fast, slow, amplifiers
        Axes of the first amplifier, +-1 along +-x and +-2 along +-y; number of amplifiers.
    frame_time
        Time of one read [s]; None where the file does not tell.
    middle, source, integration
        MJD UTC; where it stands, INT_TIMES or keywords; the number of its integration in INT_TIMES, else None.
    """

    place: str
    instrument: str
    x_start: int
    y_start: int
    n_x: int
    n_y: int
    full: bool
    fast: int
    slow: int
    amplifiers: int
    frame_time: float | None
    middle: float
    source: str
    integration: int | None


def read_times(path: str, integration: int | None = None) -> ReadTimes:
    """Read an imaging or dispersed NIRCam or NIRISS product whose pixels are the detector's: uncal, rate, cal ...

    Parameters
    ----------
    path
        Local path or any fsspec URL, gzipped or not.
    integration
        Number of the integration in INT_TIMES; by default the middle one of those it has (the earlier of two), and
        the middle of the exposure for products without that table.

    Raises
    ------
    UnusableError
        For other instruments, resampled images, geometry or readout that contradicts itself, and missing times.
    """
    with open_fits(path) as file:
        primary = file.cards()
        instrument, camera = _camera(primary)
        _check_detector_pixels(file)
        detector = camera.detectors[check_word(primary, "DETECTOR", tuple(camera.detectors))]
        sci = file.cards("SCI")
        shape = sci.whole("NAXIS2"), sci.whole("NAXIS1")
        corner = find_corner(primary, sci, shape)
        fast, slow = _axes(primary, detector.fast, detector.slow)
        frame_time = primary.maybe_number("TFRAME")
        middle, source, number = _middle(file, integration)
        return ReadTimes(
            place=file.name,
            instrument=instrument,
            x_start=corner.x,
            y_start=corner.y,
            n_x=shape[1],
            n_y=shape[0],
            full=corner.full,
            fast=fast,
            slow=slow,
            amplifiers=_amplifiers(primary, corner, fast),
            frame_time=frame_time if frame_time and frame_time > 0 else None,
            middle=middle,
            source=source,
            integration=number,
        )


def _camera(primary: Cards) -> tuple[str, Camera]:
    telescope, instrument = primary.text("TELESCOP").upper(), primary.text("INSTRUME").upper()
    if telescope != "JWST" or instrument not in CAMERAS:
        why = "; HST's shutters expose all pixels at once" if telescope == "HST" else ""
        place = f"{primary.place} TELESCOP, INSTRUME"
        raise UnusableError(place, f"{telescope} {instrument}", f"JWST NIRCAM or JWST NIRISS{why}")
    return instrument, CAMERAS[instrument]


def _check_detector_pixels(file: FitsFile) -> None:
    """Reject resampled images: their pixels were never read."""
    signs = [f"extension {name}" for name in ("WHT", "CON") if file.versions(name)]
    if file.cards().maybe_text("S_RESAMP") == "COMPLETE":
        signs.append("S_RESAMP COMPLETE")
    if match := re.search(r"_[is]2d(?![a-z0-9])", file.name):
        signs.append(match.group())
    if signs:
        found = f"a resampled image ({', '.join(signs)})"
        raise UnusableError(file.name, found, "detector pixels, each with its own read time (such as a _cal file)")


def _axes(primary: Cards, fast: int, slow: int) -> tuple[int, int]:
    """FASTAXIS and SLOWAXIS where the header has both, else those of the detector."""
    found = primary.maybe_number("FASTAXIS"), primary.maybe_number("SLOWAXIS")
    if None in found:
        return fast, slow
    if sorted(abs(axis) for axis in found if axis) != [1, 2]:
        raise UnusableError(f"{primary.place} FASTAXIS, SLOWAXIS", found, f"such as {fast}, {slow}")
    return int(found[0] or 0), int(found[1] or 0)


def _amplifiers(primary: Cards, corner: Corner, fast: int) -> int:
    """NOUTPUTS; four for a full frame and one for a subarray where the header does not tell."""
    number = primary.maybe_number("NOUTPUTS") or (4 if corner.full else 1)
    whole = primary.whole("SUBSIZE1" if abs(fast) == 1 else "SUBSIZE2") == SIZE
    if number not in ((1, 4) if whole else (1,)):
        expected = "1, or 4 side by side along a fast axis of 2048 pixels"
        raise UnusableError(f"{primary.place} NOUTPUTS", f"{number:g}", expected)
    return int(number)


def _middle(file: FitsFile, integration: int | None) -> tuple[float, str, int | None]:
    """Mid-time [MJD UTC], where it stands, and the integration; INT_TIMES first."""
    found = _integrations(file) if file.versions("INT_TIMES") else []
    if integration is not None:
        rows = [row for row in found if row[0] == integration]
        if len(rows) != 1:
            there = ", ".join(str(number) for number, _ in found) or "none"
            place = f"{file.place('INT_TIMES')} integration_number"
            raise UnusableError(place, there, f"{integration} once, with its times")
        return rows[0][1], "INT_TIMES", integration
    if found:
        number, middle = found[(len(found) - 1) // 2]
        return middle, "INT_TIMES", number
    return *_exposure_middle(file.cards(), file.cards("SCI")), None


def _integrations(file: FitsFile) -> list[tuple[int, float]]:
    """Number and mid-time of every row of INT_TIMES whose times are dates in order; others are as good as absent.

    Only UTC columns are read: those of barycentric time are zero in some reprocessed files.
    """
    table = file.array("INT_TIMES")
    try:
        number, start, middle, end = (np.asarray(table[name], dtype=float) for name in _COLUMNS)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise UnusableError(file.place("INT_TIMES"), "other columns", ", ".join(_COLUMNS)) from error
    usable = (number >= 1) & _is_date(middle) & (start <= middle) & (middle <= end)
    return sorted((int(n), float(mjd)) for n, mjd in zip(number[usable], middle[usable], strict=True))


def _exposure_middle(primary: Cards, sci: Cards) -> tuple[float, str]:
    """EXPMID, else the mean of EXPSTART and EXPEND, else MJD-AVG: the first that is a date."""
    start, end = primary.maybe_number("EXPSTART"), primary.maybe_number("EXPEND")
    candidates = {
        "EXPMID": primary.maybe_number("EXPMID"),
        "EXPSTART, EXPEND": (start + end) / 2 if start and end else None,
        "MJD-AVG": sci.maybe_number("MJD-AVG"),
    }
    for source, middle in candidates.items():
        if middle is not None and _is_date(middle):
            return middle, source
    raise UnusableError(f"{primary.place} {', '.join(candidates)}", "no date", "the middle of the exposure as MJD")


def _is_date(mjd):
    return (mjd > 40_000) & (mjd < 100_000)
