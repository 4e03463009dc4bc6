"""The distortion of a detector from pairs with a reference catalog: polynomials, then a look-up table.

The chain of Libralato et al. (2023, sections 4.1 and 4.2; after Bellini & Bedin 2010): link every exposure to the
reference by four parameters, so that skew stays in the distortion; average the residuals in square cells of the raw
frame; fit polynomials to the averages; add half of them; repeat until nothing changes. Then residuals in finer cells
become a table in the same manner.

Links could take up any shift, rotation or scale of the correction, which would drift for ever. So the polynomials have
none at the middle of the detector (and unit determinant there), the table none in the mean of its nodes.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernels.frame import planefit
from compute.kernels.frame.transforms import Transform
from compute.kernels.geometry import published_direct
from compute.kernels.geometry.cellmeans import FEW, Pairs, Sweep, sort, sweep
from compute.kernels.geometry.layers import Polynomial, Table

_SETTLED = 1e-2  # pix; when the correction changes by less, who is used stays so, for else cells could oscillate
_EARLY, _STALLED = 5, 0.9  # so it does when after some rounds changes become no smaller by this factor

_Layer = TypeVar("_Layer", Polynomial, Table)
_Grid: TypeAlias = tuple[NDArray, NDArray]
_Columns: TypeAlias = tuple[NDArray, NDArray, NDArray, NDArray, NDArray]


class Solution(NamedTuple):
    """A distortion, corrected = raw + polynomial(raw) + table(raw), and what it leaves.

    `polynomial` has `terms` (1, 2, p, p) [chip, axis, power of u, power of v] in pix; `table` has `values` (n, n, 2)
    [y, x, axis] in pix, its outer nodes on the edges of the detector. `links` take reference positions to corrected
    ones, one per exposure, as if exactly known. `residual` (2, n) [pix] is linked reference minus corrected position,
    NaN for pairs that are not finite; `used` (n,) tells who was averaged in the end. `polynomial_changes` and
    `table_changes` are the largest changes of the correction [pix] in each iteration.
    """

    polynomial: Polynomial
    table: Table
    links: tuple[Transform, ...]
    residual: NDArray[np.float64]
    used: NDArray[np.bool_]
    polynomial_changes: NDArray[np.float64]
    table_changes: NDArray[np.float64]


def solve(
    x: ArrayLike,
    y: ArrayLike,
    frame_x: ArrayLike,
    frame_y: ArrayLike,
    exposure: ArrayLike,
    shape: tuple[int, int],
    *,
    order: int = 5,
    cells: int = 20,
    table_cells: int = 32,
    clip: float = 3.0,
    gain: float = 0.5,
    tolerance: float = 1e-5,
    max_rounds: int = 400,
    direct: bool = False,
    threads: int = 1,
) -> Solution:
    """Polynomials and table from bright isolated stars in many exposures.

    Parameters
    ----------
    x, y
        Raw positions (n,) [0-based pix].
    frame_x, frame_y
        Reference positions of the same stars (n,) at the epoch of the exposures, in any plane and unit; it may be
        mirrored against the detector.
    exposure
        Number of the exposure each belongs to (n,), from 0.
    shape
        (n_y, n_x) of the detector; chips are solved one by one.
    order, cells, table_cells
        Total degree of the polynomials, cells to a side that they are fitted to, cells to a side of the table.
    clip
        In units of the scatter that residuals really have; see :func:`compute.kernels.geometry.cellmeans.sweep`.
    gain, tolerance, max_rounds
        Share of what is found that is added; an end to iterations when nothing changes by more [pix], or after so many.
    direct
        Least squares of all stars for polynomials and links at once, and of the table's nodes, with `gain` 1, instead
        of averages in cells.

    Raises
    ------
    ValueError
        Fewer cells with stars than terms, or an exposure with fewer than three usable stars.
    """
    good, columns, mirror = _centred(x, y, frame_x, frame_y, exposure)
    how = _How(1.0 if direct else gain, direct, clip, tolerance, max_rounds, threads)
    middle, half = ((shape[1] - 1) / 2, (shape[0] - 1) / 2), max(shape) / 2

    coarse = sort(*columns, shape, cells)
    nothing = Polynomial(np.zeros((1, 2, order + 1, order + 1)), *middle, half)
    raw = np.array([coarse.x, coarse.y])
    polynomial, _, polynomial_changes = _iterate(coarse, raw, nothing, _polynomial_step, middles(shape, cells), how)

    fine, grid = sort(*columns, shape, table_cells), nodes(shape, table_cells)
    base = np.array([fine.x, fine.y])
    polynomial.add(fine.x, fine.y, np.zeros(fine.x.size, np.int64), base)
    empty = Table(np.zeros((table_cells, table_cells, 2)), *grid)
    table, state, table_changes = _iterate(fine, base, empty, _table_step, grid, how)

    place = np.flatnonzero(good)[fine.order]
    residual, used = np.full((2, good.size), np.nan), np.zeros(good.size, np.bool_)
    residual[:, place], used[place] = state.residual, state.used
    links = tuple(_transform(link, mirror) for link in state.links)
    return Solution(polynomial, table, links, residual, used, polynomial_changes, table_changes)


class _How(NamedTuple):
    """Options of :func:`solve`."""

    gain: float
    direct: bool
    clip: float
    tolerance: float
    max_rounds: int
    threads: int


def nodes(shape: tuple[int, int], cells: int) -> _Grid:
    """Places x and y of the middles of cells, (cells,) each [pix]; of the outermost, the edges of the detector."""
    axes = middles(shape, cells)
    for axis, size in zip(axes, shape[::-1], strict=True):
        axis[[0, -1]] = -0.5, size - 0.5
    return axes


def middles(shape: tuple[int, int], cells: int) -> _Grid:
    """Places x and y of the middles of cells, (cells,) each [pix]."""
    x, y = ((np.arange(cells) + 0.5) * (size / cells) - 0.5 for size in shape[::-1])
    return x, y


def _centred(*given: ArrayLike) -> tuple[NDArray, _Columns, Transform]:
    """Who is finite (n,), the columns of those, and what took their frame to the one that links start from.

    Its middle is zero, and it has the parity of the detector.
    """
    x, y, fx, fy, e = (np.asarray(column, float).ravel() for column in given)
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(fx) & np.isfinite(fy)
    exposure = e[good].astype(np.int64)
    count = np.bincount(exposure, minlength=1)
    if count.min() < FEW:
        raise ValueError(f"exposure {count.argmin()}: found {count.min()} usable pairs, expected at least {FEW}")
    one = good & (e == count.argmax())
    parity = planefit.fit("similar", fx[one], fy[one], x[one], y[one]).transform.parity
    mirror = Transform.linear(np.diag([parity, 1.0]), (-parity * fx[good].mean(), -fy[good].mean()))
    return good, (x[good], y[good], *mirror.apply(fx[good], fy[good]), exposure), mirror


def _transform(link: NDArray, mirror: Transform) -> Transform:
    a, b, c, d = link
    whole = Transform.linear([[a, b], [-b, a]], (c, d)).compose(mirror)
    return Transform("similar", whole.coefficients, whole.covariance)


def _iterate(
    pairs: Pairs, base: NDArray, layer: _Layer, step: Callable[..., _Layer], grid: _Grid, how: _How
) -> tuple[_Layer, Sweep, NDArray]:
    """The layer when it changes no more anywhere on the `grid` (x, y), its residuals, and the largest changes."""
    x, y = (axis.ravel() for axis in np.meshgrid(*grid))
    chip, state, changes, held = np.zeros(x.size, np.int64), None, [np.inf], False
    while changes[-1] >= how.tolerance and len(changes) <= how.max_rounds:
        held = held or changes[-1] < _SETTLED or (len(changes) > _EARLY and changes[-1] > _STALLED * changes[-2])
        state = sweep(pairs, base, layer, state, held=held, clip=how.clip, threads=how.threads)
        before, layer = layer, step(pairs, state, layer, grid, how)
        shift = np.zeros((2, 2, x.size))
        before.add(x, y, chip, shift[0])
        layer.add(x, y, chip, shift[1])
        changes.append(abs(shift[1] - shift[0]).max())
    state = sweep(pairs, base, layer, state, held=True, clip=how.clip, threads=how.threads)
    return layer, state, np.array(changes[1:])


def _polynomial_step(pairs: Pairs, state: Sweep, layer: Polynomial, grid: _Grid, how: _How) -> Polynomial:
    """Polynomials of the averages, in part, on top of those there are."""
    if how.direct:
        found = published_direct.polynomials(pairs, state, layer, how.threads)
    else:
        found = fit_cells(state.mean, layer, grid)
    return layer._replace(terms=_gauged(layer.terms[0] + how.gain * found, layer.half)[None])


def fit_cells(mean: NDArray, layer: Polynomial, grid: _Grid) -> NDArray[np.float64]:
    """Terms (2, p, p) fitted to averages (2, cells), all of the same weight."""
    x, y = (axis.ravel() for axis in np.meshgrid(*grid))
    terms = published_direct.design(x, y, layer)
    known = np.isfinite(mean[0])
    if known.sum() < terms.shape[1]:
        raise ValueError(f"polynomials: found {known.sum()} cells with stars, expected at least {terms.shape[1]}")
    found = np.zeros(layer.terms.shape[1:])
    found[:, *published_direct.powers(layer.terms.shape[-1] - 1)] = np.linalg.lstsq(terms[known], mean[:, known].T)[0].T
    return found


def _gauged(terms: NDArray, half: float) -> NDArray:
    """Without shift and rotation, and with unit determinant, at the middle: the two skews are all that is linear."""
    terms = terms.copy()
    on, off = (terms[0, 1, 0] - terms[1, 0, 1]) / 2, (terms[0, 0, 1] + terms[1, 1, 0]) / 2
    growth = np.sqrt(half**2 + on**2 + off**2) - half
    terms[:, 0, 0] = 0.0
    terms[:, 1, 0], terms[:, 0, 1] = (growth + on, off), (off, growth - on)
    return terms


def _table_step(pairs: Pairs, state: Sweep, layer: Table, grid: _Grid, how: _How) -> Table:
    """Averages, in part, on top of the table there is."""
    if how.direct:
        found = published_direct.table(pairs, state, layer)
    else:
        found = np.nan_to_num(np.moveaxis(state.mean.reshape(2, layer.y.size, layer.x.size), 0, 2))
    return layer._replace(values=_unmoved(layer.values + how.gain * found, *grid))


def _unmoved(values: NDArray, x: NDArray, y: NDArray) -> NDArray:
    """Without shift, rotation and scale in the mean of nodes at `x`, `y`, which lie symmetrically."""
    values = values - values.mean((0, 1))
    x, y = (grid - grid.mean() for grid in np.meshgrid(x, y))
    size = (x**2 + y**2).sum()
    growth = (x * values[..., 0] + y * values[..., 1]).sum() / size
    turn = (y * values[..., 0] - x * values[..., 1]).sum() / size
    return values - np.stack([growth * x + turn * y, growth * y - turn * x], axis=-1)
