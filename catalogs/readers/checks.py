"""What every frame must satisfy before anything is measured on it."""

import re

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from catalogs.readers._open import Cards
from catalogs.readers.names import path_key


def check_pixels(place: str, data: NDArray, error: NDArray, unflagged: NDArray[np.bool_]) -> None:
    """Reject frames without finite pixels, without unflagged ones, or whose errors are mostly not positive.

    Parameters
    ----------
    place
        File name for the message.
    data, error, unflagged
        (n_y, n_x) pixels, one-sigma errors, and True where no flag forbids the pixel.
    """
    finite = np.isfinite(data)
    if not finite.any():
        raise UnusableError(f"{place}[SCI]", "no finite pixel", "an image")
    candidates = finite & unflagged
    count = np.count_nonzero(candidates)
    if count == 0:
        raise UnusableError(f"{place}[DQ]", "every finite pixel flagged unusable", "some usable pixels")
    wrong = np.count_nonzero(~(error[candidates] > 0)) / count
    if wrong > 0.5:
        found = f"{wrong:.0%} of usable pixels without a positive error"
        raise UnusableError(f"{place}[ERR]", found, "positive errors")


def check_unit(cards: Cards, accepted: tuple[str, ...]) -> str:
    """Return BUNIT, upper case, when it is one of `accepted` (given in upper case)."""
    unit = cards.text("BUNIT")
    if unit.upper() not in accepted:
        raise UnusableError(f"{cards.place} BUNIT", repr(unit), " or ".join(accepted))
    return unit.upper()


def check_word(cards: Cards, key: str, accepted: tuple[str, ...], why: str = "") -> str:
    """Return the value of `key` when it is one of `accepted`."""
    value = cards.text(key)
    if value not in accepted:
        raise UnusableError(f"{cards.place} {key}", repr(value), " or ".join(accepted) + (why and f" ({why})"))
    return value


def check_exptime(cards: Cards, key: str) -> float:
    """Return a positive exposure time [s]."""
    seconds = cards.number(key)
    if seconds <= 0:
        raise UnusableError(f"{cards.place} {key}", seconds, "a positive exposure time in seconds")
    return seconds


def check_filter(cards: Cards, wheels: tuple[str, ...], blank: str) -> str:
    """Return the one HST imaging filter in the light path; other wheels must be empty or begin with `blank`.

    Ramps (FR), quads (FQ), grisms, prisms and polarizers do not image the whole field through one passband.
    """
    names = [cards.maybe_text(wheel) or "" for wheel in wheels]
    used = [name for name in names if name and not (blank and name.startswith(blank))]
    place = f"{cards.place} {', '.join(wheels)}"
    if len(used) != 1 or not re.fullmatch(r"F\d{3}(LP|[WMNX])", used[0]):
        expected = "one imaging filter" + (f" and {blank or 'a blank'}" if len(wheels) > 1 else "")
        raise UnusableError(place, " and ".join(map(repr, names)), expected)
    return path_key(used[0], place)
