"""A detector's distortion, the links of all its exposures and the positions of all stars, solved together.

A star seen at many places of the detector calibrates it by itself, down to scales much smaller than the dithers; a
reference catalogue ties the largest scales, which dithers alone leave nearly free. Both say what they know of a star's
position, weighted by how they really scatter, and one least squares combines them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from compute.kernels.frame.transforms import Transform
from compute.kernels.geometry.determined import gauge, terms_of
from compute.kernels.geometry.linearisation import Formal, Last, Linearisation, Priors
from compute.kernels.geometry.smoothbasis import Basis, Field, Splines, splines
from compute.kernels.geometry.starless import LINKS, field_of, layout_of

__all__ = ["Measured", "Priors", "Reference", "Solution", "solve"]

_PRIORS = Priors()
_ROUGH_ROUNDS = 12  # of the polynomial alone, from which splines begin


class Measured(NamedTuple):
    """Raw positions `x`, `y` (n,) [0-based pix], standard errors [pix] and correlation; indices of exposure and star.

    Errors and correlation may be one number for all.
    """

    x: ArrayLike
    y: ArrayLike
    error_x: ArrayLike
    error_y: ArrayLike
    correlation: ArrayLike
    exposure: ArrayLike
    star: ArrayLike


class Reference(NamedTuple):
    """What is known of stars: `x`, `y` (S,) on the frame, standard errors [pix of the frame] and correlation.

    NaN where nothing is.
    """

    x: ArrayLike
    y: ArrayLike
    error_x: ArrayLike
    error_y: ArrayLike
    correlation: ArrayLike


class Solution(NamedTuple):
    """A distortion, and what came with it.

    Attributes
    ----------
    field
        Shifts from raw to corrected positions; its large scale has no shift, no rotation and unit determinant at the
        middle of the detector (to first order only, where part of the distortion was fixed).
    transforms
        From corrected positions to the frame, of each exposure; taken as exactly known.
    x, y
        (S,) positions of stars on the frame; NaN where neither measured nor known.
    residual
        (2, n) star less measurement [pix of the detector]; NaN for measurements that are not finite.
    weight, reference_weight
        (n,), (S,) robust factor of each: 1 near the others, falling as the square of the distance; NaN where not used.
    scale, reference_scale
        (n,), (S,) real scatter over formal error of those with like errors.
    terms, covariance
        Names (m,) of large-scale terms, and their covariance (m, m) [pix^2 at the detector's edge], from real scatter.
    free
        Names of those that are practically undetermined.
    rounds, change
        Linearisations of the whole, and the largest change of a measurement's shift in the last [pix].
    """

    field: Field
    transforms: list[Transform]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    residual: NDArray[np.float64]
    weight: NDArray[np.float64]
    reference_weight: NDArray[np.float64]
    scale: NDArray[np.float64]
    reference_scale: NDArray[np.float64]
    terms: tuple[str, ...]
    covariance: NDArray[np.float64]
    free: tuple[str, ...]
    rounds: int
    change: float


def solve(
    measured: Measured, reference: Reference | None, start: Sequence[Transform], basis: Basis, *,
    links: str = "similar", fixed: NDArray | None = None, priors: Priors = _PRIORS, rounds: int = 5,
    free: float = 0.005,
) -> Solution:  # fmt: skip
    """Distortion by robust least squares in pixels of the detector.

    Parameters
    ----------
    reference
        None: self-calibration alone, in which the mean shift, rotation and scale of exposures stay those of `start`.
        Terms that come out as free are then held by the priors alone: make `polynomial_size` as small as they are
        expected to be, and begin from a distortion that is known by and large.
    start
        Linear transformation from corrected positions to the frame, of each exposure, good to some pixels.
    basis
        What the distortion is made of. Without splines, and of a low order, it updates one that is known:
    fixed
        (2, n) shifts [pix] of the measurements by the known part, on top of which the solved one comes.
    links
        Kind of the exposures' transformations: "similar", or "affine", which leaves no linear term to the distortion.
    priors
        How large and how rough splines may be, and how large the polynomial's terms.
    rounds
        Linearisations, at most; fewer when shifts change by less than 5e-4 pix.
    free
        Standard error at the detector's edge [pix] above which a large-scale term counts as undetermined.

    Raises
    ------
    ValueError
        For unknown links, indices without exposure or star, a reference without positions, or measurements that do not
        determine the unknowns.
    """
    if links not in LINKS:
        raise ValueError(f"links are {links!r}, expected one of {', '.join(LINKS)}")
    values, exposure, star, known = _columns(measured, reference, len(start))
    shift = np.zeros((2, exposure.size)) if fixed is None else np.asarray(fixed, float)
    order = np.lexsort((values[1], values[0], exposure, star))  # that of the measurements given does not matter
    order = order[(_usable(values) & np.isfinite(shift).all(0))[order]]
    some = np.flatnonzero(_usable(known))
    if reference is not None and not some.size:
        raise ValueError("reference positions with errors are 0, expected some, or no reference")
    begins = np.searchsorted(star[order], np.arange(known.shape[1] + 1))
    problem = Linearisation(
        values[:2, order], shift[:, order], exposure[order], begins,
        Formal.of(*values[2:, order]), some, np.nan_to_num(known[:2]), Formal.of(*known[2:, some]), links,
        np.array([transform.matrix for transform in start]),
        np.array([np.concatenate(transform.apply(0.0, 0.0)) for transform in start]),
    )  # fmt: skip
    unknowns, last = _solve(problem, basis, priors, rounds)
    layout = layout_of(basis, links, len(start))
    terms = terms_of(basis, layout)
    covariance = terms.functional @ linalg.cho_solve(last.factor, terms.functional.T, check_finite=False)
    loose = np.diag(covariance) > free**2
    field, transforms = field_of(basis, layout, unknowns), _transforms(problem)
    if fixed is None:
        field, transforms = _in_gauge(field, transforms, links)
    measurements, stars, judged = (order, exposure.size), (some, known.shape[1]), last.judged
    return Solution(
        field, transforms, problem.position[0], problem.position[1], _spread(problem.residual, *measurements),
        _spread(judged.factor, *measurements), _spread(judged.known_factor, *stars),
        _spread(judged.scale, *measurements), _spread(judged.known_scale, *stars), terms.names, covariance,
        tuple(name for name, one in zip(terms.names, loose, strict=True) if one), last.rounds, last.change,
    )  # fmt: skip


def _columns(
    measured: Measured, reference: Reference | None, n_exposures: int
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Measurements (5, n), their exposures and stars (n,), and what is known of stars (5, S)."""
    *values, exposure, star = np.broadcast_arrays(*(np.atleast_1d(column) for column in measured))
    exposure, star = exposure.astype(np.int64), star.astype(np.int64)
    n_stars = int(star.max(initial=-1)) + 1 if reference is None else max(np.size(column) for column in reference)
    for name, index, count in (("exposure", exposure, n_exposures), ("star", star, n_stars)):
        if index.size and not 0 <= index.min() <= index.max() < count:
            raise ValueError(f"indices of {name} are {index.min()} to {index.max()}, expected 0 to {count - 1}")
    known = np.full((5, n_stars), np.nan)
    if reference is not None:
        known[:] = np.broadcast_arrays(*(np.atleast_1d(np.asarray(column, float)) for column in reference))
    return np.array(values, float), exposure, star, known


def _usable(values: NDArray) -> NDArray:
    """Which of x, y, errors and correlation (5, n) are numbers that can be."""
    return np.isfinite(values).all(0) & (values[2] > 0) & (values[3] > 0) & (abs(values[4]) < 1)


def _solve(problem: Linearisation, basis: Basis, priors: Priors, rounds: int) -> tuple[NDArray, Last]:
    """The polynomial first, to which weights are judged sooner than to everything at once."""
    off_x, off_y = _off(basis.x), _off(basis.y)
    rough = basis._replace(x=off_x, y=off_y, columns=off_x, rows=off_y, cross=False)
    unknowns, last = problem.iterate(rough, np.zeros(0), priors, max(_ROUGH_ROUNDS, rounds))
    if basis.x.size or basis.columns.size:
        return problem.iterate(basis, unknowns, priors, rounds)
    return unknowns, last


def _off(axis: Splines) -> Splines:
    return splines(round(axis.edges[-1] + 0.5), 0.0)


def _transforms(problem: Linearisation) -> list[Transform]:
    return [Transform.linear(*one, problem.links) for one in zip(problem.matrix, problem.offset, strict=True)]


def _in_gauge(field: Field, transforms: list[Transform], links: str) -> tuple[Field, list[Transform]]:
    """The same positions on the frame, from a field whose large scale is in the gauge."""
    field, turn, shift = gauge(field, links == "affine")
    middle, back = np.array([field.basis.x0, field.basis.y0]), np.linalg.inv(turn)
    undo = Transform.linear(back, middle - back @ (middle + shift), links)
    return field, [transform.compose(undo) for transform in transforms]


def _spread(values: NDArray, rows: NDArray, n: int) -> NDArray[np.float64]:
    """Values (..., k) of `rows` among (..., n), NaN for the others."""
    out = np.full((*values.shape[:-1], n), np.nan)
    out[..., rows] = values
    return out
