"""How EXPOSURES takes in files: what is new, what is there already, and what contradicts it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from catalogs.errors import UnusableError
from catalogs.tables import EXPOSURES
from compute.graph.made import entered
from compute.stages.ingest import rejected

__all__ = ["Entry", "enter", "entered"]

_Row = Mapping[str, Any]
_Key = tuple[str, str]  # exposure and detector


class Entry(NamedTuple):
    """EXPOSURES with files entered, how many of their exposures are new or were there, and the rows refused."""

    rows: pd.DataFrame
    done: int
    skipped: int
    refused: list[_Row]


class _There(NamedTuple):
    path: str
    sha256: str
    status: str


def enter(old: pd.DataFrame, found: Mapping[str, Sequence[_Row] | None], replace: bool, fresh: bool) -> Entry:
    """Enter files into EXPOSURES; what was said against them before is forgotten.

    `found` holds the rows of each file, None where the file is known byte for byte. Other bytes under the name of an
    exposure that is there are refused unless `replace`; two files of one call never replace each other. With `fresh`
    only what this call enters counts as there.
    """
    exposures = old[entered(old)]
    there = {(row.exposure, row.detector): _There(row.path, row.sha256, row.status) for row in exposures.itertuples()}
    counts = exposures["path"].value_counts()
    new: dict[_Key, _Row] = {}
    moved: dict[_Key, str] = {}
    refused: list[_Row] = []
    skipped = 0
    for path, rows in sorted(found.items()):
        if rows is None:
            skipped += int(counts.get(path, 0))
            continue
        if rows[0]["status"] != "ok":
            refused.append(rows[0])
            continue
        keys, sha256 = [(row["exposure"], row["detector"]) for row in rows], rows[0]["sha256"]
        old_ones = [there[key] for key in keys if key in there and (key in new or not fresh)]
        others = [one for one in old_ones if one.sha256 != sha256]
        twice = any(key in new and there[key].sha256 != sha256 for key in keys)
        if twice or (others and not (replace or fresh)):
            refused.append(_contradiction(rows[0], others[0]))
        elif len(old_ones) == len(keys) and not others and all(one.status == "ok" for one in old_ones):
            skipped += len(keys)
            moved |= {key: path for key in keys if there[key].path not in found}
        else:
            new |= zip(keys, rows, strict=True)
            there |= dict.fromkeys(keys, _There(path, sha256, "ok"))
    return Entry(_table(old, found, new, moved, refused), len(new), skipped, refused)


def _contradiction(row: _Row, other: _There) -> _Row:
    """The row of a file whose exposure is there with other bytes."""
    found, expected = f"other bytes ({row['sha256'][:12]})", f"{other.sha256[:12]} as entered from {other.path}"
    error = UnusableError(f"ingest: {row['exposure']}", found, f"{expected}, or --replace")
    return rejected(row["path"], row["sha256"], str(error))


def _table(
    old: pd.DataFrame, files: Mapping, new: Mapping[_Key, _Row], moved: Mapping[_Key, str], refused: Sequence[_Row]
) -> pd.DataFrame:
    """Rows that stay, some with a new path, and the new ones."""
    keys = pd.Series(zip(old["exposure"], old["detector"], strict=True), index=old.index, dtype=object)
    rows = old[(entered(old) & ~keys.isin(list(new))) | ~(entered(old) | old["path"].isin(list(files)))]
    if moved:
        rows = rows.assign(path=keys[rows.index].map(moved).fillna(rows["path"]))
    added = [*new.values(), *refused]
    if not added:
        return rows
    more = EXPOSURES.conform(pd.DataFrame(added))
    return pd.concat([rows, more], ignore_index=True) if len(rows) else more
