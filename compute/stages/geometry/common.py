"""What the filters of one detector share: fine structure of the detector itself, on top of each filter's polynomial."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.distortion import DistortionCube, PixelMap, Polynomial
from compute.kernels.geometry.pixelmap import nearest_medians
from compute.settings import GeometrySettings
from compute.stages.geometry.deliver import delivered, rest_of, shifts
from compute.stages.geometry.judged import judged, scatter
from compute.stages.geometry.pairs import Pairs

__all__ = ["shared", "stripe", "with_map"]

_LEAST_STARS = 5  # distinct stars behind a pixel of the map


def shared(
    cubes: Sequence[DistortionCube], pairs: Sequence[Pairs], settings: GeometrySettings
) -> Iterator[DistortionCube | None]:
    """Each camera's cube with the mean fine structure of all in place of its own, None where that is no better.

    Better is what leaves less scatter of the reserved stars, which had no part in either.
    """
    weight = np.array([len(one.x) for one in pairs], float)
    mean = np.zeros((2, *cubes[0].shape))
    for share, cube in zip(weight / weight.sum(), cubes, strict=True):
        mean += share * rest_of(cube)
    for cube, mine in zip(cubes, pairs, strict=True):
        smooth = tuple(layer for layer in cube.layers if isinstance(layer, Polynomial))
        other = delivered(shifts(replace(cube, layers=smooth)) + mean, cube, settings.order)
        own, common = (_left(one, mine, settings) for one in (cube, other))
        yield other if common < own else None


def stripe(
    residuals: Sequence[pd.DataFrame], n_x: int, first: int, end: int, settings: GeometrySettings
) -> NDArray[np.float32]:
    """Rows [first, end) of the pixel map (2, rows, n_x) [axis, y, x] of all filters together.

    The clipped median of the nearest residuals about the means of exposures (Libralato et al. 2023, section 4.3); zero
    where these are of too few stars.
    """
    kept = [one[~one["reference"] & ~one["reserved"]] for one in residuals]
    # A star is another one in every filter: only its errors in one are the same.
    star = np.concatenate([one["star_id"].to_numpy() * len(kept) + k for k, one in enumerate(kept)])
    rows = pd.concat(kept, ignore_index=True)
    values, _ = nearest_medians(
        rows["x"].to_numpy(), rows["y"].to_numpy(), rows[["dx", "dy"]].to_numpy(), star, (first, end), (0, n_x),
        count=settings.nearest, least_stars=_LEAST_STARS,
    )  # fmt: skip
    return np.moveaxis(np.nan_to_num(values), -1, 0).astype(np.float32)


def with_map(cube: DistortionCube, values: NDArray[np.float32]) -> DistortionCube:
    """The cube with a pixel map (2, n_y, n_x) added to the one it may have."""
    layers = [layer for layer in cube.layers if not isinstance(layer, PixelMap)]
    for layer in cube.layers:
        if isinstance(layer, PixelMap):
            values = values + layer.values
    return replace(cube, layers=(*layers, PixelMap(values, cube.chips)))


def _left(cube: DistortionCube, pairs: Pairs, settings: GeometrySettings) -> float:
    """Scatter of reserved stars about the means of their exposures [pix]."""
    names = pd.Series([str(k) for k in range(len(pairs.transforms))])
    residuals = judged(names, pairs, cube, settings)
    return scatter(residuals[residuals["reserved"] & ~residuals["reference"]])
