"""True and measured stars side by side."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tests.accuracy.bound import bound
from tests.accuracy.scenes import SIZE, Scene

MATCH, EDGE = 0.7, 8.0  # pix
_NEIGHBOURS, _ALONE = 12, 8.0  # looked at, and out to where [pix]
_SEEN = 5.0  # S/N of a neighbour that can be measured


def compared(scene: Scene, stars: pd.DataFrame) -> pd.DataFrame:
    """True stars that are neither saturated nor at the edge, with what was measured of them and who stands near.

    `sn` is the charge over its Cramer-Rao bound. A true and a measured star belong together where each is the other's
    nearest and they are less than 0.7 pix apart (`found`). `dx`, `dy` [pix] and `flux_off`, relative, are measured
    minus true; `z_` the same over the bound, `pull_` over the reported error.
    """
    truth = scene.truth[scene.truth["kind"] == "star"].reset_index(drop=True)
    least = bound(scene.setup, *(truth[name].to_numpy() for name in ("x", "y", "electrons")))
    row, found = _matches(truth[["x", "y"]].to_numpy(), stars[["x", "y"]].to_numpy())
    out = pd.DataFrame({"x": truth["x"], "y": truth["y"], "sn": truth["electrons"] / least.electrons, "found": found})
    got = stars.iloc[row].reset_index(drop=True)
    out["flags"] = got["flags"]
    out["dx"], out["dy"] = got["x"] - truth["x"], got["y"] - truth["y"]
    out["flux_off"] = got["flux"] / truth["flux"] - 1
    out["z_x"], out["z_y"], out["z_flux"] = out["dx"] / least.x, out["dy"] / least.y, out["flux_off"] * out["sn"]
    out["pull_x"], out["pull_y"] = out["dx"] / got["x_error"], out["dy"] / got["y_error"]
    out["pull_flux"] = (got["flux"] - truth["flux"]) / got["flux_error"]
    out["bound_x"], out["bound_y"] = least.x, least.y
    out = out.join(_surroundings(truth, out["sn"].to_numpy(), found))
    inside = out[["x", "y"]].gt(EDGE).all(axis=1) & out[["x", "y"]].lt(SIZE - 1 - EDGE).all(axis=1)
    full = truth["saturated"] & scene.setup.effects.saturation
    return out[inside & ~full].reset_index(drop=True)


def _matches(true: NDArray, measured: NDArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Nearest measured star of every true one, and whether they are each other's."""
    distance, row = cKDTree(measured).query(true)
    back = cKDTree(true).query(measured)[1]
    return row, (distance < MATCH) & (back[row] == np.arange(len(true)))


def _surroundings(truth: pd.DataFrame, sn: NDArray, found: NDArray[np.bool_]) -> pd.DataFrame:
    """Distance of the nearest true star, and what may be said of those around.

    `isolated`: none brighter within 8 pix, none of a twentieth of the light within 3; `alone`: none of a fiftieth
    within 4; `company_found`: all within 4 pix that are above S/N 5 were found.
    """
    places, charge = truth[["x", "y"]].to_numpy(), truth["electrons"].to_numpy()
    k = min(_NEIGHBOURS, len(truth) - 1) + 1
    distance, row = (each[:, 1:] for each in cKDTree(places).query(places, k=k, distance_upper_bound=_ALONE))
    there = np.isfinite(distance)
    row = np.where(there, row, 0)
    share = np.where(there, charge[row] / charge[:, None], 0.0)
    missed = (distance < 4) & (sn[row] > _SEEN) & ~found[row]
    return pd.DataFrame({
        "nearest": distance.min(axis=1),
        "isolated": ~((share > 1) | ((distance < 3) & (share > 0.05))).any(axis=1),
        "alone": ~((distance < 4) & (share > 0.02)).any(axis=1),
        "company_found": ~missed.any(axis=1),
    })  # fmt: skip


def spurious(scene: Scene, stars: pd.DataFrame) -> NDArray[np.bool_]:
    """Measured stars with no true source within 1 pix."""
    return cKDTree(scene.truth[["x", "y"]]).query(stars[["x", "y"]])[0] > 1.0
