import io
import shutil
import warnings

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.psf import GriddedPSFModel

from catalogs.cubes import EpsfCube
from catalogs.errors import UnusableError
from catalogs.exchange.cameras import library_name, parse_name
from catalogs.exchange.stdpsf import read_stdpsf, split_stdpsf, write_stdpsf


def psf(oversampling=4, radius=12.5, x=0.0, sigma=1.2):
    """Round Gaussian star of unit flux, displaced by x."""
    half = round(radius * oversampling)
    offset = np.arange(-half, half + 1) / oversampling
    return np.exp(-((offset - x) ** 2 + offset[:, None] ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def cube_of(values, fx, fy, **changes):
    n_samples = np.ones((len(fy), len(fx)), dtype=int)
    return EpsfCube(values, fx, fy, **({"oversampling": 4, "normalisation_radius": 5.0} | changes), n_samples=n_samples)


def planes(n_fx, n_fy):
    """A different star on each fiducial: plane number n is n per mille brighter."""
    return psf() * (1 + 1e-3 * np.arange(n_fx * n_fy).reshape(n_fy, n_fx, 1, 1))


def write_raw(path, data, cards):
    """A FITS file as a library would have it, keywords spelt as given, case included."""
    buffer = io.BytesIO()
    hdu = fits.PrimaryHDU(np.asarray(data, dtype=">f4"))
    for key, value in cards.items():
        hdu.header[key.upper()] = value
    hdu.writeto(buffer)
    content = buffer.getvalue()
    for key in cards:
        content = content.replace(f"{key.upper():8s}=".encode(), f"{key:8s}=".encode())
    path.write_bytes(content)
    return path


def grid_cards(fx, fy):
    cards = {"NXPSFs": len(fx), "NYPSFs": len(fy)}
    for key, axis in (("IPSFX", fx), ("JPSFY", fy)):
        cards |= {f"{key}{i + 1:02d}": value for i, value in enumerate(axis + [9999] * (10 - len(axis)))}
    return cards


def grid_strings(fx, fy):
    cards = {"NXPSFS": len(fx), "NYPSFS": len(fy)}
    for key, axis in (("IPSFX", fx), ("JPSFY", fy)):
        fives = [axis[i : i + 5] for i in range(0, len(axis), 5)]
        cards |= {f"{key}{letter}5": " ".join(map(str, five)) for letter, five in zip("ABCD", fives, strict=False)}
    return cards


def test_read__uvis_library_file_with_spare_block_and_sentinels(shared_data):
    cube = read_stdpsf(shared_data / "stdpsf/PSFSTD_WFC3UV_F814W.fits")
    assert cube.key == ("WFC3", "UVIS", "F814W")
    assert cube.values.shape == (8, 7, 101, 101)
    assert cube.oversampling == 4
    assert cube.fx.tolist() == [-1, 681, 1364, 2047, 2730, 3412, 4095]
    # The file has 2048 on both sides of the seam.
    assert cube.fy.tolist() == [-1, 681, 1364, 2047, 2048, 2730, 3412, 4095]
    # Counted in the file's own bytes; two planes have both a row and a column of them.
    assert cube.extra["sentinel_lines"] == 22
    # Every plane encloses the same: the plain total of the file runs from 0.4 to 1.06.
    totals = cube.values.sum(axis=(2, 3)) / 16
    assert totals == pytest.approx(1.061, abs=2e-4)
    # Slightly negative wings are data and stay.
    assert -1e-4 < cube.values.min() < 0
    assert cube.normalisation_radius == 5.0
    assert cube.extra["enclosed"]["5"] == pytest.approx(1.0007, abs=1e-4)


def test_read__centre_values_are_those_the_public_one_pass_code_prints(shared_data):
    cube = read_stdpsf(shared_data / "stdpsf/PSFSTD_WFC3UV_F814W.fits")
    lines = (shared_data / "hst1pass_lists/ie8j01xlq_flt.uvwXYMpq").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if "CENTRAL PIXEL ARRAY" in line)
    printed = [[float(v) for v in line.split()[3:]] for line in lines[start + 3 : start + 11]]
    # Printed from the top row down, with four decimals.
    np.testing.assert_allclose(cube.centre_values, printed[::-1], atol=5.1e-5)


def test_read__infrared_library_file(shared_data):
    cube = read_stdpsf(shared_data / "stdpsf/PSFSTD_WFC3IR_F160W.fits", detector="IR")
    assert cube.key == ("WFC3", "IR", "F160W")
    assert cube.fx.tolist() == cube.fy.tolist() == [-1, 506, 1013]
    assert cube.extra["sentinel_lines"] == 0
    assert cube.normalisation_radius == 5.5
    assert cube.extra["enclosed"] == pytest.approx({"5": 0.9871, "5.5": 1.0003, "10": 1.0314}, abs=1e-4)
    assert cube.extra["comments"][0] == "WFC3/IR PSF FOR F160W --- QE ADJUSTED"
    assert not cube.n_samples.any()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("STDPSF_ACSWFC_F606W_SM4.fits", ("ACS", "WFC", "F606W")),
        ("STDPSF_ACSWFC_F850L.fits", ("ACS", "WFC", "F850LP")),
        ("PSFSTD_ACSHRC_F435W.fits", ("ACS", "HRC", "F435W")),
        ("STDPSF_WFC3UV_F350L.fits", ("WFC3", "UVIS", "F350LP")),
        ("STDPSF_WFPC2_F814W.fits", ("WFPC2", "", "F814W")),
        ("STDPSF_NIRISS_F090W.fits", ("NIRISS", "NIS", "F090W")),
        ("STDPSF_F070W_NRCA1.fits", ("NIRCAM", "NRCA1", "F070W")),
        ("STDGDC_NRCBL_F444W.fits", ("NIRCAM", "NRCBLONG", "F444W")),
        ("STDPSF_MIRI_F770W_EXTENDED.fits", ("MIRI", "MIRIMAGE", "F770W")),
        ("STDPSF_NOSUCH_F606W.fits", ("", "", "")),
        ("mine.fits", ("", "", "")),
    ],
)
def test_parse_name__library_names(name, key):
    assert parse_name(name) == key


@pytest.mark.parametrize("key", [("ACS", "WFC", "F850LP"), ("NIRCAM", "NRCALONG", "F322W2"), ("WFPC2", "", "F814W")])
def test_library_name__inverse_of_parse_name(key):
    assert parse_name(library_name("STDPSF", *key)) == key


def test_read__mixed_case_keywords_and_stray_bytes(tmp_path):
    data = planes(3, 2).reshape(-1, 101, 101)
    path = write_raw(tmp_path / "STDPSF_NIRISS_F090W.fits", data, grid_cards([0, 1024, 2048], [0, 2048]))
    assert b"NXPSFs" in path.read_bytes()
    plain = read_stdpsf(path)
    for stray in (b"\0", b"\0" * 2880, b"x" * 2880):
        path.write_bytes(path.read_bytes() + stray)
        assert np.array_equal(read_stdpsf(path).values, plain.values)
    assert plain.fx.tolist() == [-1, 1023, 2047]
    # x runs fastest over the planes
    np.testing.assert_array_equal(plain.values, planes(3, 2).astype(np.float32))


def test_read__says_nothing_about_odd_files(tmp_path):
    path = write_raw(tmp_path / "STDPSF_NIRISS_F090W.fits", [psf()], grid_cards([0], [0]))
    path.write_bytes(path.read_bytes() + b"\0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_stdpsf(path)


def test_read__grid_of_five_integer_strings_and_detector_of_a_mosaic(tmp_path):
    fx = [2048 * i + v for i in range(4) for v in (1, 512, 1024, 1536, 2048)]
    fy = [1, 512, 1024, 1536, 2048, 2049, 2560, 3072, 3584, 4096]
    data = np.broadcast_to(psf(sigma=0.9), (200, 101, 101)) * np.linspace(0.9, 1.1, 200)[:, None, None]
    path = write_raw(tmp_path / "STDPSF_NRCSW_F150W.fits", data, grid_strings(fx, fy))
    whole = read_stdpsf(path)
    assert whole.fx.size == 20
    assert whole.fy.tolist() == [v - 1 for v in fy]
    b3 = read_stdpsf(path, detector="NRCB3")
    assert b3.key == ("NIRCAM", "NRCB3", "F150W")
    assert b3.fx.tolist() == [0, 511, 1023, 1535, 2047]
    assert b3.fy.tolist() == [0, 511, 1023, 1535, 2047]
    # Top row, third from the left: A2 A4 B3 B1.
    np.testing.assert_array_equal(b3.values, whole.values[5:, 10:15])
    np.testing.assert_array_equal(split_stdpsf(whole, "NRCA1").values, whole.values[:5, :5])
    np.testing.assert_array_equal(split_stdpsf(whole, "NRCB2").values, whole.values[:5, 15:])
    with pytest.raises(UnusableError, match="found all of NIRCAM, expected PC1"):
        split_stdpsf(whole, "PC1")


@pytest.mark.parametrize(("detector", "row", "column"), [("PC1", 0, 0), ("WF2", 0, 1), ("WF3", 1, 1), ("WF4", 1, 0)])
def test_split__wfpc2_runs_counterclockwise_from_the_planetary_camera(tmp_path, detector, row, column):
    axis = [50, 425, 800, 850, 1225, 1600]
    data = planes(6, 6).reshape(-1, 101, 101)
    path = write_raw(tmp_path / "STDPSF_WFPC2_F814W.fits", data, grid_cards(axis, axis))
    chip = read_stdpsf(path, detector=detector)
    assert chip.key == ("WFPC2", detector, "F814W")
    assert chip.fx.tolist() == chip.fy.tolist() == [49, 424, 799]
    whole = read_stdpsf(path)
    np.testing.assert_array_equal(chip.values, whole.values[3 * row :, 3 * column :][:3, :3])


def test_read__another_detector_is_refused(tmp_path):
    path = write_raw(tmp_path / "STDPSF_NRCA1_F150W.fits", [psf()], grid_cards([0], [0]))
    assert read_stdpsf(path, detector="NRCA1").detector == "NRCA1"
    with pytest.raises(UnusableError, match="found NRCA1, expected NRCA2"):
        read_stdpsf(path, detector="NRCA2")
    mine = shutil.copy(path, tmp_path / "mine.fits")
    assert read_stdpsf(mine, detector="NRCA2").key == ("", "NRCA2", "")


def test_read__two_chip_seam_given_once_becomes_two_rows(tmp_path):
    data = planes(1, 4).reshape(-1, 101, 101)
    path = write_raw(tmp_path / "STDPSF_ACSWFC_F606W.fits", data, grid_cards([2048], [0, 2048, 2048, 4096]))
    assert read_stdpsf(path).fy.tolist() == [-1, 2047, 2048, 4095]


def test_read__only_whole_constant_negative_lines_are_sentinels(tmp_path):
    data = np.tile(psf(), (4, 1, 1))
    data[0, 0, :] = data[0, :, -1] = -0.1
    data[1, -1, :] = -0.1
    data[1, -1, 50] = -0.2
    data[2, 1, :] = -1e-5
    path = write_raw(tmp_path / "STDPSF_NIRISS_F090W.fits", data, grid_cards([0, 2048], [0, 2048]))
    cube = read_stdpsf(path)
    assert cube.extra["sentinel_lines"] == 2
    assert not cube.values[0, 0, 0].any()
    assert not cube.values[0, 0, :, -1].any()
    assert cube.values[0, 1, -1, 50] == np.float32(-0.2)
    assert (cube.values[1, 0, 1] == np.float32(-1e-5)).all()


def test_read__normalisation_radius_is_measured(tmp_path):
    # A Gaussian of 2 pix sigma divided by what 4 pix enclose sums to one there, and to more further out.
    wide = psf(sigma=2.0) / (1 - np.exp(-(4.0**2) / 8))
    path = write_raw(tmp_path / "STDPSF_NIRISS_F480M.fits", [wide], grid_cards([0], [0]))
    cube = read_stdpsf(path)
    assert cube.normalisation_radius == 4.0
    assert cube.extra["enclosed"]["10"] == pytest.approx(1 / (1 - np.exp(-2)), abs=1e-3)


GOOD = grid_cards([0, 2048], [0])


@pytest.mark.parametrize(
    ("data", "cards", "message"),
    [
        (np.ones((2, 3, 5, 5)), GOOD, "STDPBF"),
        (np.ones((2, 100, 100)), GOOD, r"shape \(2, 100, 100\)"),
        (np.ones((2, 101, 51)), GOOD, r"shape \(2, 101, 51\)"),
        ([psf()] * 3, GOOD, "NAXIS3: found 3, expected NXPSFS x NYPSFS = 2 x 1"),
        ([psf(), np.where(psf() > 0.1, np.nan, psf())], GOOD, "plane 2: found non-finite"),
        ([psf()] * 2, {}, "NXPSFS"),
        ([psf()] * 2, {"NXPSFS": 2, "NYPSFS": 1}, "IPSFX: found 0 fiducials"),
        ([psf()] * 2, GOOD | {"IPSFX02": "two"}, "IPSFX"),
        ([psf()] * 2, grid_cards([2048, 0], [0]), "fx: found .* strictly increasing"),
        ([psf() / 16] * 2, GOOD, "enclosed sum of 0.06"),
        (np.zeros((2, 101, 101)), GOOD, "enclosed sum of 0,"),
    ],
)
def test_read__unusable_files_say_why(tmp_path, data, cards, message):
    path = write_raw(tmp_path / "STDPSF_NIRISS_F090W.fits", data, cards)
    with pytest.raises(UnusableError, match=message) as caught:
        read_stdpsf(path)
    assert "STDPSF_NIRISS_F090W.fits" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read__truncated_missing_and_foreign_files(tmp_path):
    path = write_raw(tmp_path / "STDPSF_NIRISS_F090W.fits", [psf()] * 2, GOOD)
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(UnusableError, match="expected a complete STDPSF FITS file"):
        read_stdpsf(path)
    path.write_text("no FITS here")
    with pytest.raises(UnusableError, match="expected a complete STDPSF FITS file"):
        read_stdpsf(path)
    with pytest.raises(UnusableError, match=r"absent\.fits"):
        read_stdpsf(tmp_path / "absent.fits")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 10), st.integers(1, 10), st.integers(0, 2**32 - 1))
def test_round_trip__any_grid(tmp_path_factory, n_fx, n_fy, seed):
    rng = np.random.default_rng(seed)
    fx, fy = (np.sort(rng.choice(np.arange(-1, 4096), n, replace=False)) for n in (n_fx, n_fy))
    values = psf() * rng.uniform(0.9, 1.1, (n_fy, n_fx, 1, 1)) + rng.normal(0, 1e-5, (n_fy, n_fx, 101, 101))
    cube = cube_of(values, fx, fy, instrument="NIRISS", detector="NIS", filter="F090W")
    path = tmp_path_factory.mktemp("round") / library_name("STDPSF", *cube.key)
    # Chips meet where neighbouring positions are equal, never in a cube; everything else must come back.
    write_stdpsf(cube, path)
    back = read_stdpsf(path)
    assert back.key == cube.key
    assert np.array_equal(back.values, values.astype(np.float32))
    assert np.array_equal(back.fx, fx)
    assert np.array_equal(back.fy, fy)


def test_write__unused_slots_big_endian_and_the_same_bytes_each_time(tmp_path):
    cube = cube_of(planes(2, 1), [0, 2047], [1023])
    write_stdpsf(cube, tmp_path / "a.fits")
    buffer = io.BytesIO()
    write_stdpsf(cube, buffer)
    assert (tmp_path / "a.fits").read_bytes() == buffer.getvalue()
    header = fits.getheader(tmp_path / "a.fits")
    assert header["BITPIX"] == -32
    assert [header["IPSFX01"], header["IPSFX02"], header["IPSFX03"]] == [1, 2048, 9999]
    assert header["JPSFY01"] == 1024
    assert "INSIDE OF R = 5 PIX" in str(header["COMMENT"])
    assert "DATE" not in header


def test_write__a_flux_term_is_left_out_and_told(tmp_path):
    plain = cube_of(planes(1, 1), [10.0], [20.0])
    told = cube_of(planes(1, 1), [10.0], [20.0], flux_term=np.ones(plain.values.shape[2:]), flux_unit=1e5)
    headers = []
    for name, cube in (("plain.fits", plain), ("told.fits", told)):
        write_stdpsf(cube, tmp_path / name)
        with fits.open(tmp_path / name) as hdus:
            headers.append(str(hdus[0].header["COMMENT"]))
    assert "STAR OF NO CHARGE" in headers[1]
    assert "CHARGE" not in headers[0]
    np.testing.assert_array_equal(
        read_stdpsf(str(tmp_path / "told.fits")).values, read_stdpsf(str(tmp_path / "plain.fits")).values
    )


@pytest.mark.parametrize(("oversampling", "radius"), [(4, 10.0), (4, 15.0), (5, 12.4), (3, 13.0), (8, 12.5)])
def test_write__other_samplings_are_resampled(tmp_path, oversampling, radius):
    star = psf(oversampling, radius, x=0.1)
    cube = cube_of(star[None, None], [0], [0], oversampling=oversampling)
    write_stdpsf(cube, tmp_path / "a.fits")
    back = read_stdpsf(tmp_path / "a.fits")
    # A cubic spline through three samples per pixel errs by 7e-6 of the flux of a star of 1.2 pix sigma.
    np.testing.assert_allclose(back.values[0, 0], psf(x=0.1), atol=1e-5)


def test_write__fiducials_the_format_cannot_hold(tmp_path):
    with pytest.raises(UnusableError, match="at most 10 fiducials"):
        write_stdpsf(cube_of(planes(11, 1), np.arange(11), [0]), tmp_path / "a.fits")
    with pytest.raises(UnusableError, match="distinct as whole pixels"):
        write_stdpsf(cube_of(planes(2, 1), [1.0, 1.2], [0]), tmp_path / "a.fits")
    assert not (tmp_path / "a.fits").exists()


def test_photutils__opens_what_is_written_and_agrees(tmp_path):
    cube = cube_of(planes(3, 2), [0, 1023, 2047], [0, 2047], instrument="NIRISS", detector="NIS", filter="F090W")
    path = tmp_path / "STDPSF_NIRISS_F090W.fits"
    write_stdpsf(cube, path)
    model = GriddedPSFModel.read(path, format="stdpsf")
    np.testing.assert_array_equal(model.data, cube.values.reshape(-1, 101, 101).astype(np.float32))
    positions = [(x, y) for y in cube.fy for x in cube.fx]
    np.testing.assert_array_equal(model.grid_xypos, positions)
    # A star of flux 7 on a fiducial: our value is the fraction of its flux in a pixel at that offset.
    model.x_0, model.y_0, model.flux = 1023.0, 2047.0, 7.0
    assert model(1024.0, 2045.0) == pytest.approx(7.0 * cube.values[1, 1, 50 - 8, 50 + 4], rel=1e-6)
