"""Files and folders of a local disk that appear whole: written aside under a dotted name, then renamed."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["NEW", "OLD", "aside", "create", "discard", "left_behind", "swap"]

# Dotted names, because every reader of Parquet folders passes over them.
NEW, OLD = ".new-", ".old-"


@contextmanager
def aside(final: Path) -> Iterator[Path]:
    """A fresh name beside `final`, gone afterwards."""
    final.parent.mkdir(parents=True, exist_ok=True)
    new = final.with_name(f"{NEW}{uuid.uuid4().hex}")
    try:
        yield new
    finally:
        discard(new)


def create(final: Path, content: bytes) -> None:
    """Make a file with all its content, or FileExistsError."""
    with aside(final) as new:
        new.write_bytes(content)
        try:
            os.link(new, final)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            with open(final, "xb") as file:
                file.write(content)


def swap(new: Path, final: Path) -> None:
    """Put a folder in place of another; ``Store.sweep`` mends what a kill between the renames leaves."""
    old = final.with_name(f"{OLD}{final.name}")
    discard(old)
    if final.exists():
        final.rename(old)
    new.rename(final)
    discard(old)


def left_behind(root: Path) -> list[Path]:
    """What killed writers left below a folder, sorted."""
    found = []
    for folder, folders, files in os.walk(root):
        mine = [name for name in (*folders, *files) if name.startswith((NEW, OLD))]
        found += [Path(folder, name) for name in mine]
        folders[:] = [name for name in folders if name not in mine]
    return sorted(found)


def discard(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
