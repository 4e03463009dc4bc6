"""Flag bits of MEASUREMENTS, declared once."""

from enum import IntEnum


class Flag(IntEnum):
    """What is known against a measurement; 0 is a clean star. Bits are public and never renumbered.

    Members are plain integers, so that ``stars["flags"] & Flag.EDGE`` works on pandas columns.
    """

    SATURATED = 1 << 0
    BAD_CORE = 1 << 1
    BAD_PIXELS = 1 << 2
    EDGE = 1 << 3
    NEIGHBOUR = 1 << 4
    GROUP_FIT = 1 << 5
    NOT_CONVERGED = 1 << 6
    COSMIC_RAY = 1 << 7
    EXTENDED = 1 << 8
    CUTOUT = 1 << 9
    CTE = 1 << 10
    NEAR_SATURATED = 1 << 11
    SPIKE = 1 << 12


MEANINGS = {
    Flag.SATURATED: "a saturated pixel lies in the fitted window",
    Flag.BAD_CORE: "the pixel nearest the star, or one beside it, could not be used",
    Flag.BAD_PIXELS: "some pixel of the fitted window could not be used",
    Flag.EDGE: "the fitted window reaches over the edge of the usable frame",
    Flag.NEIGHBOUR: "neighbours own more than a tenth of the light in the fitted window",
    Flag.GROUP_FIT: "fitted together with overlapping stars",
    Flag.NOT_CONVERGED: "the fit did not settle, or had too few pixels; the position is the best guess",
    Flag.COSMIC_RAY: "sharper than any star can be: cosmic ray or hot pixel",
    Flag.EXTENDED: "wider than one star: galaxy, blend or bleed",
    Flag.CUTOUT: "measured on a cutout whose origin was inferred from the header",
    Flag.CTE: "from a CTE-affected CCD without pixel-based CTE correction",
    Flag.NEAR_SATURATED: "stands on the bleed, spike or halo of a saturated star",
    Flag.SPIKE: "fainter than the spikes and halos of brighter stars are predicted to be at its place",
}
