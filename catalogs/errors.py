"""Errors that name the place, what was found and what was expected, in one line."""

import errno

_FULL = errno.ENOSPC, errno.EDQUOT


class PiazziError(Exception):
    """A request that cannot be met; the message is one line meant for the person who asked."""


class UnusableError(PiazziError):
    """An input that cannot be used.

    Parameters
    ----------
    place
        File, extension, keyword, table or row where the trouble is, e.g. ``"a_cal.fits[SCI] BUNIT"``.
    found, expected
        The value met and what would have been accepted.
    """

    def __init__(self, place: str, found: object, expected: str):
        self.place, self.found, self.expected = place, found, expected
        super().__init__(f"{place}: found {found}, expected {expected}")

    def __reduce__(self):
        return type(self), (self.place, self.found, self.expected)


class CatalogError(PiazziError):
    """A catalog directory that is missing, too new, locked, or lacks what was asked of it."""


class FailedError(PiazziError):
    """Work that broke though nothing in the request or its input is known to be wrong."""


def disk_full(error: BaseException) -> str | None:
    """One line about a full disk, where an error means that; None where it means something else."""
    if not isinstance(error, OSError) or error.errno not in _FULL:
        return None
    return f"the disk is full ({error}); make room and run the same command again to go on"
