"""Small JSON files that tell of others: read whole, or refused in one line that names the file."""

import json
from typing import Any

from catalogs.errors import CatalogError
from catalogs.store import Store

__all__ = ["find_json", "read_json"]


def find_json(store: Store, path: str, kind: type = dict) -> Any:
    """Content of a JSON file as of now, None without one; CatalogError unless it is JSON and of a `kind`."""
    text = store.get(path)
    return None if text is None else _parsed(store, path, text, kind)


def read_json(store: Store, path: str, kind: type = dict) -> Any:
    """Content of a JSON file that has to be there; CatalogError unless it is JSON and of a `kind`."""
    return _parsed(store, path, store.read_bytes(path), kind)


def _parsed(store: Store, path: str, text: bytes, kind: type) -> Any:
    try:
        found = json.loads(text)
    except ValueError as error:  # a damaged character is one, too
        raise CatalogError(f"{store.locate_url(path)}: not readable as JSON ({error})") from None
    if not isinstance(found, kind):
        there = type(found).__name__
        raise CatalogError(f"{store.locate_url(path)}: found JSON of a {there}, expected a {kind.__name__}")
    return found
