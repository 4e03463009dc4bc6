"""Galaxies and comae: light, moments, centroids, and the star that a point-like galaxy is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammainc, gammaincinv

from compute.kernels.simulate.drawing import RADIUS, Table, by_phase, draw_stars
from compute.kernels.simulate.galaxies import FINE, coma, draw_galaxy, sersic
from tests.strategies import steady

HALF, OVERSAMPLING = 13, 12
U = np.arange(-HALF * OVERSAMPLING, HALF * OVERSAMPLING + 1) / OVERSAMPLING


def star_table(*sigmas, spacing=100.0):
    """Gaussian ePSFs of unit sum, at fiducials along x."""
    values = np.array([[np.exp(-(U**2 + U[:, None] ** 2) / (2 * s**2)) / (2 * np.pi * s**2) for s in sigmas]])
    return Table(by_phase(values, OVERSAMPLING), spacing * np.arange(len(sigmas)), np.zeros(1))


ONE, TWO = star_table(1.2), star_table(1.1, 1.4)


def grid(light):
    half = (len(light) - 1) // 2
    offset = np.arange(-half, half + 1) / FINE
    return offset[None, :], offset[:, None]


def moments(image, x, y):
    """Centroid and second moments [xx, xy, yy]."""
    image = image / image.sum()
    x, y = x - (image * x).sum(), y - (image * y).sum()
    return (image * x * x).sum(), (image * x * y).sum(), (image * y * y).sum()


def centroid(image):
    y, x = np.indices(image.shape)
    return (image * x).sum() / image.sum(), (image * y).sum() / image.sum()


@pytest.mark.parametrize("index", [0.5, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("radius", [0.8, 3.0])
@pytest.mark.parametrize("axis_ratio", [1.0, 0.4])
def test_sersic__light_grows_with_the_radius_as_it_should(index, radius, axis_ratio):
    light = sersic(20, radius, index, axis_ratio, 0.6, np.eye(2))
    x, y = grid(light)
    along, across = x * np.cos(0.6) + y * np.sin(0.6), y * np.cos(0.6) - x * np.sin(0.6)
    b = gammaincinv(2 * index, 0.5)

    def grown(r):  # found, with rims one cell wide; expected, where half the light is within `radius`
        inside = np.clip((r - np.hypot(along, across / axis_ratio)) * FINE * axis_ratio**0.5 + 0.5, 0, 1)
        return (light * inside).sum(), gammainc(2 * index, b * (r / radius) ** (1 / index))

    whole = grown(16.0)
    for r in (1.5, 3.0, 6.0):
        found, expected = grown(r)
        assert found / whole[0] == pytest.approx(expected / whole[1], abs=0.015)  # the rims of thin galaxies
    # Light beyond the grid is not there: 0.4 % of the widest profile.
    assert whole[0] == pytest.approx(whole[1], abs=0.01)


@steady
@given(axis_ratio=st.floats(0.25, 0.9), angle=st.floats(0.0, np.pi))
def test_sersic__moments_tell_axis_ratio_and_angle(axis_ratio, angle):
    light = sersic(20, 2.0, 1.0, axis_ratio, angle, np.eye(2))
    xx, xy, yy = moments(light, *grid(light))
    values, vectors = np.linalg.eigh([[xx, xy], [xy, yy]])
    # The square grid cuts a profile that has fallen to e^-16 of its centre.
    assert np.sqrt(values[0] / values[1]) == pytest.approx(axis_ratio, rel=0.01)
    turned = np.arctan2(vectors[1, 1], vectors[0, 1]) - angle
    assert abs(np.sin(turned)) < 0.01


def test_sersic__shape_turns_and_scales():
    turn, scale = 0.7, 0.065
    shape = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    far = sersic(12, 0.2, 1.5, 0.6, 1.1, shape)
    assert far == pytest.approx(sersic(12, 0.2 / scale, 1.5, 0.6, 1.1 - turn, np.eye(2)), rel=1e-9)


def test_sersic__cusp_is_averaged_over_its_cells():
    # Mean over the central cell from an integral in polar coordinates, for a profile steeper than a cell is wide.
    light = sersic(12, 0.3, 1.0, 1.0, 0.0, np.eye(2))
    cell, sub = 1 / FINE, (np.arange(400) + 0.5) / 400 - 0.5
    fine = np.hypot(sub[:, None], sub) * cell
    b = 1.678347  # of which exp(-b r / r_half) holds half within r_half
    middle = len(light) // 2
    expected = np.exp(-b * fine / 0.3).mean() * cell**2 / (2 * np.pi * (0.3 / b) ** 2)
    assert light[middle, middle] == pytest.approx(expected, rel=0.01)


def test_coma__falls_as_one_over_r_and_its_middle_is_the_mean():
    light = coma(40, 5.0)
    r, middle = np.hypot(*grid(light)), 40 * FINE
    fade = (1 - (r / 40) ** 2) ** 2
    flat = light * r / fade.clip(1e-9)
    lit = (r > 0) & (r < 39)
    assert flat[lit] == pytest.approx(flat[middle, middle + 1])
    assert not light[r >= 40].any()
    assert light[r <= 5].sum() == pytest.approx(1.0)
    # Light of 1/r grows as r, to the cells of the rim and the 1 % that has faded by then.
    assert light[r <= 2.5].sum() == pytest.approx(0.5, abs=0.02)
    sub = (np.arange(1000) + 0.5) / 1000 - 0.5
    mean = (1 / np.hypot(sub[:, None], sub)).mean()  # over one cell, in its own width
    assert light[middle, middle] / light[middle, middle + 1] == pytest.approx(mean, rel=2e-3)


@steady
@given(x=st.floats(29.0, 31.0), y=st.floats(29.5, 30.5), table=st.sampled_from([ONE, TWO]))
def test_draw_galaxy__centroid_is_the_place_given(x, y, table):
    image = np.zeros((61, 61))
    draw_galaxy(image, table, x, y, 1.0, sersic(12, 1.5, 1.0, 0.7, 0.4, np.eye(2)))
    assert centroid(image) == pytest.approx((x, y), abs=1e-6)


@steady
@given(x=st.floats(29.5, 30.5), y=st.floats(29.5, 30.5))
def test_draw_galaxy__keeps_the_light(x, y):
    image = np.zeros((61, 61))
    light = sersic(10, 1.0, 1.0, 0.7, 0.4, np.eye(2))
    draw_galaxy(image, ONE, x, y, 5.0, light)
    assert image.sum() == pytest.approx(5.0 * light.sum(), rel=1e-6)
    assert light.sum() == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("table", [ONE, TWO], ids=["one fiducial", "two fiducials"])
def test_draw_galaxy__a_point_is_a_star(table):
    for x, y in [(30.0, 30.0), (30.5, 29.5), *np.random.default_rng(1).uniform(29.5, 30.5, (8, 2))]:
        galaxy, star = np.zeros((61, 61)), np.zeros((61, 61))
        draw_galaxy(galaxy, table, x, y, 7.0, sersic(4, 1e-3, 1.0, 1.0, 0.0, np.eye(2)))
        draw_stars(star, *table, np.array([x]), np.array([y]), np.array([7.0]), RADIUS)
        assert galaxy == pytest.approx(star, abs=1e-12)


def test_draw_galaxy__is_the_convolution():
    # Gaussian galaxy (index 0.5) through a Gaussian ePSF: variances add.
    radius, x, y = 2.0, 30.21, 29.87
    sigma2 = 1.2**2 + (radius / np.sqrt(2 * np.log(2))) ** 2
    image = np.zeros((61, 61))
    draw_galaxy(image, ONE, x, y, 1.0, sersic(16, radius, 0.5, 1.0, 0.0, np.eye(2)))
    v, u = np.indices(image.shape)
    expected = np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * sigma2)) / (2 * np.pi * sigma2)
    # 0.1 %: the expansion of b that the profile uses is for larger indices.
    assert image == pytest.approx(expected, abs=1e-3 * expected.max())


@pytest.mark.parametrize(("x", "y"), [(0.3, 0.2), (-4.0, 20.0), (64.0, 57.7), (-400.0, 30.0)])
def test_draw_galaxy__edges_cut_and_change_nothing_else(x, y):
    light = sersic(10, 1.5, 1.0, 0.7, 0.4, np.eye(2))
    wide, image = np.zeros((161, 161)), np.zeros((61, 61))
    draw_galaxy(image, ONE, x, y, 1.0, light)
    draw_galaxy(wide, ONE, x + 50, y + 50, 1.0, light)
    assert image == pytest.approx(wide[50:111, 50:111], abs=1e-15)
