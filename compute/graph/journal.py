"""What a running stage has finished so far, kept beside the catalog until the stage is published."""

import errno
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from catalogs.errors import CatalogError
from catalogs.records import read_json
from catalogs.store import Store

_FOLDER = ".staging"
_WRITTEN_MEANWHILE = errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST


class Journal:
    """One small JSON record per finished key of a stage, written by the worker that finished it.

    A record is the evidence on which a later run skips the key: it holds whatever decides whether the work still stands
    (digests of inputs, settings and code). Data files that belong to a record are staged beside it.
    """

    def __init__(self, store: Store, stage: str):
        self.store, self.folder = store, f"{_FOLDER}/{stage}"

    def path(self, key: str, suffix: str = ".json") -> str:
        """Where the record of `key`, or a file staged with it, is kept."""
        return f"{self.folder}/{key}{suffix}"

    def table(self, key: str, record: Mapping[str, Any]) -> str:
        """Where the table that a record of `key` speaks of is staged: apart from those of other settings or bytes.

        A task of a run that was killed may end while the next one is at work.
        """
        return self.path(key, f".{record['measured_with']}-{record['sha256'][:16]}.parquet")

    def cube(self, key: str, record: Mapping[str, Any]) -> str:
        """Where the ePSF that an exposure built for itself is staged."""
        return self.table(key, record).removesuffix(".parquet") + ".zarr"

    def write(self, key: str, record: dict[str, Any]) -> None:
        """Commit the record of a finished key."""
        text = json.dumps(record, sort_keys=True)
        self.store.commit(self.path(key), lambda file: file.write(text.encode()))

    def read(self) -> dict[str, dict[str, Any]]:
        """All records by key, in order of key; a damaged one is no evidence, and left out."""
        records = {}
        for path in self.store.list(self.folder, ".json"):
            with suppress(CatalogError):
                records[path.rsplit("/", 1)[-1].removesuffix(".json")] = read_json(self.store, path)
        return records

    def clear(self) -> None:
        """Remove every record, then whatever is staged with them.

        A worker of an abandoned run may write here meanwhile: what it leaves after a second try goes with the next
        clear.
        """
        for _ in range(2):
            try:
                self._remove()
                return
            except OSError as error:
                if error.errno not in _WRITTEN_MEANWHILE:
                    raise

    def _remove(self) -> None:
        for path in self.store.list(self.folder, ".json"):
            self.store.remove(path)
        if self.store.exists(self.folder):
            self.store.remove(self.folder)
