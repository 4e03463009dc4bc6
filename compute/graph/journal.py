"""What a running stage has finished so far, kept beside the catalog until the stage is published."""

import json
from typing import Any

from catalogs.store import Store

_FOLDER = ".staging"


class Journal:
    """One small JSON record per finished key of a stage, written by the worker that finished it.

    A record is the evidence on which a later run skips the key: it holds whatever decides whether the work still stands
    (digests of inputs, settings and code). Data files that belong to a record are staged beside it.
    """

    def __init__(self, store: Store, stage: str):
        self.store, self.folder = store, f"{_FOLDER}/{stage}"

    def path(self, key: str, suffix: str = ".json") -> str:
        """Where the record of `key`, or a data file staged with it, is kept."""
        return f"{self.folder}/{key}{suffix}"

    def write(self, key: str, record: dict[str, Any]) -> None:
        """Commit the record of a finished key."""
        text = json.dumps(record, sort_keys=True)
        self.store.commit(self.path(key), lambda file: file.write(text.encode()))

    def read(self) -> dict[str, dict[str, Any]]:
        """All records by key, in order of key."""
        paths = self.store.list(self.folder, ".json")
        return {p.rsplit("/", 1)[-1].removesuffix(".json"): json.loads(self.store.read_bytes(p)) for p in sorted(paths)}

    def clear(self) -> None:
        """Remove every record and whatever is staged with them."""
        for path in self.store.list(self.folder):
            self.store.remove(path)
