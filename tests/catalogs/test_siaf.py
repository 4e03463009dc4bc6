"""Polynomials as the aperture file has them: evaluated, read back, inverted."""

import numpy as np
import pytest

from catalogs.distortion import DistortionCube, LookUpTable, Polynomial
from catalogs.errors import UnusableError
from catalogs.exchange.siaf import COLUMNS, evaluate, read_siaf, write_siaf
from compute.stages.simulate.geometry import _SIAF_X, _SIAF_Y, nominal
from compute.stages.simulate.instruments import INSTRUMENTS
from tests.distortions import full_size

SCALE = 0.0656


def niriss():
    """The polynomial that is in use for NIRISS, and its scale: the root of the area its linear terms give a pixel."""
    instrument = INSTRUMENTS["NIRISS"]
    layer = Polynomial(nominal(instrument, instrument.detectors["NIS"][0])[None], (1023.5, 1023.5), 1024.0)
    area = _SIAF_X[0][0] * _SIAF_Y[0][1] - _SIAF_X[0][1] * _SIAF_Y[0][0]
    return DistortionCube((layer,), np.array([[0, 2048]]), 2048), np.sqrt(area)


def test_write__gives_back_the_aperture_file(tmp_path):
    cube, scale = niriss()
    write_siaf(cube, tmp_path / "siaf.csv", scale)
    forward, _ = read_siaf(tmp_path / "siaf.csv")
    for axis, rows in enumerate((_SIAF_X, _SIAF_Y)):
        for degree, row in enumerate(rows, start=1):
            found = [forward[axis, degree - j, j] for j in range(degree + 1)]
            # The published terms have 11 digits, and those of x for dy differ from zero by that.
            np.testing.assert_allclose(np.array(found) * 1024**degree, np.array(row) * 1024**degree, rtol=0, atol=1e-8)


@pytest.mark.parametrize("parity", [1, -1])
def test_write__ideal_is_the_corrected_frame_turned(tmp_path, parity):
    cube = full_size(3)
    write_siaf(cube, tmp_path / "siaf.csv", SCALE, parity)
    forward, _ = read_siaf(tmp_path / "siaf.csv")
    x, y = np.random.default_rng(1).uniform(0, 2047, (2, 500))
    ideal = np.array([1, 1j]) @ (evaluate(forward, x - 1023.5, y - 1023.5) * [[parity], [1]])
    corrected = np.array([1, 1j]) @ (cube.forward(x, y) - cube.forward(1023.5, 1023.5)[:, None])
    ratio = ideal / corrected
    # One scale and rotation for all, to rounding at small distances from the middle.
    np.testing.assert_allclose(abs(ratio), SCALE, rtol=1e-10)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-10)
    assert forward[0, 0, 1] == 0 < forward[1, 0, 1]


def test_write__inverse_of_niriss_is_good_to_a_thousandth_of_a_pixel(tmp_path):
    cube, scale = niriss()
    told = write_siaf(cube, tmp_path / "siaf.csv", scale)
    forward, backward = read_siaf(tmp_path / "siaf.csv")
    x, y = np.meshgrid(np.linspace(-1024, 1024, 65), np.linspace(-1024, 1024, 65))
    miss = np.hypot(*(evaluate(backward, *evaluate(forward, x, y)) - [x, y])).max()
    assert miss < 1e-3
    assert 0.5 * miss < told < 1e-3


def test_write__terms_are_named_by_degree_and_power_of_y(tmp_path):
    write_siaf(full_size(3), tmp_path / "siaf.csv", SCALE)
    lines = [line.split(",") for line in (tmp_path / "siaf.csv").read_text().splitlines()]
    assert tuple(lines[0]) == COLUMNS
    assert [line[:3] for line in lines[1:5]] == [["00", "0", "0"], ["10", "1", "0"], ["11", "0", "1"], ["20", "2", "0"]]
    assert len(lines) == 1 + 21


@pytest.mark.parametrize(
    ("layers", "chip", "words"),
    [
        ((LookUpTable(np.zeros((2, 2, 2)), np.arange(2.0), np.arange(2.0)),), 0, "expected a polynomial"),
        (full_size(3).layers, 1, "chip: found 1, expected one below 1"),
        ((Polynomial(np.zeros((1, 2, 1, 1)), (0.0, 0.0), 1.0),), 0, "first order"),
    ],
)
def test_write__needs_a_polynomial_of_that_chip(tmp_path, layers, chip, words):
    cube = DistortionCube(layers, np.array([[0, 16]]), 16)
    with pytest.raises(UnusableError, match=words):
        write_siaf(cube, tmp_path / "siaf.csv", SCALE, chip=chip)


def test_write__folded_polynomial_has_no_inverse(tmp_path):
    terms = np.zeros((1, 2, 3, 3))
    terms[0, 0, 2, 0] = 2000.0
    cube = DistortionCube((Polynomial(terms, (1023.5, 1023.5), 1024.0),), np.array([[0, 2048]]), 2048)
    with pytest.raises(UnusableError, match="expected one better than a pixel"):
        write_siaf(cube, tmp_path / "siaf.csv", SCALE)


def test_read__says_which_column_is_missing(tmp_path):
    (tmp_path / "siaf.csv").write_text("siaf_index,exponent_x\n00,0\n")
    with pytest.raises(UnusableError, match="Idl2SciX"):
        read_siaf(tmp_path / "siaf.csv")


def test_pysiaf__evaluates_the_same(tmp_path):
    polynomial = pytest.importorskip("pysiaf.utils.polynomial")
    write_siaf(full_size(3), tmp_path / "siaf.csv", SCALE)
    forward, _ = read_siaf(tmp_path / "siaf.csv")
    x, y = np.random.default_rng(2).uniform(-1000, 1000, (2, 50))
    terms = [np.array([axis[i - j, j] for i in range(6) for j in range(i + 1)]) for axis in forward]
    theirs = [polynomial.poly(axis, x, y, order=5) for axis in terms]
    np.testing.assert_allclose(evaluate(forward, x, y), theirs, rtol=1e-12)
