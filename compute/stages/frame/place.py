"""All stars of one exposure on the frame, sorted into tiles of sky."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.masters import PLACED
from compute.kernels.frame.identify import dependence
from compute.kernels.frame.transforms import Transform
from compute.settings import FrameSettings
from compute.stages.linking.sample import on_frame, sample
from compute.stages.plane import TILE

__all__ = ["margin", "place", "tiles"]


def margin(settings: FrameSettings, n_epochs: int) -> float:
    """How far around a tile detections matter to its stars [pix of the frame]: to identify and to link them."""
    return dependence(settings.radius) + settings.radius + 3.0 * settings.motion_radius * n_epochs


def place(
    stars: pd.DataFrame,
    frame: int,
    number: int,
    transform: Transform,
    floors: tuple[float, float],
    zero_point: float,
) -> pd.DataFrame:
    """MEASUREMENTS of one exposure as PLACED: what has no position is left out.

    `floors` are those of positions [pix of the frame] and of magnitudes [mag].
    """
    one = sample(stars)
    x, y, var_x, var_y, cov_xy = on_frame(one, transform, floors[0])
    columns = {
        "frame": frame,
        "number": number,
        "star": one.star,
        "x": x,
        "y": y,
        "var_x": var_x,
        "var_y": var_y,
        "cov_xy": cov_xy,
        "mag": one.mag + zero_point,
        "var_mag": one.var_mag + floors[1] ** 2,
    } | {name: stars[name].to_numpy() for name in ("qfit", "radxs", "mjd", "flags")}
    placed = PLACED.conform(pd.DataFrame(columns))
    return placed[np.isfinite(x) & np.isfinite(y)].reset_index(drop=True)


def tiles(placed: pd.DataFrame, around: float) -> Iterator[tuple[tuple[int, int], pd.DataFrame]]:
    """Each tile that any row is in or within `around` of, and those rows."""
    x, y = placed["x"].to_numpy(), placed["y"].to_numpy()
    for i in _numbers(x, around):
        near = np.flatnonzero(np.abs(x - (i + 0.5) * TILE) <= TILE / 2 + around)
        for j in _numbers(y[near], around):
            rows = near[np.abs(y[near] - (j + 0.5) * TILE) <= TILE / 2 + around]
            if rows.size:
                yield (i, j), placed.iloc[rows].reset_index(drop=True)


def _numbers(position: NDArray, around: float) -> range:
    """Columns, or rows, of tiles that positions may be within `around` of."""
    if not position.size:
        return range(0)
    return range(math.floor((position.min() - around) / TILE), math.floor((position.max() + around) / TILE) + 1)
