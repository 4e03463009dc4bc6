"""Diffraction and effective PSFs: against Airy, error functions, Parseval and numerical integrals."""

import numpy as np
import pytest
from scipy.special import erf, j1

from compute.kernels.simulate.optics import band, effective, intensity, pixel_transfer
from compute.kernels.simulate.pupil import hst_pupil, zernikes

RADIAN = 180 / np.pi * 3.6e6  # mas
SCALE = 50.0  # mas per pixel of the tests' camera


def comatic(oversampling, reach, tilt=(0.0, 0.0)):
    """PSF per square pixel of an aberrated HST at 0.6 micron, `tilt` [pix] by a slope of the wavefront."""
    pupil = hst_pupil(128)
    modes = zernikes(pupil)
    place = (np.arange(128) + 0.5 - 64) * pupil.step
    slope = np.array(tilt) * SCALE / RADIAN
    wavefront = 50e-9 * modes["coma_x"] - 30e-9 * modes["trefoil_y"] + 20e-9 * modes["defocus"]
    wavefront = wavefront + slope[0] * place + slope[1] * place[:, None]
    offsets = np.arange(-reach * oversampling, reach * oversampling + 1) / oversampling * SCALE
    return intensity(pupil.transmission, wavefront, pupil.step, [0.6e-6], [1.0], offsets) * SCALE**2


def gaussian(sigma, oversampling, reach, x=0.0, y=0.0):
    u = np.arange(-reach * oversampling, reach * oversampling + 1) / oversampling
    return np.exp(-((u - x) ** 2 + (u[:, None] - y) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def test_intensity__round_pupil_gives_the_airy_pattern():
    n, diameter, wavelength = 1024, 2.4, 0.8e-6
    step = 2.5 / n
    fine = (np.arange(4 * n) + 0.5 - 2 * n) * step / 4
    disc = (np.hypot(fine, fine[:, None]) <= diameter / 2).reshape(n, 4, n, 4).mean(axis=(1, 3))
    offsets = np.linspace(-400, 400, 81)
    found = intensity(disc, np.zeros((n, n)), step, [wavelength], [1.0], offsets)
    x = np.pi * diameter / wavelength * np.hypot(offsets, offsets[:, None]) / RADIAN
    amplitude = np.divide(2 * j1(x), x, out=np.ones_like(x), where=x > 0)
    airy = np.pi * diameter**2 / 4 / (wavelength * RADIAN) ** 2 * amplitude**2
    # The rim's cells let part of the amplitude through, which is not the same part of the light: 1/n.
    assert found == pytest.approx(airy, abs=1e-3 * airy.max())


def test_intensity__all_photons_arrive():
    # |amplitude|^2 has no frequencies beyond the pupil's autocorrelation: n samples of a period hold its integral.
    n, step, wavelength = 48, 0.05, 1e-6
    rng = np.random.default_rng(1)
    transmission, wavefront = rng.uniform(0, 1, (n, n)), rng.normal(0, 0.2e-6, (n, n))
    spacing = wavelength * RADIAN / step / n
    found = intensity(transmission, wavefront, step, [wavelength], [1.0], np.arange(n) * spacing)
    assert found.sum() * spacing**2 == pytest.approx(1.0, rel=1e-12)


def test_intensity__colours_add():
    pupil, offsets, flat = hst_pupil(128), np.linspace(-200, 200, 21), np.zeros((128, 128))
    blue, red = (intensity(pupil.transmission, flat, pupil.step, [w], [1.0], offsets) for w in (0.5e-6, 0.9e-6))
    both = intensity(pupil.transmission, flat, pupil.step, [0.5e-6, 0.9e-6], [0.3, 0.7], offsets)
    assert both == pytest.approx(0.3 * blue + 0.7 * red, rel=1e-12)


def test_intensity__a_slope_of_the_wavefront_moves_the_star_up_its_offsets():
    still, moved = comatic(4, 3), comatic(4, 3, tilt=(0.25, -0.5))
    assert moved[:-2, 1:] == pytest.approx(still[2:, :-1], abs=1e-12)


@pytest.mark.parametrize("intra", [0.0, 0.1, 0.7])
def test_pixel_transfer__is_the_transform_of_the_response(intra):
    frequency = np.r_[0.0, 1e-5, 1.5e-4, 1.7e-4, 1e-3, np.linspace(0.01, 6, 100)]
    node, weight = np.polynomial.legendre.leggauss(60)
    u, weight = node / 2, weight / 2
    response = 1 - 4 * intra * u**2  # 1 in the middle, 1 - intra at the edge
    response /= (response * weight).sum()
    integral = (np.cos(2 * np.pi * frequency[:, None] * u) * response * weight).sum(axis=1)
    expected = integral * np.exp(-2 * (np.pi * frequency * 0.3) ** 2)
    assert pixel_transfer(frequency, 0.3, intra) == pytest.approx(expected, abs=1e-11)  # a series near zero


@pytest.mark.parametrize("diffusion", [0.0, 0.33])
def test_effective__gaussian_through_a_box_is_error_functions(diffusion):
    found, centre = effective(gaussian(0.5, 12, 8), 12, diffusion)
    width = np.sqrt(2) * np.hypot(0.5, diffusion)
    u = np.arange(-96, 97) / 12
    line = (erf((u + 0.5) / width) - erf((u - 0.5) / width)) / 2
    assert centre == pytest.approx((0.0, 0.0), abs=1e-12)
    assert found == pytest.approx(line[:, None] * line, abs=1e-10)


def test_effective__halves_of_the_central_pixel_balance():
    found, _ = effective(comatic(12, 12), 12, 0.3, intra=0.05)
    middle = len(found) // 2
    assert abs(found[middle, middle - 6] - found[middle, middle + 6]) < 1e-11
    assert abs(found[middle - 6, middle] - found[middle + 6, middle]) < 1e-11
    assert abs(found[middle, middle - 9] - found[middle, middle + 9]) > 1e-4  # it is no even PSF, which would anyhow


def test_effective__balance_is_no_matter_of_the_sampling():
    # The same PSF at other samples, half way between these: evaluated there by its Fourier series, it balances too.
    found, _ = effective(comatic(9, 12), 9, 0.3)
    m = len(found)
    spectrum, frequency = np.fft.fft2(np.fft.ifftshift(found)), np.fft.fftfreq(m, 1 / 9)
    waves = np.exp(2j * np.pi * np.outer(frequency, [-0.5, 0.0, 0.5]))
    psi = (waves.T @ spectrum @ waves).real / m**2
    assert psi[1, 0] == pytest.approx(psi[1, 2], abs=1e-11)
    assert psi[0, 1] == pytest.approx(psi[2, 1], abs=1e-11)


def test_effective__does_not_depend_on_where_the_star_is():
    still, centre = effective(comatic(8, 16), 8, 0.3)
    moved, other = effective(comatic(8, 16, tilt=(0.21, -0.13)), 8, 0.3)
    assert np.subtract(other, centre) == pytest.approx((0.21, -0.13), abs=1e-6)
    # 1e-6: what the edges of the table cut off differs.
    assert moved[32:-32, 32:-32] == pytest.approx(still[32:-32, 32:-32], abs=1e-6)


@pytest.mark.parametrize("sigma", [0.12, 0.3, 1.5])
def test_effective__finds_the_centre_of_sharp_and_of_blurred_stars(sigma):
    found, centre = effective(gaussian(sigma, 24, 12, 0.17, -0.08), 24, 0.0)
    assert centre == pytest.approx((0.17, -0.08), abs=1e-9)
    assert np.unravel_index(found.argmax(), found.shape) == (288, 288)


def test_effective__diffusion_lowers_the_core_and_keeps_the_light():
    sharp, blurred = (effective(comatic(8, 16), 8, diffusion)[0] for diffusion in (0.0, 0.4))
    assert blurred.max() < 0.9 * sharp.max()
    assert blurred.sum() == pytest.approx(sharp.sum(), rel=1e-12)


def test_band__covers_the_passband_evenly():
    wavelengths, weights = band(0.9, 0.2, 5)
    assert wavelengths == pytest.approx([0.82, 0.86, 0.9, 0.94, 0.98])
    assert weights == pytest.approx(0.2)
