"""Triangles of neighbouring stars, alike in two lists: hypotheses of how one list lies on the other."""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from compute.kernels.frame.chance import unlikely

_NEIGHBOURS = 8  # of a star, with which it makes triangles
_FLAT = 0.05  # least area of a triangle over the square of its longest side
_BEST = 6  # triangles of the other list that one may be
_ANGLE = 0.05  # [rad] rotations closer than this are the same, as are shifts by this share of the field
_WIDTHS = (1 / 16, 1 / 4)  # of a bin of shifts, in mean distances between stars


class Hypotheses(NamedTuple):
    """Similarities z' = a z + b of complex positions z = x + iy, or of -conj(z) where `parity` (n,) is -1.

    `a`, `b` (n,); `first`, `second` (n, 3) are the vertices each came from.
    """

    a: NDArray
    b: NDArray
    parity: NDArray
    first: NDArray
    second: NDArray


def triangles(z: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Triangles of each star of `z` (n,) complex with pairs of its nearest neighbours.

    Returns
    -------
    vertices, shape, sense
        (n_triangles, 3) stars, each opposite the shortest, middle, longest side; (n_triangles, 3) log of shortest and
        middle side over the longest, and of the longest; (n_triangles,) 1 or -1, counterclockwise or clockwise.
    """
    at = np.column_stack([z.real, z.imag])
    near = cKDTree(at).query(at, min(_NEIGHBOURS + 1, z.size))[1]
    pairs = np.array(list(combinations(range(1, near.shape[1]), 2)))
    vertices = np.dstack(
        [np.broadcast_to(near[:, :1], (z.size, len(pairs))), near[:, pairs[:, 0]], near[:, pairs[:, 1]]]
    )
    vertices = np.unique(np.sort(vertices.reshape(-1, 3), axis=1), axis=0)
    side = abs(z[np.roll(vertices, -1, axis=1)] - z[np.roll(vertices, -2, axis=1)])
    order = np.argsort(side, axis=1, kind="stable")
    vertices, side = np.take_along_axis(vertices, order, 1), np.take_along_axis(side, order, 1)
    p, q = (z[vertices[:, k]] - z[vertices[:, 0]] for k in (1, 2))
    area = (p.conj() * q).imag / 2
    good = (abs(area) > _FLAT * side[:, 2] ** 2) & (side[:, 0] > 0)
    log = np.log(side[good])
    shape = np.column_stack([log[:, 0] - log[:, 2], log[:, 1] - log[:, 2], log[:, 2]])
    return vertices[good], shape, np.sign(area[good])


def hypotheses(
    z1: NDArray, z2: NDArray, scale: float, scale_tolerance: float, distortion: float, parity: int | None
) -> Hypotheses:
    """What each triangle of `z1` says together with the triangles of `z2` most like it.

    Ratios of sides may differ by the share `distortion`, scales from `scale` by `scale_tolerance` besides.
    """
    (v1, shape1, sense1), (v2, shape2, sense2) = triangles(z1), triangles(z2)
    size = np.array([distortion, distortion, np.log1p(scale_tolerance) + distortion])
    shape1 = shape1 + [0, 0, np.log(scale)]
    first, second = _alike(shape1 / size, shape2 / size)
    sign = (sense1[first] * sense2[second]).astype(int)
    if parity is not None:
        first, second, sign = (each[sign == parity] for each in (first, second, sign))
    p, q = z1[v1[first]], z2[v2[second]]
    p = np.where(sign[:, None] == 1, p, -p.conj())
    middle_p, middle_q = p.mean(1), q.mean(1)
    dp, dq = p - middle_p[:, None], q - middle_q[:, None]
    a = (dp.conj() * dq).sum(1) / (abs(dp) ** 2).sum(1)
    return Hypotheses(a, middle_q - a * middle_p, sign, v1[first], v2[second])


def _alike(one: NDArray, other: NDArray) -> tuple[NDArray, NDArray]:
    """Indices of pairs of rows that differ by less than 1 in every column."""
    if not (len(one) and len(other)):
        return np.zeros(0, int), np.zeros(0, int)
    best = min(_BEST, len(other))
    distance, second = cKDTree(other).query(one, range(1, best + 1), p=np.inf, distance_upper_bound=1.0)
    found = np.isfinite(distance)
    return np.nonzero(found)[0], second[found]


def agreeing(found: Hypotheses, extent: float, most: int) -> list[NDArray]:
    """The `most` largest groups (indices) of hypotheses that agree in parity, rotation, scale and shift.

    Shifts are compared at the origin of z, which should be in the middle of the first list, of half-width `extent`.
    """
    shift = abs(found.a) * extent * _ANGLE
    turn, where = found.a / abs(found.a) / _ANGLE, found.b / shift
    at = np.column_stack([turn.real, turn.imag, where.real, where.imag, found.parity * 10.0])
    if not len(at):
        return []
    groups: list[NDArray] = []
    tree = cKDTree(at)
    votes = tree.query_ball_point(at, 1.0, return_length=True)
    free = np.ones(len(at), bool)
    for best in np.argsort(-votes, kind="stable"):
        if len(groups) == most or votes[best] < 2:
            break
        if free[best]:
            members = np.sort(tree.query_ball_point(at[best], 1.0))
            groups.append(members)
            free[members] = False
    return groups


def neighbouring(z1: NDArray, z2: NDArray, radius: float, roll: float, most: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Pairs of stars at a common shift below `radius`, after a common turn below `roll` [rad] about the middle of `z1`.

    Yields the `most` shifts that more pairs share than chance explains, the least likely first, as indices of pairs.
    """
    middle, extent = z1.mean(), abs(z1 - z1.mean()).max()
    spacing = np.sqrt(np.ptp(z2.real) * np.ptp(z2.imag) / z2.size)
    peaks: list[tuple[float, int, NDArray, NDArray]] = []
    for width in spacing * np.array(_WIDTHS):
        n_rolls = int(np.ceil(roll * extent / width))
        for angle in np.linspace(-roll, roll, 2 * n_rolls + 1):
            shift = z2[None, :] - (middle + (z1 - middle) * np.exp(1j * angle))[:, None]
            first, second = np.nonzero(abs(shift) < radius)
            shift = shift[first, second]
            cell = np.floor((shift + radius * (1 + 1j)).view(float).reshape(-1, 2) / width).astype(int)
            n = int(np.ceil(2 * radius / width)) + 2
            count = np.bincount(cell[:, 0] * n + cell[:, 1], minlength=n * n).reshape(n, n)
            sums = count[:-1, :-1] + count[1:, :-1] + count[:-1, 1:] + count[1:, 1:]
            x, y = np.unravel_index(np.argmax(sums), sums.shape)
            chance = first.size * 4 * width**2 / (np.pi * radius**2)
            inside = ((cell - [x, y]) // 2 == 0).all(1)
            peaks.append((unlikely(sums[x, y], z1.size, chance), len(peaks), first[inside], second[inside]))
    for _, _, first, second in sorted(peaks, reverse=True)[:most]:
        yield first, second
