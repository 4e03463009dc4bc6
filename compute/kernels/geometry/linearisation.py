"""Linearisations of a distortion solution, each with weights from how measurements and reference really scatter."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from compute.kernels.frame import robust
from compute.kernels.geometry.placed import Rows, own_share, positions
from compute.kernels.geometry.smoothbasis import Basis, evaluate, stiffness, surface_stiffness
from compute.kernels.geometry.starless import Layout, assemble, field_of, layout_of

_CAUCHY = 3.0  # sigma at which a residual has half its weight
_EXACT = 1e-6  # pix: residuals below are not told apart
_ALONE = 0.95  # share in a star's position from which a residual tells nothing
_TURNS = 3  # of weights and positions following each other, before each solution
_SETTLED = 5e-4  # pix
_STRIP = 64.0  # pix
_GENTLE = 1e-6  # 1/pix^2 on steps of links: those of exposures without measurements stay
_PIN = 1e3  # of the normal matrix' mean diagonal


class Priors(NamedTuple):
    """Sigmas [pix] of second differences and of values of coefficients: of the surface, of functions of x or y.

    That of the polynomial's terms holds those that nothing determines; it is felt by no other.
    """

    surface_roughness: float = 0.05
    surface_size: float = 0.2
    single_roughness: float = 0.005
    single_size: float = 0.01
    polynomial_size: float = 1.0


class Formal(NamedTuple):
    """Formal errors of positions: inverse covariances `weight` (3, n), `error` (n,) per axis, groups of like ones."""

    weight: NDArray[np.float64]
    error: NDArray[np.float64]
    groups: list[NDArray]

    @classmethod
    def of(cls, error_x: NDArray, error_y: NDArray, correlation: NDArray) -> "Formal":
        """From standard errors and correlation, each (n,)."""
        error = np.sqrt(error_x * error_y)
        weight = np.stack([1 / error_x**2, -correlation / (error_x * error_y), 1 / error_y**2]) / (1 - correlation**2)
        return cls(weight, error, robust.alike(error) if error.size else [])

    def judge(self, residual: NDArray, share: NDArray) -> tuple[NDArray, NDArray]:
        """Robust factors (n,) of weights, and real scatter over formal error (n,), of residuals (2, n).

        A residual falls short of its error by the `share` (n,) that its own position has in its star's.
        """
        xx, xy, yy = self.weight
        squared = xx * residual[0] ** 2 + 2 * xy * residual[0] * residual[1] + yy * residual[1] ** 2
        judged = share < _ALONE
        squared = np.where(judged, squared / np.maximum(1 - share, 1 - _ALONE), 0.0)
        scale = np.maximum(robust.scatter(squared, judged, self.groups, 0), _EXACT / self.error)
        return robust.cauchy(squared, _CAUCHY * scale), scale


class Judged(NamedTuple):
    """Robust factors and scales, each (n,), of measurements and (n_known,) of what is known of stars."""

    factor: NDArray[np.float64]
    scale: NDArray[np.float64]
    known_factor: NDArray[np.float64]
    known_scale: NDArray[np.float64]


class Last(NamedTuple):
    """The last linearisation: Cholesky factor of its normal matrix, its judgement, how many there were, and the largest
    change of a measurement's shift [pix].
    """

    factor: tuple[NDArray[np.float64], bool]
    judged: Judged
    rounds: int
    change: float


@dataclass
class Linearisation:
    """A problem and its present solution.

    `raw`, `fixed` (2, n) positions and known shifts of measurements in order of star, their `exposure` (n,), `start`
    (S + 1,) of each star; `some` (n_known,) stars of which something is `known` (2, S); `matrix` (n_exposures, 2, 2)
    and `offset` (n_exposures, 2) of links from corrected positions to the frame.
    """

    raw: NDArray[np.float64]
    fixed: NDArray[np.float64]
    exposure: NDArray[np.int64]
    start: NDArray[np.int64]
    formal: Formal
    some: NDArray[np.int64]
    known: NDArray[np.float64]
    formal_known: Formal
    links: str
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]

    def __post_init__(self):
        self.shift = np.zeros_like(self.raw)
        # Alike at first: a few stars sure of themselves and taken for others would lead astray.
        self.weight = np.zeros((3, self.exposure.size))
        self.weight[[0, 2]] = np.median(self.formal.weight[[0, 2]]) if self.exposure.size else 1.0
        self.prior = np.zeros((3, self.start.size - 1))
        self.prior[:, self.some] = self.formal_known.weight
        self.position, self.residual = np.zeros((2, self.start.size - 1)), np.zeros_like(self.raw)
        self.inverse = np.zeros((3, self.start.size - 1))
        measured = np.flatnonzero(np.diff(self.start))
        x, y = self.raw[:, self.start[measured]]
        self.order = measured[np.lexsort((x, y // _STRIP))]

    @property
    def corrected(self) -> NDArray[np.float64]:
        """Corrected positions (2, n) [pix]."""
        return self.raw + self.fixed + self.shift

    def rows(self, basis: Basis) -> Rows:
        """Measurements as kernels see them."""
        x, y = self.corrected
        u, v = (x - basis.x0) / basis.half, (y - basis.y0) / basis.half
        return Rows(self.raw[0], self.raw[1], u, v, self.exposure, self.start, np.linalg.inv(self.matrix))

    def place_stars(self, rows: Rows) -> None:
        """Stars to their most likely positions."""
        positions(
            rows, self.corrected, self.offset, self.weight, self.known, self.prior,
            self.position, self.residual, self.inverse,
        )  # fmt: skip

    def judge(self, rows: Rows) -> Judged:
        """Weights from the present residuals, stars placed with them."""
        for _ in range(_TURNS):
            share = np.empty(self.exposure.size)
            own_share(rows, self.weight, self.inverse, share)
            factor, scale = self.formal.judge(self.residual, share)
            (a, b, c), (d, e, f) = self.prior[:, self.some], self.inverse[:, self.some]
            known = self.formal_known.judge(
                (self.position - self.known)[:, self.some], 0.5 * (a * d + 2 * b * e + c * f)
            )
            self.weight = self.formal.weight * factor / scale**2
            self.prior[:, self.some] = self.formal_known.weight * known[0] / known[1] ** 2
            self.place_stars(rows)
        return Judged(factor, scale, *known)

    def iterate(self, basis: Basis, unknowns: NDArray, priors: Priors, rounds: int) -> tuple[NDArray, Last]:
        """Judge and solve until shifts change no more; `unknowns` are the first of all, the others begin at 0."""
        layout = layout_of(basis, self.links, len(self.matrix))
        unknowns = np.append(unknowns, np.zeros(layout.total - unknowns.size))
        stiff = _stiffness(basis, layout, priors)
        count, change = 0, np.inf
        while count < rounds and not change < _SETTLED:
            rows = self.rows(basis)
            self.place_stars(rows)
            judged = self.judge(rows)
            factor = self._step(basis, layout, rows, stiff, unknowns)
            before, self.shift = self.shift, evaluate(field_of(basis, layout, unknowns), *self.raw)
            count, change = count + 1, float(abs(self.shift - before).max(initial=0.0))
        self.place_stars(self.rows(basis))
        return unknowns, Last(factor, judged, count, change)

    def _step(
        self, basis: Basis, layout: Layout, rows: Rows, stiff: sparse.coo_array, unknowns: NDArray
    ) -> tuple[NDArray, bool]:
        """Solve for changes of the `unknowns`, which are updated, and of links."""
        normal, right = np.zeros((layout.total, layout.total)), np.zeros(layout.total)
        assemble(basis, layout, rows, self.order, self.weight, self.residual, self.inverse, normal, right)
        if not self.some.size:  # nothing else says where the frame is
            every = layout.links + layout.link * np.arange(len(self.matrix))
            for k in range(layout.link):
                normal[np.ix_(every + k, every + k)] += _PIN * np.diag(normal)[every + k].mean()
        normal[stiff.coords] += stiff.data
        right -= stiff @ unknowns
        try:
            factor = linalg.cho_factor(normal.T, lower=False, overwrite_a=True, check_finite=False)
        except linalg.LinAlgError:
            raise ValueError(
                f"{self.exposure.size} measurements of {len(self.matrix)} exposures do not determine {layout.total} "
                "unknowns of a distortion, expected a regular normal matrix"
            ) from None
        step = linalg.cho_solve(factor, right, check_finite=False)
        self._move_links(basis, layout, step[layout.links : layout.surface].reshape(-1, layout.link))
        step[layout.links : layout.surface] = 0.0
        unknowns += step
        return factor

    def _move_links(self, basis: Basis, layout: Layout, step: NDArray) -> None:
        """Links after changes (n_exposures, n) of the corrected positions that they take."""
        if layout.link == 4:
            shift, (a, b) = step[:, :2], step[:, 2:].T
            turn = np.moveaxis(np.array([[a, b], [-b, a]]), 2, 0) / basis.half
        else:
            both = step.reshape(-1, 2, 3)
            shift, turn = both[:, :, 0], both[:, :, 1:] / basis.half
        shift = shift - turn @ np.array([basis.x0, basis.y0])
        self.offset = self.offset + np.einsum("eab,eb->ea", self.matrix, shift)
        self.matrix = self.matrix + self.matrix @ turn


def _stiffness(basis: Basis, layout: Layout, priors: Priors) -> sparse.coo_array:
    """Inverse prior covariance of the unknowns, which keeps those bounded that no measurement sees."""
    gentle = np.full(layout.surface, priors.polynomial_size**-2)
    gentle[layout.links :] = _GENTLE
    blocks = [sparse.diags_array(gentle)]
    if basis.x.size * basis.y.size:
        blocks += [surface_stiffness(basis.x, basis.y, priors.surface_roughness, priors.surface_size)] * 2
    for axis, places in ((basis.columns, layout[5:7]), (basis.rows, layout[7:9])):
        single = stiffness(axis, priors.single_roughness, priors.single_size) if axis.size else None
        blocks += [single for place in places if place >= 0]
    return sparse.coo_array(sparse.block_diag(blocks, format="coo"))
