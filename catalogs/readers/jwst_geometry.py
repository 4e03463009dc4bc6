"""Where a JWST array lies on its detector, and which amplifiers read it."""

from dataclasses import dataclass

import numpy as np

from catalogs.errors import UnusableError
from catalogs.exposure import Amplifier
from catalogs.readers._open import Cards

SIZE = 2048
CENTRE = 1024.5  # CRPIX of a full frame, 1-based


@dataclass(frozen=True)
class Detector:
    """Nominal constants: scale [mas/pix], gain [electrons/DN], read noise [electrons, CDS], axes of readout."""

    scale: float
    gain: float
    read_noise: float
    fast: int
    slow: int


@dataclass(frozen=True)
class Corner:
    """Where array element [0, 0] lies on the detector."""

    x: int
    y: int
    full: bool
    cutout: bool


def find_corner(primary: Cards, sci: Cards, shape: tuple[int, ...]) -> Corner:
    """Origin of the array: SUBSTRT for what the header describes, the CRPIX shift for a cutout of a full frame."""
    n_y, n_x = shape
    size = primary.whole("SUBSIZE1"), primary.whole("SUBSIZE2")
    start = primary.whole("SUBSTRT1"), primary.whole("SUBSTRT2")
    inside = all(first >= 1 and first + n - 1 <= SIZE for first, n in zip(start, size, strict=True))
    full = primary.text("SUBARRAY") == "FULL"
    if not inside or (full and size != (SIZE, SIZE)):
        found = f"SUBSTRT {start}, SUBSIZE {size}"
        expected = f"the whole of {SIZE}x{SIZE}" if full else f"a piece of {SIZE}x{SIZE}"
        raise UnusableError(f"{primary.place} SUBARRAY {primary.text('SUBARRAY')}", found, expected)
    if (n_x, n_y) == size:
        return Corner(start[0] - 1, start[1] - 1, full, cutout=False)
    crpix = sci.number("CRPIX1"), sci.number("CRPIX2")
    shift = CENTRE - crpix[0], CENTRE - crpix[1]
    whole = round(shift[0]), round(shift[1])
    fits_in = all(lo >= 0 and lo + n <= SIZE for lo, n in zip(whole, (n_x, n_y), strict=True))
    near = max(abs(shift[0] - whole[0]), abs(shift[1] - whole[1])) <= 0.01
    if full and fits_in and near:
        return Corner(*whole, full=True, cutout=True)
    found = f"NAXIS ({n_x}, {n_y}) with SUBSIZE {size} and CRPIX {crpix}"
    raise UnusableError(sci.place, found, "arrays of SUBSIZE, or a cutout whose CRPIX moved by whole pixels")


def amplifiers(primary: Cards, detector: Detector, shape: tuple[int, ...], corner: Corner) -> tuple[Amplifier, ...]:
    """Four stripes of 512 pixels along the fast axis of a full frame or a stripe read like one, else one.

    The first amplifier stands where the fast axis begins; direction alternates from one to the next (JWST science
    calibration pipeline documentation, keywords FASTAXIS and SLOWAXIS).
    """
    n_y, n_x = shape
    fast = int(primary.maybe_number("FASTAXIS") or detector.fast)
    slow = int(primary.maybe_number("SLOWAXIS") or detector.slow)
    along = n_x if abs(fast) == 1 else n_y
    if not (corner.full or (primary.maybe_number("NOUTPUTS") == 4 and along == SIZE)):
        return (Amplifier("A", 0, n_x, 0, n_y, detector.gain, detector.read_noise, fast, slow),)
    found = []
    for stripe in range(4):
        index = stripe if fast > 0 else 3 - stripe
        x, y = (stripe * 512, 0) if abs(fast) == 1 else (0, stripe * 512)
        width, height = (512, SIZE) if abs(fast) == 1 else (SIZE, 512)
        x_lo, x_hi = (int(np.clip(edge - corner.x, 0, n_x)) for edge in (x, x + width))
        y_lo, y_hi = (int(np.clip(edge - corner.y, 0, n_y)) for edge in (y, y + height))
        if x_lo < x_hi and y_lo < y_hi:
            sign = -1 if index % 2 else 1
            amplifier = Amplifier(
                "ABCD"[index], x_lo, x_hi, y_lo, y_hi, detector.gain, detector.read_noise, sign * fast, slow
            )
            found.append(amplifier)
    return tuple(found)
