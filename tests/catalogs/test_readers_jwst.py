"""JWST `_cal` frames: filters, masks, noise, geometry, and every reason to refuse one."""

import numpy as np
import pytest

from catalogs.errors import UnusableError
from catalogs.flags import Flag
from catalogs.readers import read_exposures
from catalogs.readers.dq import JwstBit
from tests.frames import SHAPE, star_field, tan_cards, write_jwst

FULL = {"SUBARRAY": "FULL", "SUBSTRT1": 1, "SUBSTRT2": 1, "SUBSIZE1": 2048, "SUBSIZE2": 2048}


@pytest.fixture
def read(tmp_path):
    def one(**changes):
        (exposure,) = read_exposures(write_jwst(tmp_path / "jw01086003001_02201_00001_nis_cal.fits", **changes))
        return exposure

    return one


def test_header__says_what_the_file_says(read):
    header = read().header
    assert (header.exposure, header.program) == ("jw01086003001_02201_00001_nis", 1086)
    assert (header.observation, header.visit) == ("003", "001")
    assert (header.instrument, header.detector, header.filter) == ("NIRISS", "NIS", "F090W")
    assert (header.x_start, header.y_start, header.n_x, header.n_y) == (100, 200, 64, 64)
    assert (header.mjd_start, header.mjd_mid, header.mjd_end) == (59700.0, 59700.001, 59700.002)
    assert (header.exptime, header.image_unit, header.photmjsr) == (100.0, "MJy/sr", 0.4)
    assert (header.observer_x, header.observer_y, header.observer_z) == (1e7, -2e7, 3e7)
    assert header.position_angle == pytest.approx(30.0)


def test_wcs__reference_pixel_is_in_full_detector_pixels(read):
    exposure = read()
    wcs = exposure.chips[0].wcs
    assert (wcs.x, wcs.y) == (100 + 31.5, 200 + 31.5)
    # The array's middle is the reference pixel here, so the pointing is CRVAL.
    assert (exposure.header.ra, exposure.header.dec) == pytest.approx((80.49, -69.5))
    assert wcs.scale == pytest.approx(65.5)


def test_wcs__pc_and_cdelt_equal_cd(read):
    cards = tan_cards(65.5)
    step = 65.5 / 3.6e6
    pc = {f"PC{key}": cards[f"CD{key}"] / (-step if key[0] == "1" else step) for key in ("1_1", "1_2", "2_1", "2_2")}
    pc |= {f"CD{key[2:]}": None for key in pc} | {"CDELT1": -step, "CDELT2": step}
    assert read(sci=pc).chips[0].wcs.cd == pytest.approx(read().chips[0].wcs.cd)


@pytest.mark.parametrize("name", ["F090W", "F115W", "F140M", "F150W", "F158M", "F200W"])
def test_filter__niriss_pupil_wheel(read, name):
    assert read(primary={"FILTER": "CLEAR", "PUPIL": name}).header.filter == name


@pytest.mark.parametrize("name", ["F277W", "F356W", "F380M", "F430M", "F444W", "F480M"])
def test_filter__niriss_filter_wheel(read, name):
    assert read(primary={"FILTER": name, "PUPIL": "CLEARP"}).header.filter == name


@pytest.mark.parametrize(
    ("wheel", "pupil", "name"),
    [
        ("F200W", "CLEAR", "F200W"),
        ("F150W2", "F162M", "F162M"),
        ("F444W", "F405N", "F405N"),
        ("F322W2", "F323N", "F323N"),
    ],
)
def test_filter__nircam_is_the_true_one(read, wheel, pupil, name):
    assert read(instrument="NIRCAM", primary={"FILTER": wheel, "PUPIL": pupil}).header.filter == name


def test_mask__do_not_use_and_nan_forbid_but_saturated_groups_do_not(read):
    flags, data = np.zeros(SHAPE, np.uint32), star_field(sky=0.5, peak=50.0)
    flags[1, 1] = JwstBit.DO_NOT_USE
    flags[2, 2] = JwstBit.SATURATED | 4
    flags[3, 3] = JwstBit.SATURATED | JwstBit.DO_NOT_USE
    flags[4, 4] = JwstBit.REFERENCE_PIXEL
    flags[5, 5] = JwstBit.NON_SCIENCE
    flags[6, 6] = JwstBit.SATURATED
    data[6, 6] = data[7, 7] = np.nan
    exposure = read(arrays={"DQ": flags, "SCI": data})
    bad = {tuple(pixel) for pixel in np.argwhere(~exposure.good)}
    assert bad == {(k, k) for k in (1, 3, 4, 5, 6, 7)}
    assert {tuple(pixel) for pixel in np.argwhere(exposure.saturated)} == {(3, 3), (6, 6)}


def test_noise__model_equals_the_files_variances(read):
    exposure = read(poisson=0.02, floor=2e-3)
    # Single precision of the arrays.
    assert exposure.poisson == pytest.approx(0.02, rel=1e-5)
    assert exposure.floor == pytest.approx(2e-3, rel=1e-6)
    assert exposure.error**2 == pytest.approx(exposure.poisson * exposure.data + exposure.floor, rel=1e-5)


def test_noise__ramp_cut_short_keeps_its_own_photon_variance(read):
    data = star_field(sky=0.5, peak=50.0)
    variance = 0.01 * data
    bright = np.unravel_index(np.argmax(data), data.shape)
    variance[bright] *= 3
    variance[0, 0] *= 3  # sky: its ratio is only noise
    poisson = read(arrays={"VAR_POISSON": variance}).poisson
    assert poisson[bright] == pytest.approx(0.03, rel=1e-4)
    assert poisson[0, 0] == pytest.approx(0.01, rel=1e-4)


def test_noise__without_variances_comes_from_gain_and_error(read):
    exposure = read(arrays={"VAR_POISSON": None, "VAR_RNOISE": None}, poisson=0.4 / (1.61 * 80), floor=1e-3)
    # PHOTMJSR / (gain * EFFEXPTM * 4 of 5 groups)
    assert exposure.poisson == pytest.approx(0.4 / (1.61 * 80.0), rel=1e-6)
    # ERR^2 minus photon noise loses digits where stars are bright.
    assert np.median(exposure.floor) == pytest.approx(1e-3, rel=1e-3)
    assert (exposure.floor > 0).all()
    assert len(exposure.notes) == 2


def test_noise__read_variance_that_is_not_positive_makes_a_pixel_unusable(read):
    floor = np.full(SHAPE, 1e-3, np.float32)
    floor[1, 2], floor[3, 4] = 0, np.nan
    assert {tuple(pixel) for pixel in np.argwhere(~read(arrays={"VAR_RNOISE": floor}).good)} == {(1, 2), (3, 4)}


def test_area__of_the_file_or_ones_with_a_note(read):
    assert read().area == pytest.approx(1.01)
    bare = read(arrays={"AREA": None})
    assert (bare.area == 1).all()
    assert any("AREA" in note for note in bare.notes)


def test_time__falls_back_from_expmid(read):
    assert read(primary={"EXPMID": None}).header.mjd_mid == pytest.approx(59700.001)
    header = read(primary={"EXPMID": None, "EXPSTART": None, "EXPEND": None}, sci={"MJD-AVG": 59701.5}).header
    assert header.mjd_mid == 59701.5
    assert (header.mjd_end - header.mjd_start) * 86400 == pytest.approx(100.0, rel=1e-4)


def test_arrays__are_native_contiguous_and_frozen(read):
    exposure = read()
    for name in ("data", "error", "good", "saturated", "area", "poisson", "floor"):
        array = getattr(exposure, name)
        assert array.dtype.isnative
        assert array.flags.c_contiguous
        assert not array.flags.writeable
        assert array.dtype == (bool if name in ("good", "saturated") else np.float32)


def test_cutout__origin_from_crpix(read):
    exposure = read(primary=FULL, sci=tan_cards(65.5, (1024.5 - 1500, 1024.5 - 700)))
    assert (exposure.header.x_start, exposure.header.y_start) == (1500, 700)
    assert exposure.flags == Flag.CUTOUT
    assert any("cutout" in note for note in exposure.notes)
    assert (exposure.chips[0].wcs.x, exposure.chips[0].wcs.y) == (1023.5, 1023.5)


def test_amplifiers__niriss_stripes_are_rows_and_the_first_is_on_top(read):
    # Rows 1000 to 1063 of the full frame: stripes meet at 1024.
    amplifiers = read(primary=FULL, sci=tan_cards(65.5, (1024.5 - 300, 1024.5 - 1000))).amplifiers
    assert [(a.name, a.x_lo, a.x_hi, a.y_lo, a.y_hi) for a in amplifiers] == [("C", 0, 64, 0, 24), ("B", 0, 64, 24, 64)]
    assert [(a.fast, a.slow) for a in amplifiers] == [(-2, -1), (2, -1)]


def test_amplifiers__nircam_stripes_are_columns(read):
    cards = tan_cards(31.0, (1024.5 - 500, 1024.5 - 1000))
    amplifiers = read(instrument="NIRCAM", primary=FULL, sci=cards).amplifiers
    assert [(a.name, a.x_lo, a.x_hi, a.fast) for a in amplifiers] == [("A", 0, 12, 1), ("B", 12, 64, -1)]


def test_amplifiers__a_subarray_has_one(read):
    (amplifier,) = read().amplifiers
    assert (amplifier.x_lo, amplifier.x_hi, amplifier.y_lo, amplifier.y_hi) == (0, 64, 0, 64)


NAN = np.full(SHAPE, np.nan, np.float32)
REJECTED = {
    "spectrum": ({"primary": {"EXP_TYPE": "NIS_WFSS"}}, r"EXP_TYPE: found 'NIS_WFSS', expected NIS_IMAGE"),
    "grism": ({"primary": {"FILTER": "GR150R"}}, r"FILTER: found 'GR150R'"),
    "mask in the pupil": ({"primary": {"FILTER": "F480M", "PUPIL": "NRM"}}, "PUPIL: found 'NRM', expected CLEARP"),
    "hostile filter": ({"primary": {"PUPIL": "../../x"}}, r"PUPIL: found '\.\./\.\./x'"),
    "hostile detector": ({"primary": {"DETECTOR": "../x"}}, "DETECTOR"),
    "no filter": ({"primary": {"FILTER": None}}, r"\[PRIMARY\] FILTER: found no such keyword"),
    "no program": ({"primary": {"PROGRAM": None}}, "PROGRAM: found no such keyword"),
    "program is no number": ({"primary": {"PROGRAM": "../1"}}, r"PROGRAM: found '\.\./1', expected a whole number"),
    "no time": ({"primary": {"EXPMID": None, "EXPSTART": None}}, "EXPMID: found no such keyword"),
    "no exposure": ({"primary": {"EFFEXPTM": 0.0}}, "EFFEXPTM: found 0.0, expected a positive"),
    "rate file": ({"sci": {"BUNIT": "DN/s"}}, r"\[SCI\] BUNIT: found 'DN/s', expected MJY/SR"),
    "no SCI": ({"arrays": {"SCI": None}}, r"\[SCI\]: found only PRIMARY, ERR.*expected an extension SCI"),
    "no ERR": ({"arrays": {"ERR": None}}, r"\[ERR\]: found only"),
    "no DQ": ({"arrays": {"DQ": None}}, r"\[DQ\]: found only"),
    "resampled": ({"arrays": {"WHT": np.ones(SHAPE)}}, r"\[WHT\]: found a resampled image"),
    "cube": ({"arrays": {"SCI": np.ones((2, 64, 64))}}, r"\[SCI\] shape: found \(2, 64, 64\)"),
    "DQ of another shape": ({"arrays": {"DQ": np.zeros((64, 63), np.uint32)}}, r"\[DQ\] shape: found \(64, 63\)"),
    "ERR of another shape": ({"arrays": {"ERR": np.ones((32, 64))}}, r"\[ERR\] shape: found \(32, 64\)"),
    "all NaN": ({"arrays": {"SCI": NAN}}, r"\[SCI\]: found no finite pixel"),
    "all flagged": ({"arrays": {"DQ": np.ones(SHAPE, np.uint32)}}, r"\[DQ\]: found every finite pixel flagged"),
    "zero ERR": ({"arrays": {"ERR": np.zeros(SHAPE)}}, r"\[ERR\]: found 100% of usable pixels without"),
    "negative ERR": ({"arrays": {"ERR": -np.ones(SHAPE)}}, r"\[ERR\]: found 100% of usable pixels without"),
    "NaN ERR": ({"arrays": {"ERR": NAN}}, r"\[ERR\]: found 100% of usable pixels without"),
    "no WCS": ({"sci": {"CD1_2": None}}, r"\[SCI\] CD1_2: found no such keyword"),
    "WCS not finite": ({"sci": {"CRVAL1": "NaN"}}, r"\[SCI\] CRVAL1: found 'NaN', expected a finite number"),
    "absurd scale": ({"sci": tan_cards(655.0)}, r"\[SCI\] WCS scale: found 655 mas/pix, expected about 65.5"),
    "singular WCS": ({"sci": {f"CD{k}": 1e-5 for k in ("1_1", "1_2", "2_1", "2_2")}}, "WCS scale: found 0 mas/pix"),
    "declination": ({"sci": {"CRVAL2": 91.0}}, r"CRVAL: found \(80.49, 91.0\)"),
    "other projection": ({"sci": {"CTYPE1": "GLON-CAR"}}, "CTYPE1: found 'GLON-CAR', expected RA---TAN"),
    "subarray off the detector": ({"primary": {"SUBSTRT1": 2000}}, r"SUBARRAY SUB64: found SUBSTRT \(2000, 201\)"),
    "array smaller than told": ({"primary": {"SUBSIZE1": 128}}, r"NAXIS \(64, 64\) with SUBSIZE \(128, 64\)"),
    "array larger than told": ({"primary": {"SUBSIZE1": 32}}, r"NAXIS \(64, 64\) with SUBSIZE \(32, 64\)"),
    "cutout without a shift": ({"primary": FULL, "sci": tan_cards(65.5, (1030.0, 1024.5))}, "CRPIX"),
    "cutout by half a pixel": ({"primary": FULL, "sci": tan_cards(65.5, (24.0, 24.5))}, "CRPIX"),
    "cutout beyond the edge": ({"primary": FULL, "sci": tan_cards(65.5, (-975.5, 24.5))}, "CRPIX"),
    "full frame of 64 pixels": ({"primary": {"SUBARRAY": "FULL"}}, "SUBARRAY FULL: found SUBSTRT"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_rejected__reason_names_place_and_value(read, case):
    changes, reason = REJECTED[case]
    with pytest.raises(UnusableError, match=reason) as caught:
        read(**changes)
    assert "\n" not in str(caught.value)
    assert "jw01086003001_02201_00001_nis_cal.fits" in str(caught.value)


def test_rejected__nircam_coronagraph(read):
    with pytest.raises(UnusableError, match="PUPIL: found 'MASKRND', expected CLEAR"):
        read(instrument="NIRCAM", primary={"PUPIL": "MASKRND"})
