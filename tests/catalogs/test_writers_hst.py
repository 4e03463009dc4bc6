"""HST frames as written, ACS/WFC, WFC3/UVIS and WFPC2: what goes in comes out of the reader and of astropy."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import UnusableError
from catalogs.flags import Flag
from catalogs.readers import read_exposures
from catalogs.readers._open import Cards
from catalogs.readers.checks import check_filter
from catalogs.writers import ChipImage, FrameFacts, SipWcs, hst, hst_root, wfpc2, write_frame

MAS = 1 / 3.6e6
WFPC2_CHIPS = {"PC1": (45.5, 134.0), "WF2": (99.6, 224.0), "WF3": (99.6, 314.0), "WF4": (99.6, 44.0)}
LAYOUTS = {"ACS": ("WFC", 2048, 49.73, "F814W", 177.57), "WFC3": ("UVIS", 2051, 39.773, "F606W", 44.80)}


def make_wcs(scale: float, angle: float, n_x: int, n_y: int, seed: int = 0) -> SipWcs:
    """+y at `angle`, east to the left, and polynomials of order 3 without constant and linear terms."""
    step, turn = scale * MAS, np.radians(angle)
    cos, sin = float(step * np.cos(turn)), float(step * np.sin(turn))
    power = np.add.outer(np.arange(4), np.arange(4))
    terms = np.random.default_rng(seed).uniform(-1, 1, (2, 4, 4)) * 2000.0**-power
    a, b = np.where((power > 1) & (power < 4), terms, 0.0)
    return SipWcs(56.75, 24.125, n_x / 2, n_y / 2, (-cos, sin, sin, cos), a, b)


def make_facts(instrument: str, **changes) -> FrameFacts:
    detector, _, _, name, _ = LAYOUTS.get(instrument, ("WFPC2", 0, 0, "F555W", 0))
    facts = FrameFacts(
        root=hst_root(instrument, 10775, 7, 12),
        program=10775,
        observation=7,
        number=12,
        instrument=instrument,
        detector=detector,
        filter=name,
        mjd_start=53881.25,
        mjd_end=53881.2575,
        exptime=500.0,
        position_angle=77.25,
        va_scale=0.99995,
        target="47TUC",
        ra_target=56.75,
        dec_target=24.125,
        gain=7.0 if instrument == "WFPC2" else 1.56,
        read_noise=3.25,
    )
    return replace(facts, **changes)


def two_chips(instrument: str) -> tuple[ChipImage, ChipImage]:
    """Upper chip, lower chip: the pixels tell them apart, and flags, and each leans a little."""
    _, rows, scale, _, _ = LAYOUTS[instrument]
    ramp = np.add.outer(np.arange(rows, dtype=np.float32), np.arange(4096, dtype=np.float32) / 4096)
    error = np.full((rows, 4096), 4.5, np.float32)
    chips = []
    for number in (1, 2):
        bits = np.zeros((rows, 4096), np.uint32)
        bits[7, 5], bits[8, 5] = (256, 0x8000) if number == 1 else (16384, 4)
        wcs = make_wcs(scale, 77.25 + number / 10, 4096, rows, number)
        chips.append(ChipImage(f"{LAYOUTS[instrument][0]}{number}", ramp * number, error, bits, wcs))
    return chips[0], chips[1]


@contextmanager
def written(folder: Path, facts: FrameFacts, chips) -> Iterator[Path]:
    """A large file, gone afterwards."""
    (path,) = write_frame(folder, facts, chips)
    try:
        yield path
    finally:
        path.unlink()


def angle_of_y(wcs: WCS) -> float:
    """Position angle of +y at the reference pixel, from its neighbours above and below: quadratic terms cancel."""
    x, y = wcs.wcs.crpix - 1
    here, above, below = (SkyCoord(*wcs.all_pix2world(x, row, 0), unit="deg") for row in (y, y + 1, y - 1))
    up, down = here.position_angle(above).deg, here.position_angle(below).deg
    lean = (down - up) % 360 - 180
    return (up + lean / 2) % 360


@pytest.fixture(scope="module", params=["ACS", "WFC3"])
def frame(request, tmp_path_factory):
    """A frame of either camera, what it was made of and what is read; `_flc` of one, `_flt` of the other."""
    facts = make_facts(request.param, cte_corrected=request.param == "WFC3", track=request.param == "ACS")
    chips = two_chips(request.param)
    with written(tmp_path_factory.mktemp("hst"), facts, chips) as path:
        yield facts, chips, path, read_exposures(str(path))


def test_two_chips__read_back(frame):
    facts, (upper, lower), _, (exposure,) = frame
    # The abutted frame keeps 2048 rows of each chip.
    assert np.array_equal(exposure.data[:2048], lower.data[:2048])
    assert np.array_equal(exposure.data[2048:], upper.data[:2048])
    assert np.array_equal(exposure.error, np.full((4096, 4096), 4.5, np.float32))
    assert {tuple(pixel) for pixel in np.argwhere(~exposure.good)} == {(8, 5), (2048 + 7, 5)}
    assert {tuple(pixel) for pixel in np.argwhere(exposure.saturated)} == {(2048 + 7, 5)}
    assert exposure.flags == (0 if facts.cte_corrected else Flag.CTE)
    assert {(each.gain, each.read_noise) for each in exposure.amplifiers} == {(1.56, 3.25)}
    for chip, image in zip(exposure.chips, (lower, upper), strict=True):
        assert chip.name == image.name
        assert (chip.wcs.ra, chip.wcs.dec) == pytest.approx((56.75, 24.125), abs=1e-9)
        assert (chip.wcs.x, chip.wcs.y) == (image.wcs.x, image.wcs.y + chip.y_lo)
        assert chip.wcs.position_angle == pytest.approx(image.wcs.position_angle, abs=1e-9)


def test_two_chips__header(frame):
    facts, (_, lower), _, (exposure,) = frame
    record = exposure.header
    assert (record.exposure, record.program, record.observation, record.visit) == (facts.root, 10775, "0c", "07")
    assert (record.instrument, record.detector) == (facts.instrument, facts.detector)
    assert (record.filter, record.readout) == (facts.filter, "ABCD")
    assert (record.n_x, record.n_y, record.x_start, record.y_start) == (4096, 4096, 0, 0)
    assert (record.mjd_start, record.mjd_mid, record.mjd_end) == (53881.25, 53881.25375, 53881.2575)
    assert (record.exptime, record.va_scale, record.image_unit) == (500.0, 0.99995, "electron")
    # The middle of the frame lies on the lower chip, as far as a linear WCS tells.
    assert record.position_angle == pytest.approx(lower.wcs.position_angle, abs=1e-9)
    middle = tuple(map(float, exposure.chips[0].wcs.sky(2047.5, 2047.5)))
    assert (record.ra, record.dec) == pytest.approx(middle, abs=1e-9)


def test_two_chips__as_the_archive_lays_them_out(frame):
    facts, (upper, lower), path, _ = frame
    assert path.name == f"{facts.root}_{'flc' if facts.cte_corrected else 'flt'}.fits"
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert [(hdu.name, hdu.ver) for hdu in hdus[1:]] == [(n, v) for v in (1, 2) for n in ("SCI", "ERR", "DQ")]
        head = hdus[0].header
        assert (head["ROOTNAME"], head["PROPOSID"], head["LINENUM"]) == (facts.root, 10775, "07.012")
        assert (head["DATE-OBS"], head["TIME-OBS"]) == ("2006-05-26", "06:00:00")
        assert (head["MTFLAG"].strip(), head["SUBARRAY"]) == ("T" if facts.track else "", False)
        # The roll of the telescope from that of the array.
        assert (head["PA_V3"] + LAYOUTS[facts.instrument][4]) % 360 == pytest.approx(77.25, abs=1e-9)
        for version, (number, image) in enumerate([(2, lower), (1, upper)], 1):
            science = hdus["SCI", version]
            assert (science.header["CCDCHIP"], science.header["BUNIT"]) == (number, "ELECTRONS")
            assert hdus["DQ", version].data.dtype.newbyteorder("=") == np.int16
            assert np.array_equal(hdus["DQ", version].data.astype(np.uint16), image.bits)
            wcs = WCS(science.header, hdus)
            # Coordinates of 1e2 deg are rounded by some 1e-14 deg, which turns a step of 1e-5 deg by 1e-7 deg.
            assert angle_of_y(wcs) == pytest.approx(science.header["ORIENTAT"], abs=1e-6)
            assert science.header["ORIENTAT"] == pytest.approx(image.wcs.position_angle, abs=1e-12)


@pytest.mark.parametrize("instrument", ["ACS", "WFC3"])
def test_filters__each_is_one_the_reader_takes(instrument):
    wheels = ("FILTER1", "FILTER2") if instrument == "ACS" else ("FILTER",)
    blank = "CLEAR" if instrument == "ACS" else ""
    for name, cards in hst.CAMERAS[instrument].wheels.items():
        assert check_filter(Cards(cards, "header"), wheels, blank) == name


def test_filters__sit_in_their_wheel():
    wheels = hst.CAMERAS["ACS"].wheels
    assert wheels["F606W"] == {"FILTER1": "F606W", "FILTER2": "CLEAR2L"}
    assert wheels["F814W"] == {"FILTER1": "CLEAR1L", "FILTER2": "F814W"}


def four_chips() -> list[ChipImage]:
    chips = []
    for number, (name, (scale, angle)) in enumerate(WFPC2_CHIPS.items(), 1):
        pixels = np.random.default_rng(number).uniform(0, 100, (800, 800)).astype(np.float32)
        bits = np.zeros((800, 800), np.uint32)
        bits[300, 400], bits[301, 400], bits[302, 400] = 8, 1024, number
        chips.append(ChipImage(name, pixels, pixels, bits, make_wcs(scale, angle, 800, 800, number)))
    return chips


def test_wfpc2__read_back(tmp_path):
    facts, chips = make_facts("WFPC2"), four_chips()
    paths = write_frame(tmp_path, facts, chips[::-1])
    assert paths == [tmp_path / f"{facts.root}_c0m.fits", tmp_path / f"{facts.root}_c1m.fits"]
    exposures = read_exposures(str(paths[0]))
    assert [each.header.detector for each in exposures] == list(WFPC2_CHIPS)
    for number, (exposure, chip) in enumerate(zip(exposures, chips, strict=True), 1):
        assert np.array_equal(exposure.data, chip.data)
        assert np.array_equal(np.argwhere(exposure.saturated), [(300, 400)])
        inner = ~exposure.good[100:700, 100:700]
        # Repaired pixels stay; of 1, 2, 3, 4 each has a bit that forbids.
        assert {tuple(pixel) for pixel in np.argwhere(inner)} == {(200, 300), (202, 300)}, number
        record = exposure.header
        assert (record.exposure, record.program, record.filter) == (facts.root, 10775, "F555W")
        assert (record.readout, record.image_unit, record.exptime) == ("ATODGAIN=7", "DN", 500.0)
        assert (record.mjd_start, record.mjd_end, record.va_scale) == (53881.25, 53881.2575, 0.99995)
        assert record.position_angle == pytest.approx(WFPC2_CHIPS[chip.name][1], abs=1e-9)
        wcs = exposure.chips[0].wcs
        assert (wcs.ra, wcs.dec, wcs.x, wcs.y) == pytest.approx((56.75, 24.125, 400, 400), abs=1e-9)


def test_wfpc2__as_the_archive_lays_them_out(tmp_path):
    chips = four_chips()
    for path in write_frame(tmp_path, make_facts("WFPC2"), chips):
        with fits.open(path) as hdus:
            hdus.verify("exception")
            assert [(hdu.name, hdu.ver) for hdu in hdus[1:]] == [("SCI", version) for version in (1, 2, 3, 4)]
            assert [hdu.header["DETECTOR"] for hdu in hdus[1:]] == [1, 2, 3, 4]
            assert hdus[0].header["FILENAME"] == path.name
            for hdu, (_, angle) in zip(hdus[1:], WFPC2_CHIPS.values(), strict=True):
                assert hdu.header["ORIENTAT"] == pytest.approx(angle, abs=1e-12)
                # Coordinates of 1e2 deg are rounded by some 1e-14 deg, which turns a step of 1e-5 deg by 1e-7 deg.
                assert angle_of_y(WCS(hdu.header, hdus)) == pytest.approx(angle, abs=1e-6)


def test_wfpc2__bytes_depend_on_nothing_but_what_is_written(tmp_path):
    digests = [
        [hashlib.sha256(path.read_bytes()).digest() for path in write_frame(folder, make_facts("WFPC2"), four_chips())]
        for folder in (tmp_path / "a", tmp_path / "b")
    ]
    assert digests[0] == digests[1]


def test_wfpc2__pixels_never_appear_before_their_flags(tmp_path, monkeypatch):
    appeared = []
    move = os.replace

    def watch(source, target):
        appeared.append(Path(target).name)
        if len(appeared) == 2:
            raise OSError("killed")
        move(source, target)

    monkeypatch.setattr("catalogs.writers.frame.os.replace", watch)
    with pytest.raises(OSError, match="killed"):
        write_frame(tmp_path, make_facts("WFPC2"), four_chips())
    assert [name[-8:] for name in appeared] == ["c1m.fits", "c0m.fits"]
    assert os.listdir(tmp_path) == [appeared[0]]


def test_wfpc2__filters_are_ones_the_reader_takes():
    for name in wfpc2.FILTERS.split():
        assert check_filter(Cards({"FILTNAM1": name, "FILTNAM2": ""}, "header"), ("FILTNAM1", "FILTNAM2"), "") == name


@pytest.mark.parametrize(
    ("instrument", "changes", "message"),
    [
        ("ACS", {"filter": "F336W"}, "filter: found 'F336W', expected one of F475W"),
        ("ACS", {"detector": "HRC"}, "detector: found 'HRC', expected one of WFC"),
        ("WFC3", {"filter": "F160W"}, "filter: found 'F160W', expected one of F200LP"),
        ("WFPC2", {"filter": "F160BW"}, "filter: found 'F160BW', expected one of F122M"),
        ("WFPC2", {"gain": 1.0}, "gain: found 1.0, expected 7 or 15"),
    ],
)
def test_write__what_there_is_not(tmp_path, instrument, changes, message):
    def chip(name: str, shape: tuple[int, int]) -> ChipImage:
        nothing = np.broadcast_to(np.float32(0), shape)
        return ChipImage(name, nothing, nothing, nothing.astype(np.uint32), make_wcs(50.0, 0.0, 100, 100))

    detector, rows = LAYOUTS.get(instrument, ("", 0))[:2]
    chips = four_chips() if instrument == "WFPC2" else [chip(f"{detector}{number}", (rows, 4096)) for number in (1, 2)]
    with pytest.raises(UnusableError, match=message):
        write_frame(tmp_path / "new", make_facts(instrument, **changes), chips)
    assert not (tmp_path / "new").exists()


def test_write__chips_missing_doubled_or_of_another_size(tmp_path):
    chips = four_chips()
    small = replace(chips[3], data=np.zeros((4, 4)), error=np.zeros((4, 4)), bits=np.zeros((4, 4), np.uint32))
    for wrong in (chips[:3], [*chips, chips[0]], [*chips[:3], small]):
        with pytest.raises(UnusableError, match="u8bb070ct chips: found"):
            write_frame(tmp_path, make_facts("WFPC2"), wrong)
    with pytest.raises(UnusableError, match="chips: found .*PC1"):
        write_frame(tmp_path, make_facts("ACS"), chips)


def test_write__flags_beyond_16_bits_are_a_mistake(tmp_path):
    chips = four_chips()
    chips[2].bits[0, 0] = 1 << 16
    with pytest.raises(ValueError, match="flags up to 65536"):
        write_frame(tmp_path, make_facts("WFPC2"), chips)


def test_root__letters_and_digits():
    # 10775 = 8 * 36^2 + 11 * 36 + 11
    assert hst_root("ACS", 10775, 7, 12) == "j8bb070cq"
    assert hst_root("WFC3", 46655, 99, 1295) == "izzz99zzq"
    assert hst_root("WFPC2", 1, 0, 0) == "u0010000t"
    for wrong in ((46656, 1, 1), (1, 100, 1), (1, 1, 1296), (1, 1, -1)):
        with pytest.raises(UnusableError, match="HST exposure name"):
            hst_root("ACS", *wrong)


@given(program=st.integers(0, 46655), observation=st.integers(0, 99), number=st.integers(0, 1295))
def test_root__tells_its_numbers(program, observation, number):
    root = hst_root("ACS", program, observation, number)
    assert (int(root[1:4], 36), int(root[4:6]), int(root[6:8], 36)) == (program, observation, number)
