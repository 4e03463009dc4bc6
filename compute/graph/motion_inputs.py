"""What motions are made from: master frames, catalogs or frames of other catalogs, and where the observer was."""

import json
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from catalogs.catalog import Catalog, field_path, open_catalog
from catalogs.errors import UnusableError
from catalogs.masters import MASTER, TRANSFORMS
from catalogs.references.columns import CORRELATIONS
from catalogs.store import Store
from compute.graph.fields import framed
from compute.graph.pipeline import versions
from compute.graph.references import digest, near
from compute.graph.scales import read_folder
from compute.settings import MotionSettings, ReferenceSettings
from compute.stages.frame.groups import FrameKey
from compute.stages.motion.positions import REFERENCE, Known
from compute.stages.plane import Plane
from compute.stages.reference import load, propagated

__all__ = ["Inputs", "inputs", "observers", "placed_exposures"]

_FRAME = re.compile(r"((?:.*/)?)master/(field=([^/\\]+)/instrument=[^/\\]+/filter=[^/\\]+/epoch=[\d.]+)/?")
_PART = re.compile(r"instrument=([^/]+)/filter=([^/]+)/epoch=([^/]+)/part-(-?\d+)_(-?\d+)\.parquet")
_OBSERVER = ["observer_x", "observer_y", "observer_z"]


class Inputs(NamedTuple):
    """Master frames of a field, their tiles and plane; the catalog that is an epoch, and the one that sets the zero.

    `digest` changes with any of them, and with the settings.
    """

    keys: tuple[FrameKey, ...]
    tiles: tuple[tuple[int, int], ...]
    plane: Plane
    first: Known | None
    zero: Known | None
    digest: str


def inputs(catalog: Catalog, field: str, settings: MotionSettings, reference: ReferenceSettings | None) -> Inputs:
    """All that motions of a field are made from.

    Raises
    ------
    UnusableError
        Where the field has no master frames, or half replaced ones; where a catalog that is needed cannot be had.
    """
    frames = framed(catalog, "motion", field)
    parts = [m for path in catalog.store.list(field_path("master", field), ".parquet") if (m := _PART.search(path))]
    keys = tuple(sorted({FrameKey(part[1], part[2], float(part[3])) for part in parts}))
    tiles = tuple(sorted({(int(part[4]), int(part[5])) for part in parts}))
    plane, within = Plane(**frames["plane"]), frames["settings"]["within"]
    times = {key.epoch for key in keys if not settings.filters or key.filter in settings.filters}
    first, zero = (
        _known(catalog, field, chosen, plane, within, min(times, default=0.0))
        for chosen in (_first(settings, reference, len(times)), _zero(settings, reference))
    )
    digests = [digest(known, known.settings) for known in (first, zero) if known is not None]
    made_of = settings.digest(field, frames["digest"], *digests, json.dumps(versions(), sort_keys=True))
    return Inputs(keys, tiles, plane, first, zero, made_of)


def _first(settings: MotionSettings, reference: ReferenceSettings | None, n: int) -> ReferenceSettings | str | None:
    """What is an epoch besides the field's own frames, which are of `n`: a catalog, a path, or nothing."""
    if settings.first_epoch not in ("", REFERENCE):
        return settings.first_epoch
    if settings.first_epoch == REFERENCE and reference is None:
        raise UnusableError("motion: first_epoch", f"{REFERENCE} without a catalog", "a reference catalog")
    return reference if settings.first_epoch == REFERENCE or n == 1 else None


def _zero(settings: MotionSettings, reference: ReferenceSettings | None) -> ReferenceSettings | None:
    """The catalog whose motions set the zero point; None for relative motions."""
    chosen = ReferenceSettings(file=settings.zero_point) if settings.zero_point else reference
    if settings.absolute and chosen is None:
        raise UnusableError("motion: absolute", "no catalog", "a reference catalog with motions, or zero_point")
    return chosen if settings.absolute else None


def _known(
    catalog: Catalog, field: str, chosen: ReferenceSettings | str | None, plane: Plane, within: float, seen: float
) -> Known | None:
    """A reference catalog or master frame, and its sources as they are at the Julian year `seen`."""
    if chosen is None:
        return None
    if isinstance(chosen, str):
        return _frame(catalog, field, chosen, seen)
    settings = near(chosen, within)
    read = load(settings, (plane.ra, plane.dec))
    return Known(read.name, read.sources, propagated(read.sources, seen, settings), settings, read.systematics.pm)


def _frame(catalog: Catalog, field: str, path: str, seen: float) -> Known:
    """A master frame of another field or catalog as a reference catalog."""
    parts = _FRAME.fullmatch(path)
    if parts is None:
        form = f"{REFERENCE}, or PATH/master/field=.../instrument=.../filter=.../epoch=..."
        raise UnusableError("motion: first_epoch", repr(path), form)
    place, frame, of = parts.groups()
    store = open_catalog(place).store if place else catalog.store
    if of == field and _real(store) == _real(catalog.store):  # its positions are an epoch already
        raise UnusableError(f"motion: first_epoch {path}", f"a frame of field {field} itself", "one of another")
    master = read_folder(store, f"master/{frame}", MASTER)
    if master.empty:
        raise UnusableError(f"motion: first_epoch {path}", "no stars", "a folder of a master frame")
    settings, sources = ReferenceSettings(file=path), _sources(master)
    return Known(frame.replace("/", " "), sources, propagated(sources, seen, settings), settings)


def _real(store: Store) -> str:
    """Where a catalog is, whatever links lead there."""
    return os.path.realpath(store.root) if store.is_local else store.url


def placed_exposures(catalog: Catalog, field: str) -> pd.DataFrame:
    """TRANSFORMS of the exposures in a field's frames, with where arrays end, and where observers were."""
    ties = read_folder(catalog.store, field_path("transforms", field), TRANSFORMS)
    ties = ties[(ties["status"] == "ok") & (ties["detector"] != "")]
    rows = catalog.exposures
    ends = {f"{axis}_end": (rows[f"{axis}_start"] + rows[f"n_{axis}"]).astype(float) for axis in "xy"}
    rows = rows.assign(**ends)[rows["status"] == "ok"]
    return ties.merge(rows[["exposure", "detector", *ends, *_OBSERVER]], on=["exposure", "detector"], how="left")


def observers(
    ties: pd.DataFrame, keys: Sequence[FrameKey]
) -> dict[tuple[str, str, float], tuple[float, float, float] | None]:
    """Mean place of the observer [km] for each frame, None where some exposure does not tell."""
    found: dict[tuple[str, str, float], tuple[float, float, float] | None] = {}
    for key in keys:
        of = (ties["instrument"] == key.instrument) & (ties["filter"] == key.filter) & (ties["epoch"] == key.epoch)
        x, y, z = ties.loc[of, _OBSERVER].to_numpy(float).mean(axis=0)
        found[key] = (float(x), float(y), float(z)) if np.isfinite(x + y + z) else None
    return found


def _sources(master: pd.DataFrame) -> pd.DataFrame:
    """MASTER rows as a reference catalog has them, each at its own time."""
    known = master[["ra", "dec", "ra_error", "dec_error", "mag", "mag_error"]]
    known = known.assign(id=master["star_id"], ref_epoch=master["mean_epoch"], **dict.fromkeys(CORRELATIONS, 0.0))
    known = known.assign(ra_dec_corr=-master["xy_corr"])
    motions = [f"{name}{end}" for name in ("parallax", "pmra", "pmdec") for end in ("", "_error")]
    known = known.assign(**dict.fromkeys(motions, np.nan))
    return known[known[["ra_error", "dec_error", "mag"]].notna().all(axis=1)].reset_index(drop=True)
