"""Flat residuals and bad pixels against the numbers asked for."""

import numpy as np
import pytest
from scipy.ndimage import label

from compute.kernels.simulate.blemishes import Kind, bad_pixels, flat_residuals, hot_current

SHAPE = (400, 500)


def rng(seed=1):
    return np.random.default_rng(seed)


def test_flat__mean_is_one_and_rms_as_asked():
    flat = flat_residuals(SHAPE, 0.01, rng())
    assert flat.dtype == np.float32
    # Single pixels are rounded to 6e-8, their mean to far less.
    assert flat.mean(dtype=np.float64) == pytest.approx(1, abs=1e-8)
    # 200 000 pixels know their rms to 0.16 %.
    assert flat.std(dtype=np.float64) == pytest.approx(0.01, rel=0.006)


def test_flat__neighbours_are_independent():
    flat = flat_residuals(SHAPE, 0.01, rng()) - 1
    for shifted in (flat[1:, :] * flat[:-1, :], flat[:, 1:] * flat[:, :-1]):
        # Four standard errors of the mean product.
        assert abs(shifted.mean()) < 4 * 0.01**2 / np.sqrt(shifted.size)


def test_flat__greatest_rms_leaves_every_pixel_alive():
    assert flat_residuals((2000, 2000), 0.2, rng()).min() > 0.1


def test_flat__no_rms_is_unity():
    assert np.array_equal(flat_residuals(SHAPE, 0.0, rng()), np.ones(SHAPE))


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.004, 0.2])
def test_bad_pixels__share_is_exact(share, columns):
    kinds = bad_pixels(SHAPE, share, rng(), columns=columns)
    assert kinds.dtype == np.uint8
    assert np.count_nonzero(kinds) == round(share * kinds.size)


def test_bad_pixels__every_kind_occurs():
    assert set(np.unique(bad_pixels(SHAPE, 0.01, rng()))) == set(Kind)


def test_bad_pixels__some_are_clustered():
    def pixels_in_groups(kinds):
        return np.sum(np.bincount(label(kinds > 0, np.ones((3, 3)))[0].ravel())[1:] >= 4)

    kinds = bad_pixels(SHAPE, 0.004, rng())
    shuffled = rng(2).permutation(kinds.ravel()).reshape(SHAPE)
    # 80 of the 800 bad pixels make 13 clusters, of which a few may be thinned by overlap; chance alone makes none.
    assert pixels_in_groups(kinds) >= 6
    assert pixels_in_groups(shuffled) == 0


def test_bad_pixels__columns_reach_an_end():
    kinds = bad_pixels(SHAPE, 0.02, rng(), columns=True)
    dead = kinds == Kind.DEAD
    blocked = np.flatnonzero(dead.sum(axis=0) > 30)
    assert blocked.size >= 3
    assert all(dead[0, x] or dead[-1, x] for x in blocked)
    # A quarter of 4000 bad pixels stand in columns; the rest could not make one.
    assert dead[:, blocked].sum() == pytest.approx(1000, rel=0.1)
    assert (bad_pixels(SHAPE, 0.02, rng()) > 0).sum(axis=0).max() < 30


def test_hot_current__only_hot_pixels():
    kinds = bad_pixels(SHAPE, 0.02, rng())
    current = hot_current(kinds, rng(), median=2.0)
    hot = kinds == Kind.HOT
    assert np.array_equal(current > 0, hot)
    # 2000 values whose logarithm scatters by 1.5 know their median to 4 %.
    assert np.median(current[hot]) == pytest.approx(2.0, rel=0.17)
