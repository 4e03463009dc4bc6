"""Where the stars of a field were on detectors, and frames that show a part of it; for pages of motions."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.catalog import field_path, measurement_path
from catalogs.errors import PiazziError
from catalogs.masters import MATCHES
from catalogs.readers import read_exposures
from catalogs.store import Store
from catalogs.tables import MEASUREMENTS
from compute.graph.report_tasks import read
from compute.kernels.motion.celestial import project
from compute.stages.report.cutout import Sighting

__all__ = ["Detections", "mean_places", "on_detectors", "sightings"]

_COLUMNS = ["star_id", "exposure", "detector", "star", "ra", "dec", "used"]
_FRAMES = 4  # of each filter that are put together
_REACH = 3.0  # of the half width: stars that place a frame
_LEAST = 6  # of them

Detections = dict[tuple[str, str], pd.DataFrame]


def on_detectors(store: Store, field: str, exposures: pd.DataFrame) -> Detections:
    """What is part of master frames, by exposure and detector: `star_id`, `ra`, `dec`, and raw `x`, `y` [pix].

    `exposures` are the EXPOSURES of the catalog.
    """
    parts = []
    for path in store.list(field_path("matches", field), ".parquet"):
        if path.rsplit("/", 1)[1].startswith("part-"):
            part = read(store, path, MATCHES, _COLUMNS)
            parts.append(part[part["used"]].drop(columns="used"))
    rows = {(row["exposure"], row["detector"]): row for row in exposures.to_dict("records")}
    found: Detections = {}
    for key, part in pd.concat(parts).groupby(["exposure", "detector"]) if parts else ():
        if key in rows:
            known = read(store, measurement_path(rows[key]), MEASUREMENTS, ["star", "x", "y"])
            found[key] = part.drop(columns=["exposure", "detector"]).merge(known, on="star")
    return found


def mean_places(detections: Detections, star_id: NDArray) -> Iterator[tuple[str, NDArray, NDArray]]:
    """For each detector the mean raw positions (n, 2) [pix] of stars there, and which rows of `star_id` they are.

    `star_id` is ascending.
    """
    for detector in sorted({detector for _, detector in detections}):
        rows = pd.concat([part for (_, of), part in sorted(detections.items()) if of == detector])
        means = rows.groupby("star_id")[["x", "y"]].mean()
        at = np.searchsorted(star_id, means.index)
        there = (at < star_id.size) & (star_id[np.minimum(at, star_id.size - 1)] == means.index)
        yield detector, means.to_numpy()[there], at[there]


def sightings(
    detections: Detections, exposures: pd.DataFrame, filters: Sequence[str], middle: tuple[float, float],
    centre: tuple[float, float], half: float,
) -> list[Sighting]:  # fmt: skip
    """Frames that can be read and hold a place: a few in each filter.

    `middle` is ra, dec [deg] of where east and north are counted from, `centre` and `half` [arcsec] the part shown.
    """
    found = []
    for filter, rows in exposures[exposures["filter"].isin(filters)].groupby("filter"):
        found += _of_filter(detections, str(filter), rows, middle, centre, half)
    return found


def _of_filter(detections, filter, rows, middle, centre, half) -> list[Sighting]:
    found: list[Sighting] = []
    for row in rows.sort_values(["exposure", "detector"], kind="stable").itertuples():
        part = detections.get((row.exposure, row.detector))
        if part is None or len(found) == _FRAMES:
            continue
        xi, eta = project(part["ra"].to_numpy(), part["dec"].to_numpy(), *middle)
        stars = part.assign(east=1e-3 * xi, north=1e-3 * eta)
        off = np.maximum(np.abs(stars["east"] - centre[0]), np.abs(stars["north"] - centre[1]))
        if (off < _REACH * half).sum() < _LEAST or not (off < half).any():
            continue
        try:
            read_in = read_exposures(row.path)
        except (OSError, PiazziError):
            continue  # frames may be elsewhere by now
        found += [Sighting(filter, one, stars) for one in read_in if one.header.detector == row.detector]
    return found
