"""STDGDC files: both formats there and back, read as the one-pass codes read them, and the defects of real ones."""

import io
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import map_coordinates

from catalogs.errors import UnusableError
from catalogs.exchange.stdgdc import read_stdgdc, write_stdgdc
from tests.distortions import SIZE, make_cube

NAME = "STDGDC_NIRISS_F090W.fits"
PIXELS = np.indices((SIZE, SIZE), dtype=float)[::-1]
HALF_STEP = 5.001e-6  # pix: positions are whole numbers of 1e-5


@pytest.fixture(scope="module")
def smooth():
    """Every layer, but none so rough that a pixel's neighbours tell nothing of it."""
    return make_cube(fine=1e-3)


@pytest.fixture
def written(smooth, tmp_path):
    def write(cube=smooth, version=1, name=NAME):
        write_stdgdc(cube, tmp_path / name, version)
        return tmp_path / name

    return write


def by_extension(path) -> dict:
    with fits.open(path) as hdus:
        return {hdu.name: hdu.data.copy() for hdu in hdus[1:]} | {"PRIMARY": hdus[0].header}


def edited(path, **changes):
    """Rewrite raw integers of some extensions."""
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        for name, change in changes.items():
            change(hdus[name].data)
        content = io.BytesIO()
        hdus.writeto(content)
    path.write_bytes(content.getvalue())
    return str(path)


@pytest.mark.parametrize("version", [1, 2])
def test_round_trip__to_half_a_step(smooth, written, version):
    found = read_stdgdc(str(written(version=version)))
    assert found.key == ("NIRISS", "NIS", "F090W")
    assert (found.extra["format"], found.extra["unmeasured"], found.shape) == (version, 0, (SIZE, SIZE))
    assert np.abs(found.forward(*PIXELS) - smooth.forward(*PIXELS)).max() < HALF_STEP


def test_round_trip__again_gives_the_same_integers(written):
    path = written()
    first = path.read_bytes()
    cube = read_stdgdc(str(path))
    again = by_extension(written(cube))
    before = by_extension(io.BytesIO(first))
    for name in ("XGC", "YGC"):
        assert np.array_equal(again[name], before[name])
    assert np.abs(again["MGC"] - before["MGC"]).max() < 1.5e-4  # from rounded positions: the next step at most


def test_format_1__counts_from_one(smooth, written):
    found = by_extension(written())
    assert list(found) == ["XGC", "YGC", "MGC", "XCG", "YCG", "PRIMARY"]
    x, y = smooth.forward(99.0, 49.0)
    assert (found["XGC"][49, 99], found["YGC"][49, 99]) == pytest.approx((x + 1, y + 1), abs=HALF_STEP)
    sizes = [found["PRIMARY"][f"NDIM_{name}"] for name in ("XGC", "YGC", "XCG", "YCG")]
    assert sizes == [SIZE, SIZE, *found["XCG"].shape[::-1]]


def test_format_1__integers_of_the_library(written):
    with fits.open(written(), do_not_scale_image_data=True) as hdus:
        kinds = [(hdu.name, hdu.data.dtype.str, hdu.header["BSCALE"]) for hdu in hdus[1:]]
        shift = hdus[0].header["XGC_0"], hdus[0].header["YGC_0"]
        assert (hdus["XCG"].header["LTV1"], hdus["YCG"].header["LTV2"]) == (1 - shift[0], 1 - shift[1])
    coarse, fine = (">i4", 1e-5), (">i2", 1e-4)
    assert kinds == [(n, *(fine if n == "MGC" else coarse)) for n in ("XGC", "YGC", "MGC", "XCG", "YCG")]


def test_format_1__its_inverse_undoes_its_forward_map(smooth, written):
    """Both maps bilinear, as the one-pass codes use them, at every position on the detector to its very edge."""
    found = by_extension(written())
    raw = np.random.default_rng(3).uniform(-0.5, SIZE - 0.5, (2, 2000))
    raw[:, :4] = [[-0.5, -0.5, SIZE - 0.5, SIZE - 0.5], [-0.5, SIZE - 0.5, -0.5, SIZE - 0.5]]
    x, y = smooth.forward(*raw) + 1
    index = [y - found["PRIMARY"]["YGC_0"], x - found["PRIMARY"]["XGC_0"]]
    corners = [np.floor(axis).astype(int) for axis in index]
    for up in (0, 1):
        for right in (0, 1):
            assert (found["XCG"][corners[0] + up, corners[1] + right] > -100).all()
    back = [map_coordinates(found[name], index, order=1) - 1 for name in ("XCG", "YCG")]
    # What a bilinear map leaves of cells where the pixel map changes its slope, 4e-3 a pixel here.
    assert np.abs(back - raw).max() < 4e-3
    gentle = by_extension(written(make_cube(fine=0.0)))
    x, y = make_cube(fine=0.0).forward(*raw) + 1
    index = [y - gentle["PRIMARY"]["YGC_0"], x - gentle["PRIMARY"]["XGC_0"]]
    back = [map_coordinates(gentle[name], index, order=1) - 1 for name in ("XCG", "YCG")]
    # Curvature of the polynomials over half a pixel, 4 / 128^2 / 4 pix; nothing else is left.
    assert np.abs(back - raw).max() < 1e-4


def test_format_1__where_no_pixel_is_the_inverse_is_undefined(written):
    with fits.open(written(make_cube(strength=20.0)), do_not_scale_image_data=True) as hdus:
        raw = hdus["XCG"].data
    nowhere = raw <= -2_000_000_000
    assert 0.01 < nowhere.mean() < 0.5
    assert (raw[~nowhere] > -10e5).all()


def test_area__is_added_to_magnitudes(written):
    """A cube that only magnifies by 1 % in x: every pixel 1 % larger, every star brighter."""
    cube = make_cube(strength=0.0, fine=0.0)
    layer = cube.layers[0]
    stretched = layer.coefficients.copy()
    stretched[0, 0, 1, 0] = 0.01 * layer.half
    cube = replace(cube, layers=(replace(layer, coefficients=stretched),))
    expected = -2.5 * np.log10(1.01)
    for version, tolerance in ((1, 5.1e-5), (2, 1e-6)):
        path = written(cube, version, f"{version}.fits")
        found = by_extension(path)["MGC"] if version == 1 else fits.getdata(path)[2]
        assert np.abs(found - expected).max() < tolerance


def test_unmeasured__edges_are_continued_and_holes_stay_open(smooth, written):
    def spoil(raw):
        raw[-1, :] = raw[:, -1] = 0
        raw[100:103, 50:54] = 0

    cube = read_stdgdc(edited(written(), XGC=spoil, YGC=spoil))
    assert (cube.extra["unmeasured"], cube.extra["holes"]) == (2 * SIZE - 1 + 12, 12)
    expected, found = smooth.forward(*PIXELS), cube.forward(*PIXELS)
    assert np.isnan(found[:, 100:103, 50:54]).all()
    kept = np.ones((SIZE, SIZE), bool)
    kept[100:103, 50:54] = False
    # Noise of 1e-3 pix a pixel in the map, extrapolated: 2.4 times as much, five sigma of 500 pixels.
    assert np.abs(found - expected)[:, kept].max() < 15e-3
    again = read_stdgdc(str(written(cube)))
    assert again.extra["holes"] == 12
    for version in (1, 2):
        again = read_stdgdc(str(written(cube, version)))
        assert np.array_equal(np.isnan(again.layers[0].values), np.isnan(cube.layers[0].values))


def test_unmeasured__an_area_layer_of_zeros_does_no_harm(smooth, written):
    def zero(raw):
        raw[:] = 0

    cube = read_stdgdc(edited(written(), MGC=zero, XCG=zero, YCG=zero))
    assert np.abs(cube.forward(*PIXELS) - smooth.forward(*PIXELS)).max() < HALF_STEP


def test_two_chips__rows_beside_the_seam_do_not_mix(tmp_path):
    shifts = np.zeros((3, 4096, 64), np.float32)
    shifts[0, 2048:] = 8.0
    path = tmp_path / "STDGDC_OFFICIAL_JFRAME_ACSWFC_F814W.fits"
    fits.PrimaryHDU(shifts).writeto(path)
    cube = read_stdgdc(str(path))
    assert (cube.key, cube.chips.tolist()) == (("ACS", "WFC", "F814W"), [[0, 2048], [2048, 4096]])
    np.testing.assert_array_equal(cube.forward(5.0, [2047.4, 2047.6])[0], [5.0, 13.0])


def test_format_2__planes_or_extensions(smooth, written, tmp_path):
    path = written(version=2)
    planes = fits.getdata(path)
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(plane) for plane in planes)]).writeto(tmp_path / f"2_{NAME}")
    first, second = read_stdgdc(str(path)), read_stdgdc(str(tmp_path / f"2_{NAME}"))
    assert np.array_equal(first.layers[0].values, second.layers[0].values)
    assert (first.key, second.key) == (("NIRISS", "NIS", "F090W"), ("", "", ""))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (NAME, b"nothing", "expected a complete STDGDC FITS file"),
        (NAME, None, "expected a complete STDGDC FITS file"),
        (NAME, [np.zeros((8, 8))] * 2, "layers: found .8, 8., .8, 8., expected five .format 1. or three"),
        (NAME, [np.zeros((8, 8)), np.zeros((8, 9)), np.zeros((8, 8))], "the first three alike"),
        (NAME, [np.full((8, 8), 99.0)] * 3, "corrections up to 99 pix"),
        (NAME, [np.full((8, 8), np.nan)] * 3, "nothing but NaN"),
        (NAME, [np.full((8, 8), np.inf)] * 3, "non-finite corrections"),
        ("STDGDC_WFPC2_F814W.fits", [np.zeros((8, 8))] * 3, "found all detectors of WFPC2, expected a file of one"),
    ],
)
def test_read__what_cannot_be_used_is_named(written, tmp_path, name, content, reason):
    if content is None:
        content = written().read_bytes()[:400_000]
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(np.asarray(plane, np.float32)) for plane in content)]
        fits.HDUList(hdus).writeto(path)
    with pytest.raises(UnusableError, match=reason):
        read_stdgdc(str(path))


def test_read__a_card_that_cannot_be_parsed(written):
    path = written()
    path.write_bytes(path.read_bytes().replace(b"'IMAGE   '    ", b"'IMAGE   '   ]", 1))
    with pytest.raises(UnusableError, match="expected a complete STDGDC FITS file"):
        read_stdgdc(str(path))


def test_read__nothing_there(tmp_path):
    with pytest.raises(UnusableError, match=NAME):
        read_stdgdc(str(tmp_path / NAME))
