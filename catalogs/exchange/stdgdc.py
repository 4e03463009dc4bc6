"""STDGDC files, the public form of distortion corrections: maps of every pixel, in either of two formats.

Format 1 has five layers as extensions: corrected x and y of every pixel centre, a pixel-area term to add to magnitudes,
and the inverse map. Format 2 has three planes: the shifts along x and y, and the pixel-area term. Both count pixels
from one in the frame in which a camera's chips abut; all maps are bilinear between pixel centres.
"""

import io
import warnings
from pathlib import PurePath
from typing import BinaryIO

import fsspec
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalogs.distortion import DistortionCube, PixelMap
from catalogs.errors import UnusableError
from catalogs.exchange.cameras import MOSAICS, parse_name

__all__ = ["read_stdgdc", "write_stdgdc"]

STEP, MAG_STEP = 1e-5, 1e-4  # pix, mag
NOWHERE = -20000.0  # pix; cells of the inverse at or below are undefined
_TWO_CHIPS = (("ACS", "WFC"), ("WFC3", "UVIS"))
_SEAM = 2048
_MARGIN = 2.0  # pix around a chip in which the inverse is defined, so that interpolation reaches its edge
_CLOSE, _ROUNDS = 1e-7, 60  # of the inverse; pix
_ROWS = 32  # inverted together
_GRAIN = 16  # pix


def read_stdgdc(path: str) -> DistortionCube:
    """Read an STDGDC file of either format, local or by URL, as a cube with one pixel map in double precision.

    The inverse and the pixel-area layers are not read: some releases hold none, and both follow from the map. Pixels
    whose corrected position is (0, 0) were not measured: those in the outermost rows and columns get the linear
    continuation of their neighbours, others are NaN. `extra` tells how many there were (`unmeasured`), how many are
    left (`holes`), the `format` and the file's `comments`.

    Parameters
    ----------
    path
        File name or URL, ``STDGDC_<camera>_<filter>[_tag].fits``; from any other name instrument, detector and filter
        stay empty.

    Raises
    ------
    UnusableError
        Unreadable or truncated files, layers that are absent or differ in shape, a file of several detectors, and
        corrections that are no numbers or belong nowhere near their pixels.
    """
    place = PurePath(path).name
    header, planes = _open(path, place)
    key = parse_name(place.upper().replace("OFFICIAL_JFRAME_", ""))
    if key[0] in MOSAICS and not key[1]:
        raise UnusableError(place, f"all detectors of {key[0]}", "a file of one detector")
    n_y, n_x = planes[0].shape
    delta = np.array(planes[:2])
    _check(delta, place)
    absolute = np.nanmedian(np.diff(planes[0], axis=1)) > 0.5
    if absolute:
        delta -= np.indices((n_y, n_x))[::-1] + 1.0
        delta[:, (planes[0] == 0) & (planes[1] == 0)] = np.nan
    # No camera is turned by more than some degrees, or shifted by a quarter of it, against its corrected frame.
    worst = np.nanmax(np.abs(delta))
    if not worst < 0.25 * max(n_y, n_x):
        raise UnusableError(f"{place} layers", f"corrections up to {worst:.0f} pix", f"small ones, in {(n_y, n_x)}")
    unmeasured = int(np.isnan(delta[0]).sum())
    _continue_to_edges(delta)
    chips = [[0, _SEAM], [_SEAM, n_y]] if key[:2] in _TWO_CHIPS and n_y > _SEAM else [[0, n_y]]
    comments = [line for line in map(str, header.get("COMMENT", [])) if line.strip()]
    extra = {"format": 1 if absolute else 2, "unmeasured": unmeasured, "holes": int(np.isnan(delta[0]).sum())}
    return DistortionCube(
        layers=(PixelMap(delta, np.array(chips)),),
        chips=np.array(chips),
        n_x=n_x,
        instrument=key[0],
        detector=key[1],
        filter=key[2],
        source=place,
        gauge="as in the source library",
        extra=extra | {"comments": comments},
    )


def _open(path: str, place: str) -> tuple[fits.Header, list[NDArray[np.float64]]]:
    """First header, and every plane of every image in double precision."""
    try:
        with fsspec.open(path, "rb") as file:
            content = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(io.BytesIO(content), ignore_missing_end=True, do_not_scale_image_data=True) as hdus:
                header = hdus[0].header
                images = [_scaled(hdu) for hdu in hdus if hdu.is_image and hdu.header["NAXIS"] in (2, 3)]
    except (OSError, TypeError, ValueError, KeyError, fits.VerifyError) as error:
        raise UnusableError(place, " ".join(str(error).split()), "a complete STDGDC FITS file") from error
    planes = [plane for image in images for plane in (image if image.ndim == 3 else [image])]
    if len(planes) not in (3, 5) or len({plane.shape for plane in planes[:3]}) > 1 or min(planes[0].shape) < 2:
        found = ", ".join(str(plane.shape) for plane in planes) or "none"
        raise UnusableError(f"{place} layers", found, "five (format 1) or three (format 2), the first three alike")
    return header, planes


def _scaled(hdu: fits.hdu.base._BaseHDU) -> NDArray[np.float64]:
    """An image in double precision; single precision, as a library scales by itself, would cost 1e-4 pix."""
    return np.array(hdu.data, np.float64) * hdu.header.get("BSCALE", 1.0) + hdu.header.get("BZERO", 0.0)


def _continue_to_edges(delta: NDArray[np.float64]) -> None:
    """Fill unmeasured pixels of the outermost columns, then rows, by the line through the two within."""
    for lines in (np.moveaxis(delta, 2, 0), np.moveaxis(delta, 1, 0)):  # views
        for edge, one, two in ((0, 1, 2), (-1, -2, -3)) if len(lines) > 2 else ():
            lines[edge] = np.where(np.isnan(lines[edge]), 2 * lines[one] - lines[two], lines[edge])


def _check(layers: NDArray[np.float64], place: str) -> None:
    """Refuse layers of NaN alone, or that are not finite in one axis where they are in the other."""
    measured = ~np.isnan(layers).all(axis=0)
    odd = int((measured & ~np.isfinite(layers).all(axis=0)).sum())
    if odd or not measured.any():
        found = f"{odd} non-finite corrections" if odd else "nothing but NaN"
        raise UnusableError(f"{place} layers", found, "finite ones, or NaN in x and y where unmeasured")


def write_stdgdc(cube: DistortionCube, file: str | PurePath | BinaryIO, version: int = 1) -> None:
    """Write a cube as STDGDC to a path or an open binary file.

    Format 1 rounds positions to 1e-5 pix and magnitudes to 1e-4; its inverse covers every corrected position that the
    detector reaches, 2 pix around each chip, and belongs to the chip on which the raw position lies. Format 2 holds
    single precision. Unmeasured pixels become 0 in format 1 and NaN in format 2.

    Parameters
    ----------
    version
        1 (five layers) or 2 (three).
    """
    chip = np.repeat(np.arange(len(cube.chips)), np.diff(np.r_[0, cube.chips[1:, 0], cube.shape[0]]))[:, None]
    y, x = np.indices(cube.shape, dtype=float)
    corrected = np.concatenate([cube.forward(x[k : k + _ROWS], y[k : k + _ROWS], chip[k : k + _ROWS])
                                for k in range(0, len(y), _ROWS)], axis=1)  # fmt: skip
    area = np.nan_to_num(-2.5 * np.log10(_areas(cube, corrected) / cube.area_scale))
    hdus = _format_1(cube, corrected, area) if version == 1 else _format_2(corrected - [x, y], area)
    hdus[0].header["NAME_GDC"] = "/".join(cube.key)
    content = io.BytesIO()
    fits.HDUList(hdus).writeto(content)
    if isinstance(file, str | PurePath):
        with open(file, "wb") as out:
            out.write(content.getvalue())
    else:
        file.write(content.getvalue())


def _areas(cube: DistortionCube, corrected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas of the pixels in corrected ones, means over _GRAIN pixels to either side as far as the chip reaches.

    So the noise of a map, and steps between amplifiers that are no area, do not pass for light.
    """
    areas, column = np.empty(cube.shape), np.arange(cube.n_x)
    left, right = (np.clip(column + side * _GRAIN, 0, cube.n_x - 1) for side in (-1, 1))
    for first, end in cube.chips:
        row = np.arange(first, end)
        low, high = (np.clip(row + side * _GRAIN, first, end - 1) for side in (-1, 1))
        up = corrected[:, high][..., right] - corrected[:, low][..., left]
        down = corrected[:, low][..., right] - corrected[:, high][..., left]
        areas[first:end] = np.abs(down[0] * up[1] - down[1] * up[0]) / 2 / np.outer(high - low, right - left)
    return areas


def _format_1(
    cube: DistortionCube, corrected: NDArray[np.float64], area: NDArray[np.float64]
) -> list[fits.hdu.base._BaseHDU]:
    (x_0, y_0), back = _inverse(cube)
    forward = np.nan_to_num(corrected + 1)
    layers = {"XGC": forward[0], "YGC": forward[1], "MGC": area, "XCG": back[0], "YCG": back[1]}
    primary = fits.PrimaryHDU()
    sizes = {"NDIM_XGC": area.shape[1], "NDIM_YGC": area.shape[0], "NDIM_XCG": back.shape[2], "NDIM_YCG": back.shape[1]}
    for name, value in (sizes | {"XGC_0": x_0, "YGC_0": y_0}).items():
        primary.header[name] = value
    hdus = [primary]
    for name, values in layers.items():
        hdu = fits.ImageHDU(values, name=name)
        mags = name == "MGC"
        hdu.scale("int16" if mags else "int32", bscale=MAG_STEP if mags else STEP)
        if name in ("XCG", "YCG"):
            hdu.header["LTV1"], hdu.header["LTV2"] = 1 - x_0, 1 - y_0
        hdus.append(hdu)
    return hdus


def _format_2(shifts: NDArray[np.float64], area: NDArray[np.float64]) -> list[fits.hdu.base._BaseHDU]:
    hdu = fits.PrimaryHDU(np.array([*shifts, area], ">f4"))
    for number, meaning in enumerate(
        ("CORRECTED X - RAW X [PIX]", "CORRECTED Y - RAW Y [PIX]", "ADD TO MAGNITUDES"), 1
    ):
        hdu.header.add_comment(f"PLANE {number}: {meaning}")
    return [hdu]


def _inverse(cube: DistortionCube) -> tuple[tuple[int, int], NDArray[np.float64]]:
    """Corrected 1-based position of the first cell, and raw 1-based positions (2, n_y, n_x) at whole corrected ones."""
    bounds = [_corrected_bounds(cube, chip) for chip in range(len(cube.chips))]
    (x_0, y_0), (x_1, y_1) = np.min(bounds, axis=0)[0], np.max(bounds, axis=0)[1]
    x, back = np.arange(x_0, x_1 + 1), np.full((2, y_1 - y_0 + 1, x_1 - x_0 + 1), NOWHERE)
    nearest = np.full(back.shape[1:], _MARGIN)
    for chip, ((_, low), (_, high)) in enumerate(bounds):
        first, end = cube.chips[chip]
        for start in range(low, high + 1, _ROWS):
            y = np.arange(start, min(start + _ROWS, high + 1))
            raw = _raw(cube, np.array(np.meshgrid(x, y), float), chip)
            edges = -0.5 - raw[0], raw[0] - cube.n_x + 0.5, first - 0.5 - raw[1], raw[1] - end + 0.5
            outside, rows = np.max(edges, axis=0), slice(y[0] - y_0, y[-1] - y_0 + 1)
            here = outside < nearest[rows]
            back[:, rows][:, here] = raw[:, here] + 1
            nearest[rows][here] = outside[here]
    return (int(x_0) + 1, int(y_0) + 1), back


def _corrected_bounds(cube: DistortionCube, chip: int) -> NDArray[np.int64]:
    """Lowest and highest whole corrected positions, [[x, y], [x, y]], around all that a chip maps to."""
    (first, end), n_x = cube.chips[chip], cube.n_x
    x, y = np.linspace(-0.5, n_x - 0.5, 257), np.linspace(first - 0.5, end - 0.5, 257)
    edges = [cube.forward(x, row, chip) for row in y[[0, -1]]] + [cube.forward(at, y, chip) for at in x[[0, -1]]]
    reached = np.concatenate(edges, axis=1)
    low, high = np.floor(np.nanmin(reached, axis=1)) - 1, np.ceil(np.nanmax(reached, axis=1)) + 1
    return np.array([low, high]).astype(int)


def _raw(cube: DistortionCube, corrected: NDArray[np.float64], chip: int) -> NDArray[np.float64]:
    """Raw positions of corrected ones, by repeated correction: shifts change by far less than a pixel in a pixel."""
    raw = corrected
    for _ in range(_ROUNDS):
        with np.errstate(over="ignore", invalid="ignore"):  # far from every pixel a polynomial may run away
            miss = corrected - cube.forward(raw[0], raw[1], chip)
            raw = raw + miss
        if not (np.abs(miss) > _CLOSE).any():
            break
    return raw
