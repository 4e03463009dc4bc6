"""From pupil to effective PSF: Fraunhofer diffraction at several wavelengths, then what a pixel makes of it.

An effective PSF is the telescope's PSF convolved with charge diffusion and with a pixel's response, sampled as finely
as one likes (Anderson & King 2000, PASP 112, 1360, section 2).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft

MARGIN = 2.0  # pix computed around a table, so that the periodic convolution does not reach into it
_RADIAN = 180 / np.pi * 3.6e6  # mas


def intensity(
    transmission: NDArray[np.float64],
    wavefront: NDArray[np.float64],
    step: float,
    wavelengths: Sequence[float] | NDArray[np.float64],
    weights: Sequence[float] | NDArray[np.float64],
    offsets: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Polychromatic PSF by matrix Fourier transform.

    Parameters
    ----------
    transmission, wavefront
        (n, n) amplitude, and path error [m], of the pupil.
    step
        Size of a pupil cell [m].
    wavelengths, weights
        [m], and photons at each; weights sum to one.
    offsets
        (m,) angles at which the PSF is wanted, the same along x and y [mas].

    Returns
    -------
    psf
        (m, m) [v, u], photons per square mas for one photon through the pupil.
    """
    n = len(transmission)
    place = (np.arange(n) + 0.5 - n / 2) * step
    lit = np.flatnonzero(transmission.any(axis=0)), np.flatnonzero(transmission.any(axis=1))
    box = np.s_[lit[1][0] : lit[1][-1] + 1, lit[0][0] : lit[0][-1] + 1]
    total = np.zeros((len(offsets), len(offsets)))
    power = (transmission**2).sum() * step**2
    for wavelength, weight in zip(wavelengths, weights, strict=True):
        field = transmission[box] * np.exp(2j * np.pi / wavelength * wavefront[box])
        kernel = -2j * np.pi / (wavelength * _RADIAN)
        along = np.exp(kernel * np.outer(place[box[1]], offsets))
        across = np.exp(kernel * np.outer(offsets, place[box[0]]))
        amplitude = across @ field @ along
        total += weight * (amplitude.real**2 + amplitude.imag**2) * (step**2 / (wavelength * _RADIAN)) ** 2 / power
    return total


def pixel_transfer(frequency: NDArray[np.float64], diffusion: float, intra: float) -> NDArray[np.float64]:
    """Fourier transform along one axis of a pixel's response and of charge diffusion.

    The response is a box times 1 + a (1/12 - u^2), with `a` such that an edge is `intra` less sensitive than the
    centre; its integral stays one. `frequency` in cycles per pixel, `diffusion` the rms in pixels.
    """
    a = 4 * intra / (1 - intra / 3)
    sinc, w = np.sinc(frequency), 2 * np.pi * frequency
    # Second moment of the box under cos(w u), from -1/2 to 1/2.
    near = abs(w) < 1e-2
    moment = np.where(near, 1 / 12 - w**2 / 160, sinc / 4 + (np.cos(w / 2) - sinc) * 2 / np.where(near, 1, w) ** 2)
    return (sinc * (1 + a / 12) - a * moment) * np.exp(-2 * (np.pi * frequency * diffusion) ** 2)


def effective(
    psf: NDArray[np.float64], oversampling: int, diffusion: float, intra: float = 0.0
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Effective PSF whose centre is where halves of a star's central pixel balance.

    Parameters
    ----------
    psf
        (m, m) optical PSF, m odd, `oversampling` samples per pixel, per square pixel.
    diffusion, intra
        Charge diffusion, rms [pix]; fall of sensitivity from a pixel's centre to its edge.

    Returns
    -------
    epsf
        (m, m) centred so that psi(-0.5, 0) = psi(0.5, 0) and psi(0, -0.5) = psi(0, 0.5), to 1e-10 pix.
    centre
        Where that centre lies from the optical axis [pix].
    """
    m = len(psf)
    frequency = fft.fftfreq(m, 1 / oversampling)
    real = frequency[: m // 2 + 1]
    spectrum = fft.rfft2(fft.ifftshift(psf))
    spectrum *= pixel_transfer(frequency, diffusion, intra)[:, None] * pixel_transfer(real, diffusion, intra)
    top, left = np.unravel_index(fft.irfft2(spectrum, s=(m, m)).argmax(), (m, m))
    peak = float((left + m // 2) % m - m // 2) / oversampling, float((top + m // 2) % m - m // 2) / oversampling
    cx, cy = _balance(spectrum * np.where(real == 0, 1.0, 2.0), real, frequency, peak)  # half a spectrum stands for all
    shift = np.exp(2j * np.pi * (frequency[:, None] * cy + real * cx))
    return fft.fftshift(fft.irfft2(spectrum * shift, s=(m, m))), (cx, cy)


def _balance(spectrum: NDArray, along: NDArray, across: NDArray, at: tuple[float, float]) -> tuple[float, float]:
    """Where psi(x - 1/2, y) = psi(x + 1/2, y) and the same for y, by Newton's method from the place `at`."""
    cx, cy = at
    for _ in range(30):
        (_, lean_x, slope_x), (lean_y, *_), (slope_y, *_) = (
            _halves(across, cy).T @ spectrum @ _halves(along, cx)
        ).real.tolist()
        cx, cy = cx - lean_x / slope_x, cy - lean_y / slope_y
        if max(abs(lean_x / slope_x), abs(lean_y / slope_y)) < 1e-11:
            break
    return cx, cy


def _halves(frequency: NDArray, place: float) -> NDArray[np.complex128]:
    """Waves that give a function at `place`, its difference half a pixel to either side, and the slope of that."""
    turn = 2j * np.pi * frequency
    wave = np.exp(turn * place)
    difference = 2 * np.sinh(turn / 2) * wave
    return np.stack([wave, difference, turn * difference], axis=1)


def band(pivot: float, width: float, samples: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`samples` wavelengths evenly across a passband and equal weights; [the unit of `pivot`]."""
    places = (np.arange(samples) + 0.5) / samples - 0.5
    return pivot + width * places, np.full(samples, 1 / samples)
