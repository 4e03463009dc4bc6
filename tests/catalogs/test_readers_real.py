"""Real frames of JWST and HST, where they are at hand."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from catalogs.flags import Flag
from catalogs.readers import read_exposures


def test_nircam_cutout__origin_noise_and_masks(shared_data):
    name = "jw01227002001_02105_00001_nrcalong_cutout100"
    (exposure,) = read_exposures(str(shared_data / "jwst_nircam_cutout" / f"{name}.fits"))
    header = exposure.header
    assert (header.exposure, header.program, header.detector, header.filter) == (name, 1227, "NRCALONG", "F444W")
    assert (header.x_start, header.y_start, header.n_x, header.n_y) == (400, 100, 100, 100)
    assert exposure.flags == Flag.CUTOUT
    assert exposure.good.mean() == pytest.approx(0.998, abs=1e-3)
    # Two groups: half the exposure carries signal, hence about twice PHOTMJSR / (1.82 e/DN * 42.947 s) = 0.0050.
    assert np.median(exposure.poisson) == pytest.approx(0.0094, abs=2e-4)
    assert [amplifier.name for amplifier in exposure.amplifiers] == ["D"]
    good = exposure.good
    model = (exposure.poisson * np.maximum(exposure.data, 0) + exposure.floor)[good]
    # ERR holds the flat's variance besides, and each pixel's own noisy photon variance.
    assert np.median(model / exposure.error[good] ** 2) == pytest.approx(1.0, abs=0.02)


def test_hrc_full_frame__saturation_floor_and_pointing(shared_data):
    path = shared_data / "hst_acs_hrc_47tuc" / "j8bt06nyq_flt.fits"
    (exposure,) = read_exposures(str(path))
    header = exposure.header
    assert (header.detector, header.filter, header.visit, header.exptime) == ("HRC", "F606W", "06", 60.0)
    assert (header.x_start, header.y_start, header.n_x, header.n_y) == (0, 0, 1024, 1024)
    assert np.count_nonzero(exposure.saturated) == 2531
    assert exposure.good.mean() == pytest.approx(0.972, abs=2e-3)
    assert exposure.flags == Flag.CTE
    assert header.position_angle == pytest.approx(15.5124, abs=1e-3)
    with fits.open(path) as hdus:
        ra, dec = WCS(hdus[1].header).wcs_pix2world(100.0, 900.0, 0)
    # The same tangent plane, so the same to rounding.
    assert exposure.chips[0].wcs.sky(100.0, 900.0) == pytest.approx((float(ra), float(dec)), abs=1e-10)


@pytest.mark.parametrize("root", ["iebc16u5q", "iebc16u8q", "iebc16ubq"])
def test_uvis_subarray__origin_area_and_masks(shared_data, root):
    (exposure,) = read_exposures(str(shared_data / "hst_wfc3_uvis_dither" / f"{root}_flc.fits"))
    header = exposure.header
    assert (header.exposure, header.detector, header.filter, header.program) == (root, "UVIS", "F814W", 16264)
    assert (header.x_start, header.y_start, header.n_x, header.n_y) == (0, 1, 513, 512)
    assert exposure.flags == 0
    assert exposure.good.mean() > 0.97
    # Read noise 3.08 e squared is 9.5; post-flash of 7 e makes the rest.
    assert np.median(exposure.floor) == pytest.approx(17.3, abs=0.5)
    # Smooth across 513 pixels, close to the nominal pixel in this corner.
    assert np.ptp(exposure.area) < 0.02
    assert np.median(exposure.area) == pytest.approx(1.0, abs=0.01)
