"""Medians of the nearest residuals against a slow reference and Astropy, and what may not change them."""

import tracemalloc

import numpy as np
import pytest
from astropy.stats import sigma_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from compute.kernels.geometry.pixelmap import nearest_medians
from tests.strategies import steady


def slow(x, y, residual, star, rows, columns, *, count=50, clip=2.5, least_stars=10):
    """All residuals sorted by distance at every pixel."""
    some = np.isfinite(x) & np.isfinite(y) & np.isfinite(residual).all(1)
    x, y, residual, star = x[some], y[some], residual[some].astype(float), star[some]
    shape = rows[1] - rows[0], columns[1] - columns[0]
    values, stars = np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.int16)
    for j, i in np.ndindex(shape):
        square = (x - (columns[0] + i)) ** 2 + (y - (rows[0] + j)) ** 2
        nearest = np.lexsort((star, residual[:, 1], residual[:, 0], x, y, square))[:count]
        kept = np.ones(nearest.size, bool)
        for a in range(2):
            median, inside = slow_clip(residual[nearest, a], clip)
            values[j, i, a] = median
            kept &= inside
        stars[j, i] = np.unique(star[nearest[kept]]).size
        if stars[j, i] < least_stars:
            values[j, i] = np.nan
    return values, stars


def slow_clip(value, clip):
    inside = np.ones(value.size, bool)
    while inside.any():
        median = np.median(value[inside])
        d = value[inside] - median
        deviation = np.sqrt(np.mean(d**2) - np.mean(d) ** 2)
        outside = inside & (abs(value - median) > clip * deviation) if deviation > 0.0 else ~inside & inside
        if not outside.any() or not (inside & ~outside).any():
            return median, inside
        inside &= ~outside
    return np.nan, inside


def field(rng, n, side=60.0, stars=200):
    """Positions, residuals with outliers, and stars that come back a few pixels away."""
    x, y = rng.uniform(-0.5, side - 0.5, (2, n))
    residual = rng.normal(0.0, 0.02, (n, 2))
    residual[rng.random(n) < 0.1] *= 10.0
    return x, y, residual, rng.integers(0, stars, n)


def lattice(rng, n):
    """Few positions and values, so that most distances and many residuals are equal."""
    x, y = rng.integers(0, 24, (2, n)) / 2.0
    return x, y, rng.integers(-3, 4, (n, 2)) / 4.0, rng.integers(0, 9, n)


def one_place(rng, n):
    return np.full(n, 5.25), np.full(n, 3.5), rng.normal(0.0, 1.0, (n, 2)), rng.integers(0, 60, n)


def line(rng, n):
    return rng.uniform(0.0, 40.0, n), np.full(n, 7.0), rng.normal(0.0, 1.0, (n, 2)), rng.integers(0, 60, n)


def corners(rng, n):
    """Two tight groups with nothing between them."""
    x, y = rng.normal(0.0, 0.3, (2, n)) + 50.0 * rng.integers(0, 2, n)
    return x, y, rng.normal(0.0, 1.0, (n, 2)), rng.integers(0, 60, n)


def equal(one, other):
    return all(a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("make", [field, lattice, one_place, line, corners])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_pixelmap__slow_reference(make, count):
    rng = np.random.default_rng(3)
    given = make(rng, 900)
    rectangle = (-4, 37), (3, 40)  # partly off the field, and more than a tile
    options = {"count": count, "least_stars": 2 if count > 2 else 1}
    assert equal(nearest_medians(*given, *rectangle, **options), slow(*given, *rectangle, **options))


def test_pixelmap__tree_and_astropy():
    """The same medians from the field's own tools, on a dense field of single precision."""
    rng = np.random.default_rng(4)
    x, y, residual, star = field(rng, 30_000, 300.0, 3_000)
    residual = residual.astype(np.float32)
    values, _ = nearest_medians(x, y, residual, star, (100, 140), (0, 300), least_stars=1)
    pixels = np.stack(np.meshgrid(np.arange(300), np.arange(100, 140)), -1)
    _, nearest = cKDTree(np.column_stack([x, y])).query(pixels, 50)
    # Masked medians of an even number of singles are rounded once more than ours, hence doubles.
    clipped = sigma_clip(residual[nearest].astype(float), 2.5, maxiters=None, axis=2)
    assert np.array_equal(values, np.ma.median(clipped, axis=2).filled(np.nan).astype(np.float32))


@settings(steady, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 60), st.sampled_from([1.5, 2.5, np.inf]))
def test_pixelmap__order_of_rows_is_nothing(seed, n, count, clip):
    rng = np.random.default_rng(seed)
    given = lattice(rng, n)
    options = {"count": count, "clip": clip, "least_stars": 1}
    expected = nearest_medians(*given, (0, 9), (0, 11), **options)
    shuffled = rng.permutation(n)
    assert equal(nearest_medians(*(each[shuffled] for each in given), (0, 9), (0, 11), **options), expected)
    assert equal(slow(*given, (0, 9), (0, 11), **options), expected)


@settings(steady, max_examples=20)
@given(st.integers(0, 69), st.integers(0, 69), st.integers(1, 3), st.sampled_from([field, lattice, corners]))
def test_pixelmap__tiles_and_threads_are_nothing(row, column, threads, make):
    given = make(np.random.default_rng(5), 700)
    whole = nearest_medians(*given, (0, 70), (0, 70), least_stars=3)
    part = nearest_medians(*given, (row, 70), (column, 70), least_stars=3, threads=threads)
    assert equal(part, (whole[0][row:, column:], whole[1][row:, column:]))


def test_pixelmap__not_finite_is_ignored():
    rng = np.random.default_rng(6)
    x, y, residual, star = field(rng, 800)
    bad = rng.random((4, 800)) < 0.05
    x[bad[0]], y[bad[1]], residual[bad[2], 0], residual[bad[3], 1] = np.nan, -np.inf, np.nan, np.inf
    x[0], bad[0, 0] = 1e200, True  # its distance squared is not finite
    good = ~bad.any(0)
    expected = nearest_medians(x[good], y[good], residual[good], star[good], (0, 40), (0, 40))
    assert np.isfinite(expected[0]).all()
    assert equal(nearest_medians(x, y, residual, star, (0, 40), (0, 40)), expected)


def test_pixelmap__fewer_than_count_are_all_used():
    rng = np.random.default_rng(7)
    x, y, residual, star = field(rng, 31)
    values, stars = nearest_medians(x, y, residual, np.arange(31), (0, 3), (0, 5), clip=np.inf)
    assert (values == np.median(residual, axis=0).astype(np.float32)).all()
    assert (stars == 31).all()


@pytest.mark.parametrize("n", [0, 3])
def test_pixelmap__nothing_known_is_nan(n):
    nothing = np.full(n, np.nan)
    values, stars = nearest_medians(nothing, nothing, np.zeros((n, 2)), np.zeros(n, int), (0, 3), (0, 5))
    assert values.shape == (3, 5, 2)
    assert np.isnan(values).all()
    assert not stars.any()


def test_pixelmap__far_from_any_residual():
    """Pixels thousands of pixels away take those nearest to them, however far."""
    given = field(np.random.default_rng(8), 500)
    for rows, columns in (((5000, 5003), (-7000, -6995)), ((20, 21), (9000, 9040))):
        assert equal(nearest_medians(*given, rows, columns), slow(*given, rows, columns))


def test_pixelmap__few_stars_have_no_value():
    """Fifty residuals of seven stars are seven independent ones."""
    x, y, residual, _ = field(np.random.default_rng(9), 400)
    star = np.arange(400) % 7 + 2**60
    values, stars = nearest_medians(x, y, residual, star, (10, 50), (10, 50), least_stars=7)
    assert np.array_equal(np.isnan(values[..., 0]), stars < 7)
    assert stars.max() == 7
    assert np.isnan(nearest_medians(x, y, residual, star, (10, 12), (10, 12), least_stars=8)[0]).all()


def test_pixelmap__axes_are_clipped_apart():
    """An outlier in x stays in y, and its star counts as one that was left out."""
    residual = np.zeros((21, 2))
    residual[:, 0], residual[:, 1] = np.linspace(-1.0, 1.0, 21), np.linspace(-1.0, 1.0, 21)
    residual[20, 0] = 100.0
    values, stars = nearest_medians(np.zeros(21), np.zeros(21), residual, np.arange(21), (0, 1), (0, 1))
    assert values.ravel().tolist() == pytest.approx([-0.05, 0.0], abs=1e-7)  # single precision
    assert stars == 20


def test_pixelmap__recovers_a_pattern():
    """A bump 30 pix wide under noise: the median of 50 follows it to noise / sqrt(50), times 1.25 for a median."""
    rng = np.random.default_rng(10)
    n = 20_000
    x, y = rng.uniform(0.0, 200.0, (2, n))
    bump = 0.05 * np.exp(-((x - 100.0) ** 2 + (y - 100.0) ** 2) / 1800.0)
    residual = np.column_stack([bump, -bump]) + rng.normal(0.0, 0.02, (n, 2))
    values, _ = nearest_medians(x, y, residual, np.arange(n), (20, 180), (20, 180))
    j, i = np.indices((160, 160)) + 20.0
    truth = 0.05 * np.exp(-((i - 100.0) ** 2 + (j - 100.0) ** 2) / 1800.0)
    for a, sign in enumerate((1.0, -1.0)):
        rms = np.std(values[..., a] - sign * truth)
        assert 0.8 < rms / (1.25 * 0.02 / np.sqrt(50.0)) < 1.2  # some 50 independent circles per axis tell it to 10 %


def test_pixelmap__memory_is_a_few_copies():
    """Less than 200 bytes for each residual, and the map itself; the indices alone of 50 neighbours are twice it."""
    rng, n = np.random.default_rng(11), 100_000
    given = field(rng, n, 400.0, 10_000)
    tracemalloc.start()
    try:
        values, stars = nearest_medians(*given, (0, 8), (0, 400))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200 * n + values.nbytes + stars.nbytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"residual": np.zeros((4, 3))}, r"shapes \(4, 3\)"),
        ({"star": np.zeros(5, int)}, r"expected \(4, 2\) and \(4,\)"),
        ({"rows": (3, 2)}, "rows"),
        ({"count": 0}, "count is 0"),
        ({"count": 40_000}, "expected 1 to 32767"),
        ({"clip": 1.0}, "clip is 1.0"),
        ({"clip": np.nan}, "clip is nan"),
    ],
)
def test_pixelmap__mistakes_are_told(change, message):
    right = {"x": np.zeros(4), "y": np.zeros(4), "residual": np.zeros((4, 2)), "star": np.zeros(4, int),
             "rows": (0, 1), "columns": (0, 1)}  # fmt: skip
    with pytest.raises(ValueError, match=message):
        nearest_medians(**(right | change))
