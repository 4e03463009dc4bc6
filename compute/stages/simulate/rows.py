"""The truth of one exposure as rows: where every source is and how bright, where the detector really looked."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.truth import POINTINGS, POSITIONS
from compute.kernels.simulate.motion import displaced
from compute.stages.simulate.headers import believed
from compute.stages.simulate.instruments import Array
from compute.stages.simulate.positions import MAS, Located
from compute.stages.simulate.setup import Setup


class Truth(NamedTuple):
    """What is true of one exposure and detector: rows of POSITIONS, and one of POINTINGS."""

    positions: pd.DataFrame
    pointing: pd.DataFrame


def source_rows(
    setup: Setup, kind: str, ids: NDArray, where: Located, mags: NDArray, electrons: NDArray, area: NDArray
) -> pd.DataFrame:
    """POSITIONS of the sources inside one array, but for their peaks."""
    on = where.inside
    j, i = (np.clip(np.rint(place[on]).astype(int), 0, size - 1)
            for place, size in zip((where.array_y, where.array_x), area.shape, strict=True))  # fmt: skip
    ra, dec = where.ra[on], where.dec[on]
    if kind == "target":
        late = (where.mjd[on] - setup.pointing.mjd_mid) * 86400 * MAS
        ra, dec = displaced(ra, dec, *(late * rate for rate in setup.observation.track))
    return pd.DataFrame({
        "exposure": setup.exposure.root, "star_id": ids[on], "kind": kind,
        "x": where.x[on], "y": where.y[on], "x_gdc": where.x_gdc[on],
        "y_gdc": where.y_gdc[on], "ra": ra, "dec": dec, "flux": electrons[on] * setup.electron / area[j, i],
        "electrons": electrons[on], "mag_ab": mags[on], "mjd": where.mjd[on], "trail_x": where.trail[0, on],
        "trail_y": where.trail[1, on],
    })  # fmt: skip


def add_peaks(positions: pd.DataFrame, expected: NDArray, array: Array, corner: tuple[int, int], most: float) -> None:
    """Brightest noiseless pixel of the 3x3 around each source, and whether it is more than `most` [e]."""
    x = np.clip(np.rint(positions["x"].to_numpy() - corner[0]).astype(int), 1, array.n_x - 2)
    y = np.clip(np.rint(positions["y"].to_numpy() - corner[1] - array.y).astype(int), 1, array.n_y - 2)
    peak = np.max([expected[y + b, x + a] for b in (-1, 0, 1) for a in (-1, 0, 1)], axis=0)
    positions["peak"] = np.maximum(peak, 0.0)
    positions["saturated"] = peak > most


def finished(setup: Setup, positions: pd.DataFrame, path: str) -> Truth:
    """Positions sorted by kind and number, and the row of POINTINGS for a detector and its file."""
    ordered = positions.sort_values(["kind", "star_id"], kind="stable", ignore_index=True)
    return Truth(POSITIONS.conform(ordered), _pointing(setup, positions, path))


def _pointing(setup: Setup, positions: pd.DataFrame, path: str) -> pd.DataFrame:
    exposure, pointing, told = setup.exposure, setup.pointing, believed(setup)
    stars = positions[positions["kind"] == "star"]
    row = {
        "exposure": exposure.root, "path": path, "field": setup.field.name, "program": setup.observation.program,
        "instrument": setup.instrument.name, "detector": setup.detector.name, "filter": exposure.filter,
        "epoch": pointing.epoch, "mjd_start": exposure.mjd_start, "mjd_mid": pointing.mjd_mid,
        "mjd_end": exposure.mjd_start + exposure.exptime / 86400, "exptime": exposure.exptime, "ra": pointing.ra,
        "dec": pointing.dec, "x_ref": pointing.middle[0], "y_ref": pointing.middle[1],
        "position_angle": pointing.position_angle, "scale": pointing.scale, "va_scale": pointing.va_scale,
        "header_ra": told.ra, "header_dec": told.dec, "header_position_angle": told.position_angle,
        "focus": exposure.focus, "core_fraction": setup.epsf.core(exposure.focus), "zero_point": setup.zero_point,
        "gain": 1 / setup.electron, "sky": setup.sky, "observer_x": pointing.observer[0],
        "observer_y": pointing.observer[1], "observer_z": pointing.observer[2],
        "track_east": setup.observation.track[0],
        "track_north": setup.observation.track[1],
        "total": setup.epsf.total, "n_stars": len(stars),
        "n_saturated": int(stars["saturated"].sum()),
    }  # fmt: skip
    return POINTINGS.conform(pd.DataFrame([row]))
