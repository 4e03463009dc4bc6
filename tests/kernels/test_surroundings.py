"""Local means against the same by trying every pair."""

import numpy as np
import pytest

from compute.kernels.motion.surroundings import Stars, local_means

LIMITS = {"radius": 30.0, "magnitudes": 1.0, "most": 12, "least": 3}


def field(n=300, seed=1):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-200, 300, (2, n))
    return Stars(x, y, rng.uniform(-8, -3, n), *rng.normal(size=(2, n)), *rng.uniform(0.1, 1.0, (2, n)))


def plainly(x, y, mag, own, around, radius, magnitudes, most, least):
    """One star's means, their variances, and of how many."""
    square = (around.x - x) ** 2 + (around.y - y) ** 2
    near = (square <= radius**2) & (abs(around.mag - mag) <= magnitudes)
    if own >= 0:
        near[own] = False
    which = np.flatnonzero(near)
    which = which[np.argsort(square[which], kind="stable")][:most]
    if which.size < least:
        return 0.0, 0.0, 0.0, 0.0, which.size
    a, b = 1 / around.var_x[which], 1 / around.var_y[which]
    return (a @ around.pm_x[which]) / a.sum(), (b @ around.pm_y[which]) / b.sum(), 1 / a.sum(), 1 / b.sum(), which.size


@pytest.mark.parametrize("radius", [8.0, 30.0, 90.0, 2000.0])
def test_local_means__every_pair_tried(radius):
    around = field()
    own = np.where(np.arange(400) < 300, np.arange(400), -1)
    other = field(100, seed=2)
    x, y, mag = (np.concatenate([getattr(around, name), getattr(other, name)]) for name in ("x", "y", "mag"))
    limits = LIMITS | {"radius": radius}
    found = local_means(x, y, mag, own, around, **limits)
    expected = np.array([plainly(x[s], y[s], mag[s], own[s], around, **limits) for s in range(400)])
    np.testing.assert_allclose(np.column_stack(found), expected, rtol=1e-12, atol=1e-14)


def test_local_means__a_star_is_no_part_of_its_own():
    around = Stars(*(np.array([value, value]) for value in (0.0, 0.0, -5.0)), np.array([1.0, 3.0]), np.zeros(2),
                   np.ones(2), np.ones(2))  # fmt: skip
    found = local_means(np.zeros(2), np.zeros(2), np.full(2, -5.0), np.arange(2), around, **(LIMITS | {"least": 1}))
    assert found.pm_x.tolist() == [3.0, 1.0]


def test_local_means__too_few_or_no_place_or_magnitude_is_nothing():
    around = field()
    x, y, mag = np.array([np.nan, 1e6, 0.0]), np.zeros(3), np.array([-5.0, -5.0, np.nan])
    found = local_means(x, y, mag, np.full(3, -1), around, **LIMITS)
    assert (np.column_stack(found) == 0).all()
    nobody = Stars(*np.zeros((7, 0)))
    assert local_means(x, y, mag, np.full(3, -1), nobody, **LIMITS).n.tolist() == [0, 0, 0]
