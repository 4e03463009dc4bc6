"""Which transformation brings one list of stars onto another, of which little or nothing is known beforehand."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, QhullError

from compute.kernels.frame.asterisms import agreeing, hypotheses, neighbouring
from compute.kernels.frame.chance import Field, Pairs
from compute.kernels.frame.planefit import fit
from compute.kernels.frame.transforms import KINDS, Transform, TransformError

_LEVELS = (1.0, 2.5, 6.0, 16.0)  # times _BRIGHT stars are tried
_BRIGHT = 60  # brightest stars of the list that covers less sky, or all where it has less
_DEEP = 2000  # stars that refine and count in the end
_LARGEST = 4000  # stars of the list that covers more
_GROUPS = 12  # of hypotheses that are tried
_REFINED = ("similar", "affine", "poly2", "poly3")
_ROUNDS = 6  # of pairing and fitting, for each kind
_CERTAIN = 6.0  # least confidence; 60 pairs of unrelated fields had at most -2.4

Seeds = Iterator[tuple[NDArray, NDArray]]


class Alignment(NamedTuple):
    """How the first list lies on the second.

    `transform` is the similarity; `refined` the transformation, up to third order, with which pairs are the least
    likely to be chance: `first`, `second` (n_pairs,) are their indices in the lists given, all closer than `radius`,
    where `expected` are due to chance. `confidence` is -log10 of the number of alignments as good that are expected of
    unrelated fields. Only bright stars take part.
    """

    transform: Transform
    refined: Transform
    first: NDArray
    second: NDArray
    radius: float
    expected: float
    confidence: float


def align(
    x1: ArrayLike, y1: ArrayLike, mag1: ArrayLike, x2: ArrayLike, y2: ArrayLike, mag2: ArrayLike, *,
    scale: float = 1.0, scale_tolerance: float = 0.01, distortion: float = 0.03, parity: int | None = None,
) -> Alignment:  # fmt: skip
    """Blind alignment of (n1,) and (n2,) stars: any rotation, any shift, either parity unless one is given.

    Triangles of bright neighbours that are alike suggest similarities; those that many triangles agree upon are tried
    on the stars, and accepted where chance cannot explain the pairs found. Magnitudes only tell which stars are bright.

    Parameters
    ----------
    scale, scale_tolerance
        Units of the second list per unit of the first, and the share by which it may differ.
    distortion
        Share by which ratios of distances between neighbouring stars may differ.

    Raises
    ------
    TransformError
        No alignment that is certain, with the pairs of the best one.
    """
    one, other = _List.of(x1, y1, mag1), _List.of(x2, y2, mag2)

    def seeds(n1: int, n2: int) -> Seeds:
        z = one.z[:n1] - one.z[:n1].mean()
        found = hypotheses(z, other.z[:n2], scale, scale_tolerance, distortion, parity)
        for group in agreeing(found, abs(z).max(), _GROUPS):
            yield found.first[group].ravel(), found.second[group].ravel()

    return _first_certain(one, other, scale, seeds)


def align_near(
    x1: ArrayLike, y1: ArrayLike, mag1: ArrayLike, x2: ArrayLike, y2: ArrayLike, mag2: ArrayLike, guess: Transform, *,
    radius: float, roll: float = 1.0,
) -> Alignment:  # fmt: skip
    """Alignment of (n1,) and (n2,) stars near the linear `guess`, which is wrong by at most `radius` and `roll` [deg].

    The histogram of differences between all bright stars has a peak at the true shift, for the true roll.

    Raises
    ------
    TransformError
        No alignment that is certain, with the pairs of the best one.
    """
    one, other = _List.of(x1, y1, mag1), _List.of(x2, y2, mag2)
    x, y = guess.apply(one.z.real, one.z.imag)

    def seeds(n1: int, n2: int) -> Seeds:
        return neighbouring(x[:n1] + 1j * y[:n1], other.z[:n2], radius, float(np.radians(roll)), _GROUPS)

    return _first_certain(one, other, guess.magnification, seeds)


class _List(NamedTuple):
    """Finite stars z = x + iy by decreasing brightness, with their `indices` in the list given."""

    z: NDArray
    indices: NDArray
    area: float

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike, mag: ArrayLike) -> "_List":
        z, mag = np.asarray(x, float) + 1j * np.asarray(y, float), np.asarray(mag, float)
        index = np.flatnonzero(np.isfinite(z) & np.isfinite(mag))
        index = index[np.argsort(mag[index], kind="stable")]
        z = z[index]
        try:
            area = float(ConvexHull(np.column_stack([z.real, z.imag])).volume)
        except (QhullError, ValueError):
            raise TransformError(
                f"alignment: found {z.size} stars without an area, expected a field of 3 or more"
            ) from None
        return cls(z, index, area)


class _Trial(NamedTuple):
    """A transformation and the pairs it makes; `confidence` as in `Alignment`."""

    transform: Transform
    pairs: Pairs
    confidence: float


class _Stars:
    """The brightest `level` stars of the list that covers less sky, and as many per area of the other one."""

    def __init__(self, one: _List, other: _List, scale: float, level: float):
        area = np.array([one.area * scale**2, other.area])
        count = min(level, _LARGEST * area.min() / area.max()) * area / area.min()
        self.z1, self.z2 = one.z[: int(np.ceil(count[0]))], other.z[: int(np.ceil(count[1]))]
        self.field = Field(self.z2.real, self.z2.imag)
        self.trials = (
            np.log10(2.0) + 2 * np.log10(self.z1.size) + 2 * np.log10(self.z2.size)
        )  # similarities by two pairs

    def pairs(self, transform: Transform) -> _Trial:
        """Pairs that `transform` makes."""
        at = transform.apply(self.z1.real, self.z1.imag)
        pairs = self.field.pairs(*at, free=KINDS[transform.kind][1] / 2)
        return _Trial(transform, pairs, pairs.significance - self.trials)

    def fit(self, kind: str, first: NDArray, second: NDArray, start: Transform | None = None) -> _Trial | None:
        """Pairs of the transformation from the pairs `first`, `second`; nothing where they do not suffice."""
        if first.size < KINDS[kind][1]:
            return None
        one, other = self.z1[first], self.z2[second]
        try:
            return self.pairs(fit(kind, one.real, one.imag, other.real, other.imag, start=start).transform)
        except TransformError:
            return None

    def refine(self, trial: _Trial) -> _Trial:
        """Pairing and fitting in turns, with ever more freedom, while pairs become less likely to be chance."""
        best = trial
        for kind in _REFINED:
            for _ in range(_ROUNDS):
                trial = self.fit(kind, best.pairs.first, best.pairs.second, best.transform) or best
                if trial.confidence <= best.confidence:
                    break
                best = trial
        return best


def _first_certain(one: _List, other: _List, scale: float, seeds: Callable[[int, int], Seeds]) -> Alignment:
    """The first alignment that is certain beginning from one of the `seeds`, pairs of stars among the brightest."""
    area = min(one.area * scale**2, other.area)
    bright = min(_BRIGHT, one.z.size * area / (one.area * scale**2), other.z.size * area / other.area)
    best: _Trial | None = None
    tried = (0, 0)
    for level in _LEVELS:
        stars = _Stars(one, other, scale, level * bright)
        tried, before = (stars.z1.size, stars.z2.size), tried
        if tried == before:
            break
        for first, second in seeds(*tried):
            pairs = np.unique(np.column_stack([first, second]), axis=0)
            trial = stars.fit("similar", *pairs.T)
            if trial is None:
                continue
            trial = stars.refine(trial)
            if trial.confidence > _CERTAIN:
                return _alignment(one, other, _Stars(one, other, scale, _DEEP), trial)
            best = trial if best is None or trial.confidence > best.confidence else best
    found = f"{best.pairs.first.size} pairs, {best.pairs.expected:.1f} by chance" if best else "no pairs"
    confidence = best.confidence if best else -np.inf
    raise TransformError(
        f"alignment of {one.z.size} with {other.z.size} stars: found {found}, confidence {confidence:.1f}, "
        f"expected above {_CERTAIN:.0f}"
    )


def _alignment(one: _List, other: _List, deep: _Stars, trial: _Trial) -> Alignment:
    """Refined with many stars."""
    trial = max(trial, deep.refine(deep.pairs(trial.transform)), key=lambda trial: trial.confidence)
    pairs = trial.pairs
    here, there = deep.z1[pairs.first], deep.z2[pairs.second]
    similar = fit("similar", here.real, here.imag, there.real, there.imag).transform
    first, second = one.indices[pairs.first], other.indices[pairs.second]
    return Alignment(similar, trial.transform, first, second, pairs.radius, pairs.expected, trial.confidence)
