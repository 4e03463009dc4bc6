"""The distortion of one detector and filter from its pairs, by either method."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.distortion import DistortionCube
from catalogs.errors import UnusableError
from catalogs.layers import LookUpTable, Polynomial
from catalogs.readers.scales import amplifier_edges, detector_chips
from compute.kernels.frame.planefit import fit
from compute.kernels.frame.transforms import Transform, TransformError
from compute.kernels.geometry import combined, published
from compute.kernels.geometry.distortion import forward
from compute.kernels.geometry.smoothbasis import Basis, basis_of, evaluate
from compute.settings import GeometrySettings
from compute.stages.geometry.deliver import delivered, in_gauge, shifts
from compute.stages.geometry.pairs import Pairs
from compute.stages.layered import layers_of

__all__ = ["Found", "solve"]


class Found(NamedTuple):
    """A cube, and what is to be told of how it came about."""

    cube: DistortionCube
    told: dict[str, Any]


def solve(rows: pd.DataFrame, pairs: Pairs, settings: GeometrySettings, base: DistortionCube | None = None) -> Found:
    """Solve for the distortion, with the stars that are not reserved.

    Parameters
    ----------
    rows
        EXPOSURES, of one detector and filter, that the exposures of `pairs` number.
    base
        A distortion known before: what `update` adds a polynomial to, and what terms that nothing determines keep to.

    Raises
    ------
    UnusableError
        For the published method without a reference; for stars that do not determine the unknowns.
    """
    row = rows.iloc[0]
    chips, n_x = detector_chips(row["detector"])
    blank = DistortionCube(
        (), chips, n_x, row["instrument"], row["detector"], row["filter"], f"{_name(settings)} solution"
    )
    if settings.update and base is None:
        raise UnusableError("geometry", "no distortion to update", "one that the catalog holds already")
    try:
        if settings.published:
            found = _published(pairs, blank, settings)
        else:
            found = _smooth(pairs, blank, settings, base)
    except (ValueError, TransformError, np.linalg.LinAlgError) as error:
        raise UnusableError("geometry", error, "stars that determine a distortion") from None
    counts = {"stars": int((~pairs.reserved).sum()), "exposures": len({*pairs.exposure.tolist()})}
    told = {"method": _name(settings), "known": int(np.isfinite(pairs.places[0]).sum()), **counts}
    return Found(found.cube, told | found.told)


def _name(settings: GeometrySettings) -> str:
    if settings.update:
        return f"update of order {settings.update}"
    return settings.method


def _smooth(pairs: Pairs, blank: DistortionCube, settings: GeometrySettings, base: DistortionCube | None) -> Found:
    """One smooth field together with all links and star positions."""
    placed, exposure = np.unique(pairs.exposure, return_inverse=True)
    free = ~pairs.reserved[pairs.star]
    error_x, error_y = np.sqrt(pairs.var_x), np.sqrt(pairs.var_y)
    columns = (pairs.x, pairs.y, error_x, error_y, pairs.cov_xy / (error_x * error_y), exposure, pairs.star)
    x, y, var_x, var_y, cov_xy = np.where(pairs.reserved, np.nan, pairs.places)
    known = combined.Reference(x, y, np.sqrt(var_x), np.sqrt(var_y), cov_xy / np.sqrt(var_x * var_y))
    fixed = None if base is None else np.array(_corrected(base, pairs.x, pairs.y)) - (pairs.x, pairs.y)
    solution = combined.solve(
        combined.Measured(*(column[free] for column in columns)), known if np.isfinite(x).any() else None,
        [_linear(pairs, k, fixed) for k in placed], _basis(blank, settings), links=settings.link,
        fixed=None if fixed is None else fixed[:, free], priors=combined.Priors(polynomial_size=_HOLD), rounds=_ROUNDS,
    )  # fmt: skip
    n_y, n_x = blank.shape
    total = np.zeros((2, n_y, n_x)) if base is None else shifts(base)
    for j in range(n_y):
        total[:, j] += evaluate(solution.field, np.arange(n_x), j)
    sigma = np.sqrt(np.diag(solution.covariance))
    told: dict[str, Any] = {
        "rounds": solution.rounds, "change": solution.change,
        "terms": dict(zip(solution.terms, sigma.tolist(), strict=True)),
    }  # fmt: skip
    if _covers(pairs, blank):
        told["free"] = list(solution.free)
        if solution.free:
            told["notes"] = [_warning(solution, bool(np.isfinite(x).any()), base is not None)]
    else:
        told["free"] = []  # which are judged at the edge of the detector
        area = " and ".join(f"{a.min():.0f} to {a.max():.0f} in {n}" for a, n in ((pairs.x, "x"), (pairs.y, "y")))
        told["notes"] = [f"stars at {area} alone: beyond them nothing is determined"]
    return Found(delivered(total, blank, settings.order), told)


def _covers(pairs: Pairs, blank: DistortionCube) -> bool:
    """Whether the stars lie over nearly all of the detector."""
    n_y, n_x = blank.shape
    return bool(np.ptp(pairs.x) > _NEARLY * n_x and np.ptp(pairs.y) > _NEARLY * n_y)


def _warning(solution: combined.Solution, reference: bool, base: bool) -> str:
    """What these exposures leave free at the edge of the detector, and what would help."""
    names, total = solution.free, len(solution.terms)
    listed = ", ".join(names) if len(names) <= _NAMED else f"{len(names)} of {total} large-scale terms"
    held = "the distortion known before" if base else "zero, for no distortion was known before"
    cure = "more stars, over all of the detector" if reference else "a reference, or exposures at other rolls,"
    return f"undetermined: {listed}; held near {held}; {cure} would tell"


def _basis(blank: DistortionCube, settings: GeometrySettings) -> Basis:
    """Everything a distortion is made of, or the polynomial alone by which one is brought up to date."""
    (n_y, n_x), fine = blank.shape, not settings.update
    across, along = amplifier_edges(blank.detector) if settings.amplifiers else ([], [])
    return basis_of(
        n_x, n_y, order=settings.update or settings.order, cells=settings.cells * fine, knot=settings.knots * fine,
        breaks_x=across, breaks_y=sorted({*along, *(blank.chips[1:, 0] - 0.5).tolist()}),
    )  # fmt: skip


_NAMED = 8  # terms that a note names
_NEARLY = 0.85  # of the detector, along each axis
_HOLD = 0.1  # [pix] at the detector's edge: holds terms that are free, and moves others by less than a millipixel
_ROUNDS = 10


def _published(pairs: Pairs, blank: DistortionCube, settings: GeometrySettings) -> Found:
    """Polynomials and look-up table from pairs with the reference, chip by chip."""
    there = np.isfinite(pairs.places[0, pairs.star]) & ~pairs.reserved[pairs.star]
    if not there.any():
        raise UnusableError("geometry", "no star of a reference", "a reference, or method smooth")
    placed, found, total = np.unique(pairs.exposure), [], np.zeros((2, *blank.shape))
    for first, end in blank.chips:
        of = np.flatnonzero(there & (pairs.y >= first - 0.5) & (pairs.y < end - 0.5))
        exposure, (x, y) = np.searchsorted(placed, pairs.exposure[of]), pairs.places[:2, pairs.star[of]]
        one = published.solve(
            pairs.x[of], pairs.y[of] - first, x, y, exposure, (int(end - first), blank.n_x), order=settings.order,
            table_cells=settings.cells, direct=settings.direct,
        )  # fmt: skip
        found.append(one)
        own = DistortionCube(_layers(one), np.array([[0, end - first]]), blank.n_x)
        total[:, first:end] = _joined(shifts(own), int(first), one, found[0])
    told = {"iterations": [[len(one.polynomial_changes), len(one.table_changes)] for one in found]}
    if len(blank.chips) > 1:
        return Found(delivered(total, blank, settings.order), told)
    return Found(in_gauge(replace(blank, layers=_layers(found[0]))), told)


def _joined(own: NDArray, first: int, chip: published.Solution, base: published.Solution) -> NDArray[np.float64]:
    """Shifts (2, n_y, n_x) of a chip's pixels in the gauge of the first one, by the links of all exposures.

    The chip's own begin at row `first` of the frame.
    """
    if chip is base:
        return own
    y, x = np.mgrid[: own.shape[1], : own.shape[2]].astype(float)
    corrected = (x + own[0]).ravel(), (y + own[1]).ravel()
    both = [there.apply(*here.invert(*corrected)) for here, there in zip(chip.links, base.links, strict=True)]
    mean = np.mean(both, axis=0).reshape(own.shape)
    return mean - (x, y + first)


def _layers(found: published.Solution) -> tuple[Polynomial, LookUpTable]:
    """As cubes have them."""
    polynomial, table = found.polynomial, found.table
    return (
        Polynomial(polynomial.terms, (polynomial.x0, polynomial.y0), polynomial.half),
        LookUpTable(np.moveaxis(table.values, -1, 0), table.x, table.y),
    )


def _corrected(cube: DistortionCube, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    return forward(layers_of(cube), x, y, cube.chip_of(y))


def _linear(pairs: Pairs, k: int, fixed: NDArray | None) -> Transform:
    """Where an exposure lies, with no more distortion than is `fixed`."""
    of, told = np.flatnonzero((pairs.exposure == k) & ~pairs.reserved[pairs.star]), pairs.transforms[k]
    assert told is not None  # what is not placed has no pairs
    x, y = (pairs.x[of], pairs.y[of]) if fixed is None else (pairs.x[of] + fixed[0, of], pairs.y[of] + fixed[1, of])
    return fit("similar", x, y, *told.apply(pairs.x[of], pairs.y[of])).transform
