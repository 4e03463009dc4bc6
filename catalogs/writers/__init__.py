"""Calibrated frames as the instruments' pipelines lay them out; the mirror of :mod:`catalogs.readers`.

The bytes of a file depend on nothing but what is written: no clock, no machine.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from catalogs.writers import hst, jwst, wfpc2
from catalogs.writers.frame import ChipImage, FrameFacts, SipWcs
from catalogs.writers.hst import hst_root
from catalogs.writers.jwst import jwst_root

__all__ = ["WRITERS", "ChipImage", "FrameFacts", "SipWcs", "hst_root", "jwst_root", "write_frame"]

Writer = Callable[[Path | str, FrameFacts, Sequence[ChipImage]], list[Path]]

WRITERS: dict[str, Writer] = {
    "NIRISS": jwst.write,
    "NIRCAM": jwst.write,
    "ACS": hst.write,
    "WFC3": hst.write,
    "WFPC2": wfpc2.write,
}


def write_frame(folder: Path | str, facts: FrameFacts, chips: Sequence[ChipImage]) -> list[Path]:
    """Write a calibrated frame: JWST ``_cal``, ACS or WFC3 ``_flc`` or ``_flt``, WFPC2 ``_c0m`` and ``_c1m``.

    A file appears whole or not at all, and replaces one of its name.

    Parameters
    ----------
    folder
        Local folder, made if absent.
    facts, chips
        What the headers say, and the chips of the detector, each once.

    Returns
    -------
    paths
        The science file first.

    Raises
    ------
    UnusableError
        For an instrument, detector, filter, readout or array that there is not.
    """
    return facts.pick("instrument", WRITERS)(folder, facts, chips)
