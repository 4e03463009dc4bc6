"""Finding stars: what a peak's significance means, which peaks are kept, and where a saturated star stands."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.kernels.measure import detect
from compute.kernels.measure.chain import find
from compute.kernels.measure.cores import saturated_cores
from tests.analytic import render, scatter
from tests.kernels.fitting import EPSF, frame, full, model_of
from tests.strategies import steady

GRID = np.arange(-2.0, 3.0)
TEMPLATE = EPSF(*np.broadcast_arrays(GRID, GRID[:, None])).astype(np.float32)
SKY, READ_NOISE = 100.0, 5.0
MODEL = model_of()


def significance(image, mask=None):
    maps, ratio = frame(image, mask, 1.0, READ_NOISE**2), np.empty(image.shape, np.float32)
    detect.significance(*maps, full(SKY, (16, 16)), TEMPLATE, 0, ratio)
    return ratio


def peaks(ratio, threshold=5.0, isolation=2.5):
    x, y = np.empty(ratio.size, np.int64), np.empty(ratio.size, np.int64)
    n = detect.peaks(full(ratio, ratio.shape), threshold, detect.disc(isolation), 0, len(ratio), x, y)
    return list(zip(x[:n].tolist(), y[:n].tolist(), strict=True))


def found(image, mask=None, threshold=5.0, isolation=2.5):
    return find(frame(image, mask, 1.0, READ_NOISE**2), MODEL, threshold, isolation, 0.5)


def test_significance__centred_star_has_its_analytic_signal_to_noise():
    image = render((31, 31), 15.0, 15.0, 500.0, EPSF) + SKY
    expected = 500.0 * np.sqrt((TEMPLATE**2 / (SKY + READ_NOISE**2)).sum())
    # float32 sums of 25 pixels.
    assert significance(image)[15, 15] == pytest.approx(expected, rel=1e-5)
    assert significance(image).argmax() == 15 * 31 + 15


def test_significance__bad_pixel_counts_nothing():
    image, mask = render((31, 31), 15.0, 15.0, 500.0, EPSF) + SKY, np.zeros((31, 31), np.uint8)
    image[15, 16], mask[15, 16] = np.nan, 1
    kept = TEMPLATE.copy()
    kept[2, 3] = 0.0
    expected = 500.0 * np.sqrt((kept**2 / (SKY + READ_NOISE**2)).sum())
    assert significance(image, mask)[15, 15] == pytest.approx(expected, rel=1e-5)


def test_significance__of_noise_has_unit_scatter():
    noise = np.random.default_rng(1).normal(SKY, np.sqrt(SKY + READ_NOISE**2), (512, 512))
    # 262144 pixels, every 10 of them correlated: 0.5 %.
    assert significance(noise).std() == pytest.approx(1.0, abs=0.015)
    assert significance(noise).mean() == pytest.approx(0.0, abs=0.02)


def test_find__noise_alone_gives_next_to_nothing():
    rng = np.random.default_rng(2)
    noise = rng.poisson(SKY, (512, 512)) + rng.normal(0.0, READ_NOISE, (512, 512))
    # Beyond 5 sigma lie 3e-7 of a Gaussian's values, 0.08 in this frame; Poisson tails and a sky map that is uncertain
    # by a hundredth of the noise make it 0.15.
    assert found(noise).x.size <= 2
    # At 3 sigma 350 pixels, fewer peaks.
    assert 50 < found(noise, threshold=3.0).x.size < 600


@pytest.mark.parametrize(("separation", "n"), [(2.0, 1), (2.4, 1), (3.0, 2), (5.0, 2)])
def test_peaks__fainter_one_within_the_isolation_radius_is_dropped(separation, n):
    ratio = np.zeros((21, 21))
    ratio[10, 8], ratio[10, 8 + round(separation)] = 20.0, 10.0
    assert len(peaks(ratio, isolation=2.5)) == n
    assert (8, 10) in peaks(ratio)


def test_peaks__plateau_gives_one():
    ratio = np.zeros((21, 21))
    ratio[9:12, 8:11] = 7.0
    assert len(peaks(ratio)) == 1


@steady
@given(st.lists(st.tuples(st.integers(1, 18), st.integers(1, 18), st.integers(5, 8)), min_size=1, max_size=25))
def test_peaks__are_isolated_and_nothing_higher_is_near(points):
    ratio = np.zeros((20, 20))
    for i, j, height in points:
        ratio[j, i] = height
    kept = peaks(ratio)
    assert kept
    j, i = np.mgrid[:20, :20]
    for x, y in kept:
        assert ratio[(i - x) ** 2 + (j - y) ** 2 <= 2.5**2].max() == ratio[y, x]
        assert all((x - a) ** 2 + (y - b) ** 2 > 2.5**2 for a, b in kept if (a, b) != (x, y))


def test_peaks__the_outermost_pixels_have_none():
    ratio = np.zeros((21, 21))
    ratio[0, 5] = ratio[20, 5] = ratio[5, 0] = ratio[5, 20] = 9.0
    assert peaks(ratio) == []


def test_find__hot_pixel_is_no_star():
    rng = np.random.default_rng(3)
    image = rng.poisson(render((101, 101), 30.2, 40.3, 3000.0, EPSF) + SKY) + rng.normal(0.0, READ_NOISE, (101, 101))
    image[70, 60] += 2000.0
    sources = found(image, threshold=10.0)
    assert sources.x.size == 1
    # The vertex of the significance is a start for the fit, not a position.
    assert (sources.x[0], sources.y[0]) == pytest.approx((30.2, 40.3), abs=0.3)


def test_find__sharpest_star_is_kept_wherever_it_falls():
    shape = (300, 300)
    rng = np.random.default_rng(4)
    x, y = scatter(200, shape, 12.0, rng)
    image = rng.poisson(render(shape, x, y, np.full(x.size, 2e4), EPSF) + SKY) + rng.normal(0.0, READ_NOISE, shape)
    sources = found(image, threshold=30.0)
    assert sources.x.size == x.size
    nearest = np.hypot(sources.x[:, None] - x, sources.y[:, None] - y).min(axis=0)
    assert nearest.max() < 0.3
    assert (sources.n_saturated == 0).all()


def bled(shape=(101, 101)):
    """A round saturated core at (50, 40) of radius 4 with a bleeding column from row 10 to 90."""
    j, i = np.indices(shape)
    return (np.hypot(i - 50, j - 40) <= 4.0) | ((i == 50) & (abs(j - 50) <= 40))


def test_saturated__star_stands_on_its_core_not_on_the_middle_of_the_bleed():
    x, y, size = saturated_cores(bled())
    assert (x.tolist(), y.tolist()) == ([50.0], [40.0])
    assert size.tolist() == [bled().sum()]


def test_saturated__each_group_is_one_star():
    saturated = bled()
    saturated[80:83, 20:23] = True
    x, y, size = saturated_cores(saturated)
    assert sorted(zip(x, y, size, strict=True)) == [(21.0, 81.0, 9), (50.0, 40.0, bled().sum())]
    assert saturated_cores(np.zeros((20, 20), bool))[0].size == 0


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_saturated__stars_joined_by_one_bleed_are_told_apart(width):
    j, i = np.indices((121, 101))
    stars = {(50.0, 30.0): 6.0, (50.0, 62.0): 3.0, (52.0, 90.0): 6.0}  # two of them as full as a box can be
    saturated = (i >= 50) & (i < 50 + width) & (abs(j - 60) <= 55)
    for (x, y), radius in stars.items():
        saturated |= np.hypot(i - x, j - y) <= radius
    x, y, size = saturated_cores(saturated)
    order = np.argsort(y)
    # A bleed that is wider on one side draws the fullest box towards it.
    np.testing.assert_allclose(np.column_stack([x, y])[order], list(stars), atol=1.5)
    assert order[0] != size.argmin() != order[2]
    assert size.sum() == saturated.sum()


@pytest.mark.parametrize("saturated", [np.ones((9, 30), bool), np.tri(40, dtype=bool), np.eye(40, dtype=bool)])
def test_saturated__a_shape_without_a_neck_is_one_star(saturated):
    assert saturated_cores(saturated)[2].tolist() == [saturated.sum()]


def test_find__pieces_of_a_bleed_are_not_found_beside_its_star():
    mask = np.where(bled(), 2, 0).astype(np.uint8)
    image = render(bled().shape, 50.0, 40.0, 3e6, EPSF) + SKY
    image[:, 51] += np.where(mask[:, 50] == 2, 400.0, 0.0)
    sources = found(image, mask)
    assert (sources.n_saturated > 0).sum() == 1
    near_column = (abs(sources.x - 50) <= 2) & (sources.n_saturated == 0)
    assert not near_column.any()


def test_find__does_not_depend_on_threads_nor_blocks():
    shape = (200, 150)
    rng = np.random.default_rng(6)
    x, y = scatter(150, shape, 6.0, rng)
    image = rng.poisson(render(shape, x, y, np.full(x.size, 2e3), EPSF) + SKY) + rng.normal(0.0, READ_NOISE, shape)
    maps = frame(image, None, 1.0, READ_NOISE**2)
    one, three = (find(maps, MODEL, 5.0, 2.5, 0.5, threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one.x, three.x)
    np.testing.assert_array_equal(one.y, three.y)
    # Blocks of 64 rows end at rows 64, 128 and 192: nothing is found twice or lost there.
    assert one.x.size == x.size
    assert np.hypot(one.x[:, None] - x, one.y[:, None] - y).min(axis=0).max() < 0.5


@pytest.mark.parametrize(("first", "rows"), [(0, 40), (0, 1), (7, 9), (38, 2)])
def test_significance__part_of_a_frame_is_as_of_the_whole(first, rows):
    image = np.random.default_rng(7).normal(SKY, 10.0, (40, 1100))
    maps, level = frame(image, None, 1.0, READ_NOISE**2), full(SKY, (2, 35))
    out = np.empty((rows, 1100), np.float32)
    detect.significance(*maps, level, TEMPLATE, first, out)
    residual, weight = (np.pad(a, 2) for a in (image - SKY, np.full(image.shape, 1.0 / (SKY + READ_NOISE**2))))
    boxes = [(b, a, slice(b, b + 40), slice(a, a + 1100)) for b in range(5) for a in range(5)]
    top = sum(TEMPLATE[b, a] * (residual * weight)[j, i] for b, a, j, i in boxes)
    bottom = sum(TEMPLATE[b, a] ** 2 * weight[j, i] for b, a, j, i in boxes)
    # Single precision: 25 terms of size 1.
    np.testing.assert_allclose(out, (top / np.sqrt(bottom))[first : first + rows], atol=2e-5)


def test_find__peaks_within_two_and_a_half_pixels_of_saturation_belong_to_it():
    mask = np.zeros((60, 60), np.uint8)
    mask[30, 30] = 2
    image = np.full(mask.shape, SKY)
    for x, y in ((32.0, 31.0), (33.0, 29.0 + 8.0), (32.0, 20.0)):
        image += render(mask.shape, x, y, 3000.0, EPSF)
    sources = found(image, mask)
    apart = np.hypot(sources.x - 30.0, sources.y - 30.0)[sources.n_saturated == 0]
    assert sources.n_saturated.sum() == 1
    assert apart.size == 2
    assert apart.min() > 2.5
