"""Sky in annuli and on the coarse map, from pixels of known level."""

import numpy as np
import pytest
from scipy.ndimage import median_filter

from compute.kernels.measure.sky import annulus_sky, sky_at, sky_mesh, sky_row
from tests.analytic import render, scatter
from tests.kernels.fitting import EPSF, frame, full

INNER, OUTER = 4.0, 7.0
LEVEL, NOISE = 100.0, 10.0


def annuli(image, x, y, mask=None, model=0.0):
    maps = frame(image, mask)
    sky, error = np.empty(x.size), np.empty(x.size)
    annulus_sky(maps.image, full(model, image.shape), maps.mask, x, y, INNER, OUTER, sky, error)
    return sky, error


def places(side, step=16):
    """Centres of disjoint annuli and the shape of a frame that holds them."""
    j, i = np.mgrid[:side, :side].reshape(2, -1) * float(step) + step / 2
    return i, j, (side * step, side * step)


def test_annulus__gaussian_noise_is_unbiased():
    x, y, shape = places(40)
    sky, _ = annuli(np.random.default_rng(1).normal(LEVEL, NOISE, shape), x, y)
    # Three standard errors of the mean of 1600 annuli.
    assert sky.mean() == pytest.approx(LEVEL, abs=3 * sky.std() / np.sqrt(sky.size))
    # Some 104 pixels between 4 and 7 pix would allow 0.98. Clipping costs a tenth, and so do the few annuli that chance
    # alone skews.
    assert sky.std() < 1.2 * NOISE / np.sqrt(104)


def test_annulus__error_is_the_scatter():
    x, y, shape = places(40)
    sky, error = annuli(np.random.default_rng(1).normal(LEVEL, NOISE, shape), x, y)
    # 1600 independent annuli know their scatter to 1.8 %.
    assert ((sky - LEVEL) / error).std() == pytest.approx(1.0, abs=0.1)


def test_annulus__mode_withstands_unseen_stars():
    x, y, shape = places(40)
    rng = np.random.default_rng(3)
    a, b = rng.uniform(0, shape[0], (2, 12000))
    faint = render(shape, a, b, rng.exponential(150.0, a.size), EPSF)
    image = rng.normal(LEVEL, NOISE, shape) + faint
    sky, _ = annuli(image, x, y)
    assert faint.mean() > 3.0
    # Less than half of what the unseen stars add to the mean may remain.
    assert abs(sky.mean() - LEVEL) < 0.5 * faint.mean()


def test_annulus__bright_neighbour_is_clipped_or_taken_away():
    x, y, shape = places(4)
    star = render(shape, x + 5.0, y, np.full(x.size, 1e5), EPSF)
    noise = np.random.default_rng(4).normal(LEVEL, NOISE, shape)
    clipped, _ = annuli(noise + star, x, y)
    removed, _ = annuli(noise + star, x, y, model=star)
    # The error of one annulus is 1; a tenth of the pixels gone and wings under the clip may cost a few.
    assert abs(clipped - LEVEL).max() < 6.0 * NOISE
    assert abs(removed - LEVEL).max() < 4.0


def test_annulus__needs_five_good_pixels():
    x, y = np.array([10.0]), np.array([10.0])
    image = np.full((21, 21), LEVEL)
    mask = np.ones(image.shape, np.uint8)
    mask[4, 8:12] = 0
    assert np.isnan(annuli(image, x, y, mask)).all()
    mask[4, 12] = 0
    assert annuli(image, x, y, mask)[0] == LEVEL


def test_annulus__bad_pixels_do_not_count():
    x, y, shape = places(2)
    image, mask = np.full(shape, LEVEL), np.zeros(shape, np.uint8)
    mask[::3] = 1
    image[::3] = np.nan
    np.testing.assert_array_equal(annuli(image, x, y, mask)[0], LEVEL)


def test_annulus__off_the_frame_is_nan():
    assert np.isnan(annuli(np.full((21, 21), LEVEL), np.array([60.0]), np.array([10.0]))).all()


def sky_map(image, mask):
    """The mesh interpolated at every pixel."""
    mesh, out = sky_mesh(image, mask), np.empty_like(image)
    for row, line in enumerate(out):
        sky_row(mesh, row, line)
    return out


def robust_mode(values):
    """Mode of a sample as the sky of an annulus defines it, written slowly."""
    values = np.sort(values)
    lo, hi = 0, values.size
    for _ in range(10):
        kept = values[lo:hi]
        n, median, mean = hi - lo, np.median(kept), kept.mean()
        spread = 0.5 * (kept[int(0.8413 * (n - 1))] - kept[int(0.1587 * (n - 1))])
        last = lo, hi
        lo = max(lo, np.searchsorted(values, median - 2.5 * spread))
        hi = min(hi, np.searchsorted(values, median + 2.5 * spread, "right"))
        if (lo, hi) == last:
            break
    return mean if abs(mean - median) < 2.25 * spread / np.sqrt(n) else 3 * median - 2 * mean


@pytest.mark.parametrize("outer", [7.0, 11.0, 15.0], ids=["100 pixels", "330 pixels", "660 pixels"])
@pytest.mark.parametrize("step", [0.01, 4.0], ids=["distinct", "ties"])
def test_annulus__is_the_robust_mode_of_its_pixels(outer, step):
    x, y, shape = places(6, step=34)
    rng = np.random.default_rng(7)
    image = full(np.round(rng.normal(LEVEL, NOISE, shape) / step) * step, shape)
    image[rng.random(shape) < 0.1] += 60.0
    sky, error = np.empty(x.size), np.empty(x.size)
    annulus_sky(image, full(0, shape), np.zeros(shape, np.uint8), x, y, INNER, outer, sky, error)
    j, i = np.mgrid[: shape[0], : shape[1]]
    squares = ((i - a) ** 2 + (j - b) ** 2 for a, b in zip(x, y, strict=True))
    rings = [(r2 >= INNER**2) & (r2 <= outer**2) for r2 in squares]
    # Sums in another order.
    np.testing.assert_allclose(sky, [robust_mode(image[ring].astype(float)) for ring in rings], rtol=1e-12)


def test_map__recovers_a_gradient_under_stars():
    shape = (320, 320)
    rng = np.random.default_rng(5)
    x, y = scatter(150, shape, 8.0, rng)
    ramp = LEVEL + 0.05 * np.arange(320) + 0.02 * np.arange(320)[:, None]
    image = rng.normal(ramp, NOISE) + render(shape, x, y, np.full(x.size, 3000.0), EPSF)
    level = sky_map(full(image, shape), np.zeros(shape, np.uint8))
    inner = (slice(32, -32), slice(32, -32))
    # A cell of 1024 pixels knows its mode to 0.3 to 0.8; the ramp climbs 2.2 within a cell and stars widen its wing.
    assert abs((level - ramp)[inner]).max() < 2.5
    assert abs((level - ramp)[inner].mean()) < 0.6
    assert np.corrcoef(level[inner].ravel(), ramp[inner].ravel())[0, 1] > 0.98


def test_map__empty_cells_take_their_neighbours_level():
    image, mask = np.full((96, 96), LEVEL, np.float32), np.zeros((96, 96), np.uint8)
    image[32:64, 32:64] = np.nan
    mask[32:64, 32:64] = 1
    np.testing.assert_allclose(sky_map(image, mask), LEVEL, rtol=1e-6)


def test_map__nothing_good_is_zero():
    assert (sky_map(np.full((40, 40), np.nan, np.float32), np.ones((40, 40), np.uint8)) == 0.0).all()


@pytest.mark.parametrize("faint", [0, 3000])
def test_mesh__is_the_robust_mode_without_sorting(faint):
    shape, rng = (320, 320), np.random.default_rng(6)
    x, y = rng.uniform(0, 320, (2, faint))
    image = full(rng.normal(LEVEL, NOISE, shape) + render(shape, x, y, rng.exponential(500.0, faint), EPSF), shape)
    mask = (rng.random(shape) < 0.05).astype(np.uint8)
    image[mask == 1] = np.nan
    cells = image.reshape(10, 32, 10, 32).swapaxes(1, 2).reshape(100, -1).astype(float)
    sorted_out = median_filter(np.array([robust_mode(c[np.isfinite(c)]) for c in cells]).reshape(10, 10), 3)
    # A cell's mode has an error of 0.3 to 1; the two may differ by a part of it where clipping stops elsewhere.
    apart = sky_mesh(image, mask) - sorted_out
    assert abs(apart.mean()) < 0.05
    assert apart.std() < 0.25


def test_row__is_bilinear_between_the_centres_of_cells_and_level_beyond():
    mesh, out = np.array([[10.0, 30.0], [20.0, 80.0]], np.float32), np.empty(60, np.float32)
    sky_row(mesh, 31, out)
    # Row 31 is 15.5 of 32 pixels from the centre of the first cell to that of the second.
    t, u = 15.5 / 32, np.clip((np.arange(60) - 15.5) / 32, 0.0, 1.0)
    np.testing.assert_allclose(out, (10 + 10 * t) * (1 - u) + (30 + 50 * t) * u, rtol=1e-6)
    assert [sky_at(mesh, x, 31) for x in (0, 31, 59)] == pytest.approx(out[[0, 31, 59]].tolist(), rel=1e-6)
