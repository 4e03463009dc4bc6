"""The stars of one tile: which detections are theirs, and their means in every frame."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.masters import MASTER, MATCHES
from compute.kernels.frame.averages import Common, mean_positions, mean_values, medians
from compute.kernels.frame.identify import identify
from compute.kernels.frame.reserve import reserved
from compute.kernels.match.crossmatch import match
from compute.settings import FrameSettings
from compute.stages.linking.sample import REJECTED
from compute.stages.plane import TILE, Plane

__all__ = ["Tile", "tile_stars"]

_PER_TILE = 1_000_000
_OFFSET, _ROW = 5_000, 10_000  # tiles as far as 5 000 either side of the origin are numbered in rows of 10 000
_J2000, _YEAR = 51544.5, 365.25


class Tile(NamedTuple):
    """MASTER rows of each frame by its number, and MATCHES rows, of the stars a tile owns."""

    masters: dict[int, pd.DataFrame]
    matches: pd.DataFrame


def tile_stars(
    placed: pd.DataFrame,
    tile: tuple[int, int],
    epoch_of: NDArray,
    least_of: NDArray,
    names: pd.DataFrame,
    plane: Plane,
    settings: FrameSettings,
) -> Tile:
    """Identify and average the stars that a tile owns.

    Detections of one epoch, whatever the filter, are identified within `radius`; stars of several epochs, from the
    first on, are those nearest each other within `motion_radius`. A star belongs to the tile its best detection is in,
    and carries the tile's number in its own.

    Parameters
    ----------
    placed
        PLACED rows of the tile and its margin, of all frames, in any order.
    epoch_of, least_of
        By frame number: number of its epoch in order of time; exposures a star must be found in.
    names
        By exposure number: `exposure`, `detector`, and what errors they share, of :func:`~.ties.shared`.
    """
    rows = placed.sort_values(["number", "star"], kind="stable", ignore_index=True)
    star = _identified(rows, epoch_of, least_of, settings)
    rows, star = rows[star >= 0].reset_index(drop=True), star[star >= 0]
    ids = _owned(rows, star, tile)
    keep = ids[star] >= 0
    rows, star_id = rows[keep].reset_index(drop=True), ids[star[keep]]
    masters, matches = {}, []
    for frame in np.unique(rows["frame"]):
        of = (rows["frame"] == frame).to_numpy()
        order = np.flatnonzero(of)[np.lexsort((rows["number"][of], star_id[of]))]
        found, linked = _means(rows.iloc[order], star_id[order], int(least_of[frame]), names, plane, settings)
        if len(found):
            masters[int(frame)] = found
            matches.append(linked)
    return Tile(masters, pd.concat(matches, ignore_index=True) if matches else MATCHES.empty())


def _identified(rows: pd.DataFrame, epoch_of: NDArray, least_of: NDArray, settings: FrameSettings) -> NDArray[np.int64]:
    """Number of each row's star, the same in all epochs; -1 for detections that are no star."""
    star = np.full(len(rows), -1, np.int64)
    x, y = rows["x"].to_numpy(), rows["y"].to_numpy()
    error = np.nan_to_num((rows["var_x"] + rows["var_y"]).to_numpy(), nan=np.inf)
    error[(rows["flags"].to_numpy() & REJECTED) != 0] += 1e6  # they found stars only where nothing better does
    number, frame = rows["number"].to_numpy(), rows["frame"].to_numpy()
    rank = np.empty(len(rows), np.int64)
    rank[np.lexsort((rows["star"], number, error))] = np.arange(len(rows))
    known_x, known_y = np.empty(0), np.empty(0)
    for epoch in np.unique(epoch_of[frame]):
        of = np.flatnonzero(epoch_of[frame] == epoch)
        local = identify(x[of], y[of], number[of], rank[of], settings.radius)
        local, founder = _often_enough(local, frame[of], least_of)
        places = x[of][founder], y[of][founder]
        pairs = match(known_x, known_y, *places, settings.motion_radius)
        name = np.full(founder.size, -1, np.int64)
        name[pairs.second] = pairs.first
        name[name < 0] = known_x.size + np.arange(np.count_nonzero(name < 0))
        star[of] = np.append(name, -1)[local]
        grown = np.full((2, max(known_x.size, name.max(initial=-1) + 1)), np.nan)
        grown[:, : known_x.size] = known_x, known_y
        grown[:, name] = places  # where it was last seen
        known_x, known_y = grown
    return star


def _often_enough(star: NDArray, frame: NDArray, least_of: NDArray) -> tuple[NDArray, NDArray]:
    """Stars numbered from 0 among those found in enough exposures of some frame, and the row that founded each."""
    founders = np.unique(star[star >= 0])
    local = np.where(star >= 0, np.searchsorted(founders, star), -1)
    there = local >= 0
    count = np.zeros((founders.size, least_of.size), np.int64)
    np.add.at(count, (local[there], frame[there]), 1)
    often = (count >= least_of).any(axis=1)
    number = np.where(often, np.cumsum(often) - 1, -1)
    return np.append(number, -1)[local], founders[often]


def _owned(rows: pd.DataFrame, star: NDArray, tile: tuple[int, int]) -> NDArray[np.int64]:
    """Id of each star the tile owns, by quality, and -1 of the others.

    A star is where its best row is, which is the same row for every tile that sees the star.
    """
    n = int(star.max(initial=-1)) + 1
    error = np.nan_to_num((rows["var_x"] + rows["var_y"]).to_numpy(), nan=np.inf)
    order = np.lexsort((rows["star"], rows["number"], error))[::-1]
    best = np.empty(n, np.int64)
    best[star[order]] = order
    x, y = rows["x"].to_numpy()[best], rows["y"].to_numpy()[best]
    mine = np.flatnonzero((np.floor(x / TILE) == tile[0]) & (np.floor(y / TILE) == tile[1]))
    mine = mine[np.lexsort((x[mine], y[mine], error[best[mine]]))]
    if mine.size >= _PER_TILE:
        raise ValueError(f"frame: found {mine.size} stars in tile {tile}, expected fewer than {_PER_TILE}")
    ids = np.full(n, -1, np.int64)
    base = (tile[1] + _OFFSET) * _ROW + tile[0] + _OFFSET
    ids[mine] = base * _PER_TILE + np.arange(mine.size)
    return ids


def _means(
    rows: pd.DataFrame, star_id: NDArray, least: int, names: pd.DataFrame, plane: Plane, settings: FrameSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """MASTER and MATCHES rows of one frame; `rows` are in order of `star_id`."""
    ids, start, count = np.unique(star_id, return_index=True, return_counts=True)
    enough = np.repeat(count >= least, count)
    rows, star_id = rows[enough], star_id[enough]
    if rows.empty:
        return MASTER.empty(), MATCHES.empty()
    ids, start, count = np.unique(star_id, return_index=True, return_counts=True)
    start, star = np.append(start, star_id.size), np.repeat(np.arange(ids.size), count)
    value = {name: rows[name].to_numpy() for name in rows}
    bad = (value["flags"] & REJECTED) != 0
    all_bad = np.logical_and.reduceat(bad, start[:-1])
    var_x, var_y, var_mag = (
        np.where(bad & ~all_bad[star], np.nan, value[name]) for name in ("var_x", "var_y", "var_mag")
    )
    group, floor, floor_mag = (names[name].to_numpy()[value["number"]] for name in ("placement", "floor", "floor_mag"))
    means, used = mean_positions(
        start, value["x"], value["y"], var_x, var_y, value["cov_xy"], settings.clip, Common(group, floor)
    )
    placed = means.n_used > 0
    mag, mag_var, rms_mag = mean_values(
        start, value["mag"], np.where(used, var_mag, np.nan), settings.clip, Common(group, floor_mag)
    )
    ra, dec = plane.sky(means.x, means.y)
    covariance = np.array([[means.var_x, means.cov_xy], [means.cov_xy, means.var_y]]).transpose(2, 0, 1)
    on_sky = plane.sky_covariance(ra, dec, covariance)
    flags = np.bitwise_and.reduceat(np.where(used | ~placed[star], value["flags"], np.uint32(2**32 - 1)), start[:-1])
    master = {
        "star_id": ids,
        "x": means.x,
        "y": means.y,
        "x_error": np.sqrt(means.var_x),
        "y_error": np.sqrt(means.var_y),
        "xy_corr": means.cov_xy / np.sqrt(means.var_x * means.var_y),
        "ra": ra,
        "dec": dec,
        "ra_error": np.sqrt(on_sky[:, 0, 0]),
        "dec_error": np.sqrt(on_sky[:, 1, 1]),
        "mag": mag,
        "mag_error": np.sqrt(mag_var),
        "n_found": count,
        "n_used": means.n_used,
        "rms_x": means.rms_x,
        "rms_y": means.rms_y,
        "rms_mag": rms_mag,
        "qfit": medians(start, value["qfit"], used),
        "radxs": medians(start, value["radxs"], used),
        "mean_epoch": 2000.0 + (np.add.reduceat(value["mjd"], start[:-1]) / count - _J2000) / _YEAR,
        "flags": flags,
    }
    kept = placed[star]
    linked = _matches(rows[kept], star_id[kept], star[kept], used[kept], means, names, plane, settings)
    return MASTER.conform(pd.DataFrame(master)[placed]), linked


def _matches(rows, star_id, star, used, means, names, plane, settings) -> pd.DataFrame:
    """MATCHES rows of stars that have a mean."""
    ra, dec = plane.sky(rows["x"].to_numpy(), rows["y"].to_numpy())
    number = rows["number"].to_numpy()
    columns = {
        "star_id": star_id,
        "exposure": names["exposure"].to_numpy()[number],
        "detector": names["detector"].to_numpy()[number],
        "star": rows["star"].to_numpy(),
        "x_frame": rows["x"].to_numpy(),
        "y_frame": rows["y"].to_numpy(),
        "dx": rows["x"].to_numpy() - means.x[star],
        "dy": rows["y"].to_numpy() - means.y[star],
        "x_error": np.sqrt(rows["var_x"].to_numpy()),
        "y_error": np.sqrt(rows["var_y"].to_numpy()),
        "ra": ra,
        "dec": dec,
        "mag": rows["mag"].to_numpy(),
        "used": used,
        "reserved": reserved(means.x[star], means.y[star], settings.reserve),
    }
    return MATCHES.conform(pd.DataFrame(columns))
