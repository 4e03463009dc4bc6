"""One distortion from exposures of several epochs, in which stars have moved."""

import numpy as np

from compute.kernels.frame.transforms import Transform
from compute.stages.geometry.pairs import Pairs, joined, of_epochs, packed, unpacked

_POLY = Transform("poly5", np.arange(42.0).reshape(2, 21), np.zeros((42, 42)), (512.0, 512.0), 512.0)


def pairs(n_stars: int, n_exposures: int, first: float) -> Pairs:
    """Every star in every exposure; `first` tells epochs apart."""
    star, exposure = (each.ravel() for each in np.indices((n_stars, n_exposures)))
    value = first + np.arange(star.size, dtype=float)
    places = first + np.arange(5.0 * n_stars).reshape(5, n_stars)
    columns = dict.fromkeys(("x", "y", "var_x", "var_y", "cov_xy", "mag"), value)
    return Pairs(
        exposure, star, **columns, places=places, reserved=np.arange(n_stars) % 2 == 0,
        epoch=np.zeros(n_exposures, np.int64), transforms=[_POLY, None, _POLY][:n_exposures],
        reasons=["ok", "no stars", "ok"][:n_exposures],
    )  # fmt: skip


def test_joined__stars_of_epochs_are_different_ones_and_exposures_keep_their_numbers():
    early, late = pairs(4, 2, 100.0), pairs(3, 3, 200.0)
    rows = np.array([0, 3]), np.array([1, 2, 4])
    whole = joined([(rows[0], early), (rows[1], late)])
    np.testing.assert_array_equal(whole.epoch, [0, 1, 1, 0, 1])
    np.testing.assert_array_equal(np.unique(whole.star), np.arange(7))
    assert (np.diff(whole.star) >= 0).all()
    assert set(whole.exposure[whole.star < 4]) == {0, 3}
    assert set(whole.exposure[whole.star >= 4]) == {1, 2, 4}
    np.testing.assert_array_equal(whole.places, np.concatenate([early.places, late.places], axis=1))
    assert whole.reasons == ["ok", "ok", "no stars", "no stars", "ok"]
    assert [one is None for one in whole.transforms] == [False, False, True, True, False]


def test_of_epochs__takes_them_apart_again():
    early, late = pairs(4, 2, 100.0), pairs(3, 3, 200.0)
    whole = unpacked(packed(joined([(np.array([0, 3]), early), (np.array([1, 2, 4]), late)])))
    one, other = of_epochs(whole)
    np.testing.assert_array_equal(one.x, early.x)
    np.testing.assert_array_equal(other.x, late.x)
    assert [each is None for each in one.transforms] == [False, True, True, True, True]
    assert [each is None for each in other.transforms] == [True, False, True, True, False]
