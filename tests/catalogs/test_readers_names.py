"""Names that become paths, flag bits, and files that are not what they seem."""

import gzip
import warnings

import fsspec
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import UnusableError
from catalogs.readers import exposure_root, read_exposures
from catalogs.readers._open import flag_bits, open_fits
from catalogs.readers.names import path_key
from tests.frames import write_hst, write_jwst


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("jw01086003001_02201_00001_nis_cal.fits", "jw01086003001_02201_00001_nis"),
        ("data/j8bt06nyq_flt.fits", "j8bt06nyq"),
        ("s3://bucket/folder/iebc16u5q_flc.fits.gz", "iebc16u5q"),
        ("u2g40102t_c0m.fits", "u2g40102t"),
        ("U2G40102T_C0F.FITS", "U2G40102T_C0F"),
        ("x_rate.fits", "x_rate"),
    ],
)
def test_exposure_root__folder_extension_and_product_are_dropped(path, root):
    assert exposure_root(path) == root


@pytest.mark.parametrize("value", ["", ".hidden", "a/b", "../x", "a..b", "F090W ", "a\n", "x" * 81, "-x", "é", "a\\b"])
def test_path_key__anything_odd_is_refused(value):
    with pytest.raises(UnusableError, match="here: found"):
        path_key(value, "here")


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_+.\-]{0,79}", fullmatch=True).filter(lambda text: ".." not in text))
def test_path_key__what_it_promises_it_returns(value):
    assert path_key(value, "here") == value


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8), st.sampled_from([">u4", ">i4", "f8"]))
def test_flag_bits__every_storage_gives_the_same_bits(values, storage):
    bits = np.array(values, np.uint32)
    stored = bits.view(np.int32) if storage == ">i4" else bits
    assert np.array_equal(flag_bits(stored.astype(storage)), bits)


def test_flag_bits__signed_16_bit_does_not_spread():
    assert flag_bits(np.array([-32768, 4], np.int16)).tolist() == [32768, 4]


def test_open__top_bit_of_dq_survives_the_offset_on_disk(tmp_path):
    flags = np.zeros((64, 64), np.uint32)
    flags[3, 5] = 1 << 31
    path = write_jwst(tmp_path / "a_cal.fits", arrays={"DQ": flags})
    with fits.open(path, disable_image_compression=True, uint=False, do_not_scale_image_data=True) as hdus:
        assert hdus["DQ"].header["BZERO"] == 2**31
    with open_fits(path) as file:
        assert np.array_equal(file.bits("DQ"), flags)


def test_open__constant_image_by_pixvalue(tmp_path):
    hdu = fits.ImageHDU(name="TIME")
    hdu.header.update(NPIX1=3, NPIX2=2, PIXVALUE=7.0)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits")
    with open_fits(str(tmp_path / "a.fits")) as file:
        assert file.image("TIME").tolist() == [[7, 7, 7], [7, 7, 7]]


def test_read__gzip_and_memory_files_equal_the_plain_one(tmp_path):
    plain = tmp_path / "a_cal.fits"
    write_jwst(plain)
    (tmp_path / "a_cal.fits.gz").write_bytes(gzip.compress(plain.read_bytes()))
    with fsspec.open("memory://frames/a_cal.fits", "wb") as target:
        target.write(plain.read_bytes())
    (expected,) = read_exposures(str(plain))
    for path in (str(tmp_path / "a_cal.fits.gz"), "memory://frames/a_cal.fits"):
        (found,) = read_exposures(path)
        assert found.header == expected.header
        assert np.array_equal(found.data, expected.data)


def test_read__sloppy_header_makes_no_noise(tmp_path):
    path = tmp_path / "a_cal.fits"
    write_jwst(path)
    raw = path.read_bytes().replace(b"READPATT=", b"ReadPatt=", 1)
    path.write_bytes(raw + b"\0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (exposure,) = read_exposures(str(path))
    assert exposure.header.readout == "NISRAPID"


def _truncate(path, share):
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])


def _scramble_gzip(path):
    packed = bytearray(gzip.compress(path.read_bytes()))
    packed[len(packed) // 2 :] = b"\xff" * (len(packed) - len(packed) // 2)
    path.with_name("a_cal.fits.gz").write_bytes(bytes(packed))


def _negative_size(path):
    """A header that says -24 x 64 pixels: whoever trusts it reads the same extension for ever."""
    raw = path.read_bytes()
    at = raw.index(b"NAXIS1  = ", raw.index(b"BITPIX  =                   32"))
    path.write_bytes(raw[:at] + b"NAXIS1  =                  -24" + raw[at + 30 :])


BAD_FILES = {
    "missing": (lambda path: path.unlink(), "a_cal.fits: found no such file"),
    "empty": (lambda path: path.write_bytes(b""), "a_cal.fits: found .*expected a FITS file"),
    "not FITS": (lambda path: path.write_text("hello " * 1000), "a_cal.fits: found .*expected a FITS file"),
    "cut in the pixels": (lambda path: _truncate(path, 0.3), r"a_cal.fits.*(truncated|ERR|DQ)"),
    "cut near the end": (lambda path: _truncate(path, 0.97), "a_cal.fits: found .*truncated"),
    "a size that leads back into itself": (_negative_size, "a_cal.fits: found extension DQ of -6144 bytes"),
    "cut in the first header": (lambda path: path.write_bytes(path.read_bytes()[:1000]), "a_cal.fits"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_read__damaged_file_is_one_line(tmp_path, case):
    path = tmp_path / "a_cal.fits"
    write_jwst(path)
    damage, reason = BAD_FILES[case]
    damage(path)
    with pytest.raises(UnusableError, match=reason) as caught:
        read_exposures(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", np.linspace(0.02, 0.98, 25))
def test_read__a_file_cut_anywhere_is_unusable(tmp_path, share):
    path = tmp_path / "a_flt.fits"
    write_hst(path)
    _truncate(path, share)
    with pytest.raises(UnusableError):
        read_exposures(str(path))


def test_read__scrambled_gzip(tmp_path):
    path = tmp_path / "a_cal.fits"
    write_jwst(path)
    _scramble_gzip(path)
    with pytest.raises(UnusableError, match="a_cal.fits.gz: found .*expected a FITS file"):
        read_exposures(str(path) + ".gz")


def test_read__unknown_protocol_and_folder(tmp_path):
    for path in ("nosuch://x/a_cal.fits", str(tmp_path)):
        with pytest.raises(UnusableError):
            read_exposures(path)


def test_read__unknown_instrument_lists_the_known(tmp_path):
    path = write_jwst(tmp_path / "a_cal.fits", primary={"INSTRUME": "MIRI"})
    with pytest.raises(UnusableError, match="found JWST MIRI, expected one of JWST NIRISS, .*HST WFPC2"):
        read_exposures(path)
