"""Tables of fields for other programs: a file for each field, or a HATS catalog of all."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from catalogs.catalog import Catalog, read_part
from catalogs.errors import PiazziError
from catalogs.exchange.hats import write_hats
from catalogs.exchange.lists import write_ecsv, write_fits, write_votable
from catalogs.exchange.places import make_folder, write_whole
from catalogs.masters import MASTER
from catalogs.schema import Table

__all__ = ["FIELD_TABLES", "export_field_tables", "export_hats"]

FIELD_TABLES = ("master", "motions")
_WRITERS: dict[str, tuple[str, Callable]] = {
    "fits": ("fits", write_fits),
    "ecsv": ("ecsv", write_ecsv),
    "votable": ("vot", write_votable),
}


def export_field_tables(
    catalog: Catalog, dataset: str, kind: str, out: Path, fields: Sequence[str] = (), filters: Sequence[str] = ()
) -> list[Path]:
    """Write MASTER or MOTIONS as ``fits``, ``ecsv`` or ``votable``, a file for each field; returns the files.

    Path keys become columns: the frames of a field's filters and epochs stand in one file.
    """
    table, parts = _parts(catalog, dataset, fields, filters)
    suffix, write = _WRITERS[kind]
    alone = out.suffix == f".{suffix}"
    by_field: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for part in parts:
        by_field.setdefault(part[1]["field"], []).append(part)
    if alone and len(by_field) > 1:
        raise PiazziError(f"{out}: found fields {', '.join(by_field)} for one file, expected one field (or a folder)")
    make_folder(out.parent if alone else out)
    written = []
    for field, some in by_field.items():
        frame = pd.concat([read_part(*part, table, catalog.store) for part in some], ignore_index=True)
        path = out if alone else out / f"{dataset}_{field}.{suffix}"
        written.append(write_whole(path, write, frame, table, meta={"field": field}))
    return written


def export_hats(
    catalog: Catalog, dataset: str, out: Path, fields: Sequence[str] = (), filters: Sequence[str] = ()
) -> list[Path]:
    """Write MASTER or MOTIONS as a HATS catalog in the folder `out`, path keys as columns; returns its data files."""
    table, parts = _parts(catalog, dataset, fields, filters)
    reads = [partial(read_part, path, keys, table, catalog.store) for path, keys in parts]
    return write_hats(reads, table, f"{Path(catalog.store.root).name}_{dataset}", out)


def _parts(
    catalog: Catalog, dataset: str, fields: Sequence[str], filters: Sequence[str]
) -> tuple[Table, list[tuple[str, dict[str, Any]]]]:
    """The declared table, and path and keys of its files of some fields and filters."""
    table = MASTER if dataset == "master" else catalog.motions_table
    parts = catalog.parts(dataset, table)
    for name, wanted in (("field", fields), ("filter", filters)):
        if not wanted:
            continue
        if not any(name == key.name for key in table.keys):
            raise PiazziError(f"--{name}: found {', '.join(wanted)}, expected none: motions are of all filters")
        there = {keys[name] for _, keys in parts}
        if unknown := sorted(set(wanted) - there):
            raise PiazziError(f"--{name}: found {', '.join(unknown)}, expected of {', '.join(sorted(there)) or 'none'}")
        parts = [(path, keys) for path, keys in parts if keys[name] in wanted]
    if not parts:
        raise PiazziError(f"{catalog.store.url}: found no {dataset}, expected some to export")
    return table, parts
