"""WFPC2 frames: pixels of the four chips in a ``c0m`` file, their flags in a ``c1m`` beside it."""

from collections.abc import Sequence
from pathlib import Path

from catalogs.errors import UnusableError
from catalogs.readers.names import flag_file
from catalogs.readers.wfpc2 import DETECTORS
from catalogs.readers.wfpc2_geometry import SIZE
from catalogs.writers.frame import Card, ChipImage, FrameFacts, image, primary, publish, short_flags
from catalogs.writers.hst import check_chips, common_cards, sky_cards

FILTERS = (
    "F122M F130LP F165LP F170W F185W F218W F255W F300W F336W F343N F375N F380W F390N F410M F437N F439W F450W F467M "
    "F469N F487N F502N F547M F555W F569W F588N F606W F622W F631N F656N F658N F673N F675W F702W F785LP F791W F814W "
    "F850LP F953N"
)


def write(folder: Path | str, facts: FrameFacts, chips: Sequence[ChipImage]) -> list[Path]:
    """Write a pair of files, pixels [DN] and flags, and return them in this order; the flags appear first.

    These files have no plane of errors: what `chips` say of them is not written.

    Raises
    ------
    UnusableError
        For a filter the camera has not, a gain other than 7 or 15, and other chips than its four.
    """
    facts.pick("filter", dict.fromkeys(FILTERS.split()))
    if facts.gain not in (7, 15):
        raise UnusableError(f"{facts.root} gain", facts.gain, "7 or 15")
    check_chips(facts, chips, dict.fromkeys(DETECTORS, (SIZE, SIZE)))
    science = f"{facts.root}_c0m.fits"
    flags = str(flag_file(science))
    images = {chip.name: chip for chip in chips}
    pixels, bits = [primary(_primary(facts, science))], [primary(_primary(facts, flags))]
    for version, name in enumerate(DETECTORS, 1):
        chip, cards = images[name], {"DETECTOR": version, **sky_cards(facts, images[name])}
        pixels.append(
            image(
                chip.data,
                "SCI",
                {"BUNIT": "COUNTS", "PHOTFLAM": facts.photflam, "PHOTPLAM": facts.photplam} | cards,
                version,
            )
        )
        bits.append(image(short_flags(chip.bits), "SCI", cards, version))
    return publish(folder, {flags: bits, science: pixels})


def _primary(facts: FrameFacts, name: str) -> dict[str, Card]:
    return {
        **common_cards(facts, name),
        "MODE": "FULL",
        "FILTNAM1": facts.filter,
        "FILTNAM2": "",
        "ATODGAIN": facts.gain,
        "CAL_VER": "2.5.5 (Apr 17, 2009)",
    }
