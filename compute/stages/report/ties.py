"""Numbers of single exposures against time: how they were measured, and how they lie on their frames."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from compute.stages.report.panels import zero
from compute.stages.report.style import new_figure, palette, styled

__all__ = ["QUALITY", "TIES", "Quantity", "ties", "time_figure"]

_GAP = 90.0  # d: longer ones are left out of the axis
_MOST = 5  # pieces of a broken axis
_MARKERS = "osD^v*"
_ARCSEC, _YEAR, _J2000 = 3600.0, 365.25, 51544.5


class Quantity(NamedTuple):
    """A row of panels: the column shown, that of its errors, the label, whether to mark zero, and a column whose median
    is a line.
    """

    column: str
    error: str
    label: str
    zero: bool = False
    line: str = ""


QUALITY = (
    Quantity("n_stars", "", "stars"),
    Quantity("qfit_median", "", "median QFIT"),
    Quantity("core_fraction", "", "core of the ePSF"),
)
TIES = (
    Quantity("scale", "scale_error", "scale [mas/pix]", line="scale"),
    Quantity("turn", "turn_error", "rotation − header [″]", True),
    Quantity("zero", "zero_error", "zero point [mmag]", True),
)


def ties(transforms: pd.DataFrame, exposures: pd.DataFrame) -> pd.DataFrame:
    """TRANSFORMS of exposures that lie on a frame, with `mjd_mid` and the columns of TIES.

    `turn` is the rotation less the header's position angle, and less how meridians converge: the header's north is that
    of the exposure. Its error follows from that of the scale, which a matrix known equally well in all elements shares.
    """
    keys = ["exposure", "detector"]
    rows = transforms[(transforms["status"] == "ok") & (transforms["detector"] != "")]
    rows = rows.merge(exposures[[*keys, "mjd_mid", "ra", "dec", "position_angle"]].drop_duplicates(keys), on=keys)
    turn = (rows["rotation"] - rows["position_angle"] + 180.0) % 360.0 - 180.0
    east = (rows["ra"] - rows["ra"].iloc[:1].sum() + 180.0) % 360.0 - 180.0  # of the first: no step at 0 h
    turn += (east - east.median()) * np.sin(np.radians(rows["dec"]))
    return rows.assign(
        turn=_ARCSEC * turn,
        turn_error=_ARCSEC * np.degrees(rows["scale_error"] / rows["scale"]),
        zero=1e3 * rows["zero_point"],
        zero_error=1e3 * rows["zero_point_error"],
    )


@styled
def time_figure(rows: pd.DataFrame, quantities: tuple[Quantity, ...], title: str, by: str = "filter") -> Figure:
    """Panels of quantities against time, coloured by the values of a column (Libralato et al. 2023, Fig. 18).

    Gaps of more than 90 days are cut out of the axis, unless that leaves more than five pieces; medians are of all of
    them. Quantities that no row has are left out.
    """
    rows = rows.sort_values(["mjd_mid", "exposure", "detector"], kind="stable")
    shown = [one for one in quantities if rows[one.column].notna().any()] or list(quantities[:1])
    pieces = _pieces(rows["mjd_mid"].to_numpy())
    figure, axes = new_figure(0.6 + 1.9 * len(shown), len(shown), len(pieces), sharey="row", sharex="col")
    axes = axes.reshape(len(shown), len(pieces))
    kinds = palette(sorted(rows[by].unique()))
    for column, piece in zip(axes.T, pieces, strict=True):
        when, label = _clock(rows["mjd_mid"].to_numpy()[piece], len(pieces))
        for axis, one in zip(column, shown, strict=True):
            _panel(axis, when, rows.assign(kind=rows[by]), piece, one, kinds)
        column[-1].set_xlabel(label)
    for axis, one in zip(axes[:, 0], shown, strict=True):
        axis.set_ylabel(one.label)
        axis.ticklabel_format(axis="y", useOffset=False)
    figure.align_ylabels(axes[:, 0])
    axes[0, 0].set_title(title)
    axes[0, -1].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=6, handletextpad=0.1, columnspacing=0.8,
                       fontsize=9.5, markerscale=1.3)  # fmt: skip
    return figure


def _pieces(mjd: NDArray) -> list[NDArray]:
    """Row numbers of each piece of the axis, in order of time."""
    found = np.split(np.arange(mjd.size), np.flatnonzero(np.diff(mjd) > _GAP) + 1)
    return found if len(found) <= _MOST else [np.arange(mjd.size)]


def _clock(mjd: NDArray, pieces: int) -> tuple[NDArray, str]:
    """Times as they are shown, and what they are."""
    year = 2000.0 + (mjd[0] - _J2000) / _YEAR
    span = mjd[-1] - mjd[0]
    if span > 4 * _GAP:
        return 2000.0 + (mjd - _J2000) / _YEAR, "year"
    start = f"{mjd[0]:.2f}" if pieces > 2 else f"MJD {mjd[0]:.3f} ({year:.2f})"
    unit, size = ("hours", 24.0) if span < 3 else ("days", 1.0)
    return size * (mjd - mjd[0]), f"{unit} from {start}"


def _panel(axis: Axes, when: NDArray, rows: pd.DataFrame, piece: NDArray, one: Quantity, kinds: dict[str, str]) -> None:
    if one.zero:
        zero(axis)
    value = rows[one.column].to_numpy(float)
    for k, (name, colour) in enumerate(kinds.items()):
        of = (rows["kind"] == name).to_numpy()
        mine = piece[of[piece]]
        error = rows[one.error].to_numpy(float)[mine] if one.error else None
        if one.line:
            axis.axhline(np.nanmedian(rows[one.line].to_numpy(float)[of]), color=colour, lw=0.9, ls="--")
        marker = _MARKERS[k // 6 % len(_MARKERS)]
        look: dict[str, Any] = {"marker": marker, "ms": 3.5, "lw": 0, "elinewidth": 0.9, "color": colour}
        axis.errorbar(when[of[piece]], value[mine], error, label=name, **look)
