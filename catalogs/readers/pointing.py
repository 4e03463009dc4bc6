"""Tangent-plane WCS and pixel areas from header keywords."""

from typing import NamedTuple

import numpy as np
from numpy.polynomial.polynomial import polyder, polygrid2d
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.readers._open import Cards
from catalogs.wcs import TanWcs


def tan_wcs(cards: Cards, x_start: float, y_start: float, nominal: float) -> TanWcs:
    """Linear part of a RA---TAN WCS, in 0-based full-detector pixels.

    Parameters
    ----------
    cards
        Header of the science extension itself.
    x_start, y_start
        Full-detector coordinates of array element [0, 0].
    nominal
        Pixel scale the instrument has [mas/pix].

    Raises
    ------
    UnusableError
        When the projection is another, a value is missing or not finite, or the scale is off by more than 2.
    """
    for key, kind in (("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN")):
        if not cards.text(key, kind).startswith(kind):
            raise UnusableError(f"{cards.place} {key}", repr(cards.maybe_text(key)), kind)
    ra, dec = cards.number("CRVAL1"), cards.number("CRVAL2")
    if not (-360 <= ra <= 360 and -90 <= dec <= 90):
        raise UnusableError(f"{cards.place} CRVAL", f"({ra}, {dec})", "right ascension and declination in degrees")
    x, y = cards.number("CRPIX1") - 1 + x_start, cards.number("CRPIX2") - 1 + y_start
    wcs = TanWcs(ra % 360.0, dec, x, y, _cd_matrix(cards))
    check_scale(wcs, nominal, cards.place)
    return wcs


def check_scale(wcs: TanWcs, nominal: float, place: str) -> None:
    """Reject a WCS whose pixel scale is not finite or differs from `nominal` [mas/pix] by more than a factor of 2."""
    if not 0.5 < wcs.scale / nominal < 2.0:
        raise UnusableError(f"{place} WCS scale", f"{wcs.scale:.4g} mas/pix", f"about {nominal:g} mas/pix")


def _cd_matrix(cards: Cards) -> tuple[float, float, float, float]:
    keys = ("1_1", "1_2", "2_1", "2_2")
    if cards.maybe_text("CD1_1") is not None:
        cd11, cd12, cd21, cd22 = (cards.number(f"CD{key}") for key in keys)
        return cd11, cd12, cd21, cd22
    step_x, step_y = cards.number("CDELT1"), cards.number("CDELT2")
    pc11, pc12, pc21, pc22 = (cards.number(f"PC{key}") for key in keys)
    return step_x * pc11, step_x * pc12, step_y * pc21, step_y * pc22


class Pointing(NamedTuple):
    """Where the middle of an array looks [deg]."""

    ra: float
    dec: float
    position_angle: float


def pointing(wcs: TanWcs, x: float, y: float) -> Pointing:
    """Sky position of full-detector pixel (`x`, `y`) and position angle of +y."""
    ra, dec = wcs.sky(x, y)
    return Pointing(float(ra), float(dec), wcs.position_angle)


def sip_area(cards: Cards, shape: tuple[int, int], nominal: float) -> NDArray[np.float32] | None:
    """Pixel areas from the CD matrix and SIP polynomials, relative to a square of `nominal` [mas]; None without SIP.

    The scale is fixed by the instrument and not by the reference pixel, so that subarrays, whose reference pixels lie
    elsewhere on the detector, agree with full frames. SIP: Shupe et al. 2005, ASP Conf. 347, 491.
    """
    if cards.maybe_number("A_ORDER") is None or cards.maybe_number("B_ORDER") is None:
        return None
    u = np.arange(1, shape[1] + 1) - cards.number("CRPIX1")
    v = np.arange(1, shape[0] + 1) - cards.number("CRPIX2")
    (f_u, f_v), (g_u, g_v) = (_slopes(cards, axis, u, v) for axis in "AB")
    cd11, cd12, cd21, cd22 = _cd_matrix(cards)
    linear = abs(cd11 * cd22 - cd12 * cd21) * (3.6e6 / nominal) ** 2
    return (linear * np.abs((1 + f_u) * (1 + g_v) - f_v * g_u)).astype(np.float32)


def _slopes(cards: Cards, axis: str, u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    """Derivatives of one SIP polynomial along u and along v, on the grid [v, u]."""
    order = cards.whole(f"{axis}_ORDER")
    if not 0 <= order <= 9:
        raise UnusableError(f"{cards.place} {axis}_ORDER", order, "0 to 9")
    coefficients = np.zeros((order + 1, order + 1))  # [power of v, power of u]
    for i in range(order + 1):
        for j in range(order + 1 - i):
            coefficients[j, i] = cards.maybe_number(f"{axis}_{i}_{j}") or 0.0
    along_u, along_v = polyder(coefficients, axis=1), polyder(coefficients, axis=0)
    return polygrid2d(v, u, along_u), polygrid2d(v, u, along_v)
