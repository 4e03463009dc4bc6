"""The files exposures came from, as they were when they were entered: size and time of change.

Kept beside the tables, for no table holds a time of its making.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress

import fsspec

from catalogs.catalog import Catalog
from catalogs.errors import CatalogError
from catalogs.records import find_json
from catalogs.store import SOURCES

__all__ = ["changed_sources", "remember", "stamp"]


def stamp(path: str) -> str:
    """Size and time of change of a file: cheap evidence that it is still the one that was read."""
    try:
        fs, place = fsspec.url_to_fs(path)
        info = fs.info(place)
    except (OSError, ValueError):
        return "absent"
    changed = info.get("mtime") or info.get("ETag") or info.get("LastModified") or info.get("created")
    return f"{info.get('size')}-{changed}"


def remember(catalog: Catalog, stamps: Mapping[str, str]) -> None:
    """Write down the stamps of files just read, and forget those of files the catalog no longer has rows of."""
    known = dict[str, str]()
    with suppress(CatalogError):  # damaged: files that are not read now are taken for what they were
        known = _known(catalog)
    known |= stamps
    paths = set(catalog.exposures["path"])
    text = json.dumps({path: known[path] for path in sorted(paths & known.keys())}, indent=1).encode()
    catalog.store.commit(SOURCES, lambda file: file.write(text))


def changed_sources(catalog: Catalog, paths: list[str], remote: bool) -> dict[str, str]:
    """Which of the files in `paths` are missing, or others than were read, and what is wrong with each.

    Files on other machines, which take a request each, are looked at only where `remote`.
    """
    known, found = _known(catalog), {}
    for path in sorted(set(paths)):
        if "://" in path and not remote:
            continue
        now = stamp(path) if "://" in path else _local_stamp(path)
        if now == "absent":
            found[path] = "source file missing"
        elif now != known.get(path, now):
            found[path] = "source file changed since it was entered"
    return found


def _local_stamp(path: str) -> str:
    """As :func:`stamp` gives it, without a file system object for each of many files."""
    try:
        info = os.stat(path)
    except OSError:
        return "absent"
    return f"{info.st_size}-{info.st_mtime}"


def _known(catalog: Catalog) -> dict[str, str]:
    return find_json(catalog.store, SOURCES) or {}
