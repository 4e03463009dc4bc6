"""Names fit to become part of a path: nothing from a header or a file name is used as one before it passes here."""

import re

from catalogs.errors import UnusableError

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+.\-]{0,79}")
_PRODUCT = re.compile(r"_(cal|flt|flc|c0m|c0f)$")


def path_key(value: str, place: str) -> str:
    """Return `value` unchanged when it is safe as one component of a path.

    Raises
    ------
    UnusableError
        Unless it is at most 80 letters, digits or ``_ + . -``, begins with a letter or digit and has no ``..``.
    """
    if not _KEY.fullmatch(value) or ".." in value:
        raise UnusableError(place, repr(value[:100]), "at most 80 letters, digits, _ + . or -, beginning alphanumeric")
    return value


def file_name(path: str) -> str:
    """Last component of a local path or URL."""
    return str(path).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def flag_file(path: str) -> str | None:
    """The file of a WFPC2 frame's flags, ``_c1m`` beside ``_c0m``, ``_c1f`` beside ``_c0f``; None for others."""
    beside, swapped = re.subn(r"_(c)0([mf])(?=\.fits(\.gz)?$)", r"_\g<1>1\g<2>", path, flags=re.IGNORECASE)
    return beside if swapped else None


def exposure_root(path: str) -> str:
    """File root that names an exposure: no folder, no ``.fits`` or ``.fits.gz``, no product suffix such as ``_cal``.

    Raises
    ------
    UnusableError
        When what remains could not be part of a path.
    """
    name = file_name(path)
    stem = re.sub(r"\.(fits|fit)(\.gz)?$", "", name, flags=re.IGNORECASE)
    return path_key(_PRODUCT.sub("", stem), f"{name} (file name)")
