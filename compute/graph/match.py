"""Stage `match` on a cluster: master frames against a reference catalog, a tile a task; and exposures' scales."""

import json
import re

import pandas as pd
from distributed import Client

from catalogs.catalog import Catalog, field_path, frame_path
from catalogs.errors import UnusableError
from catalogs.masters import MASTER, MATCHES
from catalogs.parquet import read_table, write_table
from catalogs.store import Store
from compute.graph.apply import Progress, run_all
from compute.graph.fields import framed
from compute.graph.made import exposures_made_of, record_files, versions
from compute.graph.pipeline import Report
from compute.graph.references import digest, near, read_sources, stage_sources
from compute.graph.scales import SCALE_TABLES, corrected_exposures, publish_scales, stage_scales
from compute.settings import MatchSettings, ReferenceSettings
from compute.stages.match import match as match_tile
from compute.stages.plane import TILE, Plane
from compute.stages.reference import load

__all__ = ["match"]

_INPUTS = ["exposure", "detector", "measured_with", "corrected_with"]
_MATCHED = ["star_id", "x", "y"]  # what of a star tells which source it is
_PART = re.compile(r"instrument=([^/]+)/filter=([^/]+)/epoch=([^/]+)/part-(-?\d+)_(-?\d+)\.parquet")


def match(
    catalog: Catalog,
    client: Client,
    field: str,
    settings: MatchSettings,
    reference: ReferenceSettings,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Pair the stars of a field's master frames with the sources of a reference catalog: rows of MATCHES.

    Sources stand at the epoch of each frame. What an earlier call found for a catalog of the same name is replaced.
    Exposures that are corrected for distortion get their pixel scales against the catalog: SCALES and their means.

    Raises
    ------
    UnusableError
        Where the field has no master frames, or half replaced ones; where the reference cannot be used.
    """
    made = framed(catalog, "match", field)
    plane, report = Plane(**made["plane"]), Report("match", unit="tiles")
    known = load(near(reference, made["settings"]["within"]), (plane.ra, plane.dec))
    name = re.sub(r"[^A-Za-z0-9_.+-]", "_", known.name)
    corrected = corrected_exposures(catalog, field)
    inputs = [part[_INPUTS].to_numpy().tolist() for part in corrected.values()]
    made_of = settings.digest(made["digest"], digest(known, reference), name, json.dumps(inputs))
    told = exposures_made_of(pd.concat(corrected.values())) if corrected else {}
    past = catalog.manifest.provenance.get("match", {})
    parts = [m for path in catalog.store.list(field_path("master", field), ".parquet") if (m := _PART.search(path))]
    if past.get(field, {}).get(name, {}).get("digest") == made_of and not fresh:
        report.skipped = len(parts)
        return report
    folder = f".staging/match/{field}"
    if catalog.store.exists(folder):
        catalog.store.remove(folder)
    staged = stage_sources(catalog.store, folder, known, reference, sorted({float(part[3]) for part in parts}))
    work = {}
    for part in parts:
        place = f"{name}-{'_'.join(part.groups())}.parquet"
        work[place] = (
            catalog.store, f"{folder}/out/{place}", frame_path(field, *part.groups()[:3]), staged[float(part[3])],
            name, (int(part[4]), int(part[5])), plane, settings, made["settings"]["reserve"],
        )  # fmt: skip
    run_all(client, "match", _match_tile, work, progress)
    if not catalog.store.list(f"{folder}/out", ".parquet"):
        catalog.store.remove(folder)
        found = f"no source of {name} within {settings.radius:g} mas of a star"
        raise UnusableError(f"match: field {field}", found, "a catalog of the same part of the sky")
    stage_scales(catalog.store, client, folder, field, name, corrected, staged, progress)
    others = {other: made for other, made in past.get(field, {}).items() if other != name}
    catalog.write_manifest(catalog.manifest.with_stage("match", {**past, field: others}))  # until all are moved
    rows = _publish(catalog, folder, field_path("matches", field), name)
    publish_scales(catalog.store, folder, field, name)
    entry = {"digest": made_of, "rows": rows, "settings": settings.model_dump(mode="json"), "versions": versions()}
    entry |= {
        "made_of": {"frame": made["digest"], "exposures": told},
        "files": record_files(catalog, "match", f"{field}/{name}", _files(catalog, field, name)),
        "reference": reference.model_dump(mode="json"),
        "notes": list(known.notes),
        "removed": dict(known.removed),
    }
    catalog.write_manifest(catalog.manifest.with_stage("match", {**past, field: {**others, name: entry}}))
    catalog.store.remove(folder)
    report.done = len(parts)
    report.notes += [{"exposure": name, "note": note} for note in known.notes]
    return report


def _matched_with(reference: str) -> re.Pattern[str]:
    """Names of the files of MATCHES with a reference catalog."""
    return re.compile(rf"{re.escape(reference)}-[^-]+_[^_]+_\d{{4}}\.\d\d_-?\d+_-?\d+\.parquet")


def _files(catalog: Catalog, field: str, name: str) -> list[str]:
    """What a match has published."""
    mine, store = _matched_with(name), catalog.store
    matches = [path for path in store.list(field_path("matches", field)) if mine.fullmatch(path.rsplit("/", 1)[1])]
    scales = [f"{field_path(dataset, field)}/{name}.parquet" for dataset in SCALE_TABLES]
    return matches + [path for path in scales if store.exists(path)]


def _publish(catalog: Catalog, folder: str, target: str, reference: str) -> int:
    """Move what was found to its place, for what an earlier call found with that `reference`; how many rows."""
    mine = _matched_with(reference)
    rows = 0
    found = catalog.store.list(f"{folder}/out", ".parquet")
    names = {path.rsplit("/", 1)[1] for path in found}
    for path in found:
        with catalog.store.open(path) as file:
            rows += len(read_table(file, MATCHES, ["star_id"]))
        catalog.store.publish(path, f"{target}/{path.rsplit('/', 1)[1]}")
    for path in catalog.store.list(target, ".parquet"):
        name = path.rsplit("/", 1)[1]
        if mine.fullmatch(name) and name not in names:
            catalog.store.remove(path)
    return rows


def _match_tile(
    store: Store, out: str, frame: str, staged: str, name: str, tile: tuple[int, int], plane: Plane,
    settings: MatchSettings, reserve: float,
) -> None:  # fmt: skip
    """One tile of one frame; its neighbours are read too, as far as they matter."""
    around, parts = 0.5 + 2 * settings.radius / plane.scale / TILE, []
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            path = f"{frame}/part-{tile[0] + i}_{tile[1] + j}.parquet"
            if store.exists(path):
                with store.open(path) as file:
                    parts.append(read_table(file, MASTER, _MATCHED))
    master = pd.concat(parts, ignore_index=True)
    off = [(master[axis] / TILE - number - 0.5).abs() for axis, number in zip("xy", tile, strict=True)]
    master = master[(off[0] <= around) & (off[1] <= around)].reset_index(drop=True)
    found = match_tile(master, read_sources(store, staged), name, tile, plane, settings, reserve)
    if len(found):
        store.commit(out, lambda file: write_table(found, MATCHES, file))
