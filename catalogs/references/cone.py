"""A cone of the sky, by which rows and whole pieces of files are chosen."""

from functools import reduce
from operator import or_
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["Cone"]

_MARGIN = 1e-6  # [deg], so that rounding in the file's own unit never loses a row


class Cone(NamedTuple):
    """All within `radius` of (`ra`, `dec`) [deg]."""

    ra: float
    dec: float
    radius: float

    def holds(self, ra: NDArray, dec: NDArray) -> NDArray[np.bool_]:
        """Which places are inside; ra, dec [deg]."""
        step, rise = np.radians(ra - self.ra) / 2, np.radians(dec - self.dec) / 2
        cos = np.cos(np.radians(dec)) * np.cos(np.radians(self.dec))
        return np.sin(rise) ** 2 + cos * np.sin(step) ** 2 <= np.sin(np.radians(min(self.radius, 180.0)) / 2) ** 2

    def box(self, ra: str, dec: str, per_ra: float, per_dec: float) -> pc.Expression:
        """Rows of a box around the cone, for readers that skip pieces by their least and greatest values.

        `ra`, `dec` name the columns, `per_ra` and `per_dec` are the degrees in one unit of theirs.
        """

        def between(name: str, per: float, low: float, high: float) -> pc.Expression:
            return (pc.field(name) >= (low - _MARGIN) / per) & (pc.field(name) <= (high + _MARGIN) / per)

        rows = between(dec, per_dec, self.dec - self.radius, self.dec + self.radius)
        if abs(self.dec) + self.radius >= 90:
            return rows
        half = np.degrees(np.arcsin(np.sin(np.radians(self.radius)) / np.cos(np.radians(self.dec))))
        turns = (between(ra, per_ra, self.ra + turn - half, self.ra + turn + half) for turn in (-360, 0, 360))
        return rows & reduce(or_, turns)
