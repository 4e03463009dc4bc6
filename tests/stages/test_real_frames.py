"""Real frames measured end to end, where they are at hand."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from catalogs.exchange.stdpsf import read_stdpsf
from catalogs.flags import Flag
from catalogs.readers import read_exposures
from compute.settings import EpsfSettings, MeasureSettings
from compute.stages import measure as stage
from compute.stages.epsf import epsf
from compute.stages.measure import measure


@pytest.mark.slow
def test_hrc__crowded_core_of_47_tucanae(shared_data):
    (exposure,) = read_exposures(str(shared_data / "hst_acs_hrc_47tuc" / "j8bt06nyq_flt.fits"))
    cube = epsf(exposure, EpsfSettings())
    stars, summary = measure(exposure, cube, MeasureSettings())
    assert summary["n_stars"] == len(stars) > 3000
    clean = stars[(stars["flags"] == exposure.flags) & (stars["flux"] > 100 * stars["flux_error"])]
    half_mags = clean.groupby(np.floor(2 * clean["mag"]))["qfit"].agg(["median", "size"])
    # Photons alone allow 0.01 at the bright end. Measured 0.013, with 0.06 the mark of a sound ePSF.
    assert half_mags.loc[half_mags["size"] >= 30, "median"].min() < 0.06


def bright(path, cube):
    """Positions of the stars above S/N 30 with nearly all their pixels, and no cosmic rays."""
    (exposure,) = read_exposures(str(path))
    stars = measure(exposure, cube, MeasureSettings()).stars
    kept = (stars["flux"] > 30 * stars["flux_error"]) & (stars["n_pix"] >= 20)
    kept &= (stars["flags"] & int(Flag.COSMIC_RAY)) == 0
    return stars.loc[kept, ["x", "y"]].to_numpy()


def linked(stars, reference, shift):
    """Positions moved onto their counterparts by a six-parameter transformation, found within 1 pix after a shift."""
    distance, k = cKDTree(stars - shift).query(reference)
    assert (distance < 1.0).all()
    design = np.column_stack([np.ones(len(k)), stars[k]])
    return design @ np.linalg.lstsq(design, reference, rcond=None)[0]


def test_uvis__library_positions_repeat_over_a_dither(shared_data, monkeypatch):
    # Which stars are bright is asked of photons: errors in the table also contain what misfits tell.
    monkeypatch.setattr(stage, "widened", lambda rows: rows)
    cube = read_stdpsf(str(shared_data / "stdpsf" / "PSFSTD_WFC3UV_F814W.fits"))
    names = ("iebc16u5q", "iebc16u8q", "iebc16ubq")
    lists = [bright(shared_data / "hst_wfc3_uvis_dither" / f"{name}_flc.fits", cube) for name in names]
    # A public one-pass program finds 8, 9 and 9 here.
    assert all(8 <= len(stars) <= 9 for stars in lists)
    dither = np.array([2.35, 2.3])
    same = np.stack([lists[0], *(linked(lists[k], lists[0], k * dither) for k in (1, 2))])
    n = len(lists[0])
    freedom = 2 * n - 2 * 3  # three frames about their mean, less two links of three parameters an axis
    rms = np.sqrt(((same - same.mean(axis=0)) ** 2).sum(axis=(0, 1)) / freedom)
    # The stars' own errors are 0.016; measured 0.016 and 0.019.
    assert (rms < 0.02).all(), rms


def test_nircam__cutout(shared_data):
    name = "jw01227002001_02105_00001_nrcalong_cutout100.fits"
    (exposure,) = read_exposures(str(shared_data / "jwst_nircam_cutout" / name))
    stars = measure(exposure, epsf(exposure, EpsfSettings()), MeasureSettings()).stars
    assert len(stars) >= 25
    assert (stars["flags"] & int(Flag.CUTOUT) != 0).all()
    # The cutout's origin in its detector is (400, 100).
    assert stars["x"].between(399.5, 499.5).all()
    assert stars["y"].between(99.5, 199.5).all()
