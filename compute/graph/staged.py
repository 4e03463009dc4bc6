"""What an interrupted run had finished: that of which there is a record, and all that the record tells of."""

from collections.abc import Iterable, Mapping
from typing import Any

from catalogs.errors import CatalogError
from catalogs.records import find_json
from catalogs.store import Store

__all__ = ["finished", "reached", "whole_record"]


def whole_record(store: Store, path: str) -> dict[str, Any] | None:
    """A task's record; None without one, or where it is damaged or of a version that told less."""
    try:
        record = find_json(store, path)
    except CatalogError:
        return None
    return record if record is not None and "parts" in record else None


def reached(store: Store, stars: str, record: str) -> list[tuple[int, int]] | None:
    """The tiles that the stars of an exposure are in, in the order of batches; None unless both are there."""
    try:
        return find_json(store, record, list) if store.exists(stars) else None
    except CatalogError:
        return None


def finished(store: Store, folder: str, records: Mapping[str, Mapping[str, Any]], places: Iterable[str]) -> set[str]:
    """Names of the `records` whose parts are all there.

    Parameters
    ----------
    folder
        Where parts are staged, each at the path that is to be its own.
    records
        By name, with `parts`: SHA-256 by path.
    places
        Folders that are moved to their places whole. One of which nothing is staged may have been moved: there a part
        counts that is the one recorded. As what is done again replaces a whole folder, such parts count all or none.
    """
    staged = {path.removeprefix(f"{folder}/") for path in store.list(folder)}
    moved = tuple(f"{place}/" for place in places if not any(path.startswith(f"{place}/") for path in staged))
    away = {name for name, record in records.items() if not record["parts"].keys() <= staged}
    parts = {path: digest for name in away for path, digest in records[name]["parts"].items() if path not in staged}
    there = all(
        path.startswith(moved) and store.exists(path) and store.sha256(path) == digest for path, digest in parts.items()
    )
    return set(records) if there else set(records) - away
