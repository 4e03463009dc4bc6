"""All stars of one exposure on the frame, sorted into tiles of sky."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.masters import PLACED
from compute.kernels.identify import dependence
from compute.kernels.transforms import Transform
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
    seen: set[tuple[int, int]] = set()
    for right in (-around, 0.0, around):
        for up in (-around, 0.0, around):
            seen.update(zip(*_tile(x + right, y + up), strict=True))
    for i, j in sorted(seen):
        inside = (np.abs(x - (i + 0.5) * TILE) <= TILE / 2 + around) & (
            np.abs(y - (j + 0.5) * TILE) <= TILE / 2 + around
        )
        if inside.any():
            yield (int(i), int(j)), placed[inside].reset_index(drop=True)


def _tile(x: NDArray, y: NDArray) -> tuple[list[int], list[int]]:
    """Column and row of the tile each position is in."""
    i, j = np.floor(x / TILE).astype(int), np.floor(y / TILE).astype(int)
    both = np.unique(np.column_stack([i, j]), axis=0)
    return both[:, 0].tolist(), both[:, 1].tolist()
