"""The published distortion chain: known distortion in, same out, whatever the exposures, mismatches and threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.kernels.geometry.cellmeans import sort, sweep
from compute.kernels.geometry.distortion import forward
from compute.kernels.geometry.layers import PixelMap
from compute.kernels.geometry.published import middles, nodes, solve
from compute.kernels.geometry.published_direct import design
from compute.kernels.middle import BINS, median
from tests.kernels.linked import iterate, medians_at_once, medians_of_each, observe, smooth

SHAPE = (512, 512)
BOTH = pytest.mark.parametrize("direct", [False, True])


def difference(layers, truth, shape=SHAPE):
    """Found minus true correction on a grid that has the corners [pix], (2, 33, 33)."""
    x, y = np.meshgrid(np.linspace(0, shape[1] - 1, 33), np.linspace(0, shape[0] - 1, 33))
    return np.subtract(forward(layers, x, y), forward(truth, x, y))


def without_link(off):
    """Differences on a square grid less their shift, rotation and scale, which are the links'."""
    z = np.array([1.0, 1j]) @ off.reshape(2, -1)
    at = np.array([1.0, 1j]) @ np.array(np.meshgrid(np.linspace(-1, 1, 33), np.linspace(-1, 1, 33))).reshape(2, -1)
    left = z - z.mean() - at * (at.conj() @ z) / (at.conj() @ at)
    return np.array([left.real, left.imag])


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@BOTH
@pytest.mark.parametrize("parity", [1, -1])
def test_solve__polynomial_comes_back(rng, direct, parity):
    truth = smooth(SHAPE, 5, 3.0, rng)
    pairs = observe([truth], SHAPE, 4, 4000, rng, parity=parity)
    found = solve(*pairs, SHAPE, direct=direct, tolerance=1e-7)
    # No noise: averages in cells are off the cells' middles, which the iteration makes good, to its tolerance.
    assert abs(difference([found.polynomial], [truth])).max() < 1e-5
    assert abs(found.table.values).max() < 1e-5
    assert all(link.parity == parity for link in found.links)


@BOTH
def test_solve__links_and_residuals_agree(rng, direct):
    x, y, fx, fy, e = observe([smooth(SHAPE, 3, 3.0, rng)], SHAPE, 3, 2000, rng, noise=0.02, parity=-1)
    x[7] = np.nan
    found = solve(x, y, fx, fy, e, SHAPE, direct=direct)
    linked = np.array([link.apply(fx, fy) for link in found.links])[e, :, np.arange(len(e))].T
    expected = linked - forward([found.polynomial, found.table], x, y)
    np.testing.assert_allclose(found.residual, expected, rtol=0, atol=1e-9)
    assert np.isnan(found.residual[:, 7]).all()
    assert not found.used[7]
    assert found.used.mean() > 0.97


@BOTH
def test_solve__gauge(rng, direct):
    truth = smooth(SHAPE, 5, 3.0, rng)
    found = solve(*observe([truth], SHAPE, 4, 3000, rng, noise=0.05), SHAPE, direct=direct)
    (a, b), (c, d) = [[found.polynomial.terms[0, k, 1, 0], found.polynomial.terms[0, k, 0, 1]] for k in (0, 1)]
    half = found.polynomial.half
    assert found.polynomial.terms[0, :, 0, 0] == pytest.approx(0.0, abs=0)
    assert b == c
    assert (1 + a / half) * (1 + d / half) - b * c / half**2 == pytest.approx(1.0, abs=1e-14)
    x, y = (grid - grid.mean() for grid in np.meshgrid(found.table.x, found.table.y))
    values = found.table.values
    growth, turn = x * values[..., 0] + y * values[..., 1], y * values[..., 0] - x * values[..., 1]
    np.testing.assert_allclose([*values.sum((0, 1)), growth.sum(), turn.sum()], 0.0, atol=1e-9)


def test_solve__half_gain_converges_by_halves(rng):
    found = solve(*observe([smooth(SHAPE, 5, 3.0, rng)], SHAPE, 4, 4000, rng, noise=0.02), SHAPE)
    changes = found.polynomial_changes
    assert changes[-1] < 1e-5 <= changes[-2]
    # Halving 3 pix to 1e-5 takes 18 iterations; those of the table have modes that fall by an eighth.
    assert 15 <= len(changes) <= 25
    assert found.table_changes[-1] < 1e-5
    assert len(found.table_changes) < 120


@BOTH
def test_solve__mismatches_and_few_stars_do_not_mislead_corners(rng, direct):
    truth = smooth(SHAPE, 5, 3.0, rng)
    x, y, fx, fy, e = observe([truth], SHAPE, 6, 4000, rng, noise=0.02)
    wrong = rng.random(len(e)) < 0.05
    fx[wrong], fy[wrong] = (at[wrong] + rng.uniform(-3, 3, wrong.sum()) for at in (fx, fy))
    corner = (x < 64) & (y < 64) & (rng.random(len(e)) < 0.9)
    found = solve(*(column[~corner] for column in (x, y, fx, fy, e)), SHAPE, direct=direct, table_cells=16)
    off = difference([found.polynomial, found.table], [truth])
    # Cells of the table have 90 stars of 0.02 pix, in one corner 9: 2 and 7 mpix, and twice that at the edge, where
    # averages are extrapolated; least squares keeps nodes of few stars near zero.
    assert np.sqrt((off**2).mean()) < 0.005
    assert abs(off).max() < (0.03 if direct else 0.05)
    assert found.used[wrong[~corner]].mean() < 0.02
    assert found.used[~wrong[~corner]].mean() > 0.98


@BOTH
def test_solve__table_takes_what_polynomials_leave(rng, direct):
    truth = smooth(SHAPE, 5, 2.0, rng)
    x, y = np.meshgrid(np.arange(512), np.arange(512))
    waves = 0.05 * np.dstack([np.sin(2 * np.pi * x / 160), np.sin(2 * np.pi * (x + y) / 190)])
    layers = [truth, PixelMap(waves, np.array([[0, 512]]))]
    found = solve(*observe(layers, SHAPE, 6, 4000, rng, noise=0.01), SHAPE, direct=direct)
    before, after = (difference(of, layers) for of in ([found.polynomial], [found.polynomial, found.table]))
    before, after = (without_link(off) for off in (before, after))
    # The bilinear table misses 0.05 (2 pi 16 / 160)^2 / 12 = 2 mpix of a wave; 23 stars a cell leave 2 mpix of noise.
    assert before.std() > 0.02
    assert after.std() < 0.004


@pytest.mark.parametrize("medians", [medians_at_once, medians_of_each])
@pytest.mark.parametrize("parity", [1, -1])
def test_sweep__agrees_with_numpy(rng, parity, medians):
    layer = smooth(SHAPE, 5, 3.0, rng)
    x, y, fx, fy, e = observe([layer], SHAPE, 5, 4000, rng, noise=0.02, parity=parity)
    fx = parity * fx + 200
    fx[:50] += 1.0
    pairs = sort(x, y, fx, fy, e, SHAPE, 20)
    half_way = layer._replace(terms=layer.terms / 2)
    i, j = np.nonzero(np.add.outer(np.arange(6), np.arange(6)) < 6)
    terms = ((pairs.x - layer.x0) / layer.half)[:, None] ** i * ((pairs.y - layer.y0) / layer.half)[:, None] ** j
    on_cells = design(*(grid.ravel() for grid in np.meshgrid(*middles(SHAPE, 20))), layer)
    raw, everyone = np.array([pairs.x, pairs.y]), np.ones(len(e), bool)
    ours = sweep(pairs, raw, half_way, None, held=False, clip=3.0, threads=1)
    _, mean, used = iterate(pairs, terms, on_cells, half_way.terms[0][:, i, j].T, everyone, 3.0, medians)
    # Positions of 7 000 in sums of squares over 4 000 pairs: rounding of 1e-10.
    np.testing.assert_allclose(ours.mean.T, mean, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(ours.used, used)
    assert 0 < (~used).sum() < 400


def test_solve__same_on_any_number_of_threads(rng):
    pairs = observe([smooth(SHAPE, 4, 3.0, rng)], SHAPE, 3, 3000, rng, noise=0.02)
    one, three = (solve(*pairs, SHAPE, threads=threads) for threads in (1, 3))
    # Least squares here are those of a BLAS with threads of its own, unlike in workers: its last digits vary.
    np.testing.assert_allclose(one.table.values, three.table.values, rtol=0, atol=1e-10)
    np.testing.assert_allclose(one.polynomial.terms, three.polynomial.terms, rtol=0, atol=1e-10)
    np.testing.assert_allclose(one.residual, three.residual, rtol=0, atol=1e-10)


def test_solve__needs_stars(rng):
    x, y, fx, fy, e = observe([smooth(SHAPE, 2, 1.0, rng)], SHAPE, 2, 50, rng)
    with pytest.raises(ValueError, match="exposure 1: found 2 usable pairs, expected at least 3"):
        solve(*(column[:52] for column in (x, y, fx, fy, e)), SHAPE)
    with pytest.raises(ValueError, match="cells with stars, expected at least 21"):
        solve(x, y, fx, fy, e, SHAPE, cells=20)


def test_nodes__outer_ones_lie_on_the_edges():
    x, y = nodes((100, 200), 4)
    np.testing.assert_allclose(x, [-0.5, 74.5, 124.5, 199.5])
    np.testing.assert_allclose(y, [-0.5, 37.0, 62.0, 99.5])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=300))
def test_median__is_the_upper_of_two_middle_ones(values):
    values = np.array(values)
    found = median(values, np.empty(len(values)), np.empty(BINS, np.int64))
    assert found == np.sort(values)[len(values) // 2]


def test_median__nan_does_no_harm():
    values = np.random.default_rng(1).normal(size=200)
    values[::3] = np.nan
    for first in (0, 1):
        median(values[first:], np.empty(200), np.empty(BINS, np.int64))
    assert np.isnan(median(np.empty(0), np.empty(0), np.empty(BINS, np.int64)))
