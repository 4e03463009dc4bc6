"""Parts of figures of motions: colour-magnitude diagrams, vector-point diagrams, ellipses of Gaussians."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from numpy.typing import ArrayLike, NDArray

from compute.stages.report.motion_rows import Filters
from compute.stages.report.style import GREY

__all__ = [
    "PMDEC", "PMRA", "Component", "beyond", "coloured", "dots", "ellipse", "framed", "magnitude_axis", "middle_of",
    "vpd",
]  # fmt: skip

PMRA, PMDEC = r"$\mu_\alpha \cos\delta$ [mas/yr]", r"$\mu_\delta$ [mas/yr]"
_SHOWN = 30_000  # points
_MOTIONS = ["pmra", "pmdec"]
_INK = ("#e0a030", "#b0308f", "#3a9d6a", "#2c6fa6", "#d1495b", "#6b7a86")


class Component(NamedTuple):
    """A Gaussian of a mixture: its share, mean (2,) [mas/yr] and intrinsic covariance (2, 2) [mas2/yr2]."""

    fraction: float
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def coloured(components: Sequence[Component]) -> list[tuple[Component, str]]:
    """Each with the colour that its number has in all figures."""
    return [(one, _INK[k % len(_INK)]) for k, one in enumerate(components)]


def dots(axis: Axes, x: ArrayLike, y: ArrayLike, colour: Any, size: float = 2.0, **options: Any) -> None:
    """Points, the more transparent the more there are; of very many every n-th."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    step = max(-(-x.size // _SHOWN), 1)
    alpha = float(np.clip(40 / max(x.size // step, 1) ** 0.5, 0.25, 0.9))
    look: dict[str, Any] = {"ms": size, "alpha": alpha, "mew": 0, "rasterized": True} | options
    axis.plot(x[::step], y[::step], ".", color=colour, **look)


def magnitude_axis(axis: Axes, rows: pd.DataFrame, filters: Filters) -> None:
    """Label a colour-magnitude diagram, bright stars up, within limits that hold all but a few stars."""
    known = rows[np.isfinite(rows["colour"])]
    axis.set(xlabel=filters.colour or "no second filter", ylabel=f"{filters.mag} [mag]")
    if len(known):
        low, high = known["colour"].quantile([0.003, 0.997])
        pad = 0.08 * (high - low) + 0.02
        axis.set_xlim(low - pad, high + pad)
    if len(rows):
        axis.set_ylim(rows["mag"].max() + 0.3, rows["mag"].quantile(0.0002) - 0.3)


def middle_of(rows: pd.DataFrame, share: float = 0.97) -> tuple[NDArray[np.float64], float]:
    """(2,) median motion, and the half width about it that holds `share` of the motions [mas/yr]."""
    if rows.empty:
        return np.zeros(2), 1.0
    motions = rows[_MOTIONS].to_numpy()
    middle = np.median(motions, axis=0)
    return middle, 1.35 * float(np.quantile(np.abs(motions - middle).max(axis=1), share)) + 1e-6


def vpd(axis: Axes, middle: NDArray, reach: float) -> None:
    """Label a vector-point diagram as the sky is seen: motions to the east on the left."""
    axis.set(xlabel=PMRA, ylabel=PMDEC, box_aspect=1, xlim=(middle[0] + reach, middle[0] - reach),
             ylim=(middle[1] - reach, middle[1] + reach))  # fmt: skip
    for value, draw in zip(middle, (axis.axvline, axis.axhline), strict=True):
        draw(value, color=GREY, lw=0.6, ls=":", zorder=0.5)


def framed(axis: Axes, rows: pd.DataFrame) -> None:
    """A vector-point diagram that holds the first to 99th percentile of motions and a margin, its lines at the median.

    A few stars that move otherwise, and the Gaussians that they widen, do not set its scale.
    """
    if rows.empty:
        vpd(axis, np.zeros(2), 1.0)
        return
    motions = rows[_MOTIONS].to_numpy()
    low, high = np.percentile(motions, [1, 99], axis=0)
    (x, y), reach = (low + high) / 2, 0.65 * float((high - low).max()) + 1e-6
    vpd(axis, np.median(motions, axis=0), reach)
    axis.set(xlim=(x + reach, x - reach), ylim=(y - reach, y + reach))


def beyond(axis: Axes, rows: pd.DataFrame) -> str:
    """What a title adds where motions of some rows lie outside a vector-point diagram; empty where none does."""
    (right, left), (low, high) = sorted(axis.get_xlim()), sorted(axis.get_ylim())
    inside = rows["pmra"].between(right, left) & rows["pmdec"].between(low, high)
    return "" if inside.all() else f", {int((~inside).sum()):,} beyond"


def ellipse(axis: Axes, mean: ArrayLike, covariance: ArrayLike, colour: Any, sigmas: float = 2.0, **options: Any):
    """Outline of a Gaussian (2,), (2, 2) at so many sigmas."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, float))
    width, height = 2 * sigmas * np.sqrt(np.maximum(values, 0.0))
    angle = float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))
    look: dict[str, Any] = {"lw": 1.6, "zorder": 3} | options
    one, other = (float(value) for value in np.asarray(mean, float))
    axis.add_patch(Ellipse((one, other), width, height, angle=angle, fill=False, ec=colour, **look))
