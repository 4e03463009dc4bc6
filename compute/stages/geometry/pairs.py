"""Well measured stars of all exposures of a detector and filter, on one frame and beside their reference positions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from compute.kernels.frame.planefit import fit
from compute.kernels.frame.transforms import Transform, TransformError
from compute.kernels.match.crossmatch import match
from compute.settings import CutSettings, FrameSettings, GeometrySettings
from compute.stages.linking.align import middle_of, place_roughly
from compute.stages.linking.detections import Detections
from compute.stages.linking.sample import Places, Sample, places, sample, saturated
from compute.stages.linking.solve import iterate
from compute.stages.plane import Plane
from compute.stages.select import well_measured

__all__ = ["Pairs", "gather", "joined", "of_epochs", "packed", "unpacked"]


_NEARER = (4.0, 2.0, 1.0, 1.0)  # radii within which an exposure's stars look for the reference
_MANY = 150  # pairs that determine more than an affine transformation


class Pairs(NamedTuple):
    """Measurements (n,) in order of star, the stars (S,) they are of, and exposures (E,).

    `exposure`, `star` number the latter two; `x`, `y` are raw positions and `var_x`, `var_y`, `cov_xy` their covariance
    [pix, pix2]; `mag` on one zero point. `places` (5, S) are x, y, var_x, var_y, cov_xy of the reference on the frame,
    NaN for stars it does not have; `reserved` (S,) stars are kept out of every solution. `epoch` (E,) numbers the
    epochs of exposures: a star is another one in each, for it has moved. `transforms` lead from raw positions to the
    frame, None for exposures that could not be placed, with the reason in `reasons`.
    """

    exposure: NDArray[np.int64]
    star: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    var_x: NDArray[np.float64]
    var_y: NDArray[np.float64]
    cov_xy: NDArray[np.float64]
    mag: NDArray[np.float64]
    places: NDArray[np.float64]
    reserved: NDArray[np.bool_]
    epoch: NDArray[np.int64]
    transforms: list[Transform | None]
    reasons: list[str]


def gather(
    rows: pd.DataFrame,
    measured: Sequence[pd.DataFrame],
    reference: pd.DataFrame | None,
    plane: Plane,
    settings: GeometrySettings,
) -> Pairs:
    """Choose, identify and match the stars that tell of a distortion.

    Parameters
    ----------
    rows, measured
        EXPOSURES of one detector and filter, and MEASUREMENTS of each; raw positions are used.
    reference
        Sources of a reference catalog at the exposures' epoch: `ra`, `dec`, their errors and correlation, `mag`.

    Raises
    ------
    UnusableError
        With too few stars to begin with, or exposures that share none with each other or with the reference.
    """
    samples = [_sample(stars, settings) for stars in measured]
    total = sum(one.x.size for one in samples)
    known = None if reference is None else places(reference, plane)
    how = FrameSettings(
        scale=plane.scale, raw_transform=settings.raw_transform, radius=settings.radius, min_found=settings.min_found,
        reserve=settings.reserve, rounds=10, pointing_error=settings.pointing_error,
    )  # fmt: skip
    base = middle_of(rows, plane)
    bright = [saturated(stars.assign(x_gdc=np.nan, y_gdc=np.nan)) for stars in measured]
    starts, reasons = place_roughly(rows, samples, known, base, plane, how, bright)
    least = 1 if known is not None else min(how.min_found, max(2, len(samples)))
    found = Detections(samples, starts, reasons, how, least)
    try:
        means, _ = iterate(found, known, how)
    except TransformError as error:
        placed = sum(one is not None for one in found.transforms)
        told = f"{total} stars in {len(samples)} exposures, {placed} of which could be placed ({error})"
        raise UnusableError("geometry", told, "stars common to the exposures") from None
    if known is not None:
        # What tied the means was linear: the frame has the distortion of its first exposure.
        for k, (one, transform) in enumerate(zip(samples, found.transforms, strict=True)):
            found.transforms[k] = None if transform is None else _tied(one, transform, known, settings)
        found.group()
        means = found.average()
    zero, _, _ = found.photometry(base)
    pairs = _paired(found, samples, means, zero, known, settings)
    if pairs.x.size < settings.least:
        raise UnusableError("geometry", f"{pairs.x.size} positions of well measured stars", f"{settings.least}")
    return pairs


def joined(parts: Sequence[tuple[NDArray[np.int64], Pairs]]) -> Pairs:
    """Pairs of several epochs as one; beside each stand the numbers that its exposures have among all."""
    columns: dict[str, list[NDArray]] = {name: [] for name in Pairs._fields[:-3]}
    n, first = sum(len(rows) for rows, _ in parts), 0
    epoch, reasons = np.zeros(n, np.int64), [""] * n
    transforms: list[Transform | None] = [None] * n
    for number, (rows, pairs) in enumerate(parts):
        there = pairs._replace(exposure=rows[pairs.exposure], star=first + pairs.star)
        for name, values in columns.items():
            values.append(getattr(there, name))
        for k, transform, reason in zip(rows, pairs.transforms, pairs.reasons, strict=True):
            epoch[k], transforms[k], reasons[k] = number, transform, reason
        first += pairs.reserved.size
    whole = {name: np.concatenate(values, axis=-1) for name, values in columns.items()}
    return Pairs(**whole, epoch=epoch, transforms=transforms, reasons=reasons)


def of_epochs(pairs: Pairs) -> list[Pairs]:
    """Pairs of each epoch with their numbers of exposures and stars; the exposures of others are not placed."""
    found = []
    for number in np.unique(pairs.epoch):
        rows = np.flatnonzero(pairs.epoch[pairs.exposure] == number)
        mine = {name: getattr(pairs, name)[rows] for name in Pairs._fields[:8]}
        transforms = [one if e == number else None for one, e in zip(pairs.transforms, pairs.epoch, strict=True)]
        found.append(pairs._replace(**mine, transforms=transforms))
    return found


def packed(pairs: Pairs) -> dict[str, NDArray]:
    """As plain arrays; the covariances of the transformations are left behind."""
    arrays = {name: value for name, value in pairs._asdict().items() if isinstance(value, np.ndarray)}
    placed = [one for one in pairs.transforms if one is not None]
    return arrays | {
        "placed": np.array([one is not None for one in pairs.transforms]),
        "kinds": np.array([one.kind for one in placed]),
        "coefficients": np.array([one.coefficients for one in placed]),
        "frames": np.array([[*one.centre, one.scale] for one in placed]),
        "reasons": np.array(pairs.reasons),
    }


def unpacked(arrays: dict[str, NDArray]) -> Pairs:
    """Inverse of :func:`packed`."""
    parts = zip(arrays["kinds"], arrays["coefficients"], arrays["frames"], strict=True)
    made = (
        Transform(str(kind), terms, np.zeros((terms.size,) * 2), (x, y), size) for kind, terms, (x, y, size) in parts
    )
    transforms = [next(made) if there else None for there in arrays["placed"]]
    plain = {name: arrays[name] for name in Pairs._fields[:-2]}
    return Pairs(**plain, transforms=transforms, reasons=arrays["reasons"].tolist())


def _sample(stars: pd.DataFrame, settings: GeometrySettings) -> Sample:
    """Well measured stars of one exposure at their raw positions."""
    how = CutSettings(qfit=settings.qfit, signal_to_noise=settings.signal_to_noise)
    good = stars[well_measured(stars, how)]
    found = sample(good.assign(x_gdc=np.nan, y_gdc=np.nan))
    whole = np.isfinite(found.x) & np.isfinite(found.y) & (found.var_x > 0) & (found.var_y > 0)
    order = np.flatnonzero(whole)
    return found.take(order[np.argsort(found.mag[order], kind="stable")])


def _tied(one: Sample, transform: Transform, known: Places, settings: GeometrySettings) -> Transform | None:
    """From raw positions to the reference catalog itself, nearer in every round; None with too few stars."""
    for wide in _NEARER:
        x, y = transform.apply(one.x, one.y)
        near = _about(known, x, y)
        pairs = match(x, y, known.x[near], known.y[near], wide * settings.radius)
        kind = settings.raw_transform if pairs.first.size >= _MANY else "affine"
        try:
            to = near[pairs.second]
            transform = fit(kind, one.x[pairs.first], one.y[pairs.first], known.x[to], known.y[to]).transform
        except TransformError:
            return None
    return transform


def _about(known: Places, x: NDArray, y: NDArray) -> NDArray[np.int64]:
    """The brightest reference stars where an exposure lies: fainter ones would only be near by chance."""
    inside = (known.x > x.min()) & (known.x < x.max()) & (known.y > y.min()) & (known.y < y.max())
    rows = np.flatnonzero(inside)
    return rows[np.argsort(known.mag[rows], kind="stable")[: int(1.5 * x.size)]]


def _paired(found: Detections, samples: list[Sample], means, zero: NDArray, known: Places | None, settings) -> Pairs:
    """Detections that are part of a star and of a placed exposure, beside the reference."""
    kept = np.array([found.transforms[k] is not None for k in found.exposure[found.rows]], bool)
    kept &= np.isfinite(means.x[found.star]) & np.isfinite(means.y[found.star])
    rows = found.rows[kept]
    names, star = np.unique(found.star[kept], return_inverse=True)
    exposure = found.exposure[rows]
    column = {
        name: np.concatenate([getattr(one, name) for one in samples])[rows]
        for name in ("x", "y", "var_x", "var_y", "cov_xy", "mag")
    }
    column["mag"] = column["mag"] + np.nan_to_num(zero)[exposure]
    beside = np.full((5, names.size), np.nan)
    if known is not None:
        pairs = match(means.x[names], means.y[names], known.x, known.y, settings.radius)
        beside[:, pairs.first] = np.array([known.x, known.y, known.error_x**2, known.error_y**2, known.cov_xy])[
            :, pairs.second
        ]
    return Pairs(
        exposure, star, **column, places=beside, reserved=found.reserved[names], epoch=np.zeros(len(samples), np.int64),
        transforms=list(found.transforms), reasons=list(found.reasons),
    )  # fmt: skip
