"""The one place that touches storage: whole files and folders appear, or nothing does."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from catalogs.aside import NEW, OLD, aside, create, discard, left_behind, swap
from catalogs.errors import CatalogError
from catalogs.lease import LEASE, Lease, Pace, Tell

__all__ = ["SOURCES", "Store"]

SOURCES = ".sources"  # when the files that were entered were last changed: the only times that a catalog holds

_PIECE = 1 << 22  # bytes read at once where a file may be large
_LOCK = ".lock"  # what versions before leases left


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
        self._lease: Lease | None = None  # of this process alone: what workers write is not yet the catalog's

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
            self.check_writer()
            self.fs.pipe_file(final, buffer.getvalue())
            return
        with aside(Path(final)) as new:
            with open(new, "xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            self.check_writer()
            os.replace(new, final)

    def commit_tree(self, relative: str, write: Callable[[str], object]) -> None:
        """Let `write` fill a local folder, then make it appear whole as `relative`, replacing what was there."""
        final = self.locate(relative)
        if self.is_local:
            with aside(Path(final)) as new:
                new.mkdir()
                write(str(new))
                self.check_writer()
                swap(new, Path(final))
            return
        with TemporaryDirectory() as folder:
            write(folder)
            self.check_writer()
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
        self.check_writer()
        if not self.is_local:
            if self.fs.isdir(target):
                self.fs.rm(target, recursive=True)
            self.fs.mv(source, target, recursive=self.fs.isdir(source))
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            swap(Path(source), Path(target))
        else:
            os.replace(source, target)

    def open(self, relative: str) -> IO[bytes]:
        """Open a file for reading."""
        return self.fs.open(self.locate(relative), "rb")

    def read_bytes(self, relative: str) -> bytes:
        """Content of a file."""
        return self.fs.cat_file(self.locate(relative))

    def sha256(self, relative: str) -> str:
        """SHA-256 of a file, or of a folder: of all files in it and their names, but for those of writers at work."""
        top, digest = self.locate(relative), hashlib.sha256()
        self.fs.invalidate_cache()
        if self.fs.isfile(top):
            self._feed(top, digest)
            return digest.hexdigest()
        paths = self.list(relative)
        if not paths:
            raise FileNotFoundError(f"{self.locate_url(relative)}: nothing there")
        for path in paths:
            digest.update(path[len(relative) :].encode() + b"\0")
            self._feed(self.locate(path), digest)
        return digest.hexdigest()

    def _feed(self, full: str, digest: Any) -> None:
        with self.fs.open(full, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)

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
        self.check_writer()
        self.fs.rm(self.locate(relative), recursive=True)

    def create(self, relative: str, content: bytes) -> bool:
        """Make a small file unless there is one of that name; whether it was made. Of several callers one succeeds."""
        final = self.locate(relative)
        try:
            if self.is_local:
                create(Path(final), content)
            else:
                self.fs.pipe_file(final, content, mode="create")
        except FileExistsError:
            return self.get(relative) == content  # a network may report the second try of what it had done
        return True

    def put(self, relative: str, content: bytes) -> None:
        """Make or replace a small file, whoever writes the catalog."""
        final = self.locate(relative)
        if not self.is_local:
            self.fs.pipe_file(final, content)
            return
        with aside(Path(final)) as new:
            new.write_bytes(content)
            os.replace(new, final)

    def get(self, relative: str) -> bytes | None:
        """Content of a file as of now, None without one."""
        try:
            return self.read_bytes(relative)
        except FileNotFoundError:
            return None

    def drop(self, relative: str) -> None:
        """Remove a file if it is there, whoever writes the catalog."""
        with suppress(FileNotFoundError):
            self.fs.rm_file(self.locate(relative))

    @contextmanager
    def lock(self, wait: bool = False, tell: Tell | None = None, pace: Pace | None = None) -> Iterator[None]:
        """Be the one writer of the catalog.

        A process that was suspended and lost the catalog to another is told so, by a CatalogError, when it would next
        write; what its workers stage is no part of the catalog.

        Parameters
        ----------
        wait, tell
            Wait while another is at work, and whom to tell; see :meth:`Lease.acquire`.
        pace
            How often signs of life are given, and how long a dead process keeps the catalog.

        Raises
        ------
        CatalogError
            Unless `wait`, while another is at work.
        """
        if self.is_local:
            os.makedirs(self.root, exist_ok=True)
        lease = Lease(self, self.url, pace)
        lease.acquire(wait, tell)
        self._lease = lease
        try:
            yield
        finally:
            self._lease = None
            lease.release()

    def check_writer(self) -> None:
        """CatalogError where this process held :meth:`lock` and has lost it to another."""
        if self._lease is not None:
            self._lease.check()

    def sweep(self) -> int:
        """Remove what killed writers left behind and return how many; only for the holder of :meth:`lock`."""
        stray = self._stray()
        for name in stray:
            self.drop(name)
        left = [] if not self.is_local else left_behind(Path(self.root))
        for path in left:
            final = path.with_name(path.name.removeprefix(OLD))
            if path.name.startswith(OLD) and not final.exists():
                path.rename(final)  # killed between two renames: the old folder is the valid one
            else:
                discard(path)
        return len(left) + len(stray)

    def _stray(self) -> Sequence[str]:
        """Files of leases that nobody holds."""
        if self._lease is None:
            return []
        self.fs.invalidate_cache()
        there = [path.rstrip("/").rsplit("/", 1)[-1] for path in self.fs.ls(self.root, detail=False)]
        return self._lease.stray([name for name in there if name.startswith(LEASE)])


def _is_private(relative: str) -> bool:
    """Whether a path is a writer's own business."""
    mine = relative in (_LOCK, SOURCES) or relative.startswith(LEASE)
    return mine or any(part.startswith((NEW, OLD)) for part in relative.split("/"))
