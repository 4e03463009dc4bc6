"""JWST `_cal` frames as written: what goes in comes out of the reader, of the data models and of astropy."""

import hashlib
import os
import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import UnusableError
from catalogs.readers import nircam, niriss, read_exposures
from catalogs.readers._open import Cards
from catalogs.readers.pointing import tan_wcs
from catalogs.writers import ChipImage, FrameFacts, SipWcs, jwst_root, write_frame
from catalogs.writers.frame import header

SHAPE = (48, 64)  # rows, columns: unequal, so that exchanged axes show
MAS = 1 / 3.6e6


def matrix(scale: float, angle: float) -> tuple[float, float, float, float]:
    """CD of pixels of `scale` [mas], +y at `angle` [deg], east to the left."""
    step, turn = scale * MAS, np.radians(angle)
    cos, sin = float(step * np.cos(turn)), float(step * np.sin(turn))
    return -cos, sin, sin, cos


def sip(seed: int = 1, n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Polynomials of order n - 1 with all terms; 1000 pixels from the centre each moves by up to a pixel."""
    power = np.add.outer(np.arange(n), np.arange(n))
    terms = np.random.default_rng(seed).uniform(-1, 1, (2, n, n)) * 1000.0**-power
    return tuple(np.where(power < n, terms, 0.0))


def make_facts(**changes) -> FrameFacts:
    facts = FrameFacts(
        root="jw01086003001_02201_00001_nis",
        program=1086,
        observation=3,
        number=1,
        instrument="NIRISS",
        detector="NIS",
        filter="F150W",
        mjd_start=59700.123456789,
        mjd_end=59700.124712345,
        exptime=96.631,
        position_angle=359.7,
        va_scale=1.0000512345,
        observer=(-1.2345678901e8, 9.87654321e7, -4.2e7),
        velocity=(-20.5, -22.25, 9.125),
        target="LMC-ASTROMETRIC",
        ra_target=80.4875,
        dec_target=-69.4975,
        readout="NISRAPID",
        n_groups=9,
        t_frame=0.69144,
        t_group=0.69144,
        x_start=100,
        y_start=200,
        subarray="SUB64",
        photmjsr=0.1234,
        pixar_sr=1.0084e-13,
    )
    return replace(facts, **changes)


def make_chip(name: str = "NIS", shape: tuple[int, int] = SHAPE, scale: float = 65.569, **changes) -> ChipImage:
    pixels = np.random.default_rng(7).uniform(0.1, 90.0, (6, *shape)).astype(np.float32)
    bits = np.zeros(shape, np.uint32)
    bits[3, 5], bits[4, 6] = 2**31, 2**31 | 3
    planes = dict(zip(("AREA", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"), pixels[2:], strict=True))
    wcs = SipWcs(80.4875, -69.4975, 31.25, 23.75, matrix(scale, 359.7), *sip())
    return replace(ChipImage(name, pixels[0], pixels[1], bits, wcs, planes), **changes)


def by_hand(wcs: SipWcs, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Unit vectors (n, 3) of pixels: polynomials summed term by term, then a point of the tangent plane."""
    u, v = x - wcs.x, y - wcs.y
    powers = [(i, j) for i in range(len(wcs.a)) for j in range(len(wcs.a))]
    f, g = (sum(terms[i, j] * u**i * v**j for i, j in powers) for terms in (wcs.a, wcs.b))
    cd11, cd12, cd21, cd22 = np.radians(wcs.cd)
    xi, eta = cd11 * (u + f) + cd12 * (v + g), cd21 * (u + f) + cd22 * (v + g)
    ra, dec = np.radians([wcs.ra, wcs.dec])
    east = np.array([-np.sin(ra), np.cos(ra), 0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    towards = np.cross(east, north) + xi[:, None] * east + eta[:, None] * north
    return towards / np.linalg.norm(towards, axis=1, keepdims=True)


def vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


@pytest.mark.parametrize("pc", [True, False])
def test_wcs__astropy_puts_pixels_where_the_polynomial_does(pc):
    wcs = SipWcs(80.4875, -69.4975, 1023.5, 1023.25, matrix(65.569, 31.0), *sip())
    x, y = np.random.default_rng(2).uniform(0, 2047, (2, 200))
    sky = WCS(header(wcs.cards(pc=pc))).all_pix2world(x, y, 0)
    away = np.linalg.norm(vectors(*sky) - by_hand(wcs, x, y), axis=1)
    # 1e-6 mas is 5e-15 rad, some twenty roundings of a unit vector.
    assert np.degrees(away).max() < 1e-6 * MAS
    # The polynomial matters here, or the line above would say little.
    straight = SipWcs(wcs.ra, wcs.dec, wcs.x, wcs.y, wcs.cd, np.zeros((1, 1)), np.zeros((1, 1)))
    assert np.degrees(np.linalg.norm(by_hand(straight, x, y) - by_hand(wcs, x, y), axis=1)).max() > 60 * MAS


def test_wcs__without_polynomials_is_plain_tan():
    cards = SipWcs(80.0, -69.0, 10.0, 20.0, matrix(65.5, 30.0)).cards()
    assert (cards["CTYPE1"], cards["CTYPE2"]) == ("RA---TAN", "DEC--TAN")
    assert not [key for key in cards if key[:2] in ("A_", "B_")]


def test_wcs__a_single_linear_term_is_not_ignored():
    """Readers skip SIP of orders below 2."""
    linear = np.array([[0.0, 0.0], [1e-3, 0.0]])
    wcs = SipWcs(80.0, -69.0, 0.0, 0.0, matrix(65.5, 0.0), linear, np.zeros((0, 0)))
    x, y = np.array([1000.0]), np.array([500.0])
    moved = WCS(header(wcs.cards())).all_pix2world(x, y, 0)
    expected = WCS(header(replace(wcs, a=np.zeros((0, 0))).cards())).all_pix2world(x * 1.001, y, 0)
    assert np.ravel(moved) == pytest.approx(np.ravel(expected), abs=1e-6 * MAS)


def test_wcs__order_above_nine_is_a_mistake():
    with pytest.raises(ValueError, match="order 10"):
        SipWcs(80.0, -69.0, 0.0, 0.0, matrix(65.5, 0.0), np.pad([[1e-30]], ((10, 0), (0, 0))), np.zeros((0, 0)))


@given(
    ra=st.floats(0, 360, exclude_max=True),
    dec=st.floats(-89, 89),
    x=st.floats(-2000, 4000),
    angle=st.floats(0, 360, exclude_max=True),
    pc=st.booleans(),
)
def test_wcs__linear_part_survives_the_header(ra, dec, x, angle, pc):
    wcs = SipWcs(ra, dec, x, 1023.5, matrix(31.0, angle))
    stored = fits.Header.fromstring(header(wcs.cards(pc=pc)).tostring())
    read = tan_wcs(Cards(stored, "header"), 0, 0, 31.0)
    # Cards hold at least 13 digits.
    assert (read.ra, read.dec, read.x, read.y) == pytest.approx((ra, dec, x, 1023.5), abs=1e-9)
    assert read.cd == pytest.approx(wcs.cd, abs=1e-12 * 31.0 * MAS)


def test_read_back__pixels_flags_and_header(tmp_path):
    facts, chip = make_facts(), make_chip()
    paths = write_frame(tmp_path, facts, [chip])
    assert paths == [tmp_path / "jw01086003001_02201_00001_nis_cal.fits"]
    (exposure,) = read_exposures(str(paths[0]))
    assert np.array_equal(exposure.data, chip.data)
    assert np.array_equal(exposure.error, chip.error)
    assert np.array_equal(exposure.area, chip.planes["AREA"])
    assert np.array_equal(exposure.floor, chip.planes["VAR_RNOISE"])
    assert {tuple(pixel) for pixel in np.argwhere(~exposure.good)} == {(3, 5), (4, 6)}
    assert {tuple(pixel) for pixel in np.argwhere(exposure.saturated)} == {(4, 6)}
    record = exposure.header
    assert (record.exposure, record.program, record.observation, record.visit) == (facts.root, 1086, "003", "001")
    assert (record.instrument, record.detector, record.filter) == ("NIRISS", "NIS", "F150W")
    assert (record.subarray, record.readout, record.exptime) == ("SUB64", "NISRAPID", facts.exptime)
    assert (record.n_x, record.n_y, record.x_start, record.y_start) == (64, 48, 100, 200)
    assert (record.mjd_start, record.mjd_end) == (facts.mjd_start, facts.mjd_end)
    assert record.mjd_mid == (facts.mjd_start + facts.mjd_end) / 2
    assert (record.observer_x, record.observer_y, record.observer_z) == facts.observer
    assert (record.va_scale, record.photmjsr) == (facts.va_scale, facts.photmjsr)
    assert record.position_angle == pytest.approx(359.7, abs=1e-9)
    wcs = exposure.chips[0].wcs
    assert (wcs.x, wcs.y) == (131.25, 223.75)
    assert (wcs.ra, wcs.dec) == pytest.approx((80.4875, -69.4975), abs=1e-9)
    assert (record.ra, record.dec) == pytest.approx(tuple(map(float, wcs.sky(131.5, 223.5))), abs=1e-9)


def test_read_back__every_flag_and_plane_to_the_bit(tmp_path):
    bits = np.random.default_rng(3).integers(0, 2**32, SHAPE, dtype=np.uint32)
    chip = make_chip(bits=bits)
    (path,) = write_frame(tmp_path, make_facts(), [chip])
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "ERR", "DQ", *chip.planes]
        hdus.verify("exception")
        assert hdus["DQ"].data.dtype == np.uint32
        assert np.array_equal(hdus["DQ"].data, bits)
        for name, plane in chip.planes.items():
            assert np.array_equal(hdus[name].data, plane)


@pytest.mark.parametrize(
    ("instrument", "detector", "name"),
    [("NIRISS", "NIS", name) for name in niriss.CAMERA.filters.values()]
    + [("NIRCAM", "NRCB1", name) for name in (*nircam.SHORT, "F162M", "F164N")]
    + [("NIRCAM", "NRCALONG", name) for name in (*nircam.LONG, "F323N", "F405N", "F466N", "F470N")],
)
def test_filter__comes_back(tmp_path, instrument, detector, name):
    scale, readout = {"NIS": (65.569, "NIS"), "NRCB1": (31.0, "DEEP8"), "NRCALONG": (63.0, "RAPID")}[detector]
    facts = make_facts(instrument=instrument, detector=detector, filter=name, readout=readout)
    chip = make_chip(detector, scale=scale)
    (exposure,) = read_exposures(str(write_frame(tmp_path, facts, [chip])[0]))
    assert (exposure.header.filter, exposure.header.detector) == (name, detector)


def test_datamodel__opens_strictly_and_says_the_same(tmp_path):
    from stdatamodels.jwst.datamodels import ImageModel

    facts, chip = make_facts(track=True), make_chip()
    (path,) = write_frame(tmp_path, facts, [chip])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ImageModel(str(path), strict_validation=True)
        model.validate()
    with model:
        meta = model.meta
        assert (meta.model_type, meta.filename, meta.telescope) == ("ImageModel", path.name, "JWST")
        assert (meta.instrument.name, meta.instrument.detector) == ("NIRISS", "NIS")
        assert (meta.instrument.filter, meta.instrument.pupil) == ("CLEAR", "F150W")
        assert (meta.exposure.type, meta.exposure.readpatt, meta.exposure.ngroups) == ("NIS_IMAGE", "NISRAPID", 9)
        assert (meta.exposure.nframes, meta.exposure.groupgap, meta.exposure.nints) == (1, 0, 1)
        assert (meta.exposure.group_time, meta.exposure.exposure_time) == (0.69144, 96.631)
        assert (meta.exposure.start_time, meta.exposure.end_time) == (facts.mjd_start, facts.mjd_end)
        # A date in days resolves a microsecond.
        assert meta.exposure.duration == pytest.approx((facts.mjd_end - facts.mjd_start) * 86400, abs=1e-5)
        assert (meta.observation.program_number, meta.observation.visit_number) == ("01086", "001")
        # 0.123456789 d = 10666.667 s = 2 h 57 min 46.667 s on the day of MJD 59700.
        assert (meta.observation.date, meta.observation.time) == ("2022-05-01", "02:57:46.666")
        assert (meta.subarray.xstart, meta.subarray.ystart, meta.subarray.xsize) == (101, 201, 64)
        assert (meta.subarray.fastaxis, meta.subarray.slowaxis) == (-2, -1)
        assert meta.target.type == "MOVING"
        assert (meta.ephemeris.spatial_x_bary, meta.ephemeris.velocity_z_bary) == (facts.observer[0], 9.125)
        assert (meta.velocity_aberration.scale_factor, meta.photometry.conversion_megajanskys) == (1.0000512345, 0.1234)
        assert meta.photometry.pixelarea_steradians == 1.0084e-13
        # The same area: a radian is 206265 arcsec.
        assert meta.photometry.pixelarea_arcsecsq == pytest.approx(1.0084e-13 * 206264.806247**2, rel=1e-9)
        # Position angle of +y is ROLL_REF - VPARITY * V3I_YANG.
        info = meta.wcsinfo
        assert (info.roll_ref - info.vparity * info.v3yangle) % 360 == pytest.approx(359.7, abs=1e-9)
        assert np.array_equal(model.data, chip.data)
        assert np.array_equal(model.dq, chip.bits)
        assert np.array_equal(model.var_flat, chip.planes["VAR_FLAT"])


def test_full_frame__is_the_readers_full_frame(tmp_path):
    shape = (2048, 2048)
    chip = make_chip("NRCBLONG", scale=63.0)
    pixels = np.full(shape, 2.0, np.float32)
    chip = replace(chip, data=pixels, error=pixels, bits=np.zeros(shape, np.uint32), planes={})
    facts = make_facts(
        instrument="NIRCAM", detector="NRCBLONG", filter="F444W", readout="RAPID", subarray="FULL", x_start=0, y_start=0
    )
    (path,) = write_frame(tmp_path, facts, [chip])
    (exposure,) = read_exposures(str(path))
    # NRCBLONG reads towards +x, -y.
    assert [(each.x_lo, each.fast, each.slow) for each in exposure.amplifiers] == [
        (0, 1, -2),
        (512, -1, -2),
        (1024, 1, -2),
        (1536, -1, -2),
    ]
    assert exposure.flags == 0
    assert fits.getval(path, "APERNAME") == "NRCB5_FULL"


def test_bytes__depend_on_nothing_but_what_is_written(tmp_path):
    first, second = (write_frame(tmp_path / folder, make_facts(), [make_chip()])[0] for folder in "ab")
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    assert os.listdir(tmp_path / "a") == [first.name]


def test_write__leaves_shared_planes_alone(tmp_path):
    chip = make_chip()
    for plane in (chip.data, chip.bits, *chip.planes.values()):
        plane.setflags(write=False)
    before = chip.data.tobytes()
    write_frame(tmp_path, make_facts(), [chip])
    assert chip.data.tobytes() == before


def test_write__failure_leaves_the_earlier_file_whole(tmp_path, monkeypatch):
    (path,) = write_frame(tmp_path, make_facts(), [make_chip()])
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("catalogs.writers.frame.os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_frame(tmp_path, make_facts(exptime=1.0), [make_chip()])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instrument": "MIRI"}, "instrument: found 'MIRI', expected one of NIRISS"),
        ({"detector": "NRCB1"}, "detector: found 'NRCB1', expected one of NIS"),
        ({"filter": "F606W"}, "filter: found 'F606W', expected one of F090W"),
        ({"instrument": "NIRCAM", "detector": "NRCB1"}, r"chips: found \['NIS'\], expected NRCB1"),
        ({"readout": "FAST"}, "readout: found 'FAST', expected one of NISRAPID"),
        ({"x_start": 2000}, r"subarray SUB64: found 64 x 48 pixels at \(2000, 200\)"),
        ({"subarray": "FULL"}, "subarray FULL: found 64 x 48 pixels .* expected all of 2048 x 2048"),
    ],
)
def test_write__what_there_is_not(tmp_path, changes, message):
    with pytest.raises(UnusableError, match=message):
        write_frame(tmp_path / "new", make_facts(**changes), [make_chip()])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("detector", "name", "first"), [("NRCB1", "F444W", "F070W"), ("NRCALONG", "F162M", "F250M")])
def test_write__filter_of_the_other_channel(tmp_path, detector, name, first):
    facts = make_facts(instrument="NIRCAM", detector=detector, filter=name)
    with pytest.raises(UnusableError, match=f"filter: found '{name}', expected one of {first}"):
        write_frame(tmp_path, facts, [make_chip(detector)])


def test_write__unknown_plane(tmp_path):
    with pytest.raises(UnusableError, match=r"planes: found \['WHT'\]"):
        write_frame(tmp_path, make_facts(), [make_chip(planes={"WHT": np.ones(SHAPE, np.float32)})])


def test_chip__planes_of_other_shapes_are_a_mistake():
    with pytest.raises(ValueError, match=r"AREA has shape \(2, 2\)"):
        make_chip(planes={"AREA": np.ones((2, 2), np.float32)})


def test_root__is_the_archives():
    assert jwst_root(1086, 1, 1, 2, 1, 1, 3, "NIS") == "jw01086001001_02101_00003_nis"
    assert jwst_root(1227, 2, 1, 2, 1, 35, 12, "NRCALONG") == "jw01227002001_0210z_00012_nrcalong"
    with pytest.raises(UnusableError, match="JWST exposure name"):
        jwst_root(1086, 1000, 1, 2, 1, 1, 3, "NIS")
