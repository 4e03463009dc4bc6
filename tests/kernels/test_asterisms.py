"""Lists of stars aligned blindly: right, or refused."""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import binom

from compute.kernels.frame.align import align, align_near
from compute.kernels.frame.asterisms import triangles
from compute.kernels.frame.chance import Field, unlikely
from compute.kernels.frame.transforms import Transform, TransformError

SIDE = 2048.0


class Scene(NamedTuple):
    one: tuple
    other: tuple
    id1: np.ndarray
    id2: np.ndarray
    truth: Transform  # without distortion


def observed(rng, x, y, mag, depth):
    """Stars on the detector, the faint ones missing, magnitudes in another filter, a fifth of spurious ones."""
    star = np.flatnonzero((x > 0) & (x < SIDE) & (y > 0) & (y < SIDE))
    seen = mag[star] + rng.normal(0, 0.2, star.size)  # 0.3 mag between two lists
    bright = np.argsort(seen)[: int(depth * star.size)]
    star, seen = star[bright], seen[bright]
    n = star.size // 5
    x = np.append(x[star] + rng.normal(0, 0.3, star.size), rng.uniform(0, SIDE, n))
    y = np.append(y[star] + rng.normal(0, 0.3, star.size), rng.uniform(0, SIDE, n))
    seen, star = np.append(seen, rng.choice(seen, n)), np.append(star, np.full(n, -1))
    mixed = rng.permutation(x.size)
    return x[mixed], y[mixed], seen[mixed], star[mixed]


def scene(seed: int, n: int, distortion: float = 4.0, overlap: float = 0.5) -> Scene:
    """Two exposures of some `n` stars each; the first is bent by up to `distortion` pix."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-SIDE, 2 * SIDE, (2, int(9 * n * 1.1)))
    mag = -rng.exponential(1.2, x.size)
    u, v = 2 * x / SIDE - 1, 2 * y / SIDE - 1
    terms = np.array([u * u, u * v, v * v, u**3, u * u * v, u * v * v, v**3])
    bent = rng.normal(size=(2, 7)) @ terms
    bent *= distortion / np.abs(bent[:, (abs(u) < 1) & (abs(v) < 1)]).max()
    x1, y1, mag1, id1 = observed(rng, x + bent[0], y + bent[1], mag, 0.8)
    # The second detector looks at a field shifted along an axis, turned about its middle.
    shift = SIDE * (1 - overlap) * np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])[rng.integers(4)]
    turn = Transform.similar(1 + rng.uniform(-0.01, 0.01), rng.uniform(-180, 180), (0, 0), rng.choice([-1, 1]))
    offset = rng.uniform(-5000, 5000, 2)
    middle = np.concatenate(turn.apply(*(shift + SIDE / 2)))
    truth = Transform.linear(turn.matrix, offset - middle, "similar")
    x2, y2 = truth.apply(x, y)
    half = SIDE / 2
    x2, y2, mag2, id2 = observed(rng, x2 - offset[0] + half, y2 - offset[1] + half, mag + 3, 0.65)
    return Scene((x1, y1, mag1), (x2 + offset[0] - half, y2 + offset[1] - half, mag2), id1, id2, truth)


def true_share(found, case: Scene) -> float:
    return float(np.mean(case.id1[found.first] == case.id2[found.second]))


def assert_right(found, case: Scene) -> None:
    assert true_share(found, case) > 0.8
    turn = (found.transform.rotation - case.truth.rotation + 180) % 360 - 180
    assert found.transform.parity == case.truth.parity
    assert abs(turn) < 1.0  # [deg] a distortion of 4 pix over half a field of 1024 may turn it by 0.5
    assert found.transform.magnification == pytest.approx(case.truth.magnification, rel=0.015)


@pytest.mark.parametrize("block", range(8))
def test_align__two_hundred_fields_half_overlapping(block):
    """Any rotation, parity and offset; 40 to 5 000 stars, of which the sparsest have some ten true pairs."""
    for seed in range(25 * block, 25 * block + 25):
        case = scene(seed, n=int(np.geomspace(40, 5000, 200)[seed]))
        assert_right(align(*case.one, *case.other), case)


@pytest.mark.parametrize("n", [30, 40])
def test_align__sparse_fields_are_right_or_refused(n):
    right = 0
    for seed in range(20):
        case = scene(seed, n, distortion=20.0)
        try:
            found = align(*case.one, *case.other)
        except TransformError:
            continue
        right += 1
        assert true_share(found, case) > 0.6  # one or two chance pairs among seven
    assert right > 8


@pytest.mark.parametrize("n", [100, 1000])
def test_align__strong_distortion_is_followed(n):
    """Raw pixels, 30 pix from corrected ones in the corners: a cubic describes them."""
    for seed in range(8):
        case = scene(seed, n, distortion=30.0)
        found = align(*case.one, *case.other)
        assert true_share(found, case) > 0.8
        x, y = found.refined.apply(case.one[0][found.first], case.one[1][found.first])
        off = np.hypot(x - case.other[0][found.second], y - case.other[1][found.second])
        assert np.median(off) < 1.0  # position noise of both makes 0.5


@pytest.mark.parametrize(("n", "cases"), [(30, 12), (60, 8), (200, 3)])
def test_align__unrelated_fields_are_refused(n, cases):
    for seed in range(cases):
        one, other = scene(seed, n).one, scene(seed + 1000, n).other
        with pytest.raises(TransformError, match="found .* confidence -.*, expected above 6"):
            align(*one, *other)


def test_align__dense_unrelated_clusters_are_refused():
    """Both concentrated: a density that is taken for uniform would make pairs at the centres significant."""
    rng = np.random.default_rng(8)
    one, other = rng.normal(0, 200, (2, 2, 1500))
    with pytest.raises(TransformError, match="confidence -"):
        align(*one, rng.uniform(size=1500), *other, rng.uniform(size=1500))


def test_align__small_field_in_a_large_catalog():
    rng = np.random.default_rng(9)
    x, y, mag = *rng.uniform(0, 10000, (2, 8000)), -rng.exponential(1.0, 8000)
    truth = Transform.similar(1.31, 200.0, (70.0, 80.0), -1)
    inside = np.flatnonzero((abs(x - 5200) < 1000) & (abs(y - 4100) < 1000))
    x1, y1 = truth.invert(x[inside], y[inside])
    found = align(x1, y1, mag[inside], x, y, mag, scale=1.3)
    assert (inside[found.first] == found.second).mean() > 0.99
    assert found.transform.rotation == pytest.approx(truth.rotation, abs=1e-6)


def test_align__scale_known_to_a_third_only():
    case = scene(11, 300)
    one = (case.one[0] * 1.25, case.one[1] * 1.25, case.one[2])
    found = align(*one, *case.other, scale_tolerance=0.35)
    assert true_share(found, case) > 0.8


def test_align__order_of_stars_and_nan_do_not_matter():
    case, rng = scene(12, 200), np.random.default_rng(0)
    mixed = rng.permutation(case.one[0].size)
    plain, other = align(*case.one, *case.other), align(*(np.append(c[mixed], np.nan) for c in case.one), *case.other)
    np.testing.assert_array_equal(mixed[other.first], plain.first)
    np.testing.assert_array_equal(other.transform.coefficients, plain.transform.coefficients)


def test_align__two_stars_are_refused():
    with pytest.raises(TransformError, match="found 2 stars without an area"):
        align([0, 1], [0, 1], [1, 1], *scene(1, 50).other)


@pytest.mark.parametrize(("n", "radius"), [(30, 40.0), (100, 300.0), (3000, 900.0)])
def test_align_near__header_wrong_in_shift_and_roll(n, radius):
    for seed in range(10):
        rng, case = np.random.default_rng(seed), scene(seed, n)
        wrong = Transform.similar(1.0, rng.uniform(-1, 1), (0, 0))
        guess = wrong.compose(case.truth)
        middle = np.array([case.one[0].mean(), case.one[1].mean()])
        off = np.concatenate(case.truth.apply(*middle)) - np.concatenate(guess.apply(*middle))
        angle = rng.uniform(0, 2 * np.pi)
        off += 0.9 * radius * np.array([np.cos(angle), np.sin(angle)])
        guess = Transform.linear(guess.matrix, np.concatenate(guess.apply(0.0, 0.0)) + off, "similar")
        assert_right(align_near(*case.one, *case.other, guess, radius=radius + 20, roll=1.0), case)


def test_align_near__unrelated_fields_are_refused():
    one, other = scene(1, 100).one, scene(1001, 100).other
    guess = Transform.linear(np.eye(2), (other[0].mean() - 1024, other[1].mean() - 1024), "similar")
    with pytest.raises(TransformError, match="expected above 6"):
        align_near(*one, *other, guess, radius=300.0)


def test_triangles__shape_survives_a_turn_and_sense_a_mirror():
    x, y = np.random.default_rng(3).uniform(0, 100, (2, 40))
    z = x + 1j * y
    vertices, shape, sense = triangles(z)
    turned = triangles(z * np.exp(2j) + 30)
    mirrored = triangles(-z.conj())
    np.testing.assert_array_equal(turned[0], vertices)
    np.testing.assert_allclose(turned[1], shape, atol=1e-9)
    np.testing.assert_array_equal(turned[2], sense)
    np.testing.assert_array_equal(mirrored[2], -sense)


def test_chance__bound_is_never_below_the_binomial_tail():
    for n, k, mean in ((10, 5, 0.5), (100, 30, 10.0), (1000, 40, 3.0), (20, 20, 1.0)):
        tail = -np.log10(binom.sf(k - 1, n, mean / n))
        assert tail - 1.7 < unlikely(k, n, mean) <= tail  # Chernoff's bound misses a factor of sqrt(2 pi k), about
    assert unlikely(3, 10, 4.0) == 0


def test_chance__expected_pairs_of_independent_stars_are_those_found():
    rng, found, expected = np.random.default_rng(7), 0, 0.0
    for _ in range(40):
        field = Field(*rng.uniform(0, 1000, (2, 500)))
        at = rng.uniform(0, 1000, (500, 2))
        near = field.tree.query(at)[0] < 8.0
        found, expected = found + near.sum(), expected - np.expm1(-field.density(at) * np.pi * 64).sum()
    assert found == pytest.approx(expected, rel=0.08)  # 1 800 pairs: 2.4 % noise, and edges where less is expected
