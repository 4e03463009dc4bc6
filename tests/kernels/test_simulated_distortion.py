"""True distortions: forward and back, derivatives, areas, and chips that know nothing of each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.kernels.simulate.distortion import Distortion, area_map, forward, inverse, jacobian
from tests.strategies import steady

SIZE, ROWS = 512, 256  # columns; rows of either chip


def two_chips(seed=1, fine=0.05):
    """Shifts of some ten pixels that differ between chips, and a rough map with steps like those between amplifiers."""
    rng = np.random.default_rng(seed)
    degree = np.add.outer(np.arange(6), np.arange(6))
    polynomial = rng.uniform(-1, 1, (2, 2, 6, 6)) * np.where(degree > 5, 0, 8.0 * 4.0 ** -np.maximum(degree - 1, 0))
    y, x = np.indices((2 * ROWS, SIZE))
    waves = np.array([np.sin(x / 40 + y // 64), np.cos(y / 20) * np.sin(x / 25)]) + rng.uniform(
        -0.1, 0.1, (2, *x.shape)
    )
    middle = (SIZE - 1) / 2, (2 * ROWS - 1) / 2
    chips = np.array([[0, ROWS], [ROWS, 2 * ROWS]])
    return Distortion(polynomial, (fine * waves).astype(np.float32), chips, middle, SIZE / 2)


TRUTH = two_chips()
SMOOTH = TRUTH._replace(fine=np.zeros((2, 1, 1), np.float32))
inside = st.floats(-0.5, SIZE - 0.5)
beyond = st.floats(-90.0, SIZE + 90.0)  # where stars still send light onto a chip


def plainly(truth, chip, x, y):
    """The polynomial, term by term."""
    u, v = (x - truth.middle[0]) / truth.half, (y - truth.middle[1]) / truth.half
    powers = [(i, j) for i in range(6) for j in range(6 - i)]
    shift = [sum(truth.polynomial[chip, axis, i, j] * u**i * v**j for i, j in powers) for axis in (0, 1)]
    return x + shift[0], y + shift[1]


@steady
@given(x=beyond, y=beyond, chip=st.sampled_from([0, 1]))
def test_forward__smooth_part_is_the_polynomial(x, y, chip):
    found = forward(SMOOTH, x, y, chip)
    assert np.array(found) == pytest.approx(np.array(plainly(SMOOTH, chip, x, y)), abs=1e-11)


def test_forward__map_is_bilinear_between_pixel_centres():
    x, y = np.array([17.0, 18.0, 17.25, 17.0]), np.array([40.0, 41.0, 40.0, 40.5])
    shift = np.array(forward(TRUTH, x, y)) - np.array(forward(SMOOTH, x, y))
    fine = TRUTH.fine.astype(float)
    expected = [fine[:, 40, 17], fine[:, 41, 18], 0.75 * fine[:, 40, 17] + 0.25 * fine[:, 40, 18],
                (fine[:, 40, 17] + fine[:, 41, 17]) / 2]  # fmt: skip
    assert shift == pytest.approx(np.array(expected).T, abs=1e-12)


@steady
@given(x=beyond, y=beyond, chip=st.sampled_from([0, 1]))
def test_inverse__undoes_forward(x, y, chip):
    back = inverse(TRUTH, *forward(TRUTH, x, y, chip), chip)
    assert (float(back[0]), float(back[1])) == pytest.approx((x, y), abs=1e-9)


@steady
@given(x=inside, y=st.floats(-0.5, 2 * ROWS - 0.5))
def test_forward__undoes_inverse(x, y):
    chip = int(y >= ROWS)
    there = forward(TRUTH, *inverse(TRUTH, x, y, chip), chip)
    assert (float(there[0]), float(there[1])) == pytest.approx((x, y), abs=1e-9)


def test_inverse__many_at_once_each_by_its_chip():
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-0.5, SIZE - 0.5, (2, 50, 20))
    chip = (y >= ROWS).astype(int)
    there = forward(TRUTH, x, y, chip)
    assert there[0].shape == (50, 20)
    assert np.array(inverse(TRUTH, *there, chip)) == pytest.approx(np.array([x, y]), abs=1e-9)
    one = forward(TRUTH, x[3, 4], y[3, 4], chip[3, 4])
    assert (float(one[0]), float(one[1])) == (there[0][3, 4], there[1][3, 4])


@pytest.mark.parametrize("chip", [0, 1])
def test_chips__never_see_each_others_map(chip):
    other = TRUTH.fine.copy()
    other[:, slice(ROWS, None) if chip == 0 else slice(0, ROWS)] = np.nan
    x, y = np.meshgrid(
        np.linspace(-20, SIZE + 20, 31), np.r_[np.linspace(-20, 2 * ROWS + 20, 31), ROWS - 1 + np.linspace(0, 1, 9)]
    )
    for truth in (TRUTH, TRUTH._replace(fine=other)):
        assert np.array_equal(forward(truth, x, y, chip), forward(TRUTH, x, y, chip))


def test_chips__maps_hold_beyond_their_edges():
    shift = [
        np.subtract(forward(TRUTH, 30.0, y), forward(SMOOTH, 30.0, y)) for y in (ROWS - 1.0, ROWS - 0.5, ROWS + 30.0)
    ]
    assert shift[0] == pytest.approx(TRUTH.fine[:, ROWS - 1, 30].astype(float), abs=1e-12)
    assert shift[1] == pytest.approx(shift[0], abs=1e-12)
    assert shift[2] == pytest.approx(shift[0], abs=1e-12)


@steady
@given(x=inside, y=inside, chip=st.sampled_from([0, 1]))
def test_jacobian__agrees_with_derivatives_of_the_polynomial(x, y, chip):
    step = 1e-3
    along = np.subtract(forward(SMOOTH, x + step, y, chip), forward(SMOOTH, x - step, y, chip)) / (2 * step)
    across = np.subtract(forward(SMOOTH, x, y + step, chip), forward(SMOOTH, x, y - step, chip)) / (2 * step)
    # Third derivatives over a pixel, 4e-7 here where pixels are large; rounding over the short step.
    assert jacobian(TRUTH, x, y, chip) == pytest.approx(np.stack([along, across], axis=1), abs=2e-6)


@pytest.mark.parametrize(("shape", "chip", "corner"), [((ROWS, SIZE), 1, (ROWS, 0)), ((64, 64), 0, (96, 224))])
def test_area_map__is_the_determinant(shape, chip, corner):
    x, y = np.meshgrid(np.arange(shape[1]) + corner[1], np.arange(shape[0]) + corner[0])
    found = area_map(TRUTH, shape, chip, *corner)
    assert found.dtype == np.float32
    expected = np.linalg.det(np.moveaxis(jacobian(TRUTH, x, y, chip), (0, 1), (-2, -1)))
    assert np.ptp(expected) > 1e-3
    assert found == pytest.approx(expected, abs=5e-6)  # lines over a sixty-fourth of an array


def test_forward__of_no_position_is_none():
    x, y = np.array([np.nan, 10.0, np.inf, 10.0]), np.array([10.0, np.nan, 10.0, 10.0])
    found = np.array(forward(TRUTH, x, y, 0))
    assert np.isnan(found[:, :3]).all()
    assert np.isfinite(found[:, 3]).all()
