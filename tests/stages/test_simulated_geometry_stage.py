"""Distortion of each camera: its gauge, the published polynomials, and the size of what filters and detectors add."""

import numpy as np
import pytest
from astropy.wcs import Sip

from catalogs.readers.wfpc2_geometry import optical_shift
from compute.kernels.simulate.distortion import forward
from compute.stages.simulate import geometry
from compute.stages.simulate.geometry import BANDS, FILTER_TERMS, VOID, WAVES, distortion, nominal, sip
from compute.stages.simulate.instruments import INSTRUMENTS

CAMERAS = {
    detector.name: (instrument, detector, next(iter(instrument.bands)))
    for name, first in (("NIRISS", ""), ("NIRCAM", "NRCB1"), ("ACS", ""), ("WFC3", ""), ("WFPC2", ""))
    for instrument in [INSTRUMENTS[name]]
    for detector in instrument.detector(first)
}
NIRISS, NIS, F090W = CAMERAS["NIS"]


def without_map(truth):
    return truth._replace(fine=np.zeros((2, 1, 1), np.float32))


def siaf(x, y):
    """Ideal coordinates [arcsec] of offsets from NIRISS's middle, term by term."""
    found = np.zeros((2, *np.shape(x)))
    for axis, rows in enumerate((geometry._SIAF_X, geometry._SIAF_Y)):
        for i, row in enumerate(rows, start=1):
            for j, value in enumerate(row):
                found[axis] += value * x ** (i - j) * y**j
    return found


def similarity(here, there):
    """Best complex factor from one plane to another, and what it leaves (2, n) [there's unit]."""
    z, w = here[0] + 1j * here[1], there[0] + 1j * there[1]
    factor = np.vdot(z, w) / np.vdot(z, z)
    left = w - factor * z
    return factor, np.array([left.real, left.imag])


@pytest.mark.parametrize("camera", CAMERAS)
def test_distortion__has_no_shift_turn_or_scale_in_the_middle(camera):
    instrument, detector, band = CAMERAS[camera]
    truth = without_map(distortion(instrument, detector, band))
    # Chips that lie apart share the gauge: it is that of their mean.
    truth = truth._replace(polynomial=truth.polynomial.mean(axis=0, keepdims=True), chips=truth.chips[:1])
    x, y = truth.middle
    assert np.array(forward(truth, x, y)) == pytest.approx(np.array([x, y]), abs=1e-9)
    linear = np.stack([truth.polynomial[0, :, 1, 0], truth.polynomial[0, :, 0, 1]], axis=1) / truth.half + np.eye(2)
    assert linear[0, 1] == pytest.approx(linear[1, 0], abs=1e-12)
    assert np.linalg.det(linear) == pytest.approx(1.0, abs=1e-9)


def test_niriss__published_polynomials_but_for_the_pointing():
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(-1023.5, 1023.5, 25), np.linspace(-1023.5, 1023.5, 25)))
    truth = distortion(NIRISS, NIS, F090W, fine=0.0)
    corrected = np.array(forward(truth, 1023.5 + x, 1023.5 + y)) - 1023.5
    factor, left = similarity(corrected, siaf(x, y))
    assert np.abs(left).max() < 1e-6  # arcsec
    assert abs(factor) * 1e3 == pytest.approx(NIS.scale, abs=1e-3)


def test_niriss__published_shifts_at_the_corners():
    x, y = np.array([-1023.5, 1023.5, -1023.5, 1023.5]), np.array([-1023.5, -1023.5, 1023.5, 1023.5])
    linear = np.array([[0.065324254028, 0.0], [-0.00029946015481, 0.065814937584]])
    bent = np.linalg.inv(linear) @ siaf(x, y) - [x, y]
    expected = [(0.01, 1.76), (-0.75, 2.38), (0.27, 0.06), (-1.00, -0.76)]
    assert bent == pytest.approx(np.array(expected).T, abs=0.01)
    # What the distortion adds to its own linear part is that, turned by the milliradians of a skew of pixels.
    truth = distortion(NIRISS, NIS, F090W, fine=0.0)
    only = truth._replace(polynomial=truth.polynomial * (np.add.outer(np.arange(6), np.arange(6)) > 1))
    assert np.subtract(forward(only, 1023.5 + x, 1023.5 + y), [1023.5 + x, 1023.5 + y]) == pytest.approx(bent, abs=0.02)


@pytest.mark.parametrize("chip", ["PC1", "WF2", "WF3", "WF4"])
def test_wfpc2__published_polynomials_but_for_the_pointing(chip):
    instrument, detector, band = CAMERAS[chip]
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 799, 15), np.linspace(0, 799, 15)))
    published = (
        np.array(optical_shift(chip, x, y)) + [x, y] - np.reshape(optical_shift(chip, 399.5, 399.5), (2, 1)) - 399.5
    )
    corrected = np.array(forward(distortion(instrument, detector, band, fine=0.0), x, y)) - 399.5
    _, left = similarity(corrected, published)
    assert np.abs(left).max() < 1e-9


@pytest.mark.parametrize(("camera", "size"), [("NRCB1", 8.0), ("WFC", 110.0), ("UVIS", 110.0)])
def test_nominal__others_are_of_the_size_of_the_real_ones(camera, size):
    instrument, detector, _ = CAMERAS[camera]
    found = np.abs(nominal(instrument, detector)).sum(axis=(1, 2))
    assert (found > size / 10).all()
    assert (found < 2 * size).all()


def test_filters__differ_by_less_than_half_a_pixel():
    x, y = np.meshgrid(np.linspace(0, 2047, 33), np.linspace(0, 2047, 33))
    plain = np.array(forward(without_map(distortion(NIRISS, NIS, F090W, fine=0.0)), x, y))
    shifts = [
        np.array(forward(without_map(distortion(NIRISS, NIS, each)), x, y)) - plain for each in list(NIRISS.bands)[:6]
    ]
    for k, one in enumerate(shifts):
        assert 0.1 < np.abs(one).max() <= FILTER_TERMS < 0.5
        assert all(np.abs(one - other).max() > 0.05 for other in shifts[:k])
    twice = np.array(forward(without_map(distortion(NIRISS, NIS, F090W, fine=2.0)), x, y)) - plain
    assert twice == pytest.approx(2 * shifts[0], abs=1e-9)


def test_fine_structure__belongs_to_the_detector_and_is_bounded():
    one, other = (distortion(NIRISS, NIS, band).fine for band in ("F090W", "F480M"))
    assert np.array_equal(one, other)
    assert np.abs(one[0]).max() <= WAVES + VOID + BANDS
    assert np.abs(one[1]).max() <= WAVES / 3 + 0.4 * VOID + BANDS
    assert not distortion(NIRISS, NIS, F090W, fine=0.0).fine.any()


@pytest.mark.parametrize(("camera", "along"), [("NIS", 0), ("NRCB1", 1)])
def test_fine_structure__waves_change_from_amplifier_to_amplifier(camera, along):
    fine = distortion(*CAMERAS[camera]).fine
    shift = fine[0] if along == 0 else fine[1].T  # [across amplifiers, along them]
    steps = np.abs(np.diff(shift - shift.mean(axis=1, keepdims=True), axis=0)).mean(axis=1)
    edges = steps[[511, 1023, 1535]]
    assert (edges > 0.01).all()
    assert np.median(steps) < 1e-3


def test_void__swings_to_either_side():
    x, y = np.array([1250.0, 1550.0]), np.array([900.0, 800.0])
    assert geometry._void(x / 2048, y / 2048)[0] == pytest.approx([VOID, -VOID], rel=0.02)
    place = np.arange(2048.0) / 2048
    shift = geometry._void(place[None, :], place[:, None])
    assert np.abs(shift[0]).max() == pytest.approx(VOID, rel=1e-3)
    assert np.abs(shift[1]).max() == pytest.approx(0.4 * VOID, rel=1e-3)
    highest, lowest = (np.unravel_index(each, (2048, 2048)) for each in (shift[0].argmax(), shift[0].argmin()))
    assert highest[::-1] == pytest.approx((1250, 850), abs=60)
    assert lowest[::-1] == pytest.approx((1550, 850), abs=60)
    assert 0.05 < (np.hypot(*shift) > 0.1 * VOID).mean() < 1 / 6


def test_wfpc2__narrow_rows_are_in_the_map():
    fine = distortion(*CAMERAS["WF3"]).fine[1]
    drops = np.flatnonzero(np.diff(fine.mean(axis=1)) < -0.01)
    drops = drops[np.r_[True, np.diff(drops) > 1]]  # some narrow rows fall into two
    assert len(drops) == 23
    assert np.diff(drops).mean() == pytest.approx(34.1333, abs=0.1)


def test_two_chips__lie_a_gap_apart():
    instrument, detector, band = CAMERAS["WFC"]
    truth = distortion(instrument, detector, band)
    assert truth.chips.tolist() == [[0, 2048], [2048, 4096]]
    lower, upper = (forward(truth, *truth.middle, chip)[1] for chip in (0, 1))
    assert upper - lower == pytest.approx(detector.gap, abs=2 * BANDS)
    assert distortion(*CAMERAS["UVIS"]).chips.tolist() == [[0, 2048], [2048, 4099]]


@pytest.mark.parametrize("camera", CAMERAS)
def test_sip__tells_the_smooth_distortion(camera):
    instrument, detector, band = CAMERAS[camera]
    truth = distortion(instrument, detector, band, fine=0.0)
    for chip, array in enumerate(detector.arrays):
        middle = (array.n_x - 1) / 2, array.y + (array.n_y - 1) / 2
        linear, a, b, corrected = sip(truth, chip, middle)
        x, y = np.random.default_rng(1).uniform([[0], [array.y]], [[array.n_x], [array.y + array.n_y]], (2, 200))
        # astropy evaluates SIP by the standard's rules; its origin is the pixel the polynomials are about.
        bent = Sip(a, b, None, None, np.add(middle, 1)).pix2foc(np.stack([x, y], axis=1) + 1, 1).T
        there = linear @ bent + corrected[:, None]
        assert np.array(forward(truth, x, y, chip)) == pytest.approx(there, abs=1e-6)
