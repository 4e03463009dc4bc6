"""Where exposures lie, roughly: from headers, then from the stars they share, then from the reference catalog."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.readers.scales import nominal_scale
from compute.kernels.frame.align import align, align_near
from compute.kernels.frame.averages import Means
from compute.kernels.frame.planefit import Fit, fit
from compute.kernels.frame.transforms import Transform, TransformError
from compute.kernels.match.crossmatch import match
from compute.kernels.motion.celestial import deproject
from compute.settings import FrameSettings
from compute.stages.linking.sample import Places, Sample
from compute.stages.plane import Plane

__all__ = ["middle_of", "place_roughly", "tie_to"]

_ROLL = 1.5  # [deg] farthest a header's orientation may be wrong
_MANY = 100  # pairs from which more than a similarity is determined
_STEP = 1000.0  # [mas]

Stars = Sequence[NDArray] | NDArray  # x, y [pix] and magnitudes, (n,) each


def place_roughly(
    rows: pd.DataFrame,
    samples: Sequence[Sample],
    reference: Places | None,
    base: int,
    plane: Plane,
    settings: FrameSettings,
    bright: Sequence[Sample] | None = None,
) -> tuple[list[Transform | None], list[str]]:
    """Transformations to the frame good to a fraction of `radius`, or None and the reason.

    Exposures join one by one, the nearest to `base` first, each aligned with all stars of those before it: near where
    its header says, or else blindly; those that did not are tried again as long as others join. Then the whole is
    aligned with the reference catalog, and those that joined with none are tried on the catalog itself. Without one the
    headers' mean pointing stands. `bright` are stars of each exposure that are too bright to be in `samples`: where the
    others alone find nothing, these take part in the alignment with the catalog, which knows the field by them.
    """
    guesses = [header_guess(row, plane) for row in rows.to_dict("records")]
    x0, y0 = plane.pixel(rows["ra"], rows["dec"])
    order = np.argsort(np.hypot(x0 - x0[base], y0 - y0[base]).round(3), kind="stable")
    starts: list[Transform | None] = [None] * len(samples)
    reasons = ["ok"] * len(samples)
    union = np.empty((3, 0))
    left, before = list(order), -1
    while left and len(left) != before:
        due, before, left = left, len(left), []
        for k in due:
            one = samples[k]
            try:
                _enough(one)
                start = guesses[k] if union.size == 0 else _joined(one, union, guesses[k], plane, settings)
            except TransformError as error:
                reasons[k] = str(error)
                left.append(k)
                continue
            starts[k], union, reasons[k] = start, _grown(union, one, start, settings.radius), "ok"
    if reference is not None:
        tied = _tied(samples, starts, list(reasons), guesses, union, reference, plane, settings)
        if bright is not None and any(start is None for start in tied[0]):
            whole = [_together(one, more) for one, more in zip(samples, bright, strict=True)]
            union = _union(whole, starts, union, settings.radius)
            again = _tied(whole, starts, list(reasons), guesses, union, reference, plane, settings)
            tied = max(tied, again, key=lambda ends: sum(start is not None for start in ends[0]))
        starts, reasons = tied
    return starts, reasons


def middle_of(rows: pd.DataFrame, plane: Plane) -> int:
    """The exposure that points nearest to the middle of all."""
    x, y = plane.pixel(rows["ra"], rows["dec"])
    return int(np.argmin(np.hypot(x - np.median(x), y - np.median(y)).round(6)))


def header_guess(row: dict, plane: Plane) -> Transform:
    """Where the header puts an exposure on the frame: the middle of its array, its orientation, the nominal scale."""
    middle = row["x_start"] + (row["n_x"] - 1) / 2, row["y_start"] + (row["n_y"] - 1) / 2
    angle, size = np.radians(row["position_angle"]), nominal_scale(row["detector"])
    up = deproject(_STEP * np.sin(angle), _STEP * np.cos(angle), row["ra"], row["dec"])
    (x0, y0), (x1, y1) = plane.pixel(row["ra"], row["dec"]), plane.pixel(*up)
    b, d = ((x1 - x0), (y1 - y0)) * np.array(size / _STEP)
    matrix = np.array([[d, b], [-b, d]])  # +x is +y turned clockwise, as the sky is seen
    return Transform.linear(matrix, np.array([x0, y0]) - matrix @ middle, "similar")


def _enough(one: Sample) -> None:
    if one.x.size < 3:
        raise TransformError(f"alignment: found {one.x.size} good stars, expected at least 3")


def _joined(one: Sample, union: NDArray, guess: Transform, plane: Plane, settings: FrameSettings) -> Transform:
    """An exposure aligned with the stars of others."""
    start = _aligned((one.x, one.y, one.mag), union, guess, plane, settings)
    kind = settings.transform if one.corrected else settings.raw_transform
    for _ in range(2):
        x, y = start.apply(one.x, one.y)
        pairs = match(x, y, union[0], union[1], settings.radius * (1 if one.corrected else 3))
        if pairs.first.size < _MANY:
            return start
        seen = union[:, pairs.second]
        start = fit(kind, one.x[pairs.first], one.y[pairs.first], seen[0], seen[1]).transform
    return start


def _aligned(stars: Stars, others: Stars, guess: Transform, plane: Plane, settings: FrameSettings) -> Transform:
    """Near the guess, or else blindly; TransformError where neither is certain."""
    (x, y, mag), (x2, y2, mag2) = stars, others
    radius = 1000.0 * settings.pointing_error / plane.scale
    try:
        found = align_near(x, y, mag, x2, y2, mag2, guess, radius=radius, roll=_ROLL)
    except TransformError:
        found = align(x, y, mag, x2, y2, mag2, scale=guess.magnification, scale_tolerance=0.02, parity=guess.parity)
    return found.refined if found.first.size >= _MANY else found.transform


def _grown(union: NDArray, one: Sample, start: Transform, radius: float) -> NDArray:
    """The union of stars (x, y, mag) with those of another exposure that it did not have."""
    x, y = start.apply(one.x, one.y)
    pairs = match(x, y, union[0], union[1], 2 * radius)
    new = np.ones(x.size, bool)
    new[pairs.first] = False
    return np.hstack([union, [x[new], y[new], one.mag[new]]])


def _together(one: Sample, more: Sample) -> Sample:
    """Stars of two samples of an exposure."""
    columns = zip(one._fields[:-1], one[:-1], more[:-1], strict=True)
    joined: dict[str, Any] = {name: np.concatenate([here, there]) for name, here, there in columns}
    return one._replace(**joined)


def _union(samples: Sequence[Sample], starts: Sequence[Transform | None], union: NDArray, radius: float) -> NDArray:
    """The union of stars with all it lacks of the exposures that joined."""
    for one, start in zip(samples, starts, strict=True):
        union = union if start is None else _grown(union, one, start, radius)
    return union


def _tied(
    samples, starts, reasons, guesses, union, reference: Places, plane: Plane, settings: FrameSettings
) -> tuple[list[Transform | None], list[str]]:
    """All moved to where the reference catalog is, and reasons; exposures apart from the rest are aligned directly."""
    identity = Transform.linear(np.eye(2), np.zeros(2), "similar")
    known = reference.x, reference.y, reference.mag
    tie = None
    try:
        tie = _linear(_aligned(union, known, identity, plane, settings))
    except TransformError as error:
        for k, start in enumerate(starts):
            reasons[k] = f"reference catalog: {error}" if start is not None else reasons[k]
    found: list[Transform | None] = []
    for k, (one, start) in enumerate(zip(samples, starts, strict=True)):
        if start is not None:
            found.append(after(tie, start) if tie is not None else None)
            continue
        try:
            _enough(one)
            found.append(_aligned((one.x, one.y, one.mag), known, guesses[k], plane, settings))
            reasons[k] = "ok"
        except TransformError as error:
            found.append(None)
            reasons[k] = f"{reasons[k]}; reference catalog: {error}"
    return found, reasons


def _linear(transform: Transform) -> Transform:
    """The part of the first order, at the centre."""
    return Transform(
        "affine", transform.coefficients[:, :3], np.zeros((6, 6)), transform.centre, transform.scale
    ) if transform.order > 1 else transform  # fmt: skip


def after(linear: Transform, first: Transform) -> Transform:
    """A linear transformation after another of any order, as if both were exactly known."""
    coefficients = linear.matrix @ first.coefficients
    coefficients[:, 0] = np.ravel(linear.apply(*first.coefficients[:, :1]))
    kind = max(linear.kind, first.kind, key=_GENERAL.index)
    return Transform(kind, coefficients, 0 * first.covariance, first.centre, first.scale)


_GENERAL = ("shift", "similar", "affine", "poly2", "poly3", "poly4", "poly5")


def tie_to(means: Means, reserved: NDArray[np.bool_], reference: Places, settings: FrameSettings) -> Fit:
    """What brings mean positions, but those `reserved` (n,), onto the reference; TransformError for too few pairs."""
    pairs = match(means.x, means.y, reference.x, reference.y, 2 * settings.radius)
    kept = ~reserved[pairs.first]
    one, other = pairs.first[kept], pairs.second[kept]
    return fit(
        settings.tie, means.x[one], means.y[one], reference.x[other], reference.y[other],
        np.sqrt(means.var_x[one] + reference.error_x[other] ** 2),
        np.sqrt(means.var_y[one] + reference.error_y[other] ** 2),
    )  # fmt: skip
