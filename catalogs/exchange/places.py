"""Where exported files go, and that they appear whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from catalogs.aside import aside
from catalogs.errors import PiazziError

__all__ = ["file_in", "make_folder", "write_whole"]


def file_in(out: Path, name: str, n: int) -> Path:
    """Where a file goes: `out` itself if it names a single file of this kind, else a file in the folder `out`.

    PiazziError where `n`, how many there are, is more than one for a single file.
    """
    if out.suffix != Path(name).suffix:
        make_folder(out)
        return out / name
    if n > 1:
        raise PiazziError(f"{out}: found {n} exposures for one file, expected one (or a folder to write into)")
    make_folder(out.parent)
    return out


def make_folder(out: Path) -> None:
    """See that there is a folder; PiazziError where a file is in the way."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise PiazziError(f"{out}: found a file, expected a folder to write into") from None


def write_whole(path: Path, write: Callable[..., Any], *content: Any, **told: Any) -> Path:
    """Call ``write(*content, place, **told)`` with a place beside `path`, then rename: a kill leaves nothing half."""
    with aside(path) as new:
        write(*content, new, **told)
        new.replace(path)
    return path
