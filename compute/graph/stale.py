"""What of a catalog is no longer what would be made of it now, and why: from its manifest and EXPOSURES alone."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import pandas as pd

from catalogs.catalog import Catalog
from catalogs.errors import PiazziError
from compute.graph.made import INPUTS, entered, exposures_made_of, reported, stage_digests
from compute.graph.newest import newest_cubes
from compute.graph.sources import changed_sources
from compute.settings import FrameSettings

__all__ = ["Stale", "stale"]

_AREA = "+area"


class Stale(NamedTuple):
    """A reason why a stage would be run again, of a field where it has one; which exposures it is about, if some."""

    stage: str
    field: str
    reason: str
    exposures: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = f"{self.stage} {self.field}".strip() + f": {self.reason}"
        if not self.exposures:
            return told
        n, more = len(self.exposures), f" and {len(self.exposures) - 3} more" if len(self.exposures) > 3 else ""
        return f"{told}: {n} exposure{'s' if n > 1 else ''} ({', '.join(self.exposures[:3])}{more})"


def stale(catalog: Catalog, exposures: pd.DataFrame, remote: bool = False) -> list[Stale]:
    """All that is stale, in the order in which it would be made again.

    Parameters
    ----------
    exposures
        EXPOSURES of the catalog.
    remote
        Look also at source files that take a request each.
    """
    rows = exposures[entered(exposures)]
    found: list[Stale] = []
    if "ingest" in catalog.manifest.provenance:  # tables that were simulated have no source, nor were they measured
        found = [*_sources(catalog, rows, remote), *_measured(catalog, rows), *_corrected(catalog, rows)]
    fields = sorted(catalog.manifest.provenance.get("frame", {}))
    for field in fields:
        found += _field(catalog, rows, field)
    found += _unframed(catalog, rows, fields)
    return found + _report(catalog)


def _sources(catalog: Catalog, rows: pd.DataFrame, remote: bool) -> list[Stale]:
    wrong = changed_sources(catalog, rows["path"].tolist(), remote)
    return _grouped("ingest", "", rows, [wrong.get(path) for path in rows["path"]])


def _measured(catalog: Catalog, rows: pd.DataFrame) -> list[Stale]:
    """Exposures not measured yet, and those that the last call's settings would measure again."""
    ways = catalog.manifest.provenance.get("measure", {})
    last = next((way["settings"] for way in ways.values() if way.get("latest")), None)
    libraries = newest_cubes(catalog, "epsf", "calibrate")
    reasons: list[str | None] = []
    for row in rows.itertuples():
        if row.status != "ok":
            reasons.append(None)  # refused: told as such
        elif pd.isna(row.n_stars):
            reasons.append("not measured")
        else:
            reasons.append(_why_again(ways.get(row.measured_with), last, libraries.of(row)))
    return _grouped("measure", "", rows, reasons)


def _why_again(way: Mapping[str, Any] | None, last: Mapping[str, Any] | None, library: Any) -> str | None:
    """Why an exposure measured in a `way` would be measured again; None where it would not."""
    if way is None:
        return "measured in a way the catalog has no record of"
    reasons = _versions(way, ("piazzi",), "measured")
    if last is not None and last != way["settings"]:
        names = sorted(name for name in last if last[name] != way["settings"].get(name))
        told = (f"{name} {way['settings'].get(name)}, now {last[name]}" for name in names)
        reasons.append(f"measured with other settings than the last call's ({', '.join(told)})")
    used = next((one for one in way["epsf"] if isinstance(one, dict)), None)
    if used is None or not used["required"]:
        reasons += library.differs(used, way.get("made_of", {}), "measured")
    return "; ".join(reasons) or None


def _corrected(catalog: Catalog, rows: pd.DataFrame) -> list[Stale]:
    """Measured exposures whose positions would be corrected anew."""
    ways, distortions = catalog.manifest.provenance.get("correct", {}), newest_cubes(catalog, "distortion", "geometry")
    reasons: list[str | None] = []
    for row in rows.itertuples():
        way = None if pd.isna(row.corrected_with) else ways.get(row.corrected_with.removesuffix(_AREA))
        if row.status != "ok" or pd.isna(row.n_stars):
            reasons.append(None)
        elif way is None and not pd.isna(row.corrected_with):
            reasons.append("corrected in a way the catalog has no record of")
        else:
            used = way["distortion"] if way else None
            why = _versions(way or {}, ("piazzi",), "corrected")
            if used is None or used["path"].startswith("cubes/"):  # one from elsewhere was given on purpose
                why += distortions.of(row).differs(used, (way or {}).get("made_of", {}), "corrected")
            reasons.append("; ".join(why) or None)
    return _grouped("correct", "", rows, reasons)


def _field(catalog: Catalog, rows: pd.DataFrame, field: str) -> list[Stale]:
    """What is stale of one field: its frames, and what was made from these."""
    made = {stage: entries.get(field, {}) for stage, entries in catalog.manifest.provenance.items()}
    found = _framed(rows, field, made["frame"])
    after = "made from frames that are stale" if found else ""
    for name, entry in sorted(made.get("match", {}).items()):
        found += _followed("match", f"{field} {name}", entry, "frame", made["frame"], after)
        found += _exposures("match", f"{field} {name}", entry, rows, INPUTS[1:])
    if entry := made.get("motion"):
        found += _followed("motion", field, entry, "frame", made["frame"], after)
        found += [Stale("motion", field, why) for why in _versions(entry, None, "made")]
    if entry := made.get("kinematics"):
        after = "made from motions that are stale" if any(one.stage == "motion" for one in found) else ""
        found += _followed("kinematics", field, entry, "motion", made.get("motion", {}), after)
        found += [Stale("kinematics", field, why) for why in _versions(entry, None, "made")]
    return found


def _framed(rows: pd.DataFrame, field: str, entry: Mapping[str, Any]) -> list[Stale]:
    if entry.get("digest") == "":
        return [Stale("frame", field, "a run ended while it was being replaced")]
    if "made_of" not in entry:
        return [Stale("frame", field, "made before catalogs told of what")]
    found = _exposures("frame", field, entry, rows, INPUTS)
    if any("measured anew" in one.reason for one in found):
        found.append(Stale("frame", field, "numbers of stars in MATCHES are those of older measurements"))
    new = _now_of(rows, entry)
    if new is not None:
        more = sorted(new.keys() - entry["made_of"]["exposures"].keys())
        found += [Stale("frame", field, "new since it was made", tuple(more))] if more else []
    return found + [Stale("frame", field, why) for why in _versions(entry, None, "made")]


def _now_of(rows: pd.DataFrame, entry: Mapping[str, Any]) -> dict[str, list[str]] | None:
    """What a field's frames would be made of now; None where they could not be made."""
    from compute.stages.frame.groups import choose

    plane = {name: entry["plane"][name] for name in ("ra", "dec")}
    try:
        return exposures_made_of(choose(rows, FrameSettings(**{**entry["settings"], **plane})))
    except PiazziError:
        return None


def _exposures(
    stage: str, field: str, entry: Mapping[str, Any], rows: pd.DataFrame, names: Iterable[str]
) -> list[Stale]:
    """Exposures behind something that have since been entered, measured or corrected anew, or are gone."""
    then = entry.get("made_of", {}).get("exposures", {})
    now = exposures_made_of(rows[(rows["status"] == "ok") & rows["n_stars"].notna()])
    words = {
        "sha256": "entered anew with other bytes",
        "measured_with": "measured anew",
        "corrected_with": "corrected anew",
    }
    reasons: dict[str, list[str]] = {}
    for key, digests in then.items():
        if key not in now:
            reasons.setdefault("no longer there", []).append(key)
            continue
        changed = [name for name, old, new in zip(INPUTS, digests, now[key], strict=True) if old != new]
        if why := next((words[name] for name in names if name in changed), None):
            reasons.setdefault(f"{why} since it was made", []).append(key)
    return [Stale(stage, field, why, tuple(sorted(keys))) for why, keys in sorted(reasons.items())]


def _followed(
    stage: str, field: str, entry: Mapping[str, Any], before: str, source: Mapping[str, Any], after: str
) -> list[Stale]:
    """Whether something was made from an older version of its source, or from one that is stale itself."""
    if entry.get("made_of", {}).get(before, source.get("digest")) != source.get("digest"):
        return [
            Stale(stage, field, f"made from older {before}s" if source else f"the {before}s it was made from are gone")
        ]
    return [Stale(stage, field, after)] if after else []


def _unframed(catalog: Catalog, rows: pd.DataFrame, fields: Iterable[str]) -> list[Stale]:
    """Measured exposures that no field's frames know, in a catalog that has frames."""
    entries = [catalog.manifest.provenance["frame"][field] for field in fields]
    if not entries or any("made_of" not in entry for entry in entries):
        return []
    known = {key for entry in entries for key in (*entry["made_of"]["exposures"], *(_now_of(rows, entry) or ()))}
    there = exposures_made_of(rows[(rows["status"] == "ok") & rows["n_stars"].notna()])
    left = tuple(sorted(there.keys() - known))
    return [Stale("frame", "", "measured, of no field that has frames", left)] if left else []


def _report(catalog: Catalog) -> list[Stale]:
    """Which stages have changed since the report was written."""
    then = reported(catalog)
    if then is None:
        return []
    now = stage_digests(catalog)
    changed = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    return [Stale("report", "", f"older than {', '.join(changed)}")] if changed else []


def _versions(entry: Mapping[str, Any], names: Iterable[str] | None, verb: str) -> list[str]:
    """Which of the libraries a thing was made with are others now; of `names`, or all."""
    then = entry.get("versions", {})
    here = {name: version(name) for name in (then if names is None else names) if name in then}
    changed = [f"{name} {then[name]}, here is {now}" for name, now in here.items() if now != then[name]]
    return [f"{verb} with {'; '.join(changed)}"] if changed else []


def _grouped(stage: str, field: str, rows: pd.DataFrame, reasons: Iterable[str | None]) -> list[Stale]:
    """A reason once, with all exposures it is about."""
    groups: dict[str, list[str]] = {}
    for row, reason in zip(rows.itertuples(), reasons, strict=True):
        if reason:
            groups.setdefault(reason, []).append(f"{row.exposure}--{row.detector}")
    return [Stale(stage, field, reason, tuple(names)) for reason, names in groups.items()]
