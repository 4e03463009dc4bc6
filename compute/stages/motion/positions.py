"""Positions of stars at all epochs, on the plane that touches the sky at the field's tangent point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compute.kernels.match.crossmatch import match
from compute.kernels.motion.celestial import jacobian, project
from compute.settings import ReferenceSettings
from compute.stages.plane import CENTRE, Plane

__all__ = [
    "REFERENCE",
    "Epoch",
    "FrameKey",
    "Known",
    "Positions",
    "gather",
    "magnitudes",
    "of_frame",
    "of_sources",
    "paired",
    "times_of",
]

REFERENCE = "reference"  # stands for its filter in colours and magnitude columns
_F8 = np.float64
_KINDS = {"epoch": np.int64, "time": _F8, "x": _F8, "y": _F8, "var_x": _F8, "var_y": _F8, "cov_xy": _F8,
          "n_used": np.int64, "flags": np.uint32}  # fmt: skip
_ROWS = ["star_id", *(name for name in _KINDS if name != "epoch")]

FrameKey = tuple[str, str, float]  # a master frame's instrument, filter and epoch [Julian year]


@dataclass(frozen=True)
class Epoch:
    """One set of positions: its name, Julian year, and the observer's barycentric place [km], None where unknown.

    `key` is that of the master frame, None for a catalog.
    """

    name: str
    time: float
    key: FrameKey | None = None
    observer: tuple[float, float, float] | None = None


class Known(NamedTuple):
    """A reference catalog: its name, sources, and these as they are when stars are first seen, row by row.

    `settings` are how it was read, `systematic` is the error that all its motions share [mas/yr].
    """

    name: str
    sources: pd.DataFrame
    moved: pd.DataFrame
    settings: ReferenceSettings
    systematic: float = 0.0


class Positions(NamedTuple):
    """Positions (n,) in order of star and epoch: `x` to the east, `y` to the north of the tangent point [mas].

    `star_id` (n_stars,) ascending, `start` (n_stars + 1,) where each star's rows begin; by row: number of the `epoch`,
    `time` [yr], covariances [mas2], measurements behind it, and flags.
    """

    star_id: NDArray[np.int64]
    start: NDArray[np.int64]
    epoch: NDArray[np.int64]
    time: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    var_x: NDArray[np.float64]
    var_y: NDArray[np.float64]
    cov_xy: NDArray[np.float64]
    n_used: NDArray[np.int64]
    flags: NDArray[np.uint32]

    @property
    def star(self) -> NDArray[np.int64]:
        """Number of each row's star, (n,)."""
        return np.repeat(np.arange(self.star_id.size), np.diff(self.start))


def of_frame(master: pd.DataFrame, plane: Plane) -> pd.DataFrame:
    """MASTER rows as positions: `star_id`, then the columns of :class:`Positions`."""
    ex, ey = (master[name].to_numpy() * plane.scale for name in ("x_error", "y_error"))
    columns = {
        "star_id": master["star_id"], "time": master["mean_epoch"], "x": (CENTRE - master["x"]) * plane.scale,
        "y": (master["y"] - CENTRE) * plane.scale, "var_x": ex**2, "var_y": ey**2,
        "cov_xy": -master["xy_corr"] * ex * ey, "n_used": master["n_used"], "flags": master["flags"],
    }  # fmt: skip
    return pd.DataFrame(columns)[_ROWS]


def of_sources(sources: pd.DataFrame, plane: Plane) -> pd.DataFrame:
    """Sources of a catalog, with the `star_id` that they are, as positions."""
    ra, dec, ra_error, dec_error, correlation, epoch = (
        sources[name].to_numpy(float) for name in ("ra", "dec", "ra_error", "dec_error", "ra_dec_corr", "ref_epoch")
    )
    x, y = project(ra, dec, plane.ra, plane.dec)
    cross = correlation * ra_error * dec_error
    covariance = np.array([[ra_error**2, cross], [cross, dec_error**2]]).transpose(2, 0, 1)
    turned = jacobian(ra, dec, plane.ra, plane.dec)
    covariance = turned @ covariance @ turned.swapaxes(1, 2)
    columns = {
        "star_id": sources["star_id"], "time": epoch, "x": x, "y": y, "var_x": covariance[:, 0, 0],
        "var_y": covariance[:, 1, 1], "cov_xy": covariance[:, 0, 1], "n_used": 1, "flags": np.uint32(0),
    }  # fmt: skip
    return pd.DataFrame(columns, index=sources.index)[_ROWS]


def gather(parts: Sequence[pd.DataFrame], epochs: Sequence[Epoch] = ()) -> Positions:
    """Positions of all epochs by star; an epoch's number is its place among `parts`.

    Where `epochs` are given, stars of one time alone are left out: filters of one epoch differ by hours.
    """
    rows = pd.concat([part.assign(epoch=k) for k, part in enumerate(parts)], ignore_index=True)
    rows = rows[rows[["x", "y", "var_x", "var_y", "cov_xy"]].notna().all(axis=1)]
    if epochs:
        times = pd.Series(times_of(epochs)[rows["epoch"]], rows.index).groupby(rows["star_id"])
        rows = rows[times.transform("nunique") > 1]
    rows = rows.sort_values(["star_id", "epoch"], kind="stable")
    star_id, start = np.unique(rows["star_id"].to_numpy(np.int64), return_index=True)
    columns = {name: rows[name].to_numpy(kind) for name, kind in _KINDS.items()}
    return Positions(star_id, np.append(start, len(rows)), **columns)


def times_of(epochs: Sequence[Epoch]) -> NDArray[np.int64]:
    """By number of the epoch, which of the distinct times it is."""
    return np.unique([round(epoch.time, 2) for epoch in epochs], return_inverse=True)[1]


def paired(positions: Positions, known: Known, plane: Plane, radius: float) -> pd.DataFrame:
    """Sources that are stars, with their `star_id`: each the other's nearest, within `radius` [mas]."""
    x, y = project(known.moved["ra"], known.moved["dec"], plane.ra, plane.dec)
    first = positions.start[:-1]
    found = match(positions.x[first], positions.y[first], x, y, radius)
    return known.sources.iloc[found.second].assign(star_id=positions.star_id[found.first])


def magnitudes(masters: Mapping[FrameKey, pd.DataFrame], sources: pd.DataFrame | None = None) -> pd.DataFrame:
    """Magnitudes by `star_id`, a column for each filter, from the last epoch that has the star; NaN where none has.

    A filter that two instruments have in common is told by both names. `sources` are those of the first epoch.
    """
    columns: dict[str, pd.Series] = {}
    instruments: dict[str, set[str]] = {}
    for instrument, filter, _ in masters:
        instruments.setdefault(filter, set()).add(instrument)
    for key in sorted(masters, key=lambda key: (-key[2], key)):
        instrument, filter, _ = key
        name = filter if len(instruments[filter]) == 1 else f"{filter}_{instrument}"
        values = masters[key].set_index("star_id")["mag"]
        columns[name] = columns[name].combine_first(values) if name in columns else values
    if sources is not None:
        columns[REFERENCE] = sources.set_index("star_id")["mag"]
    return pd.DataFrame(columns).sort_index(axis=0)
