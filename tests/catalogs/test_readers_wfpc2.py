"""WFPC2 frames in both packings, the geometry of its pixels, and reasons to refuse one."""

import numpy as np
import pytest
from astropy.io import fits

from catalogs.errors import UnusableError
from catalogs.flags import Flag
from catalogs.readers import read_exposures
from catalogs.readers.wfpc2_geometry import optical_shift, pixel_area, row34_shift
from tests.frames import write_wfpc2

CHIPS = ["PC1", "WF2", "WF3", "WF4"]


@pytest.mark.parametrize("kind", ["m", "f"])
def test_read__four_chips_in_their_own_pixels(tmp_path, kind):
    flags = np.zeros((4, 800, 800), np.int16)
    flags[2, 300, 400], flags[2, 301, 400] = 8, 1024
    exposures = read_exposures(write_wfpc2(tmp_path, kind, flags=flags))
    assert [exposure.header.detector for exposure in exposures] == CHIPS
    assert [exposure.data[400, 400] for exposure in exposures] == [10, 20, 30, 40]
    wf3 = exposures[2]
    assert (wf3.header.exposure, wf3.header.program, wf3.header.filter) == ("u2g40102t", 5234, "F555W")
    assert (wf3.header.image_unit, wf3.header.x_start, wf3.header.n_y) == ("DN", 0, 800)
    assert (wf3.chips[0].wcs.x, wf3.chips[0].wcs.y) == (419.0, 423.5)
    assert wf3.flags == Flag.CTE
    assert wf3.saturated[300, 400]
    assert not wf3.good[300, 400]
    assert wf3.good[301, 400]


def test_noise__is_gain_and_read_noise(tmp_path):
    exposure = read_exposures(write_wfpc2(tmp_path, primary={"ATODGAIN": 15.0}))[1]
    assert exposure.poisson == pytest.approx(1 / 14.50)
    assert exposure.floor == pytest.approx((7.84 / 14.50) ** 2)
    assert exposure.error == pytest.approx(np.sqrt(20 / 14.5 + (7.84 / 14.5) ** 2))


def test_mask__vignetted_edges(tmp_path):
    good = read_exposures(write_wfpc2(tmp_path))[0].good
    # 1-based: columns below 45 and rows below 55 of the PC, and anything beyond 797.
    assert np.flatnonzero(good.any(axis=0))[[0, -1]].tolist() == [44, 796]
    assert np.flatnonzero(good.any(axis=1))[[0, -1]].tolist() == [54, 796]


def test_distortion__published_example():
    """The worked example of the IDL Astronomy Library's wfpc2_metric, which carries the same solution."""
    dx, dy = optical_shift("PC1", 682.3, 234.2)
    # Printed to two digits there.
    assert (682.3 + dx, 234.2 + dy) == pytest.approx((681.13, 235.05), abs=0.011)


def test_row34__sawtooth_is_continuous_has_no_drift_and_is_half_a_pixel_wide():
    y = np.arange(0, 800, 0.001)
    shift = row34_shift(y)
    assert np.ptp(shift) == pytest.approx(0.03, abs=1e-4)
    # No jump: the steepest place is the narrow row, 6 % over half a pixel.
    assert np.abs(np.diff(shift)).max() == pytest.approx(0.06 * 0.001, rel=0.02)
    steep = np.diff(shift) < -1e-5
    assert steep.mean() == pytest.approx(0.5 / 34.1333, rel=0.03)
    assert abs(np.polyfit(y, shift, 1)[0]) < 1e-6


@pytest.mark.parametrize("chip", CHIPS)
def test_area__is_the_finite_difference_of_the_corrections(chip):
    def corrected(x, y):
        y = y + row34_shift(y)
        dx, dy = optical_shift(chip, x, y)
        return x + dx, y + dy

    x, y = np.meshgrid([60.0, 424.0, 780.0], np.arange(380.0, 460.0))
    (x0, _), (x1, _) = corrected(x - 0.5, y), corrected(x + 0.5, y)
    (_, y0), (_, y1) = corrected(x, y - 0.5), corrected(x, y + 0.5)
    # Cross terms of the Jacobian are below 2e-6, the change of the optics over 0.02 pix below 1e-5.
    expected = (x1 - x0) * (y1 - y0)
    assert pixel_area(chip)[y.astype(int), x.astype(int)] == pytest.approx(expected, abs=3e-5)


def test_area__narrow_rows_and_corners():
    area = pixel_area("WF3")
    column = area[380:460, 424]
    assert np.flatnonzero(column < 0.99).size == pytest.approx(80 / 34.1333, abs=1.2)
    assert column.min() == pytest.approx(0.97, abs=0.006)
    assert area[424, 424] == pytest.approx(1.001, abs=1e-3)
    # Third-order terms near -1.8 pix make corner pixels some 4 % smaller.
    assert area[795, 795] == pytest.approx(0.96, abs=0.01)


REJECTED = {
    "binned": ({"primary": {"MODE": "AREA"}}, "MODE: found 'AREA', expected FULL"),
    "two filters": ({"primary": {"FILTNAM2": "POLQ"}}, "FILTNAM1, FILTNAM2: found 'F555W' and 'POLQ'"),
    "ramp": ({"primary": {"FILTNAM1": "LRF"}}, "found 'LRF'"),
    "gain": ({"primary": {"ATODGAIN": 8.0}}, "ATODGAIN: found 8, expected 7 or 15"),
    "unit": ({"groups": ({"BUNIT": "ELECTRONS"},)}, "BUNIT: found 'ELECTRONS'"),
    "fifth chip": ({"groups": ({"DETECTOR": 5},)}, "DETECTOR: found 5, expected 1 to 4"),
    "no chip number": ({"groups": ({"DETECTOR": None},)}, "DETECTOR: found no such keyword"),
    "no group pointing": (
        {"kind": "f", "groups": ({"CRVAL1": None},) * 4},
        r"\[group 1\] CRVAL1: found no such keyword",
    ),
    "absurd scale": ({"groups": ({"CD1_1": 1.0, "CD2_2": 1.0},)}, "WCS scale"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_rejected__reason_names_place_and_value(tmp_path, case):
    changes, reason = REJECTED[case]
    with pytest.raises(UnusableError, match=reason):
        read_exposures(write_wfpc2(tmp_path, **changes))


def test_rejected__flag_file_missing(tmp_path):
    path = write_wfpc2(tmp_path)
    (tmp_path / "u2g40102t_c1m.fits").unlink()
    with pytest.raises(
        UnusableError, match="u2g40102t_c1m.fits: found no such file, expected data-quality flags beside"
    ):
        read_exposures(path)


def test_rejected__renamed_so_that_the_flags_cannot_be_found(tmp_path):
    path = write_wfpc2(tmp_path)
    renamed = (tmp_path / "u2g40102t_c0m.fits").rename(tmp_path / "mine.fits")
    assert not (tmp_path / path).exists()
    with pytest.raises(UnusableError, match="neither _c0m nor _c0f"):
        read_exposures(str(renamed))


def test_rejected__waivered_without_its_table(tmp_path):
    path = write_wfpc2(tmp_path, "f")
    with fits.open(path) as hdus:
        fits.HDUList([hdus[0].copy()]).writeto(path, overwrite=True)
    with pytest.raises(
        UnusableError, match=r"u2g40102t_c0f.fits\[1\]: found a table of 0 rows, expected parameters of 4"
    ):
        read_exposures(path)
