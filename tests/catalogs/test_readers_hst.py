"""ACS and WFC3 frames: abutted chips, masks, noise, areas, and every reason to refuse one."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from catalogs.errors import UnusableError
from catalogs.flags import Flag
from catalogs.readers import read_exposures
from catalogs.readers.dq import HstBit
from tests.frames import SHAPE, star_field, tan_cards, write_hst


@pytest.fixture
def read(tmp_path):
    def one(camera="UVIS", **changes):
        (exposure,) = read_exposures(write_hst(tmp_path / "j8bt06nyq_flt.fits", camera, **changes))
        return exposure

    return one


def test_header__says_what_the_file_says(read):
    header = read("HRC").header
    assert (header.exposure, header.program, header.visit, header.observation) == ("j8bt06nyq", 9019, "06", "ny")
    assert (header.instrument, header.detector, header.filter) == ("ACS", "HRC", "F606W")
    assert (header.subarray, header.readout, header.exptime) == ("HRC-SUB", "C", 100.0)
    assert (header.mjd_start, header.mjd_mid, header.mjd_end) == pytest.approx(
        (52377.0, 52377.001, 52377.002), abs=1e-9
    )
    assert header.va_scale == 1.00004
    assert header.photmjsr is header.observer_x is None


@pytest.mark.parametrize("camera", ["WFC", "UVIS"])
@pytest.mark.parametrize(("chip", "y"), [(2, 200), (1, 2248)])
def test_origin__subarray_of_either_chip(read, camera, chip, y):
    exposure = read(camera, imsets=({"sci": {"CCDCHIP": chip}},))
    assert (exposure.header.x_start, exposure.header.y_start) == (100, y)
    assert (exposure.chips[0].wcs.x, exposure.chips[0].wcs.y) == (131.5, y + 31.5)


def test_chips__uvis_abuts_without_the_rows_next_to_the_gap(read):
    """Rows 2040..2050 of chip 2 under rows 0..7 of chip 1: three rows fall, the rest are neighbours."""
    shape = (11, 64)
    lower = {"shape": shape, "SCI": np.full(shape, 1.0) + np.arange(11)[:, None], "sci": {"LTV2": -2040.0}}
    upper = {"shape": (8, 64), "SCI": np.full((8, 64), 50.0), "sci": {"LTV2": 0.0, "CCDCHIP": 1}}
    exposure = read(imsets=(lower, upper))
    assert (exposure.header.y_start, exposure.header.n_y) == (2040, 16)
    assert exposure.data[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8] + [50] * 8
    assert [(chip.name, chip.y_lo, chip.y_hi) for chip in exposure.chips] == [("UVIS2", 0, 8), ("UVIS1", 8, 16)]
    # Each chip keeps its own reference pixel; the upper one's is 2048 rows up.
    assert [chip.wcs.y for chip in exposure.chips] == [2040 + 31.5, 2048 + 31.5]
    assert [(a.name, a.y_lo, a.y_hi) for a in read(imsets=(lower, upper), primary={"CCDAMP": "ABCD"}).amplifiers] == [
        ("A", 8, 16),
        ("C", 0, 8),
    ]


def test_chips__order_in_the_file_does_not_matter(read):
    lower = {"sci": {"LTV2": -1984.0}, "SCI": np.full(SHAPE, 3.0)}
    upper = {"sci": {"LTV2": 0.0, "CCDCHIP": 1}, "SCI": np.full(SHAPE, 9.0)}
    for imsets in ((lower, upper), (upper, lower)):
        exposure = read("WFC", imsets=imsets)
        assert exposure.data[63:65, 0].tolist() == [3, 9]
        assert exposure.header.y_start == 1984


@pytest.mark.slow
def test_chips__whole_uvis_frame(read):
    def constant(chip):
        return {
            "SCI": np.full((2051, 4096), 7.0 * chip),
            "ERR": np.full((2051, 4096), 4.0),
            "sci": {"CCDCHIP": chip},
        } | {"DQ": np.zeros((2051, 4096), np.int16)}

    exposure = read(imsets=(constant(2), constant(1)), primary={"SUBARRAY": False, "CCDAMP": "ABCD"})
    assert exposure.data.shape == (4096, 4096)
    assert (exposure.data[2047, 0], exposure.data[2048, 0]) == (14, 7)
    assert sorted((a.name, a.x_lo, a.y_lo) for a in exposure.amplifiers) == [
        ("A", 0, 2048),
        ("B", 2048, 2048),
        ("C", 0, 0),
        ("D", 2048, 0),
    ]


@pytest.mark.parametrize("ltv", [-475.0, -480.0])
def test_origin__infrared_subarray_is_centred_whether_or_not_ltv_counts_the_trim(read, ltv):
    exposure = read("IR", imsets=({"sci": {"LTV1": ltv, "LTV2": ltv}},))
    assert (exposure.header.x_start, exposure.header.y_start) == (475, 475)


@pytest.mark.parametrize(
    ("camera", "usable", "saturated"),
    [
        ("WFC", HstBit.WARM | 16384, HstBit.FULL_WELL | HstBit.AD_LIMIT),
        ("UVIS", HstBit.WARM | HstBit.HOT | 16384, HstBit.FULL_WELL | HstBit.AD_LIMIT),
        ("IR", HstBit.WARM | HstBit.TRAP | HstBit.AD_LIMIT | HstBit.COSMIC_RAY | 16384, HstBit.FULL_WELL),
    ],
)
def test_mask__each_bit_as_the_camera_means_it(read, camera, usable, saturated):
    flags = np.zeros(SHAPE, np.int16)
    flags[0, :15] = 1 << np.arange(15)
    exposure = read(camera, imsets=({"DQ": flags},))
    stays = np.array([bool((1 << bit) & usable) for bit in range(15)])
    assert exposure.good[0, :15].tolist() == stays.tolist()
    assert exposure.good[1:].all()
    assert exposure.saturated[0, :15].tolist() == [bool((1 << bit) & saturated) for bit in range(15)]


def test_noise__electrons_have_unit_photon_variance_and_the_floor_of_the_sky(read):
    exposure = read(floor=60.0)
    assert (exposure.poisson == 1).all()
    # Single precision of ERR^2 near 160.
    assert exposure.floor == pytest.approx(60.0, rel=1e-4)


def test_noise__floor_is_not_below_half_the_read_noise_squared(read):
    assert read(floor=1.0).floor == pytest.approx(0.5 * 5.0**2)


def test_noise__usable_hot_pixel_carries_its_dark_current(read):
    flags, counts = np.zeros(SHAPE, np.int16), star_field()
    flags[5, 6] = HstBit.HOT
    error = np.sqrt(counts + 40)
    error[5, 6] = error[5, 7] = np.sqrt(counts[5, 6] + 300)
    floor = read(imsets=({"DQ": flags, "ERR": error},)).floor
    assert floor[5, 6] == pytest.approx(300, rel=1e-3)
    assert floor[5, 7] == pytest.approx(40, rel=1e-3)


def test_noise__rates_divide_by_the_time_of_each_pixel(read):
    time = np.full(SHAPE, 100.0)
    time[4, 4], time[5, 5] = 25.0, 0.0
    exposure = read("IR", imsets=({"TIME": time},))
    assert exposure.header.image_unit == "electron/s"
    assert (exposure.poisson[0, 0], exposure.poisson[4, 4]) == pytest.approx((0.01, 0.04))
    assert not exposure.good[5, 5]
    assert exposure.good[4, 4]


def test_noise__rates_without_time_use_exptime(read):
    assert read("IR", imsets=({"TIME": None},)).poisson == pytest.approx(0.01)


def test_counts__become_electrons(read):
    exposure = read(imsets=({"sci": {"BUNIT": "COUNTS"}},))
    assert exposure.header.image_unit == "electron"
    assert exposure.data == pytest.approx(2 * star_field())
    assert any("COUNTS" in note for note in exposure.notes)


@pytest.mark.parametrize(
    ("camera", "primary", "flag"),
    [
        ("UVIS", {"PCTECORR": "COMPLETE"}, 0),
        ("UVIS", {"PCTECORR": "OMIT"}, Flag.CTE),
        ("HRC", {}, Flag.CTE),
        ("IR", {}, 0),
    ],
)
def test_cte__flagged_unless_corrected_or_not_a_ccd(read, camera, primary, flag):
    assert read(camera, primary=primary).flags == flag


SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-6, "A_1_1": -3e-6, "B_0_2": -3e-6, "B_1_1": 2.8e-6}


def test_area__equals_quadrilaterals_on_the_sky(read):
    cards = tan_cards(40.0, (1000.0, -500.0)) | SIP | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    area = read(imsets=({"sci": cards},)).area
    edges = np.stack(np.meshgrid(np.arange(65) - 0.5, np.arange(65) - 0.5), axis=-1).reshape(-1, 2)
    wcs = WCS(fits.Header(cards | {"NAXIS1": 64, "NAXIS2": 64}))
    xy = wcs.wcs.cd @ (wcs.sip_pix2foc(edges, 0)).T * 3.6e6 / 39.6  # intermediate world coordinates, nominal pixels
    corner = xy.reshape(2, 65, 65)
    d1, d2 = corner[:, 1:, 1:] - corner[:, :-1, :-1], corner[:, 1:, :-1] - corner[:, :-1, 1:]
    # Shoelace formula; a quadratic map over one pixel differs from its Jacobian at the centre by far less than 1e-6.
    assert area == pytest.approx(0.5 * np.abs(d1[0] * d2[1] - d1[1] * d2[0]), rel=1e-6)
    assert area.std() > 1e-4


def test_area__without_sip_is_one_with_a_note(read):
    exposure = read()
    assert (exposure.area == 1).all()
    assert any("SIP" in note for note in exposure.notes)


NAN = np.full(SHAPE, np.nan)
REJECTED = {
    "grism": ("UVIS", {"primary": {"FILTER": "G280"}}, "FILTER: found 'G280'"),
    "quad filter": ("UVIS", {"primary": {"FILTER": "FQ508N"}}, "FILTER: found 'FQ508N'"),
    "infrared grism": ("IR", {"primary": {"FILTER": "G141"}}, "FILTER: found 'G141'"),
    "polarizer": ("WFC", {"primary": {"FILTER2": "POL0V"}}, "FILTER1, FILTER2: found 'F606W' and 'POL0V'"),
    "ramp": ("WFC", {"primary": {"FILTER1": "FR656N"}}, "found 'FR656N' and 'CLEAR2L'"),
    "acs grism": ("WFC", {"primary": {"FILTER1": "G800L"}}, "found 'G800L'"),
    "no filter": ("WFC", {"primary": {"FILTER1": "CLEAR1L"}}, "found 'CLEAR1L' and 'CLEAR2L'"),
    "hostile filter": ("UVIS", {"primary": {"FILTER": "../../x"}}, r"FILTER: found '\.\./\.\./x'"),
    "photon counter": ("HRC", {"primary": {"DETECTOR": "SBC"}}, "DETECTOR: found 'SBC', expected WFC or HRC"),
    "spectrum": ("UVIS", {"primary": {"OBSTYPE": "SPECTROSCOPIC"}}, "OBSTYPE: found 'SPECTROSCOPIC'"),
    "spatial scan": ("IR", {"primary": {"SCAN_TYP": "C"}}, "SCAN_TYP: found 'C'"),
    "unit": ("UVIS", {"imsets": ({"sci": {"BUNIT": "COUNTS/S"}},)}, "BUNIT: found 'COUNTS/S', expected ELECTRONS or"),
    "no unit": ("UVIS", {"imsets": ({"sci": {"BUNIT": None}},)}, "BUNIT: found no such keyword"),
    "no SCI": ("UVIS", {"imsets": ({"SCI": None},)}, r"\[SCI\]: found only PRIMARY"),
    "no ERR": ("UVIS", {"imsets": ({"ERR": None},)}, r"\[ERR\]: found only"),
    "no DQ of the second chip": (
        "WFC",
        {"imsets": ({"sci": {"LTV2": -1984.0}}, {"sci": {"LTV2": 0.0, "CCDCHIP": 1}, "DQ": None})},
        r"\[DQ,2\]: found only",
    ),
    "DQ of another shape": ("UVIS", {"imsets": ({"DQ": np.zeros((64, 32), np.int16)},)}, r"\[DQ\] shape"),
    "no chip number": ("UVIS", {"imsets": ({"sci": {"CCDCHIP": None}},)}, "CCDCHIP: found no such keyword"),
    "third chip": ("UVIS", {"imsets": ({"sci": {"CCDCHIP": 3}},)}, "CCDCHIP: found 3"),
    "no origin": ("UVIS", {"imsets": ({"sci": {"LTV1": None}},)}, "LTV1: found no such keyword"),
    "off the chip": ("UVIS", {"imsets": ({"sci": {"LTV1": -4090.0}},)}, r"NAXIS \(64, 64\) at LTV \(-4090, -200\)"),
    "before the chip": ("UVIS", {"imsets": ({"sci": {"LTV2": 25.0}},)}, "whole pixels inside"),
    "half a pixel": ("UVIS", {"imsets": ({"sci": {"LTV1": -10.5}},)}, "whole pixels inside"),
    "full frame of 64 pixels": ("UVIS", {"primary": {"SUBARRAY": False}}, r"NAXIS \(64, 64\) with SUBARRAY False"),
    "chips apart": (
        "WFC",
        {"imsets": ({"sci": {"LTV2": -1900.0}}, {"sci": {"LTV2": 0.0, "CCDCHIP": 1}})},
        "expected chips that abut",
    ),
    "all NaN": ("UVIS", {"imsets": ({"SCI": NAN},)}, "found no finite pixel"),
    "zero ERR": ("UVIS", {"imsets": ({"ERR": np.zeros(SHAPE)},)}, "found 100% of usable pixels without a positive"),
    "absurd scale": ("UVIS", {"imsets": ({"sci": tan_cards(4.0)},)}, "WCS scale: found 4 mas/pix"),
    "no pointing": ("UVIS", {"imsets": ({"sci": {"CRVAL1": None}},)}, "CRVAL1: found no such keyword"),
    "endless SIP": ("UVIS", {"imsets": ({"sci": {"A_ORDER": 10**6, "B_ORDER": 2}},)}, "A_ORDER: found 1000000"),
    "no exposure": ("UVIS", {"primary": {"EXPTIME": 0.0}}, "EXPTIME: found 0.0"),
    "no start": ("UVIS", {"primary": {"EXPSTART": None}}, "EXPSTART: found no such keyword"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_rejected__reason_names_place_and_value(read, case):
    camera, changes, reason = REJECTED[case]
    with pytest.raises(UnusableError, match=reason) as caught:
        read(camera, **changes)
    assert "\n" not in str(caught.value)
    assert "j8bt06nyq_flt.fits" in str(caught.value)
