"""Stage `geometry` on a cluster: a distortion for every camera, then what filters of one detector share."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd
from distributed import Client

from catalogs.catalog import Catalog, calibration_path, measurement_path
from catalogs.distortion import read_distortion, write_distortion
from catalogs.errors import UnusableError
from catalogs.readers.scales import detector_chips, nominal_scale
from catalogs.store import Store
from compute.graph.apply import Progress, apply, run_all
from compute.graph.geometry_tasks import FINAL, OWN, finish_map, map_stripe, read_told, share_fine, solve_camera
from compute.graph.made import record_cube, sweep_staging, versions
from compute.graph.pipeline import Report, recorrect
from compute.graph.references import digest, near, stage_sources
from compute.settings import FrameSettings, GeometrySettings, ReferenceSettings
from compute.stages.distortion import Calibration, own_calibrations
from compute.stages.frame.groups import frames, lay_plane, main_field
from compute.stages.plane import Plane
from compute.stages.reference import load

__all__ = ["geometry"]

_UPDATED = "updated"  # end of the names of solutions that rest on older ones
_WITHIN = 15.0  # [arcmin] reach of a field
_EPOCH = FrameSettings().epoch_gap  # [yr]
_STRIPE = 256  # rows of the pixel map that one task makes
_INPUTS = ["exposure", "detector", "sha256", "measured_with"]


class _Camera(NamedTuple):
    """One detector, filter and epoch: where its cube goes, its exposures, and its plane of detector-sized pixels."""

    place: str
    rows: pd.DataFrame
    epoch: float
    plane: Plane
    base: Calibration | None
    digest: str

    @property
    def shared(self) -> tuple[str, float]:
        """Detector and epoch: what those that share structure have in common."""
        return str(self.rows["detector"].iloc[0]), self.epoch


def geometry(
    catalog: Catalog,
    client: Client,
    settings: GeometrySettings,
    reference: ReferenceSettings | None = None,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Solve the distortion of every detector, filter and epoch of a catalog, and correct its MEASUREMENTS.

    Parameters
    ----------
    reference
        Catalog that positions are compared with; without one exposures are compared with each other alone, which
        leaves the low orders free unless they differ in roll.
    fresh
        Solve again though nothing changed.

    Raises
    ------
    UnusableError
        Without measured exposures.
    """
    report, store = Report("geometry"), catalog.store
    exposures = catalog.exposures
    rows = exposures[(exposures["status"] == "ok") & exposures["n_stars"].notna()]
    if rows.empty:
        raise UnusableError("geometry", "no measured exposure", "at least one")
    cameras, sources = _cameras(store, rows, settings, reference)
    known = catalog.manifest.provenance.get("geometry", {})
    due = [
        one for one in cameras
        if fresh or known.get(one.place, {}).get("digest") != one.digest or not store.exists(one.place)
    ]  # fmt: skip
    # Filters of a detector share structure: with one that is new all are solved anew.
    detectors = {one.shared for one in due}
    due = [one for one in cameras if one.shared in detectors]
    report.skipped = sum(len(one.rows) for one in cameras if one not in due)
    apart = len(rows) - sum(len(one.rows) for one in cameras)
    if apart:
        report.notes.append(
            {"exposure": "other fields", "note": f"{apart} exposures far from the most others, not used"}
        )
    if due:
        folder = f".staging/geometry/{settings.digest(*(one.digest for one in due))}"
        if fresh and store.exists(folder):
            store.remove(folder)
        solved = _solve(store, client, folder, due, sources, reference, settings, report, progress)
        _share(store, client, folder, solved, settings, progress)
        told = {one.place: _publish(store, f"{folder}/{n}", one, settings, report) for n, one in solved.items()}
        left = _superseded(store, known, told)
        told = {place: entry | {"files": record_cube(catalog, "geometry", place)} for place, entry in told.items()}
        catalog.write_manifest(catalog.manifest.with_stage("geometry", {**left, **told}))
    sweep_staging(store, "geometry")
    recorrect(catalog, client, progress)
    return report


def _cameras(
    store: Store, rows: pd.DataFrame, settings: GeometrySettings, reference: ReferenceSettings | None
) -> tuple[list[_Camera], dict[Plane, Any]]:
    """Cameras with enough exposures to have a distortion, and the reference sources about each of their planes."""
    cameras, sources = [], {}
    for detector in sorted(rows["detector"].unique()):
        of = rows[rows["detector"] == detector].sort_values("exposure", kind="stable", ignore_index=True)
        scale = nominal_scale(detector)
        for key, index in frames(of, settings.epoch_gap).items():
            group = main_field(of.iloc[index].reset_index(drop=True), _WITHIN)
            plane = lay_plane(group, FrameSettings(scale=scale))
            if plane not in sources:
                sources[plane] = None if reference is None else load(near(reference, _WITHIN), (plane.ra, plane.dec))
            name = f"{key.epoch_name}-{_UPDATED if settings.update else 'solved'}"
            place = calibration_path("distortion", key.instrument, detector, key.filter, name)
            base = _base(store, group, settings) if settings.update or reference is None else None
            inputs = group[_INPUTS].fillna("").to_numpy().tolist()
            made_of = [inputs, digest(sources[plane], reference), base and base.sha256, versions()]
            told = settings.digest(place, json.dumps(made_of))
            cameras.append(_Camera(place, group, key.epoch, plane, base, told))
    return cameras, sources


def _base(store: Store, group: pd.DataFrame, settings: GeometrySettings) -> Calibration | None:
    """What a camera's distortion was before: for an update the newest solution of an older epoch, else one from
    elsewhere. No solution rests on what is solved beside it, or on itself.
    """
    row, since = group.iloc[0], _since(group, settings)
    for one in own_calibrations(store, [(row["instrument"], row["detector"], row["filter"])]):
        name = one.name.removesuffix(".zarr")
        older = one.valid_from is None or one.valid_from < since
        if older and not name.endswith(f"-{_UPDATED}") and (settings.update or not name.endswith("-solved")):
            return one
    return None


def _since(group: pd.DataFrame, settings: GeometrySettings) -> float:
    """From when on a camera's solution holds [MJD]: a later epoch's ends it."""
    return float(group["mjd_mid"].min()) - 365.25 * settings.epoch_gap / 2


def _superseded(store: Store, known: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of the manifest that still count; cubes of the same camera from some of the same exposures go.

    The name of an epoch changes as exposures are entered, and the old cube would stand beside the new one.
    """
    kept = dict(known)
    for place, entry in known.items():
        for new, one in told.items():
            same = place.rsplit("/", 1)[0] == new.rsplit("/", 1)[0] and place.rsplit("-", 1)[1] == new.rsplit("-", 1)[1]
            if same and place != new and set(entry.get("made_from", ())) & set(one["made_from"]):
                del kept[place]
                for path in (place, f"{place.removesuffix('.zarr')}-residuals.parquet"):
                    if store.exists(path):
                        store.remove(path)
                break
    return kept


def _solve(
    store: Store, client: Client, folder: str, due: list[_Camera], sources: dict, reference, settings, report, progress
) -> dict[int, _Camera]:
    """A solution of every camera in a folder of its own; those that have one, by number."""
    work = {}
    for n, one in enumerate(due):
        if store.exists(f"{folder}/{n}/{OWN}/told.json"):
            continue
        # Stars move from epoch to epoch, whatever time the distortion is common to.
        epochs = {key.epoch: of for key, of in frames(one.rows, min(_EPOCH, settings.epoch_gap)).items()}
        staged = stage_sources(store, f"{folder}/{n}/reference", sources[one.plane], reference, epochs)
        paths = [measurement_path(row) for row in one.rows.to_dict("records")]
        parts = [(of, staged[epoch]) for epoch, of in epochs.items()]
        work[str(n)] = (store, f"{folder}/{n}", one.rows, paths, parts, one.plane, one.base, settings)
    ends = apply(client, "geometry", solve_camera, work, progress)
    broken = {int(end.key): end.failure or end.result for end in ends if end.failure or end.result}
    for n, reason in sorted(broken.items()):
        report.rejected.append({"exposure": due[n].place, "path": "", "reason": reason})
    return {n: one for n, one in enumerate(due) if n not in broken}


def _share(
    store: Store, client: Client, folder: str, solved: dict[int, _Camera], settings: GeometrySettings, progress
) -> None:
    """What filters of one detector and epoch have in common, worked out from all of them."""
    groups: dict[tuple, list[int]] = {}
    for n, one in solved.items():
        groups.setdefault(one.shared, []).append(n)
    stripes, finals, shares = {}, {}, {}
    for name, members in groups.items():
        key, folders = "-".join(map(str, name)), [f"{folder}/{n}" for n in members]
        names = [solved[n].rows["exposure"] for n in members]
        if settings.published:
            n_y, made = int(detector_chips(name[0])[0][-1, 1]), []
            for first in range(0, n_y, _STRIPE):
                made.append(f"{folder}/map/{key}-{first}.npy")
                stripes[f"{key}-{first}"] = (
                    store,
                    made[-1],
                    folders,
                    first,
                    min(first + _STRIPE, n_y),
                    settings,
                )
            finals[key] = (store, folders, made, names, settings)
        elif settings.share and len(members) > 1:
            shares[key] = (store, folders, names, settings)
    run_all(client, "pixel map", map_stripe, stripes, progress)
    run_all(client, "map of filters", finish_map, finals, progress)
    run_all(client, "shared structure", share_fine, shares, progress)


def _publish(store: Store, folder: str, one: _Camera, settings: GeometrySettings, report: Report) -> dict[str, Any]:
    """Move a camera's cube and residuals into the catalog; what the manifest is to say of them."""
    folder = f"{folder}/{FINAL if store.exists(f'{folder}/{FINAL}/told.json') else OWN}"
    cube = read_distortion(store.locate_url(f"{folder}/cube.zarr"), store.storage_options)
    told = read_told(store, folder)
    write_distortion(store, one.place, replace(cube, valid_from=_since(one.rows, settings)))
    residuals = store.read_bytes(f"{folder}/residuals.parquet")
    store.commit(f"{one.place.removesuffix('.zarr')}-residuals.parquet", lambda file: file.write(residuals))
    report.done += len(one.rows)
    report.notes += [{"exposure": one.place, "note": note} for note in told.get("notes", [])]
    return {
        "digest": one.digest,
        "settings": settings.model_dump(mode="json"),
        "made_from": one.rows["exposure"].tolist(),
        **told,
    }
