"""STDPSF files, the public form of ePSF libraries: one float32 plane per fiducial, four samples per pixel.

The format has no keyword for what it shows, so instrument, detector and filter come from the file name. Fiducials are
1-based pixels of the frame in which a camera's chips abut; here they become 0-based, so a first fiducial of 0, common
in the libraries, reads as -1. A two-chip camera has fiducials on both rows of its seam, at 2047 and 2048: bilinear
interpolation then mixes the chips only for a star centred between those two rows.
"""

import io
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePath
from typing import BinaryIO

import fsspec
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from catalogs.cubes import EpsfCube, enclosed_sum
from catalogs.errors import UnusableError
from catalogs.exchange.cameras import MOSAICS, parse_name

__all__ = ["read_stdpsf", "split_stdpsf", "write_stdpsf"]

OVERSAMPLING = 4
RADIUS = 12.5
SLOTS = 10
UNUSED = 9999


def read_stdpsf(path: str, detector: str | None = None) -> EpsfCube:
    """Read an STDPSF file, local or by URL; values are kept as they are, never re-centred or renormalised.

    Libraries differ in the radius within which they sum to one, so it is measured: `normalisation_radius` is the one
    (2 to 12.5 pix in steps of 0.5) whose enclosed sum, averaged over the planes, comes nearest to one. `extra` records
    the sums within 5, 5.5 and 10 pix (`enclosed`), how many outer rows and columns were sentinels of one negative
    constant and became 0 (`sentinel_lines`), and the file's `comments`. `n_samples` is 0: the format does not tell.

    Parameters
    ----------
    path
        File name or URL, ``STDPSF_<camera>_<filter>[_tag].fits`` or an older or swapped form of it; from any other name
        instrument, detector and filter stay empty.
    detector
        The detector wanted. Cuts it out of a file that holds a whole camera (WFPC2, NIRCam short wave).

    Raises
    ------
    UnusableError
        Unreadable or truncated files, focus-diverse STDPBF, planes that do not match the grid keywords, NaN, sums
        nowhere near one, or a file of another detector.
    """
    place = PurePath(path).name
    header, planes = _open(str(path), place)
    fx, fy = _fiducials(header, "IPSFX", "NXPSFS", place), _fiducials(header, "JPSFY", "NYPSFS", place)
    if len(planes) != fx.size * fy.size:
        raise UnusableError(f"{place} NAXIS3", len(planes), f"NXPSFS x NYPSFS = {fx.size} x {fy.size}")
    sentinels = _clear_sentinels(planes)
    radius, enclosed = _normalisation(planes, place)
    instrument, chip, filter_name = parse_name(place)
    cube = EpsfCube(
        values=planes.reshape(fy.size, fx.size, *planes.shape[1:]),
        fx=fx,
        fy=fy,
        oversampling=OVERSAMPLING,
        normalisation_radius=radius,
        n_samples=np.zeros((fy.size, fx.size), dtype=np.int64),
        instrument=instrument,
        detector=chip,
        filter=filter_name,
        source=place,
        centring="as in the source library",
        extra={"enclosed": enclosed, "sentinel_lines": sentinels, "comments": _comments(header)},
    )
    return cube if detector is None else split_stdpsf(cube, detector)


def split_stdpsf(cube: EpsfCube, detector: str) -> EpsfCube:
    """One detector's block of a cube, fiducials in its own frame; a cube of that detector alone stays as it is.

    UnusableError where the cube shows other detectors.
    """
    for instrument, (size, rows) in MOSAICS.items():
        for row, names in enumerate(rows):
            # A grid that reaches past the detector belongs to several of them.
            several = cube.instrument in ("", instrument) and max(cube.fx[-1], cube.fy[-1]) >= size
            if several and not cube.detector and detector in names:
                column = names.index(detector)
                x, y = _block(cube.fx, column, len(names)), _block(cube.fy, row, len(rows))
                return replace(
                    cube,
                    values=cube.values[y, x],
                    fx=cube.fx[x] - column * size,
                    fy=cube.fy[y] - row * size,
                    n_samples=cube.n_samples[y, x],
                    detector=detector,
                )
    if cube.instrument and cube.detector != detector:
        raise UnusableError(f"{cube.source} detector", cube.detector or f"all of {cube.instrument}", detector)
    return replace(cube, detector=detector)


def write_stdpsf(cube: EpsfCube, file: str | PurePath | BinaryIO) -> None:
    """Write a cube as STDPSF to a path or an open binary file.

    The format has four samples per pixel out to 12.5 pix; other samplings are resampled by a cubic spline, zero outside
    their support, and positions are rounded to whole pixels. It has no place for a flux term: a comment tells that the
    values are those of a star of no charge.

    Raises
    ------
    UnusableError
        More than ten fiducials along an axis, or fiducials that coincide when rounded.
    """
    values = _resampled(cube)
    hdu = fits.PrimaryHDU(values.reshape(-1, *values.shape[2:]).astype(">f4"))
    hdu.header["NXPSFS"], hdu.header["NYPSFS"] = cube.fx.size, cube.fy.size
    for key, axis in (("IPSFX", cube.fx), ("JPSFY", cube.fy)):
        for slot, position in enumerate(_slots(axis, f"{cube.label} {key}"), start=1):
            hdu.header[f"{key}{slot:02d}"] = position
    hdu.header.add_comment("VALUE: FRACTION OF THE FLUX IN A PIXEL AT THAT OFFSET FROM THE STAR")
    hdu.header.add_comment(f"NORMALIZED TO 1.00 INSIDE OF R = {cube.normalisation_radius:g} PIX (SUM OF SAMPLES / 16)")
    hdu.header.add_comment(f"CENTRING: {cube.centring}")
    if cube.flux_term is not None:
        hdu.header.add_comment("VALUES ARE THOSE OF A STAR OF NO CHARGE; THEIR CHANGE WITH FLUX IS LEFT OUT")
    content = io.BytesIO()
    hdu.writeto(content)
    if isinstance(file, str | PurePath):
        with open(file, "wb") as out:
            out.write(content.getvalue())
    else:
        file.write(content.getvalue())


def _open(path: str, place: str) -> tuple[fits.Header, NDArray[np.float64]]:
    """Header and float64 planes; library files carry stray bytes, spare blocks and lower-case keywords."""
    try:
        with fsspec.open(path, "rb") as file:
            content = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(io.BytesIO(content), ignore_missing_end=True) as hdus:
                header, data = hdus[0].header, np.array(hdus[0].data, dtype=np.float64)
    except (OSError, TypeError, ValueError) as error:
        raise UnusableError(place, " ".join(str(error).split()), "a complete STDPSF FITS file") from error
    if data.ndim == 4:
        raise UnusableError(place, "NAXIS = 4, a focus-diverse STDPBF file", "an STDPSF file reduced to one focus")
    planes = data[np.newaxis] if data.ndim == 2 else data
    if planes.ndim != 3 or planes.shape[1] != planes.shape[2] or planes.shape[1] % 2 == 0:
        raise UnusableError(f"{place} image", f"shape {data.shape}", "planes of (101, 101)")
    bad = np.flatnonzero(~np.isfinite(planes).all(axis=(1, 2)))
    if bad.size:
        raise UnusableError(f"{place} plane {bad[0] + 1}", "non-finite values", "finite values")
    return header, planes


def _fiducials(header: fits.Header, key: str, count_key: str, place: str) -> NDArray[np.float64]:
    """0-based fiducials from IPSFX01.. cards or IPSFXA5.. strings of five; slots beyond the count are unused."""
    try:
        count = int(header[count_key])
        cards: Iterable = [header[f"{key}{slot:02d}"] for slot in range(1, count + 1) if f"{key}{slot:02d}" in header]
        fives = " ".join(str(header.get(f"{key}{letter}5", "")) for letter in "ABCD").split()
        axis = np.array([int(value) for value in cards or fives][:count], dtype=np.float64) - 1
    except (KeyError, TypeError, ValueError) as error:
        raise UnusableError(f"{place} {count_key}, {key}", error, "whole numbers") from None
    if axis.size != count or count < 1:
        raise UnusableError(f"{place} {key}", f"{axis.size} fiducials", f"{count_key} = {count}, at least 1")
    # Some two-chip files give both sides of the seam the same number: the second is the next chip's first row.
    axis[1:][np.diff(axis) == 0] += 1
    return axis


def _clear_sentinels(planes: NDArray[np.float64]) -> int:
    """Zero outer rows and columns filled with one negative constant, in place; returns how many there were."""
    edges = [planes[:, 0, :], planes[:, -1, :], planes[:, :, 0], planes[:, :, -1]]
    sentinels = [(edge[:, 0] < 0) & (edge == edge[:, :1]).all(axis=1) for edge in edges]
    for edge, sentinel in zip(edges, sentinels, strict=True):
        edge[sentinel] = 0.0
    return int(np.sum(sentinels))


def _normalisation(planes: NDArray[np.float64], place: str) -> tuple[float, dict[str, float]]:
    """Radius of unit enclosed sum, and the sums within 5, 5.5 and 10 pix."""
    radii = np.arange(2.0, planes.shape[-1] / 2 / OVERSAMPLING, 0.5)
    mean = planes.mean(axis=0)
    sums = {float(radius): float(enclosed_sum(mean, OVERSAMPLING, radius)) for radius in radii}
    best = min(sums, key=lambda radius: abs(sums[radius] - 1), default=0.0)
    if not 0.5 < sums.get(best, 0.0) < 2:
        found = f"an enclosed sum of {sums.get(best, 0.0):.3g}"
        raise UnusableError(f"{place} values", found, "pixel fractions, which enclose about 1")
    return best, {f"{radius:g}": sums[radius] for radius in (5.0, 5.5, 10.0) if radius in sums}


def _comments(header: fits.Header) -> list[str]:
    return [line for line in map(str, header.get("COMMENT", [])) if line.strip()]


def _block(axis: NDArray, index: int, n: int) -> slice:
    return slice(index * axis.size // n, (index + 1) * axis.size // n)


def _slots(axis: NDArray[np.float64], place: str) -> list[int]:
    """The ten 1-based cards of an axis."""
    positions = [round(position) + 1 for position in axis]
    if len(positions) > SLOTS or len(set(positions)) < len(positions):
        raise UnusableError(place, axis.tolist(), f"at most {SLOTS} fiducials, distinct as whole pixels")
    return positions + [UNUSED] * (SLOTS - len(positions))


def _resampled(cube: EpsfCube) -> NDArray[np.float64]:
    """Values (n_fy, n_fx, 101, 101) at four samples per pixel."""
    if cube.oversampling == OVERSAMPLING and cube.radius == RADIUS:
        return cube.values
    half = round(OVERSAMPLING * RADIUS)
    at = np.arange(-half, half + 1) / OVERSAMPLING * cube.oversampling + cube.values.shape[-1] // 2
    grid = np.meshgrid(at, at, indexing="ij")
    return np.stack([[map_coordinates(plane, grid, order=3) for plane in row] for row in cube.values])
