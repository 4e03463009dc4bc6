"""A frame to be written: pixels of its chips, where they look, what is known of the exposure; and how files appear."""

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from catalogs.errors import UnusableError

Card = str | int | float | bool | None

HIGHEST_ORDER = 9  # of a SIP polynomial


def _no_terms() -> NDArray[np.float64]:
    return np.zeros((0, 0))


@dataclass(frozen=True, eq=False)
class SipWcs:
    """Gnomonic projection after SIP polynomials (Shupe et al. 2005, ASP Conf. 347, 491).

    Attributes
    ----------
    ra, dec
        Sky position [deg, ICRS] of pixel (`x`, `y`) of the array as written, 0-based.
    cd
        (cd11, cd12, cd21, cd22) [deg/pix], from corrected pixel offsets to the tangent plane.
    a, b
        (n, n) corrections [pix] to add to the offsets along x and y, [power of u, power of v], where (u, v) are the
        offsets from (`x`, `y`). Both empty: no polynomials at all.
    """

    ra: float
    dec: float
    x: float
    y: float
    cd: tuple[float, float, float, float]
    a: NDArray[np.float64] = field(default_factory=_no_terms)
    b: NDArray[np.float64] = field(default_factory=_no_terms)

    def __post_init__(self):
        if self.order > HIGHEST_ORDER:
            raise ValueError(f"SIP polynomials of order {self.order}, expected at most {HIGHEST_ORDER}")

    @property
    def order(self) -> int:
        """Order of the polynomials, 0 where there are none; at least 2, since readers ignore SIP of a lower one."""
        if not self.a.size and not self.b.size:
            return 0
        return max(2, *(int(np.argwhere(terms).sum(axis=1).max(initial=0)) for terms in (self.a, self.b)))

    @property
    def position_angle(self) -> float:
        """Position angle of +y at the reference pixel [deg east of north, 0 to 360]."""
        return float(np.degrees(np.arctan2(self.cd[1], self.cd[3])) % 360.0)

    def cards(self, *, pc: bool = False) -> dict[str, Card]:
        """Keywords of the projection; with `pc` the matrix is split in CDELT and PC, as JWST's files have it."""
        kind = "-SIP" if self.order else ""
        cards: dict[str, Card] = {
            "WCSAXES": 2,
            "CTYPE1": f"RA---TAN{kind}",
            "CTYPE2": f"DEC--TAN{kind}",
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CRPIX1": self.x + 1,
            "CRPIX2": self.y + 1,
            "CRVAL1": self.ra,
            "CRVAL2": self.dec,
            "RADESYS": "ICRS",
        }
        cd = np.reshape(self.cd, (2, 2))
        step = np.hypot(*cd.T) if pc else np.ones(2)
        if pc:
            cards |= {"CDELT1": float(step[0]), "CDELT2": float(step[1])}
        for (i, j), value in np.ndenumerate(cd / step[:, None]):
            cards[f"{'PC' if pc else 'CD'}{i + 1}_{j + 1}"] = float(value)
        for axis, terms in (("A", self.a), ("B", self.b)) if self.order else ():
            cards[f"{axis}_ORDER"] = self.order
            cards |= {f"{axis}_{i}_{j}": float(terms[i, j]) for i, j in np.argwhere(terms)}
        return cards


@dataclass(frozen=True, eq=False)
class ChipImage:
    """One chip: NIS, NRCB1 ..., WFC1, WFC2, UVIS1, UVIS2, PC1, WF2, WF3 or WF4.

    `data`, `error` float32 in the unit of the file (MJy/sr, electrons, DN for WFPC2), `bits` uint32 in the flags of the
    instrument, all (n_y, n_x). `planes` are further planes of JWST by name: AREA, VAR_POISSON, VAR_RNOISE, VAR_FLAT.
    """

    name: str
    data: NDArray[np.float32]
    error: NDArray[np.float32]
    bits: NDArray[np.uint32]
    wcs: SipWcs
    planes: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self):
        for name, plane in {"error": self.error, "bits": self.bits, **self.planes}.items():
            if plane.shape != self.data.shape:
                raise ValueError(f"{self.name} {name} has shape {plane.shape}, data {self.data.shape}")


@dataclass(frozen=True, kw_only=True)
class FrameFacts:
    """What the headers of a frame say.

    Attributes
    ----------
    root
        Name of the exposure, and of its file without suffix.
    instrument, detector, filter
        NIRISS, NIRCAM, ACS, WFC3 or WFPC2; NIS, NRCB1 ..., WFC, UVIS, WFPC2; the filter's own name.
    mjd_start, mjd_end, exptime
        Of the exposure [d, UTC], and time it collected light [s].
    position_angle
        Of +y [deg east of north].
    va_scale
        Scale of velocity aberration.
    observer, velocity
        Barycentric position [km] and velocity [km/s], equatorial axes.
    target, ra_target, dec_target, track
        What was pointed at, where [deg], and whether it was followed while it moved.
    readout, n_groups, t_frame, t_group
        JWST: readout pattern, groups of the ramp, times between frames and groups [s].
    x_start, y_start, subarray
        JWST: detector pixel of the array's first, 0-based; FULL or the subarray's name.
    photmjsr, pixar_sr
        JWST: MJy/sr of one DN/s; nominal area of a pixel [sr].
    photflam, photplam
        HST: erg/s/cm2/Angstrom of one count (electron, or DN for WFPC2) a second; pivot wavelength [Angstrom].
    gain, read_noise
        Electrons per DN (WFPC2: 7 or 15, as commanded), and electrons.
    cte_corrected
        ACS and WFC3: an ``_flc`` file instead of ``_flt``.
    """

    root: str
    program: int
    observation: int
    visit: int = 1
    number: int
    instrument: str
    detector: str
    filter: str
    mjd_start: float
    mjd_end: float
    exptime: float
    position_angle: float
    va_scale: float = 1.0
    observer: tuple[float, float, float] | None = None
    velocity: tuple[float, float, float] | None = None
    target: str = ""
    ra_target: float | None = None
    dec_target: float | None = None
    track: bool = False
    readout: str = ""
    n_groups: int = 1
    t_frame: float | None = None
    t_group: float | None = None
    x_start: int = 0
    y_start: int = 0
    subarray: str = "FULL"
    photmjsr: float | None = None
    photflam: float | None = None
    photplam: float | None = None
    pixar_sr: float | None = None
    gain: float = 1.0
    read_noise: float | None = None
    cte_corrected: bool = False

    def pick(self, key: str, accepted: Mapping[str, object]):
        """Entry of a table for the attribute `key`; UnusableError with those there are."""
        value = getattr(self, key)
        if value not in accepted:
            raise UnusableError(f"{self.root} {key}", repr(value), f"one of {', '.join(accepted)}")
        return accepted[value]


def moment(mjd: float) -> tuple[str, str]:
    """Calendar date and time of day [UTC] of a Modified Julian Date, to the millisecond."""
    date, _, time = (datetime(1858, 11, 17) + timedelta(days=mjd)).isoformat(timespec="milliseconds").partition("T")
    return date, time


def header(cards: Mapping[str, Card]) -> fits.Header:
    """A header of those cards that have a value."""
    return fits.Header([(key, value) for key, value in cards.items() if value is not None])


def primary(cards: Mapping[str, Card]) -> fits.PrimaryHDU:
    """A header without pixels, which owns up to being simulated."""
    hdu = fits.PrimaryHDU(header=header(cards))
    hdu.header["HISTORY"] = "simulated by piazzi"
    return hdu


def image(plane: NDArray, name: str, cards: Mapping[str, Card], version: int = 1) -> fits.ImageHDU:
    """An extension of pixels; floating ones are copied to FITS byte order, so that shared planes are left alone."""
    pixels = plane.astype(">f4") if plane.dtype.kind == "f" else plane
    return fits.ImageHDU(pixels, header(cards), name=name, ver=version)


def short_flags(bits: NDArray[np.uint32]) -> NDArray[np.int16]:
    """Flags as HST stores them, in 16 bits; ValueError where one needs more."""
    if bits.max(initial=0) > 0xFFFF:
        raise ValueError(f"flags up to {bits.max()}, expected 16 bits")
    return bits.astype(np.uint16).view(np.int16)


def publish(folder: Path | str, files: dict[str, Sequence[fits.PrimaryHDU | fits.ImageHDU]]) -> list[Path]:
    """Write files so that each appears whole or not at all, and the last one only after all others.

    Returns
    -------
    paths
        The last file first.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    hidden = {name: folder / f".{name}.{uuid.uuid4().hex}" for name in files}
    try:
        for name, hdus in files.items():
            fits.HDUList(list(hdus)).writeto(hidden[name], output_verify="exception")
        for name, path in hidden.items():
            os.replace(path, folder / name)
    finally:
        for path in hidden.values():
            path.unlink(missing_ok=True)
    return [folder / name for name in reversed(files)]
