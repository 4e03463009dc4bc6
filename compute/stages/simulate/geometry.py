"""The distortion of each detector and filter, the same in every campaign: what optics and manufacture made it.

Large terms are those of the instruments (SIAF polynomials for NIRISS; terms of the right size elsewhere); filters add
up to half a pixel; detectors add amplifier waves, the oval void, and bands (Libralato et al. 2023, section 4).
"""

import numpy as np
from numpy.typing import NDArray

from catalogs.readers.wfpc2_geometry import optical_shift, row34_shift
from compute.kernels.simulate.distortion import Distortion, forward
from compute.kernels.simulate.streams import stream
from compute.stages.simulate.instruments import Detector, Instrument

DEGREE = 5
FILTER_TERMS, WAVES, VOID, BANDS = 0.45, 0.05, 0.05, 0.005  # largest shifts [pix]
CHIP_TURN = 1e-5  # rad

# Sci2Idl of NIS_CEN (pysiaf 0.29): arcsec by powers x^(i-j) y^j of pixels from the middle, rows i = 1..5, j = 0..i.
_SIAF_X = (
    (0.065324254028, 0.0),
    (-1.7083833429e-08, 1.1016773619e-08, -7.5599856304e-10),
    (-1.2608447518e-11, -9.0572145968e-12, -9.5108876015e-12, -4.7544601824e-12),
    (-2.8253423495e-15, 2.4379566319e-15, -3.015054153e-15, -2.0586547132e-14, 9.6282229723e-16),
    (1.0134370635e-18, 2.602901056e-18, -1.3938501382e-17, 9.5536213663e-18, 4.4471618224e-18, 1.1008926172e-18),
)
_SIAF_Y = (
    (-0.00029946015481, 0.065814937584),
    (5.6197596354e-08, -3.2584152155e-08, 6.826992809e-08),
    (1.5070637916e-12, -1.6269513768e-11, -7.9191549007e-12, -1.0222646202e-10),
    (-3.8458837089e-16, -2.3037891845e-15, -2.7188225555e-14, 1.1871491244e-14, -3.9661526791e-14),
    (-1.6609420259e-18, 2.6238531415e-20, 5.9235720614e-18, 2.4140733771e-18, -1.2344473054e-18, 3.9769800618e-17),
)

# Largest shift of each degree [pix] at the edge of the frame, for instruments without a published table here. The first
# is the skew: pixels that are not square on the sky.
_SIZES = {
    "NIRCAM": (0.6, 7.0, 0.8, 0.1, 0.05),
    "ACS": (85.0, 45.0, 1.5, 0.2, 0.05),
    "WFC3": (75.0, 35.0, 1.0, 0.1, 0.05),
}


def distortion(instrument: Instrument, detector: Detector, filter_name: str, fine: float = 1.0) -> Distortion:
    """The truth for one detector and filter, in the gauge zero shift, no rotation, unit determinant at the middle.

    `fine` multiplies filter terms and the map of fine structure; 0 leaves the nominal polynomial.
    """
    polynomial = nominal(instrument, detector) + fine * _filter_terms(instrument, detector, filter_name)
    chips = np.array([[array.y, array.y + array.n_y] for array in detector.arrays], np.int64)
    chips[:-1, 1] = np.minimum(chips[:-1, 1], chips[1:, 0])
    both = np.repeat(polynomial[None], len(chips), axis=0)
    if len(chips) > 1:  # two chips lie apart, and each is turned a little: to either side of the gauge
        for chip, side in enumerate((-1, 1)):
            both[chip, 1, 0, 0] += side * detector.gap / 2
            both[chip, 0, 0, 1] -= side * CHIP_TURN * detector.width / 2
            both[chip, 1, 1, 0] += side * CHIP_TURN * detector.width / 2
    rows = chips[-1, 1]
    fine_map = fine * _fine_map(instrument, detector, rows) if fine else np.zeros((2, 1, 1))
    return Distortion(both, fine_map.astype(np.float32), chips, detector.middle, detector.width / 2)


def nominal(instrument: Instrument, detector: Detector) -> NDArray[np.float64]:
    """Polynomial shifts (2, p, p) [pix] that the instrument's own documents would give."""
    if instrument.name == "NIRISS":
        return _from_siaf()
    if instrument.name == "WFPC2":
        return _from_wfpc2(detector)
    rng, found = stream(0, "nominal", instrument.name, detector.name), np.zeros((2, DEGREE + 1, DEGREE + 1))
    for degree, size in enumerate(_SIZES[instrument.name], start=1):
        for axis in (0, 1):
            terms = rng.uniform(-1, 1, degree + 1)
            terms *= size / abs(terms).sum()
            for j in range(degree + 1):
                found[axis, degree - j, j] = terms[j]
    skew = 0.6 * _SIZES[instrument.name][0] / (detector.width / 2)
    linear = np.array([[np.hypot(1, skew), skew], [skew, np.hypot(1, skew)]])
    return _with_linear(found, linear, detector.width / 2)


def _from_siaf() -> NDArray[np.float64]:
    """NIRISS polynomials over u, v of 1024 pix, in the gauge."""
    half = 1024.0
    arcsec = np.zeros((2, DEGREE + 1, DEGREE + 1))
    for axis, rows in enumerate((_SIAF_X, _SIAF_Y)):
        for degree, row in enumerate(rows, start=1):
            for j, value in enumerate(row):
                arcsec[axis, degree - j, j] = value * half**degree
    return _in_gauge(arcsec, np.stack([arcsec[:, 1, 0], arcsec[:, 0, 1]], axis=1) / half, half)


def _from_wfpc2(detector: Detector) -> NDArray[np.float64]:
    """Third-order polynomials of a WFPC2 chip, moved to its middle and brought into the gauge."""
    half, middle = detector.width / 2, detector.middle
    axis = np.linspace(-1, 1, 15)
    u, v = (grid.ravel() for grid in np.meshgrid(axis, axis))
    powers = [(i, j) for i in range(4) for j in range(4 - i)]
    terms = np.stack([u**i * v**j for i, j in powers], axis=1)
    shifts = optical_shift(detector.name, middle[0] + half * u, middle[1] + half * v)
    found = np.zeros((2, DEGREE + 1, DEGREE + 1))
    for k, shift in enumerate(shifts):
        for (i, j), value in zip(powers, np.linalg.lstsq(terms, shift, rcond=None)[0], strict=True):
            found[k, i, j] = value
    return _in_gauge(found, np.eye(2) + np.stack([found[:, 1, 0], found[:, 0, 1]], axis=1) / half, half)


def _in_gauge(polynomial: NDArray, linear: NDArray, half: float) -> NDArray[np.float64]:
    """Shifts [pix] of a map of pixels to any plane, whose terms of degree 2 and more are those of `polynomial`.

    Its derivatives `linear` at the middle (2, 2) fall into a scale and a rotation, which belong to the pointing, and a
    symmetric matrix of unit determinant (polar decomposition).
    """
    left, _, right = np.linalg.svd(linear)
    unturned = (left @ right).T / np.sqrt(np.linalg.det(linear))
    return _with_linear(np.einsum("ab,bij->aij", unturned, polynomial), unturned @ linear, half)


def _with_linear(polynomial: NDArray, linear: NDArray, half: float) -> NDArray[np.float64]:
    """Put the shifts of a (2, 2) symmetric matrix of unit determinant in place of constant and linear terms."""
    polynomial = polynomial.copy()
    polynomial[:, 0, 0] = 0.0
    shift = (linear - np.eye(2)) * half
    polynomial[:, 1, 0], polynomial[:, 0, 1] = shift[:, 0], shift[:, 1]
    return polynomial


def _filter_terms(instrument: Instrument, detector: Detector, filter_name: str) -> NDArray[np.float64]:
    """Terms of degree 2 to 4 that differ from filter to filter, FILTER_TERMS at most."""
    rng, found = stream(0, "filter", instrument.name, detector.name, filter_name), np.zeros((2, DEGREE + 1, DEGREE + 1))
    for axis in (0, 1):
        for degree, share in ((2, 0.5), (3, 0.35), (4, 0.15)):
            terms = rng.uniform(-1, 1, degree + 1)
            terms *= share * FILTER_TERMS / abs(terms).sum()
            for j in range(degree + 1):
                found[axis, degree - j, j] = terms[j]
    return found


def _fine_map(instrument: Instrument, detector: Detector, rows: int) -> NDArray[np.float64]:
    """Shifts (2, rows, columns) [pix] that belong to the detector, the same through every filter."""
    rng, n_x = stream(0, "detector", instrument.name, detector.name), detector.width
    x, y = np.arange(n_x, dtype=float)[None, :], np.arange(rows, dtype=float)[:, None]
    shifts = np.zeros((2, rows, n_x))
    if instrument.telescope == "JWST":
        waves = _waves(rng, x, y, n_x)
        shifts += waves if instrument.name == "NIRISS" else waves[::-1].transpose(0, 2, 1)  # NIRCam reads along x
        shifts += _void(x / n_x, y / n_x)
    if instrument.name == "WFPC2":
        shifts[1] += row34_shift(y)
    shifts[0] += _bands(rng, n_x)[None, :]
    shifts[1] += _bands(rng, rows)[:, None]
    return shifts


def _waves(rng: np.random.Generator, x: NDArray, y: NDArray, size: int) -> NDArray[np.float64]:
    """Waves along x that differ between the stripes of four amplifiers, each a quarter of the rows."""
    waves = np.zeros((2, size, size))
    for stripe in range(4):
        rows = slice(stripe * size // 4, (stripe + 1) * size // 4)
        for axis, largest in ((0, WAVES), (1, WAVES / 3)):
            period, phase, tilt = rng.uniform(300, 700), rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
            angle = 2 * np.pi * (x + tilt * (y[rows] - rows.start)) / period + phase
            waves[axis, rows] = largest * rng.uniform(0.6, 1.0) * np.sin(angle)
    return waves


def _void(u: NDArray, v: NDArray) -> NDArray[np.float64]:
    """The oval gap under the detector: x swings by VOID to either side of its middle, y by less.

    u, v are fractions of the detector; the swing is from +VOID near (0.61, 0.44) to -VOID near (0.76, 0.39).
    """
    a, b = (u - 0.684) / 0.087, (v - 0.415) / 0.20
    ring = VOID * np.exp(0.25 - (a**2 + b**2) ** 2 / 2) * 2**0.25  # of which a share a is VOID at most
    return np.array([-a * ring, 0.4 * b * ring])


def _bands(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """A sequence of narrow bands, smooth over some ten pixels."""
    places = np.arange(-2, size // 12 + 4) * 12.0
    return BANDS * np.interp(np.arange(size), places, np.clip(rng.normal(0, 0.5, len(places)), -1, 1))


def sip(truth: Distortion, chip: int, middle: tuple[float, float]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """A chip's distortion about pixel `middle` as FITS headers tell it.

    Returns
    -------
    linear
        (2, 2) derivatives of corrected by raw position there.
    a, b
        (p, p) SIP polynomials [power of u, power of v] of degree 2 and more.
    corrected
        (2,) corrected position of `middle`.
    """
    size = truth.polynomial.shape[2]
    u, v = (grid.ravel() for grid in np.meshgrid(*[np.linspace(-1, 1, 21)] * 2))
    got = np.array(forward(truth, middle[0] + truth.half * u, middle[1] + truth.half * v, chip))
    powers = [(i, j) for i in range(size) for j in range(size - i)]
    terms = np.stack([u**i * v**j for i, j in powers], axis=1)
    fitted = np.linalg.lstsq(terms, got.T, rcond=None)[0]
    found = np.zeros((2, size, size))
    for (i, j), value in zip(powers, fitted, strict=True):
        found[:, i, j] = value / truth.half ** (i + j)
    linear = np.stack([found[:, 1, 0], found[:, 0, 1]], axis=1)
    corrected = found[:, 0, 0].copy()
    found[:, 0, 0] = found[:, 1, 0] = found[:, 0, 1] = 0.0
    a, b = np.einsum("ab,bij->aij", np.linalg.inv(linear), found)
    return linear, a, b, corrected
