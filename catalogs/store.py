"""The one place that touches storage: whole files and folders appear, or nothing does."""

import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import fsspec
from filelock import FileLock, Timeout
from fsspec.implementations.local import LocalFileSystem

from catalogs.errors import CatalogError

__all__ = ["Store"]

# Dotted names, because every reader of Parquet folders passes over them.
_NEW, _OLD, _LOCK = ".new-", ".old-", ".lock"


class Store:
    """Files under one root, a local folder or any URL that fsspec knows. Pickles; relative paths use ``/``.

    On a local disk a new file or folder is written aside and renamed. An object store has no rename, but shows an
    object only when the whole of it has arrived: there files go straight to their final key.
    """

    def __init__(self, url: str | os.PathLike, storage_options: Mapping[str, Any] | None = None):
        self.storage_options = dict(storage_options or {})
        try:
            self.fs, self.root = fsspec.url_to_fs(os.fspath(url), **self.storage_options)
        except (ImportError, ValueError) as error:
            raise CatalogError(f"{url}: no such storage here ({error})") from None
        self.is_local = isinstance(self.fs, LocalFileSystem)
        # Workers may run in another folder, so a local root is kept absolute.
        self.url = self.root if self.is_local else os.fspath(url).rstrip("/")

    def __reduce__(self):
        return type(self), (self.url, self.storage_options)

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def locate(self, relative: str) -> str:
        """Full path of `relative` on the store's file system; ValueError where it would leave the catalog."""
        parts = relative.split("/")
        if not all(parts) or any(part in (".", "..") or "\\" in part or "\0" in part for part in parts):
            raise ValueError(f"{relative!r} is no path inside {self.url}")
        return f"{self.root}/{relative}"

    def locate_url(self, relative: str) -> str:
        """Like :meth:`locate`, as a URL or local path that other libraries open with the same storage options."""
        return f"{self.url}{self.locate(relative)[len(self.root) :]}"

    def commit(self, relative: str, write: Callable[[IO[bytes]], object]) -> None:
        """Let `write` fill a binary file, then make it appear as `relative`, replacing what was there."""
        final = self.locate(relative)
        if not self.is_local:
            buffer = io.BytesIO()
            write(buffer)
            self.fs.pipe_file(final, buffer.getvalue())
            return
        with _aside(Path(final)) as new:
            with open(new, "xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, final)

    def commit_tree(self, relative: str, write: Callable[[str], object]) -> None:
        """Let `write` fill a local folder, then make it appear whole as `relative`, replacing what was there."""
        final = self.locate(relative)
        if self.is_local:
            with _aside(Path(final)) as new:
                new.mkdir()
                write(str(new))
                _swap(new, Path(final))
            return
        with TemporaryDirectory() as folder:
            write(folder)
            self._upload(Path(folder), final)

    def _upload(self, folder: Path, final: str) -> None:
        """Outer files last: a Zarr group exists for its readers only once its root metadata does."""
        if self.fs.exists(final):
            self.fs.rm(final, recursive=True)
        files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: (-len(path.parts), path)):
            self.fs.pipe_file(f"{final}/{path.as_posix()}", (folder / path).read_bytes())

    def publish(self, staged: str, final: str) -> None:
        """Move a finished file or folder to its final place, replacing what was there."""
        source, target = self.locate(staged), self.locate(final)
        if not self.is_local:
            if self.fs.isdir(target):
                self.fs.rm(target, recursive=True)
            self.fs.mv(source, target, recursive=self.fs.isdir(source))
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            _swap(Path(source), Path(target))
        else:
            os.replace(source, target)

    def open(self, relative: str) -> IO[bytes]:
        """Open a file for reading."""
        return self.fs.open(self.locate(relative), "rb")

    def read_bytes(self, relative: str) -> bytes:
        """Content of a file."""
        return self.fs.cat_file(self.locate(relative))

    def exists(self, relative: str) -> bool:
        """Whether a file or folder is there now."""
        self.fs.invalidate_cache()
        return self.fs.exists(self.locate(relative))

    def list(self, prefix: str = "", suffix: str | tuple[str, ...] = "") -> list[str]:
        """Files in folder `prefix` and below whose path ends in `suffix`: as of now, sorted, none half written."""
        self.fs.invalidate_cache()
        top = self.locate(prefix) if prefix else self.root
        found = (path[len(self.root) :].lstrip("/") for path in self.fs.find(top))
        return sorted(path for path in found if path.endswith(suffix) and not _is_private(path))

    def remove(self, relative: str) -> None:
        """Remove a file, or a folder and all in it."""
        self.fs.rm(self.locate(relative), recursive=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one writer of the catalog; CatalogError while another is at work. No lock on object stores."""
        if not self.is_local:
            yield
            return
        os.makedirs(self.root, exist_ok=True)
        try:
            with FileLock(f"{self.root}/{_LOCK}", timeout=0):
                yield
        except Timeout:
            raise CatalogError(f"{self.url} is being written by another process") from None

    def sweep(self) -> int:
        """Remove what killed writers left behind and return how many; only for the holder of :meth:`lock`."""
        left = [] if not self.is_local else _left_behind(Path(self.root))
        for path in left:
            final = path.with_name(path.name.removeprefix(_OLD))
            if path.name.startswith(_OLD) and not final.exists():
                path.rename(final)  # killed between two renames: the old folder is the valid one
            else:
                _discard(path)
        return len(left)


def _is_private(relative: str) -> bool:
    """Whether a path is a writer's own business."""
    return relative == _LOCK or any(part.startswith((_NEW, _OLD)) for part in relative.split("/"))


@contextmanager
def _aside(final: Path) -> Iterator[Path]:
    """A fresh name beside `final`, gone afterwards."""
    final.parent.mkdir(parents=True, exist_ok=True)
    new = final.with_name(f"{_NEW}{uuid.uuid4().hex}")
    try:
        yield new
    finally:
        _discard(new)


def _swap(new: Path, final: Path) -> None:
    """Put a folder in place of another; :meth:`Store.sweep` mends what a kill between the renames leaves."""
    old = final.with_name(f"{_OLD}{final.name}")
    _discard(old)
    if final.exists():
        final.rename(old)
    new.rename(final)
    _discard(old)


def _left_behind(root: Path) -> list[Path]:
    found = []
    for folder, folders, files in os.walk(root):
        mine = [name for name in (*folders, *files) if name.startswith((_NEW, _OLD))]
        found += [Path(folder, name) for name in mine]
        folders[:] = [name for name in folders if name not in mine]
    return sorted(found)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
