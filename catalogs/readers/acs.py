"""ACS imaging: the Wide Field and High Resolution Channels."""

from catalogs.exposure import Exposure
from catalogs.readers import hst
from catalogs.readers._open import FitsFile
from catalogs.readers.checks import check_filter, check_word
from catalogs.readers.dq import ACS_UNUSABLE, HstBit
from catalogs.readers.hst_chips import Camera, ChipLayout

SATURATED = HstBit.FULL_WELL | HstBit.AD_LIMIT

CAMERAS = {
    "WFC": Camera(
        "WFC",
        4096,
        {2: ChipLayout("WFC2", 2048, 2048, 0), 1: ChipLayout("WFC1", 2048, 2048, 2048)},
        scale=50.0,
        unusable=ACS_UNUSABLE,
        saturated=SATURATED,
        read_noise=5.0,
        quadrants="ABCD",
    ),
    "HRC": Camera(
        "HRC",
        1024,
        {1: ChipLayout("HRC", 1024, 1024, 0)},
        scale=27.0,
        unusable=ACS_UNUSABLE,
        saturated=SATURATED,
        read_noise=4.7,
        quadrants="ABCD",
    ),
}


def read(file: FitsFile, root: str) -> tuple[Exposure, ...]:
    """Read an ACS frame."""
    primary = file.cards()
    hst.check_imaging(primary)
    detector = check_word(primary, "DETECTOR", tuple(CAMERAS))
    return hst.read(CAMERAS[detector], check_filter(primary, ("FILTER1", "FILTER2"), blank="CLEAR"), file, root)
