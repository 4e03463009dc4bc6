"""What a distortion leaves of the positions of stars: about the means of their exposures, and about a reference."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.distortion import DistortionCube
from catalogs.residuals import RESIDUALS
from compute.kernels.frame.planefit import fit
from compute.kernels.frame.transforms import Transform, TransformError
from compute.kernels.geometry.distortion import forward
from compute.settings import FrameSettings, GeometrySettings
from compute.stages.geometry.pairs import Pairs, of_epochs
from compute.stages.layered import layers_of
from compute.stages.linking.detections import Detections
from compute.stages.linking.sample import Sample
from compute.stages.linking.solve import iterate

__all__ = ["judged", "numbers", "scatter"]


def judged(names: pd.Series, pairs: Pairs, cube: DistortionCube, settings: GeometrySettings) -> pd.DataFrame:
    """Correct, average and transform the positions of `pairs`; RESIDUALS of what is left.

    Stars that were reserved have no part in the transformations; `names` are those of the exposures. Stars found in
    fewer than `min_found` exposures of an epoch have no mean worth comparing with.
    """
    parts = [_judged(names, one, cube, settings) for one in of_epochs(pairs)]
    return RESIDUALS.conform(pd.concat(parts, ignore_index=True))


def _judged(names: pd.Series, pairs: Pairs, cube: DistortionCube, settings: GeometrySettings) -> pd.DataFrame:
    """RESIDUALS of one epoch."""
    x, y = forward(layers_of(cube), pairs.x, pairs.y, cube.chip_of(pairs.y))
    of = _by_exposure(pairs)
    starts = [
        None if told is None else _fit(settings.link, x[rows], y[rows], *told.apply(pairs.x[rows], pairs.y[rows]))
        for told, rows in zip(pairs.transforms, of, strict=True)
    ]
    samples = [
        Sample(rows, x[rows], y[rows], pairs.var_x[rows], pairs.var_y[rows], pairs.cov_xy[rows], pairs.mag[rows],
               np.ones(rows.size), corrected=True) for rows in of
    ]  # fmt: skip
    how = FrameSettings(
        transform=settings.link, radius=settings.radius, min_found=settings.min_found, reserve=settings.reserve
    )
    least = max(1, min(how.min_found, sum(start is not None for start in starts)))
    found = Detections(samples, starts, list(pairs.reasons), how, least)
    means, _ = iterate(found, None, how)
    parts = []
    for k, (rows, transform) in enumerate(zip(of, found.transforms, strict=True)):
        if transform is None:
            continue
        mine = np.flatnonzero(found.exposure[found.rows] == k)
        row, star = rows[found.rows[mine] - found.first[k]], found.star[mine]
        frame = means.x[star], means.y[star], means.var_x[star], means.var_y[star]
        parts.append(_compared(names[k], pairs, row, x, y, transform, frame, reference=False))
        known = rows[np.isfinite(pairs.places[0, pairs.star[rows]])]
        if known.size > _LEAST:
            at = pairs.places[:, pairs.star[known]]
            free = ~pairs.reserved[pairs.star[known]]
            tie = _fit(settings.link, x[known[free]], y[known[free]], at[0, free], at[1, free])
            if tie is not None:
                told = at[0], at[1], at[2], at[3]
                parts.append(_compared(names[k], pairs, known, x, y, tie, told, reference=True))
    return pd.concat(parts, ignore_index=True) if parts else RESIDUALS.empty()


_LEAST = 10  # stars of an exposure to compare with a reference


def scatter(residuals: pd.DataFrame, suffix: str = "") -> float:
    """Standard deviation per axis [pix] of RESIDUALS, from the median; `suffix` may be ``_before``."""
    off = residuals[[f"dx{suffix}", f"dy{suffix}"]].abs().to_numpy()
    return float(1.4826 * np.nanmedian(off)) if len(off) else float("nan")


def numbers(residuals: pd.DataFrame) -> dict[str, float]:
    """Scatter [pix] of positions in the solution and of reserved ones, against means and against the reference.

    What cannot be told, as without a reference, is not in it.
    """
    told: dict[str, float] = {"positions": int((~residuals["reference"]).sum())}
    for against, of in (("", ~residuals["reference"]), ("reference_", residuals["reference"])):
        for which, kept in (("", ~residuals["reserved"]), ("reserved_", residuals["reserved"])):
            told[f"{against}{which}scatter"] = scatter(residuals[of & kept])
    told["scatter_before"] = scatter(residuals[~residuals["reference"]], "_before")
    return {name: value for name, value in told.items() if np.isfinite(value)}


def _by_exposure(pairs: Pairs) -> list[NDArray[np.int64]]:
    order = np.argsort(pairs.exposure, kind="stable")
    ends = np.searchsorted(pairs.exposure[order], np.arange(len(pairs.transforms) + 1))
    return [order[first:last] for first, last in zip(ends[:-1], ends[1:], strict=True)]


def _fit(kind: str, x1: NDArray, y1: NDArray, x2: NDArray, y2: NDArray) -> Transform | None:
    try:
        return fit(kind, x1, y1, x2, y2).transform
    except TransformError:
        return None


def _compared(name, pairs: Pairs, row, x, y, transform: Transform, frame, *, reference: bool):
    """Rows of RESIDUALS: places on the `frame` (x, y, var_x, var_y) carried back to the detector, less positions."""
    x0, y0, var_x, var_y = frame
    back = transform.invert(x0, y0)
    size = transform.magnification**2
    plain = _fit("similar", pairs.x[row], pairs.y[row], x0, y0)
    before = plain.invert(x0, y0) if plain is not None else (np.full(row.size, np.nan),) * 2
    columns = {
        "exposure": name, "star_id": pairs.star[row], "x": pairs.x[row], "y": pairs.y[row],
        "dx": back[0] - x[row], "dy": back[1] - y[row],
        "dx_before": before[0] - pairs.x[row], "dy_before": before[1] - pairs.y[row],
        "x_error": np.sqrt(pairs.var_x[row] + var_x / size), "y_error": np.sqrt(pairs.var_y[row] + var_y / size),
        "mag": pairs.mag[row], "reserved": pairs.reserved[pairs.star[row]], "reference": reference,
    }  # fmt: skip
    return pd.DataFrame(columns)
