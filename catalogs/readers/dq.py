"""Data-quality bits by name, and which of them forbid the use of a pixel."""

from enum import IntFlag


class JwstBit(IntFlag):
    """JWST pixel flags this package looks at or writes (stdatamodels, ``dqflags.pixel``)."""

    DO_NOT_USE = 1 << 0
    SATURATED = 1 << 1
    JUMP_DET = 1 << 2
    NON_SCIENCE = 1 << 9
    DEAD = 1 << 10
    HOT = 1 << 11
    OTHER_BAD_PIXEL = 1 << 30
    REFERENCE_PIXEL = 1 << 31


# SATURATED or JUMP_DET alone mean "in some group of the ramp": the slope of the rest is sound and stays in use.
JWST_UNUSABLE = JwstBit.DO_NOT_USE | JwstBit.NON_SCIENCE | JwstBit.REFERENCE_PIXEL


class HstBit(IntFlag):
    """Flags of ACS and WFC3 calibrated frames (ACS and WFC3 Data Handbooks; hstcal ``acsdq.h``, ``wf3dq.h``)."""

    LOST = 1
    FILLED = 2
    BAD_PIXEL = 4
    MASKED = 8  # ACS aperture feature; WFC3/IR deviant zero read
    HOT = 16
    UNSTABLE = 32
    WARM = 64
    BAD_BIAS = 128  # ACS bad column, WFC3 bad bias or reference pixel
    FULL_WELL = 256
    BAD_FLAT = 512
    TRAP = 1024  # CCD charge trap; WFC3/IR spike in the ramp
    AD_LIMIT = 2048  # CCD A-to-D saturation; WFC3/IR signal in the zero read
    DRIZZLE_COSMIC_RAY = 4096
    COSMIC_RAY = 8192


_ALWAYS = HstBit.LOST | HstBit.FILLED | HstBit.BAD_PIXEL | HstBit.MASKED | HstBit.BAD_BIAS | HstBit.BAD_FLAT

# Traps hold back a few tens of electrons and smear them up the column: fatal to faint stars, and only 1 % of pixels.
_CCD = _ALWAYS | HstBit.UNSTABLE | HstBit.TRAP | HstBit.DRIZZLE_COSMIC_RAY | HstBit.COSMIC_RAY

ACS_UNUSABLE = _CCD | HstBit.HOT

# UVIS hot pixels are stable ones (the others are UNSTABLE) and 5 % of the chip: after dark subtraction they scatter
# like their neighbours (1.28 against 1.24 sigma in 104 s frames of 2022), so they stay and carry their own noise.
UVIS_UNUSABLE = _CCD

# The ramp fit has already cut out the reads marked TRAP or COSMIC_RAY; AD_LIMIT there only says the source is bright.
IR_UNUSABLE = _ALWAYS | HstBit.HOT | HstBit.UNSTABLE | HstBit.DRIZZLE_COSMIC_RAY


class Wfpc2Bit(IntFlag):
    """Flags of WFPC2 ``c1m``/``c1f`` files (WFPC2 Data Handbook, table of data-quality values)."""

    REED_SOLOMON = 1
    CALIBRATION = 2
    CAMERA = 4
    AD_LIMIT = 8
    MISSING = 16
    OTHER = 32
    TRAP = 128
    ABOVE_TRAP = 256
    WARM = 512
    REPAIRED_WARM = 1024
    MASKED_CHIP = 2048
    COSMIC_RAY = 4096


# A repaired warm pixel is as good as its repair; one above a trap loses a few electrons at most and is left in use.
WFPC2_UNUSABLE = (
    Wfpc2Bit.REED_SOLOMON
    | Wfpc2Bit.CALIBRATION
    | Wfpc2Bit.CAMERA
    | Wfpc2Bit.MISSING
    | Wfpc2Bit.OTHER
    | Wfpc2Bit.TRAP
    | Wfpc2Bit.WARM
    | Wfpc2Bit.MASKED_CHIP
    | Wfpc2Bit.COSMIC_RAY
)
