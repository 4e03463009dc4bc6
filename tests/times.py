"""JWST frames with the times that tests ask for."""

import numpy as np
from astropy.io import fits

from tests.frames import tan_cards, write_jwst

FULL = {"SUBARRAY": "FULL", "SUBSTRT1": 1, "SUBSTRT2": 1, "SUBSIZE1": 2048, "SUBSIZE2": 2048}
MIDDLE = 59700.001  # EXPMID of the frames written here
ROUNDING = 2e-6  # s; the last digit of an MJD in double precision is 0.6 microseconds


def written(tmp_path, name="a_cal.fits", **changes):
    return write_jwst(tmp_path / name, **changes)


def full_frame(tmp_path, origin, primary=None, scale=65.5, **changes):
    """A cutout of 64x64 pixels of a full frame, from 0-based `origin`."""
    sci = tan_cards(scale, (1024.5 - origin[0], 1024.5 - origin[1]))
    return written(tmp_path, primary=FULL | (primary or {}), sci=sci, **changes)


def with_integrations(path, middles, numbers=None, half=1e-4, barycentric=0.0, columns=None):
    """Append INT_TIMES with a row for every one of `middles` [MJD]."""
    middles = np.asarray(middles, float)
    numbers = np.arange(1, len(middles) + 1) if numbers is None else numbers
    table = {"integration_number": ("J", numbers)}
    for scale, offset in (("MJD_UTC", 0.0), ("BJD_TDB", barycentric)):
        for part, shift in (("start", -half), ("mid", 0.0), ("end", half)):
            table[f"int_{part}_{scale}"] = ("D", middles + shift if scale == "MJD_UTC" else middles * 0 + offset)
    columns = [fits.Column(name, kind, array=values) for name, (kind, values) in table.items() if columns is None or
               name in columns]  # fmt: skip
    with fits.open(path, mode="append") as hdus:
        hdus.append(fits.BinTableHDU.from_columns(columns, name="INT_TIMES"))
    return path


def seconds(mjd, since=MIDDLE):
    return (np.asarray(mjd) - since) * 86400
