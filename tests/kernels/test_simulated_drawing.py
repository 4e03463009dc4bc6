"""Stars and wings in pixels: against the Fourier series of the effective PSF, and against plain arithmetic."""

import numpy as np
import pytest

from compute.kernels.simulate.drawing import RADIUS, Table, by_phase, draw_stars, draw_wings
from compute.kernels.simulate.optics import band, effective, intensity
from compute.kernels.simulate.pupil import hst_pupil, jwst_pupil, segment_errors, zernikes

OVERSAMPLING, HALF = 12, 13
ONE = np.zeros(1)


def optical(pupil, error, pivot, width, scale, diffusion):
    """An aberrated telescope's effective PSF as a table that ends smoothly, so that it is its own Fourier series."""
    offsets = np.arange(-HALF * OVERSAMPLING, HALF * OVERSAMPLING + 1) / OVERSAMPLING
    wavefront = segment_errors(pupil, error, np.random.default_rng(3)) + 20e-9 * zernikes(pupil)["coma_x"]
    psf = intensity(pupil.transmission, wavefront, pupil.step, *band(pivot, width, 3), offsets * scale) * scale**2
    found, _ = effective(psf, OVERSAMPLING, diffusion)
    fade = np.clip((HALF - abs(offsets)) / 3, 0, 1)
    return found * np.sin(np.pi / 2 * fade) ** 2 * np.sin(np.pi / 2 * fade[:, None]) ** 2


def gaussian(sigma, flux=1.0):
    u = np.arange(-HALF * OVERSAMPLING, HALF * OVERSAMPLING + 1) / OVERSAMPLING
    return flux * np.exp(-(u**2 + u[:, None] ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def table(values, fx=ONE, fy=ONE):
    values = np.asarray(values)
    return Table(by_phase(values.reshape(len(fy), len(fx), *values.shape[-2:]), OVERSAMPLING), fx, fy)


def drawn(table, x, y, flux=1.0, shape=(41, 41)):
    image = np.zeros(shape)
    x, y, flux = (np.array(each, float) for each in np.broadcast_arrays(*np.atleast_1d(x, y, flux)))
    draw_stars(image, *table, x, y, flux, RADIUS)
    return image


def series(values, dx, dy):
    """Fourier series of a table at offsets [pix], (n_dy, n_dx)."""
    m = len(values)
    spectrum, frequency = np.fft.fft2(np.fft.ifftshift(values)), np.fft.fftfreq(m, 1 / OVERSAMPLING)
    along, across = (np.exp(2j * np.pi * np.outer(frequency, offset)) for offset in (dx, dy))
    return (across.T @ spectrum @ along).real / m**2


def test_by_phase__puts_each_sample_at_its_offset():
    values = np.random.default_rng(1).normal(size=(2, 1, 25, 25)).astype(np.float32)
    phases = by_phase(values, 4)
    assert phases.shape == (2, 1, 4, 4, 7, 7)
    for p, q, j, i in ((0, 0, 3, 3), (1, 2, 0, 5), (3, 0, 5, 6), (0, 3, 6, 1)):
        assert np.array_equal(phases[:, :, p, q, j, i], values[:, :, 4 * j + p, 4 * i + q])


# The sharpest cases there are: NIRISS in the blue, where light still comes at 2.6 cycles per pixel, and UVIS in the UV.
@pytest.mark.parametrize(
    "camera",
    [
        (jwst_pupil(128), 60e-9, 0.902e-6, 0.194e-6, 65.6, 0.31),
        (hst_pupil(128), 15e-9, 0.335e-6, 0.051e-6, 39.8, 0.33),
    ],
    ids=["niriss", "uvis"],
)
def test_draw_stars__agrees_with_the_fourier_series(camera):
    values, rng = optical(*camera), np.random.default_rng(2)
    for x, y in [(20.0, 20.0), (20.5, 19.5), *rng.uniform(19.5, 20.5, (6, 2))]:
        image = drawn(table(values), x, y)
        middle = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
        square = np.s_[middle[1] - 10 : middle[1] + 11, middle[0] - 10 : middle[0] + 11]
        places = np.arange(-10, 11)
        expected = series(values, middle[0] + places - x, middle[1] + places - y)
        assert np.abs(image[square] - expected).max() < 1.5e-6 * values.max()


def test_draw_stars__blends_fiducials_bilinearly():
    corners = [gaussian(sigma, flux) for sigma, flux in ((1.0, 1.0), (1.2, 2.0), (1.5, 3.0), (0.8, 4.0))]
    grid = table(np.array(corners), np.array([10.0, 30.0]), np.array([5.0, 45.0]))
    x, y = 17.3, 33.9
    u, v = (x - 10) / 20, (y - 5) / 40
    shares = ((1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v)
    expected = sum(share * drawn(table(each), x, y) for share, each in zip(shares, corners, strict=True))
    assert drawn(grid, x, y) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(("x", "nearest"), [(3.0, 0), (10.0, 0), (20.0, 1), (31.0, 2), (36.5, 2)])
def test_draw_stars__fiducials_hold_beyond_their_grid(x, nearest):
    lines = np.array([gaussian(1.0), gaussian(1.3), gaussian(0.9)])
    found = drawn(table(lines, np.array([10.0, 20.0, 30.0])), x, 20.0)
    assert found == pytest.approx(drawn(table(lines[nearest]), x, 20.0), abs=1e-15)


@pytest.mark.parametrize(("x", "y"), [(0.2, 0.4), (-3.7, 20.1), (44.4, -9.0), (52.0, 52.3), (-12.4, 18.0)])
def test_draw_stars__edges_cut_and_change_nothing_else(x, y):
    shape = table(gaussian(3.0))
    wide = drawn(shape, x + 30, y + 30, shape=(101, 101))
    assert drawn(shape, x, y) == pytest.approx(wide[30:71, 30:71], abs=1e-14)  # x + 30 is rounded
    assert wide.any()


def test_draw_stars__out_of_reach_leaves_the_image_alone():
    assert not drawn(table(gaussian(3.0)), [-12.6, 53.6, 20, 1e6], [20, 20, -1e6, 20]).any()


def test_draw_stars__fluxes_are_linear_and_stars_add():
    shape, rng = table(gaussian(1.4)), np.random.default_rng(4)
    x, y, flux = rng.uniform(-5, 45, (2, 30)).tolist() + [rng.uniform(0, 1e5, 30)]
    together = drawn(shape, x, y, flux)
    alone = sum(f * drawn(shape, a, b) for a, b, f in zip(x, y, flux, strict=True))
    assert together == pytest.approx(alone, rel=1e-12, abs=1e-9)
    order = rng.permutation(30)
    assert drawn(shape, *(np.array(each)[order] for each in (x, y, flux))) == pytest.approx(together, rel=1e-13)


def test_draw_stars__keeps_the_light_wherever_the_star_is():
    # A Gaussian of 1 pix sums to one on any grid of pixels, to 1e-8; float32 tables add 1e-7.
    for x, y in np.random.default_rng(5).uniform(20, 21, (10, 2)):
        assert drawn(table(gaussian(1.0)), x, y).sum() == pytest.approx(1.0, abs=3e-7)


def test_draw_stars__symmetric_stars_are_drawn_symmetric():
    shape = table(gaussian(1.3))
    centred = drawn(shape, 20.0, 20.0)
    for turned in (centred[::-1], centred[:, ::-1], centred.T):
        assert np.array_equal(centred, turned)
    off = drawn(shape, 20.3, 19.8)
    assert off == pytest.approx(drawn(shape, 19.7, 19.8)[:, ::-1], abs=1e-15)
    assert off == pytest.approx(drawn(shape, 19.8, 20.3).T, abs=1e-15)


def wings(wing, x, y, flux, reach, inner, oversampling=4, shape=(101, 101)):
    image = np.zeros(shape)
    each = (np.atleast_1d(np.asarray(one, float)) for one in (x, y, flux))
    draw_wings(image, wing, oversampling, *each, np.atleast_1d(reach), inner)
    return image


def test_draw_wings__only_between_the_squares():
    image = wings(np.ones((241, 241)), 50.4, 48.6, 1.0, 20, 12)
    ring = np.maximum(abs(np.arange(101) - 50), abs(np.arange(101) - 49)[:, None])
    assert np.array_equal(image, ((ring > 12) & (ring <= 20)).astype(float))


def test_draw_wings__bilinear_between_samples():
    u = np.arange(-120, 121) / 4
    plane = 3.0 + 0.25 * u - 0.125 * u[:, None] + 0.01 * u * u[:, None]
    image = wings(plane, 50.37, 49.81, 2.0, 25, 12)
    dx, dy = np.arange(101) - 50.37, (np.arange(101) - 49.81)[:, None]
    expected = 2 * (3.0 + 0.25 * dx - 0.125 * dy + 0.01 * dx * dy)
    lit = image != 0
    assert lit.sum() == 51**2 - 25**2
    # u v is bilinear too, so that even its samples interpolate exactly.
    assert image[lit] == pytest.approx(expected[lit], rel=1e-12)


def test_draw_wings__reach_ends_with_the_table_and_the_image():
    wing = np.ones((241, 241))  # 30 pix to either side, of which the last is for interpolation
    assert (wings(wing, 50.0, 50.0, 1.0, 500, 12) > 0).sum() == 59**2 - 25**2
    outside, inside = wings(wing, -3.0, 110.2, 1.0, 29, 12), wings(wing, 27.0, 80.2, 1.0, 29, 12)
    assert np.array_equal(outside[30:, :70], inside[:71, 30:100])


def test_draw_wings__go_on_where_the_star_ends():
    def halo(u, v):
        return 0.01 * (1 + (u**2 + v**2) / 4) ** -1.5

    near, far = (np.arange(-h * s, h * s + 1) / s for h, s in ((HALF, OVERSAMPLING), (30, 4)))
    x, y = 50.43, 49.77
    image = drawn(table(halo(near, near[:, None])), x, y, shape=(101, 101))
    image += wings(halo(far, far[:, None]), x, y, 1.0, 25, RADIUS)
    expected = halo(np.arange(101) - x, (np.arange(101) - y)[:, None])
    lit = image > 0
    assert lit.sum() == 51**2
    assert image[lit] == pytest.approx(expected[lit], rel=1e-3)  # chords of r^-3 at 12 pix, a quarter of a pixel long
