"""Tolerant FITS access: sloppy headers are read in silence, unreadable ones become UnusableError."""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import fsspec
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.readers.names import file_name


def _one_line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:160]


class Cards:
    """Keywords of one header, fetched with errors that name file, extension and keyword."""

    def __init__(self, header: Mapping[str, Any], place: str):
        self._header, self.place = header, place

    def _get(self, key: str):
        try:
            value = self._header.get(key)
        except Exception as error:  # a card astropy cannot parse
            raise UnusableError(f"{self.place} {key}", _one_line(error), "a readable card") from error
        if isinstance(value, fits.card.Undefined) or (isinstance(value, str) and not value.strip()):
            return None
        return value

    def _require(self, key: str, value, kind: str):
        if value is None:
            found = self._get(key)
            raise UnusableError(f"{self.place} {key}", "no such keyword" if found is None else repr(found), kind)
        return value

    def maybe_text(self, key: str) -> str | None:
        """Value as stripped text, None where absent or blank."""
        value = self._get(key)
        return None if value is None else str(value).strip()

    def maybe_number(self, key: str) -> float | None:
        """Value as a finite float, None where absent, blank, not a number or not finite."""
        try:
            number = float(self._get(key))
        except (TypeError, ValueError):
            return None
        return number if np.isfinite(number) else None

    def text(self, key: str, kind: str = "a text") -> str:
        """Value as text; UnusableError where absent."""
        return self._require(key, self.maybe_text(key), kind)

    def number(self, key: str, kind: str = "a finite number") -> float:
        """Value as a finite float; UnusableError where absent or not one."""
        return self._require(key, self.maybe_number(key), kind)

    def whole(self, key: str) -> int:
        """Value as an integer; UnusableError where absent or not whole."""
        number = self.number(key, "a whole number")
        if number != int(number):
            raise UnusableError(f"{self.place} {key}", repr(number), "a whole number")
        return int(number)


class FitsFile:
    """An open FITS file whose extensions are addressed by name and version."""

    def __init__(self, path: str, hdus: fits.HDUList):
        self.path, self.name, self._hdus = path, file_name(path), hdus
        self._index = {(hdu.name, hdu.ver): hdu for hdu in reversed(hdus)}  # the first of equals counts

    def place(self, extension: str, version: int = 1) -> str:
        """How errors call an extension."""
        return f"{self.name}[{extension}]" if version == 1 else f"{self.name}[{extension},{version}]"

    def versions(self, extension: str) -> list[int]:
        """Versions present of an extension, in rising order."""
        return sorted(version for name, version in self._index if name == extension)

    def _hdu(self, extension: str, version: int):
        if (extension, version) not in self._index:
            present = ", ".join(dict.fromkeys(name or "unnamed" for name, _ in reversed(self._index)))
            raise UnusableError(self.place(extension, version), f"only {present}", f"an extension {extension}")
        return self._index[extension, version]

    def cards(self, extension: str = "PRIMARY", version: int = 1) -> Cards:
        """Header of an extension."""
        if extension == "PRIMARY":
            return Cards(self._hdus[0].header, f"{self.name}[PRIMARY]")
        return Cards(self._hdu(extension, version).header, self.place(extension, version))

    def rows(self, position: int, columns: tuple[str, ...]) -> list[dict[str, float]]:
        """Those of `columns` that are in the table at `position`, row by row; nothing where there is no table."""
        if position >= len(self._hdus) or not isinstance(self._hdus[position], (fits.TableHDU, fits.BinTableHDU)):
            return []
        try:
            table = self._hdus[position].data
            return [{key: np.asarray(row[key]).item() for key in columns if key in table.names} for row in table]
        except Exception as error:
            raise UnusableError(f"{self.name}[{position}]", _one_line(error), "a readable table") from error

    def array(self, extension: str, version: int = 1) -> NDArray:
        """Pixels of an extension as stored, scaled by BZERO and BSCALE; UnusableError where absent or unreadable."""
        hdu = self._hdus[0] if extension == "PRIMARY" else self._hdu(extension, version)
        try:
            pixels = hdu.data
            if pixels is None and "PIXVALUE" in hdu.header:  # HST's shorthand for a constant image
                pixels = np.full((hdu.header["NPIX2"], hdu.header["NPIX1"]), hdu.header["PIXVALUE"])
        except Exception as error:
            raise UnusableError(self.place(extension, version), _one_line(error), "readable pixels") from error
        if pixels is None:
            raise UnusableError(self.place(extension, version), "no pixels", "an image")
        return pixels

    def image(self, extension: str, version: int = 1, shape: tuple[int, ...] | None = None) -> NDArray[np.float32]:
        """Two-dimensional image as native contiguous float32, of `shape` where given."""
        return np.ascontiguousarray(self._plane(extension, version, shape), dtype=np.float32)

    def bits(self, extension: str, version: int = 1, shape: tuple[int, ...] | None = None) -> NDArray[np.uint32]:
        """Two-dimensional flag image as native uint32, of `shape` where given."""
        return flag_bits(self._plane(extension, version, shape))

    def _plane(self, extension: str, version: int, shape: tuple[int, ...] | None) -> NDArray:
        pixels = self.array(extension, version)
        if pixels.ndim != 2 or (shape is not None and pixels.shape != shape):
            raise UnusableError(
                f"{self.place(extension, version)} shape", pixels.shape, f"{shape}, like SCI" if shape else "two axes"
            )
        return pixels


def flag_bits(pixels: NDArray) -> NDArray[np.uint32]:
    """Flags as native uint32; the top bit survives signed, offset and floating storage alike."""
    width = 8 * pixels.dtype.itemsize if pixels.dtype.kind in "iu" else 32
    return (pixels.astype(np.int64) & ((1 << min(width, 32)) - 1)).astype(np.uint32)


def _last_byte(hdus: fits.HDUList) -> int:
    """Length the headers promise; ValueError for a negative size, on which reading on would never end."""
    end = 0
    for hdu in hdus:
        if hdu.size < 0:
            raise ValueError(f"extension {hdu.name} of {hdu.size} bytes")
        end = max(end, hdu.fileinfo()["datLoc"] + hdu.size)
    return end


@contextmanager
def open_fits(path: str, wanted: str = "a FITS file") -> Iterator[FitsFile]:
    """Open a FITS file, local or any fsspec URL, gzipped or not; `wanted` says what for when there is none.

    Raises
    ------
    UnusableError
        When it is missing, not FITS, damaged or shorter than its headers say.
    """
    path = str(path)
    name = file_name(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            source = fsspec.open(path, "rb", compression="infer").open()
        except FileNotFoundError as error:
            raise UnusableError(name, "no such file", wanted) from error
        except Exception as error:
            raise UnusableError(name, _one_line(error), "a FITS file") from error
        with source:
            try:
                # Reading a gzip stream backwards starts it over, hence the whole of it at once.
                stream = io.BytesIO(source.read()) if path.endswith(".gz") else source
                hdus = fits.open(stream, memmap=False)
                needed, present = _last_byte(hdus), stream.seek(0, io.SEEK_END)
                file = FitsFile(path, hdus)
            except Exception as error:
                raise UnusableError(name, _one_line(error), "a FITS file") from error
            if present < needed:
                raise UnusableError(name, f"{present} bytes (truncated)", f"at least {needed} bytes")
            with hdus:
                yield file
