"""The ePSF, and one position and flux per star over all its exposures, solved together.

Averaging residuals at fixed positions (Anderson & King 2000, section 4.2) lets a wrong ePSF and wrong positions agree
with each other, and only dithers pull them apart, slowly. Here both move at once: least squares for the coefficients of
the ePSF and for three numbers per star, of which the latter are eliminated exactly (a Schur complement, never formed).
The ePSF alone, at fixed positions and fluxes, is the same least squares without these columns.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels.calibrate.descent import bend, conjugate_gradients
from compute.kernels.calibrate.elimination import columns, loosen, project, solve_stars, star_matrices, weigh
from compute.kernels.calibrate.stamps import Stamps, gather_stamps, sample_stamps, shine_stamps
from compute.kernels.spline import taps as taps_of
from compute.kernels.threads import each

_BLOCKS = 16  # of stars; their sums are added in order, so that results do not depend on threads


class Table(NamedTuple):
    """An ePSF: spline coefficients (n_fy, n_fx, n, n), fiducials [pix], samples per pixel, order of the spline."""

    coef: NDArray[np.float64]
    fx: NDArray[np.float64]
    fy: NDArray[np.float64]
    oversampling: int
    order: int

    @property
    def taps(self) -> tuple[int, ...]:
        """As kernels take the order."""
        return taps_of(self.order)


class Links(NamedTuple):
    """Which stamps are one star: stamps are in order of star, and `start` (S + 1,) tells where each begins.

    `slope` (K, 2, 2) is d(x, y) on the detector by d(x, y) on the frame; `gain` (K,) the stamp's flux for unit flux of
    the star. `slack` [pix] is how far a stamp may stand from where its star's common position puts it, one sigma: what
    the transformations do not describe.
    """

    start: NDArray[np.int64]
    slope: NDArray[np.float64]
    gain: NDArray[np.float64]
    slack: float


class Update(NamedTuple):
    """What one joint step changes: the ePSF's coefficients, and of each star x, y on the frame and flux (S, 3).

    Without links there are no stars. `residual` is the root of the remaining gradient over that at the beginning, after
    `steps` of conjugate gradients.
    """

    coef: NDArray[np.float64]
    star: NDArray[np.float64]
    residual: float
    steps: int


def solve(
    table: Table,
    stamps: Stamps,
    links: Links | None,
    stiffness: NDArray,
    *,
    radius: float,
    tolerance: float,
    steps: int,
    share: NDArray | None = None,
    threads: int = 1,
) -> Update:
    """One Gauss-Newton step for ePSF and stars together, or for the ePSF alone.

    Parameters
    ----------
    links
        None: positions and fluxes of all stamps are taken as they are, and only the ePSF is solved for.
    stiffness
        (n, n) weight of squared second differences of neighbouring coefficients, in units of the curvature that stars
        give a coefficient of the core.
    radius
        The sum of each fiducial's coefficients within it [pix] stays as it is: fluxes are defined by it, and stiffness
        would otherwise shrink the ePSF and let all fluxes grow. Without links fluxes stay, and nothing is held.
    tolerance, steps
        Conjugate gradients end when the gradient has fallen by this factor, or after as many steps.
    share
        (n_fiducials, n_zones): then only changes are looked for that are mixes of one table per zone, of which each
        fiducial has these shares; it is they that are smooth, not the ePSF.
    """
    system: list[_Part]
    if links is None:
        system = [_Part(table, stamps, *part) for part in _parts(np.arange(stamps.x.size + 1))]
    else:
        system = [_Linked(table, stamps, *part, links) for part in _parts(links.start)]
    each(lambda k: system[k].prepare(), len(system), threads)
    mix = _Mix(table.coef.shape, share)
    curvature = mix.reduced(_add([part.curvature for part in system], threads), power=2)
    core = np.median(curvature[curvature > 0.3 * curvature.max()]) if curvature.max() > 0 else 1.0
    spring = core * stiffness
    held = None if links is None else _inside(table.coef.shape[-1], radius * table.oversampling)

    def multiply(v: NDArray) -> NDArray:
        whole = mix.expanded(v)
        product = _add(each(lambda k: system[k].multiply(whole), len(system), threads), threads)
        return _hold(mix.reduced(product) + bend(v, spring), held)

    scale = 1.0 / (curvature + 20.0 * spring + 1e-12 * core)
    gradient = mix.reduced(_add([part.gradient for part in system], threads))
    gradient = _hold(gradient if share is not None else gradient - bend(table.coef, spring), held)
    found, residual, taken = conjugate_gradients(multiply, gradient, lambda r: _hold(scale * r, held), tolerance, steps)
    change = mix.expanded(found)
    star = np.concatenate(each(lambda k: system[k].stars(change), len(system), threads))
    return Update(change, star, residual, taken)


class _Mix:
    """Tables of fiducials as mixes of tables of zones; without shares each fiducial is its own."""

    def __init__(self, shape: tuple[int, ...], share: NDArray | None):
        self.shape, self.share = shape, share

    def expanded(self, zones: NDArray) -> NDArray:
        """Tables of the fiducials."""
        if self.share is None:
            return zones
        return (self.share @ zones.reshape(self.share.shape[1], -1)).reshape(self.shape)

    def reduced(self, fiducials: NDArray, power: int = 1) -> NDArray:
        """Sums over fiducials, each with its share to a power, (1, n_zones, n, n)."""
        if self.share is None:
            return fiducials
        sums = (self.share**power).T @ fiducials.reshape(self.share.shape[0], -1)
        return sums.reshape(1, -1, *self.shape[2:])


class _Part:
    """Some of the stamps, held where they are: their share of the normal equations."""

    def __init__(self, table: Table, stamps: Stamps, first: int, last: int):
        rows = slice(first, last)
        self.table = table
        self.stamps = stamps._replace(**{name: getattr(stamps, name)[rows] for name in stamps._fields})
        self.value = np.empty(self.stamps.light.shape)

    def _sample(self) -> tuple[NDArray, NDArray, NDArray]:
        """The ePSF and its derivatives on the stamps."""
        s, t, shape = self.stamps, self.table, self.stamps.light.shape
        psi, gx, gy = np.empty(shape), np.empty(shape), np.empty(shape)
        sample_stamps(t.coef, t.fx, t.fy, t.oversampling, t.taps, s.x, s.y, s.at_x, s.at_y, psi, gx, gy)
        return psi, gx, gy

    def _gather(self, value: NDArray) -> NDArray:
        s, t, out = self.stamps, self.table, np.zeros_like(self.table.coef)
        gather_stamps(value, t.fx, t.fy, t.oversampling, t.taps, s.x, s.y, s.at_x, s.at_y, out)
        return out

    def prepare(self) -> None:
        """What the stars' own numbers are to explain, the gradient and the diagonal."""
        psi, gx, gy = self._sample()
        self._eliminate(psi, gx, gy)
        self.missing = self.stamps.light - self.stamps.flux[:, None, None] * psi
        self.gradient = self._gather(self._projected(self.missing.copy()))
        self.curvature = _diagonal(self._gather, self.stamps)

    def _eliminate(self, psi: NDArray, gx: NDArray, gy: NDArray) -> None:
        """Nothing, for stars have no numbers of their own here."""

    def _projected(self, value: NDArray) -> NDArray:
        """Weighted pixels `value` without what stars alone can explain, times flux; in place."""
        value *= self.stamps.weight
        value *= self.stamps.flux[:, None, None]
        return value

    def multiply(self, v: NDArray) -> NDArray:
        """Normal matrix of these stamps times a change of coefficients."""
        _forward(v, self, self.value)
        return self._gather(self._projected(self.value))

    def stars(self, change: NDArray) -> NDArray:
        """What the stars change when the coefficients do."""
        return np.empty((0, 3))


class _Linked(_Part):
    """The stamps of some stars: their share of the normal equations with these stars eliminated."""

    def __init__(self, table: Table, stamps: Stamps, first: int, last: int, links: Links):
        self.start = links.start[first : last + 1] - links.start[first]
        rows = slice(links.start[first], links.start[last])
        self.slope, self.gain, self.slack = links.slope[rows], links.gain[rows], links.slack
        super().__init__(table, stamps, rows.start, rows.stop)

    def _eliminate(self, psi: NDArray, gx: NDArray, gy: NDArray) -> None:
        """Columns of the stars and their inverse matrices."""
        s, shape = self.stamps, self.stamps.light.shape
        self.own, self.columns = np.empty((2, *shape), np.float32), np.empty((3, *shape), np.float32)
        columns(psi, gx, gy, s.flux, self.slope, self.gain, self.own, self.columns)
        self.loose, self.inverse = np.empty((s.x.size, 2, 2)), np.empty((self.start.size - 1, 3, 3))
        loosen(self.own, s.weight, 1.0 / self.slack**2, self.loose)
        # Of the stars' columns, too, only what the stamps' own slack does not explain counts.
        self.seen = np.empty(self.columns.shape, np.float32)
        for column, seen in zip(self.columns, self.seen, strict=True):
            weigh(column, self.own, s.weight, self.loose, seen)
        star_matrices(self.start, self.columns, self.seen, self.inverse)

    def _projected(self, value: NDArray) -> NDArray:
        project(self.start, self.columns, self.seen, self.inverse, value, np.empty(3))
        weigh(value, self.own, self.stamps.weight, self.loose, value)
        value *= self.stamps.flux[:, None, None]
        return value

    def stars(self, change: NDArray) -> NDArray:
        """What the stars change when the coefficients do."""
        _forward(change, self, self.value)
        out = np.empty((self.start.size - 1, 3))
        solve_stars(self.start, self.seen, self.inverse, self.missing - self.value, out)
        return out


def _forward(v: NDArray, part: _Part, out: NDArray) -> None:
    """Light in pixels for a change of coefficients."""
    s, t = part.stamps, part.table
    shine_stamps(v, t.fx, t.fy, t.oversampling, t.taps, s.x, s.y, s.at_x, s.at_y, out)
    out *= s.flux[:, None, None]


def _diagonal(gather, stamps: Stamps) -> NDArray:
    """Curvature of every coefficient, near enough: each pixel's weight is shared like its light."""
    return gather((stamps.flux[:, None, None] ** 2 * stamps.weight).astype(np.float64)) * 0.2


def _parts(start: NDArray) -> list[tuple[int, int]]:
    """Runs of stars with about as many stamps in each."""
    n_stars = start.size - 1
    edges = np.unique(np.searchsorted(start, np.linspace(0, start[-1], min(_BLOCKS, n_stars) + 1).round()))
    edges[0], edges[-1] = 0, n_stars
    return list(zip(edges[:-1], edges[1:], strict=True))


def _add(arrays: list[NDArray], threads: int) -> NDArray:
    """Sum in a fixed tree, a row of fiducials at a time."""
    out = np.empty_like(arrays[0])

    def row(k: int) -> None:
        parts = [array[k] for array in arrays]
        while len(parts) > 1:
            parts = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)] + parts[len(parts) // 2 * 2 :]
        out[k] = parts[0]

    each(row, out.shape[0], threads)
    return out


def _inside(n: int, radius: float) -> NDArray[np.float64]:
    """1 for coefficients within `radius` samples of the middle."""
    offset = np.arange(n) - (n - 1) // 2
    return (np.hypot(offset, offset[:, None]) <= radius).astype(np.float64)


def _hold(v: NDArray, held: NDArray | None) -> NDArray:
    """`v` without what changes the sum over `held` of any fiducial."""
    if held is None:
        return v
    return v - held * (np.einsum("...vu,vu->...", v, held) / held.sum())[..., None, None]
