"""HST imsets put where they belong: chips of ACS and WFC3 cut and stacked into one abutted array."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.exposure import Chip
from catalogs.readers._open import Cards, FitsFile
from catalogs.readers.dq import HstBit
from catalogs.readers.pointing import sip_area, tan_wcs


@dataclass(frozen=True)
class ChipLayout:
    """A chip in the abutted frame: rows it has in a file, rows kept of them, y of its first row."""

    name: str
    rows: int
    kept: int
    y: int


@dataclass(frozen=True)
class Camera:
    """A camera: chips by CCDCHIP, width, scale [mas/pix], flags, read noise [electrons], amplifiers.

    `quadrants` names the amplifiers of top left, top right, bottom left, bottom right.
    """

    detector: str
    width: int
    chips: dict[int, ChipLayout]
    scale: float
    unusable: HstBit
    saturated: HstBit
    read_noise: float
    quadrants: str
    ccd: bool = True

    @property
    def height(self) -> int:
        """Rows of the whole frame."""
        return max(chip.y + chip.kept for chip in self.chips.values())


class Stack(NamedTuple):
    """One chip cut to the rows kept, or several abutted; (x, y) is the full-frame pixel of element [0, 0]."""

    x: int
    y: int
    data: NDArray[np.float32]
    error: NDArray[np.float32]
    bits: NDArray[np.uint32]
    time: NDArray[np.float32] | None
    area: NDArray[np.float32] | None
    chips: tuple[Chip, ...]


def read_stack(camera: Camera, file: FitsFile) -> Stack:
    """Read every imset of a file and abut them, bottom chip first.

    Raises
    ------
    UnusableError
        For missing extensions, arrays of different shapes, chips unknown or apart, and origins off the chip.
    """
    pieces = sorted((_piece(camera, file, version) for version in file.versions("SCI") or [1]), key=lambda each: each.y)
    stack = pieces[0]
    for piece in pieces[1:]:
        if (piece.x, piece.y, piece.data.shape[1]) != (stack.x, stack.y + len(stack.data), stack.data.shape[1]):
            found = f"{piece.chips[0].name} from ({piece.x}, {piece.y}) above {stack.data.shape} from {stack[:2]}"
            raise UnusableError(f"{file.name}[SCI]", found, "chips that abut")
        stack = _abut(stack, piece)
    return stack


def _abut(lower: Stack, upper: Stack) -> Stack:
    def pile(low: NDArray | None, high: NDArray | None) -> NDArray | None:
        return None if low is None or high is None else np.concatenate([low, high])

    base = len(lower.data)
    moved = tuple(Chip(chip.name, chip.y_lo + base, chip.y_hi + base, chip.wcs) for chip in upper.chips)
    return lower._replace(
        data=np.concatenate([lower.data, upper.data]),
        error=np.concatenate([lower.error, upper.error]),
        bits=np.concatenate([lower.bits, upper.bits]),
        time=pile(lower.time, upper.time),
        area=pile(lower.area, upper.area),
        chips=lower.chips + moved,
    )


def _piece(camera: Camera, file: FitsFile, version: int) -> Stack:
    sci = file.cards("SCI", version)
    data = file.image("SCI", version)
    chip = camera.chips.get(sci.whole("CCDCHIP") if len(camera.chips) > 1 else 1)
    if chip is None:
        raise UnusableError(f"{sci.place} CCDCHIP", sci.maybe_text("CCDCHIP"), f"one of {sorted(camera.chips)}")
    x, y = _origin(camera, chip, file, sci, data.shape)
    kept = slice(0, min(data.shape[0], chip.kept - y))
    timed = not camera.ccd and file.versions("TIME")
    area = sip_area(sci, data.shape, camera.scale)
    wcs = tan_wcs(sci, x, y + chip.y, camera.scale)
    return Stack(
        x=x,
        y=y + chip.y,
        data=data[kept],
        error=file.image("ERR", version, data.shape)[kept],
        bits=file.bits("DQ", version, data.shape)[kept],
        time=file.image("TIME", version, data.shape)[kept] if timed else None,
        area=None if area is None else area[kept],
        chips=(Chip(chip.name, 0, kept.stop, wcs),),
    )


def _origin(camera: Camera, chip: ChipLayout, file: FitsFile, sci: Cards, shape: tuple[int, ...]) -> tuple[int, int]:
    """0-based position on the chip of the array's first pixel: minus LTV, checked against the size of the chip."""
    n_y, n_x = shape
    if (n_x, n_y) == (camera.width, chip.rows):
        return 0, 0
    subarray = file.cards().maybe_text("SUBARRAY")
    if subarray != "True":
        found = f"NAXIS ({n_x}, {n_y}) with SUBARRAY {subarray}"
        raise UnusableError(sci.place, found, f"({camera.width}, {chip.rows}), or SUBARRAY T")
    x, y = -sci.number("LTV1"), -sci.number("LTV2")
    if not camera.ccd:
        # WFC3/IR subarrays are centred; LTV may or may not count the five reference pixels trimmed from each edge.
        middle = (camera.width - n_x) / 2, (chip.rows - n_y) / 2
        if any((x - trim, y - trim) == middle for trim in (0, 5)):
            x, y = middle
    inside = 0 <= x <= camera.width - n_x and 0 <= y <= min(chip.rows - n_y, chip.kept - 1)
    if not inside or x != int(x) or y != int(y):
        found = f"NAXIS ({n_x}, {n_y}) at LTV ({-x:g}, {-y:g})"
        raise UnusableError(sci.place, found, f"whole pixels inside ({camera.width}, {chip.rows})")
    return int(x), int(y)
