"""Distortion kernels against the simulator's, against the plain sum of layers, and back again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.kernels.geometry import distortion
from compute.kernels.geometry import layers as kernels
from compute.kernels.geometry.distortion import forward, inverse, jacobian, pixel_area, warm
from compute.kernels.geometry.layers import PixelMap, Polynomial, Table
from compute.kernels.simulate.distortion import Distortion, area_map
from compute.kernels.simulate.distortion import forward as true_forward
from compute.stages.layered import layers_of
from tests.distortions import SIZE, make_cube
from tests.strategies import steady

CUBES = {n: make_cube(n_chips=n) for n in (1, 2)}
LAYERS = {n: layers_of(cube) for n, cube in CUBES.items()}
ALONE = [pytest.param(k, id=name) for k, name in enumerate(("polynomial", "table", "map"))]
places = st.floats(-8.0, SIZE + 7.0)


def scattered(n, seed=5, beyond=8.0):
    return np.random.default_rng(seed).uniform(-beyond, SIZE - 1 + beyond, (2, n))


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("n_chips", [1, 2])
def test_forward__agrees_with_the_simulator(n_chips, single):
    cube = make_cube(n_chips, single=single)
    polynomial, _, pixel_map = cube.layers
    truth = Distortion(polynomial.coefficients, pixel_map.values, cube.chips, polynomial.middle, polynomial.half)
    x, y = scattered(3000)
    chip = np.random.default_rng(6).integers(0, n_chips, x.size)
    layers = [layers_of(cube)[k] for k in (0, 2)]
    np.testing.assert_allclose(forward(layers, x, y, chip), true_forward(truth, x, y, chip), atol=1e-9)


@pytest.mark.parametrize("n_chips", [1, 2])
@pytest.mark.parametrize("pick", [*ALONE, pytest.param(slice(None), id="all")])
def test_forward__agrees_with_the_plain_sum(n_chips, pick):
    cube, layers = CUBES[n_chips], LAYERS[n_chips]
    x, y = scattered(3000)
    x[:4], y[:4] = [0, SIZE - 1, -8, SIZE + 7], [SIZE - 1, 0, SIZE + 7, -8]
    chip = cube.chip_of(y)
    chosen = layers[pick] if isinstance(pick, slice) else layers[pick : pick + 1]
    plain = cube.layers[pick] if isinstance(pick, slice) else cube.layers[pick : pick + 1]
    expected = np.array([x, y]) + sum(layer.delta(x, y, chip) for layer in plain)
    np.testing.assert_allclose(forward(chosen, x, y, chip), expected, atol=1e-11)


def test_forward__no_layers_leave_positions_alone():
    x, y = scattered(10)
    assert np.array_equal(forward((), x, y), [x, y])
    assert np.array_equal(inverse((), x, y), [x, y])


def test_forward__shapes_and_blocks_do_not_matter(monkeypatch):
    x, y = scattered(600)
    whole = np.array(forward(LAYERS[2], x.reshape(20, 30), y.reshape(20, 30), 1))
    assert whole.shape == (2, 20, 30)
    monkeypatch.setattr(distortion, "_BLOCK", 7)
    assert np.array_equal(np.array(forward(LAYERS[2], x, y, 1)), whole.reshape(2, -1))
    one = forward(LAYERS[2], x[17], y[17], 1)
    assert (float(one[0]), float(one[1])) == (whole[0].flat[17], whole[1].flat[17])


@pytest.mark.parametrize("pick", ALONE)
def test_everything__of_no_position_is_none(pick):
    x, y = np.array([np.nan, 10.0, np.inf, -np.inf, 10.0]), np.array([10.0, np.nan, 10.0, 10.0, 10.0])
    layers = LAYERS[1][pick : pick + 1]
    for found in (forward(layers, x, y), inverse(layers, x, y), jacobian(layers, x, y).reshape(4, -1)[[0, 3]]):
        assert not np.isfinite(np.array(found)[:, :4]).any(axis=0).all()
        assert np.isfinite(np.array(found)[:, 4]).all()
    area = pixel_area(layers, CUBES[1].chips, SIZE, x, y)
    assert np.isfinite(area[4])


@steady
@given(x=places, y=places, n=st.sampled_from([1, 2]), chip=st.sampled_from([0, 1]))
def test_inverse__undoes_forward_to_eight_pixels_outside(x, y, n, chip):
    chip = min(chip, n - 1)
    back = inverse(LAYERS[n], *forward(LAYERS[n], x, y, chip), chip)
    assert (float(back[0]), float(back[1])) == pytest.approx((x, y), abs=1e-8)


@steady
@given(seed=st.integers(0, 999), strength=st.floats(0.0, 12.0), fine=st.floats(0.0, 0.05))
def test_inverse__undoes_forward_of_any_cube(seed, strength, fine):
    cube = make_cube(2, size=64, strength=strength / 4, fine=fine, seed=seed)
    layers, (x, y) = layers_of(cube), np.random.default_rng(seed).uniform(-8, 71, (2, 50))
    chip = cube.chip_of(y)
    back = np.array(inverse(layers, *forward(layers, x, y, chip), chip))
    # Forward to 1e-9 pix; slopes of up to a third make that a little more in raw pixels.
    np.testing.assert_allclose(back, [x, y], atol=1e-8)


def test_inverse__finds_the_whole_detector():
    y, x = np.indices((SIZE, SIZE), float)
    back = inverse(LAYERS[1], *forward(LAYERS[1], x, y))
    assert np.abs(np.array(back) - [x, y]).max() < 1e-8


@pytest.mark.parametrize("pick", [*ALONE, pytest.param(slice(None), id="all")])
def test_jacobian__agrees_with_differences(pick):
    layers = LAYERS[2][pick] if isinstance(pick, slice) else LAYERS[2][pick : pick + 1]
    rng, step = np.random.default_rng(7), 1e-4
    # In the middle parts of pixels and cells, where a bilinear map has no kink within a step.
    x, y = rng.integers(-8, SIZE + 7, (2, 400)) + rng.uniform(0.1, 0.9, (2, 400))
    chip = CUBES[2].chip_of(y)
    for axis, (dx, dy) in enumerate(((step, 0), (0, step))):
        ahead, behind = (np.array(forward(layers, x + s * dx, y + s * dy, chip)) for s in (1, -1))
        # Rounding over the step, 1e-13 / 1e-4; third derivatives are far less.
        np.testing.assert_allclose(jacobian(layers, x, y, chip)[:, axis], (ahead - behind) / (2 * step), atol=1e-8)


def test_holes__are_not_a_number_and_reach_no_further():
    values = np.zeros((9, 9, 2))
    values[4, 4] = np.nan
    layers = (PixelMap(values, np.array([[0, 9]])),)
    x, y = np.array([3.5, 4.5, 4.0, 3.0, 5.0, 2.5]), np.array([4.0, 4.5, 3.2, 4.0, 4.0, 4.0])
    expected = [True, True, True, False, False, False]
    assert np.isnan(forward(layers, x, y)[0]).tolist() == expected
    assert np.isnan(inverse(layers, x, y)[0]).tolist() == expected


def test_inverse__what_no_raw_position_reaches_is_none():
    flat = np.zeros((1, 2, 2, 2))
    flat[0, 0, 1, 0] = -10.0  # every x lands on 0
    layers = (Polynomial(flat, 0.0, 0.0, 10.0),)
    found = inverse(layers, np.array([0.0, 5.0]), np.array([0.0, 0.0]))[0]
    assert found[0] == 0.0
    assert np.isnan(found[1])


def test_area__of_smooth_distortion_is_the_determinant():
    """As the simulator's, which takes the polynomials alone."""
    cube = make_cube(2, size=1024, strength=20.0, fine=0.0)
    polynomial = cube.layers[0]
    truth = Distortion(
        polynomial.coefficients, np.zeros((2, 1, 1), np.float32), cube.chips, polynomial.middle, polynomial.half
    )
    y, x = np.indices((512, 1024))
    expected = area_map(truth, (512, 1024), 1, 512.0)
    found = pixel_area(layers_of(cube), cube.chips, 1024, x, y + 512, 1)
    assert np.ptp(expected) > 0.03
    # Derivatives over 33 pixels (16 at an edge, one-sided), of distortions of 20 pix in 512.
    inner = (slice(16, -16), slice(16, -16))
    assert np.abs(found - expected)[inner].max() < 1e-4
    assert np.abs(found - expected).max() < 1.5e-3


def test_area__noise_and_steps_of_a_map_do_not_pass():
    rng = np.random.default_rng(8)
    values = rng.normal(0, 0.01, (SIZE, SIZE, 2))
    values[100:] += 0.05  # from one amplifier to the next
    chips = np.array([[0, SIZE]])
    y, x = np.indices((SIZE, SIZE))
    area = pixel_area((PixelMap(values, chips),), chips, SIZE, x, y)
    assert area.mean() == pytest.approx(1, abs=5e-4)
    inner = area[16:-16, 16:-16]
    # Noise: 0.01 / 32 along either axis; the step: 0.05 / 32 within 16 rows of it. Five sigma.
    assert np.abs(inner - 1).max() < 0.05 / 32 + 5 * 2**0.5 * 0.01 / 32
    assert np.abs(inner[120:] - 1).std() < 1.2 * 2**0.5 * 0.01 / 32


def test_area__agrees_with_a_published_spot_table():
    """Positions at 3 x 3 pixels of a NIRCam correction (NRCB1, F212N), and its pixel areas [mag] there."""
    x_gc = [[-0.955, 1026.608, 2055.423], [2.264, 1023.873, 2046.674], [7.131, 1023.624, 2041.383]]
    y_gc = [[-4.862, -3.369, 3.297], [1024.199, 1024.143, 1029.913], [2048.964, 2047.291, 2052.288]]
    mag = [[-0.0159, -0.0132, -0.0130], [-0.0020, -0.0001, 0.0001], [0.0069, 0.0098, 0.0093]]
    y, x = np.meshgrid([0.0, 1023.0, 2047.0], [0.0, 1023.0, 2047.0], indexing="ij")
    u, v = x.ravel() / 1024, y.ravel() / 1024
    powers = [(i, j) for i in range(3) for j in range(3)]
    design = np.stack([u**i * v**j for i, j in powers], axis=1)
    terms = np.zeros((1, 2, 5, 5))
    for axis, shift in enumerate((np.array(x_gc) - 1 - x, np.array(y_gc) - 1 - y)):
        for (i, j), value in zip(powers, np.linalg.solve(design, shift.ravel()), strict=True):
            terms[0, axis, i, j] = value
    area = pixel_area((Polynomial(terms, 0.0, 0.0, 1024.0),), np.array([[0, 2048]]), 2048, x, y)
    # A parabola through three points is not the whole distortion: 2 mmag of the 26 that the table spans.
    np.testing.assert_allclose(-2.5 * np.log10(area), mag, atol=2.5e-3)


def test_table__uneven_cells():
    knots = np.array([0.0, 1.0, 1.5, 40.0, 41.0, 200.0])
    values = np.random.default_rng(9).normal(size=(6, 6, 2))
    x = np.r_[knots, -1.0, 0.2, 1.2, 20.0, 40.5, 199.9, 300.0]
    found = forward((Table(values, knots, knots),), x, np.full(x.size, 1.0))[0] - x
    np.testing.assert_allclose(found, np.interp(x, knots, values[1, :, 0]), atol=1e-12)


def test_warm__calls_every_kernel():
    warm()
    names = ("_polynomials", "_table", "_table_slopes", "_map", "_map_slopes")
    assert all(getattr(kernels, name).signatures for name in names)
