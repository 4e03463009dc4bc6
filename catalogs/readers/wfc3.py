"""WFC3 imaging: the UVIS and IR channels."""

from catalogs.exposure import Exposure
from catalogs.readers import hst
from catalogs.readers._open import FitsFile
from catalogs.readers.checks import check_filter, check_word
from catalogs.readers.dq import IR_UNUSABLE, UVIS_UNUSABLE, HstBit
from catalogs.readers.hst_chips import Camera, ChipLayout

# Chips of UVIS have 2051 rows; the abutted frame of star lists and library ePSFs keeps 2048 of each.
CAMERAS = {
    "UVIS": Camera(
        "UVIS",
        4096,
        {2: ChipLayout("UVIS2", 2051, 2048, 0), 1: ChipLayout("UVIS1", 2051, 2048, 2048)},
        scale=39.6,
        unusable=UVIS_UNUSABLE,
        saturated=HstBit.FULL_WELL | HstBit.AD_LIMIT,
        read_noise=3.1,
        quadrants="ABCD",
    ),
    "IR": Camera(
        "IR",
        1014,
        {1: ChipLayout("IR", 1014, 1014, 0)},
        scale=128.0,
        unusable=IR_UNUSABLE,
        saturated=HstBit.FULL_WELL,
        read_noise=20.0,
        quadrants="ADBC",
        ccd=False,
    ),
}


def read(file: FitsFile, root: str) -> tuple[Exposure, ...]:
    """Read a WFC3 frame."""
    primary = file.cards()
    hst.check_imaging(primary)
    detector = check_word(primary, "DETECTOR", tuple(CAMERAS))
    return hst.read(CAMERAS[detector], check_filter(primary, ("FILTER",), blank=""), file, root)
