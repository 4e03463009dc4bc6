"""Cosmic rays: where their charge falls and how much of it."""

import numpy as np
import pytest
from scipy.special import ndtr

from compute.kernels.simulate.rays import _deposit, cosmic_rays, hits

SHAPE = (300, 400)


def rays(number=3000, long=4.0, seed=1, shape=SHAPE):
    return cosmic_rays(shape, number, np.random.default_rng(seed), long)


def one_track(x, y, dx, dy, total, shape=(30, 40)):
    """Image of a single track."""
    index, charge, ray = np.empty(2000, np.int64), np.empty(2000, np.float32), np.empty(2000, np.int32)
    track = [np.array([float(v)]) for v in (x, y, dx, dy, total)]
    n = _deposit(*shape, *track, np.zeros((60, 60)), index, charge, ray)
    image = np.zeros(shape)
    np.add.at(image.ravel(), index[:n], charge[:n])
    return image


def test_track__point_is_a_gaussian_over_pixels():
    image = one_track(12.3, 9.8, 0, 0, 1e6)
    edges_x, edges_y = np.arange(41) - 0.5 - 12.3, np.arange(31) - 0.5 - 9.8
    truth = 1e6 * np.diff(ndtr(edges_y / 0.3))[:, None] * np.diff(ndtr(edges_x / 0.3))[None]
    # Charge is stored in single precision; pixels below 1 e are left out.
    assert np.allclose(image, truth, rtol=1e-6, atol=1.0)


@pytest.mark.parametrize(("dx", "dy"), [(9.0, 0.0), (-6.0, 5.0), (0.3, -11.0)])
def test_track__is_the_integral_along_the_line(dx, dy):
    image = one_track(20.2, 15.4, dx, dy, 1e6)
    along = (np.arange(5000) + 0.5) / 5000
    in_x = np.diff(ndtr((np.arange(41) - 0.5 - 20.2 - dx * along[:, None]) / 0.3))
    in_y = np.diff(ndtr((np.arange(31) - 0.5 - 15.4 - dy * along[:, None]) / 0.3))
    truth = 1e6 * in_y.T @ in_x / along.size
    # Packets every 0.2 pix, two thirds of the diffusion, miss the rounded ends of a track by some 0.2 % of its height.
    assert np.allclose(image, truth, atol=3e-3 * truth.max())
    # What is left out are pixels below 1 e about the line.
    assert image.sum() == pytest.approx(1e6, abs=40)


def test_track__part_outside_is_lost():
    image = one_track(-0.5, 15, 0, 0, 1e6)
    # Centred on the edge, half falls in.
    assert image.sum() == pytest.approx(5e5, rel=1e-4)


def test_rays__pixels_lie_in_the_array_in_order_of_rays():
    index, charge, ray = rays()
    assert index.dtype == np.int64
    assert charge.dtype == np.float32
    assert ray.dtype == np.int32
    assert index.min() >= 0
    assert index.max() < SHAPE[0] * SHAPE[1]
    assert charge.min() >= 1
    assert np.all(np.diff(ray) >= 0)
    assert ray.max() < 3000
    # No pixel twice within a ray.
    assert np.unique(ray.astype(np.int64) * SHAPE[0] * SHAPE[1] + index).size == index.size


def test_rays__charge_is_log_normal():
    _, charge, ray = rays(20000, shape=(2000, 2000))
    total = np.bincount(ray, charge)
    # The median of 20 000 whose logarithm scatters by 1.2 is known to 1.1 %; half a percent of rays leave the array.
    assert np.median(total) == pytest.approx(1500, rel=0.04)
    assert 3e4 < np.quantile(total, 0.999) < 1e5 * (1 + 1e-6)


def test_rays__fall_evenly_in_all_directions():
    index, charge, ray = rays(20000, long=6.0, shape=(500, 500))
    y, x = np.divmod(index, 500)
    total = np.bincount(ray, charge)
    mean_x, mean_y = np.bincount(ray, charge * x) / total, np.bincount(ray, charge * y) / total
    # A uniform coordinate scatters by 144 pix, so that 20 000 have a mean good to 1 pix.
    assert mean_x.mean() == pytest.approx(249.5, abs=4)
    assert mean_y.mean() == pytest.approx(249.5, abs=4)
    u, v = x - mean_x[ray], y - mean_y[ray]
    sizes = [np.mean(np.bincount(ray, charge * w) / total) for w in (u * u, v * v, u * v)]
    # Exponential tracks of mean 6 pix: half of <L^2>/12 = 6 along each axis, with 0.17 of diffusion and pixels.
    assert sizes[0] == pytest.approx(3.17, rel=0.08)
    assert sizes[1] == pytest.approx(3.17, rel=0.08)
    assert abs(sizes[2]) < 0.15


def test_rays__same_seed_same_pixels():
    first, second, other = rays(), rays(), rays(seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_rays__none_is_empty():
    assert all(part.size == 0 for part in rays(number=0))


def test_hits__whole_detectors():
    # NIRISS in 300 s and ACS/WFC in 500 s: some twenty thousand rays each.
    assert hits(13.6, 300, 5.0) == pytest.approx(20400)
    assert hits(37.7, 500, 1.1) == pytest.approx(20735)
