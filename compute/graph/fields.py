"""Which exposures are of a field, in a catalog that may hold several."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from catalogs.catalog import Catalog
from catalogs.errors import UnusableError
from compute.settings import FrameSettings
from compute.stages.frame.groups import choose
from compute.stages.plane import Plane

__all__ = ["beyond", "field_exposures", "framed", "known_plane"]


def framed(catalog: Catalog, stage: str, field: str) -> Mapping[str, Any]:
    """What the manifest tells of a field's master frames; UnusableError for `stage` unless they are there and whole."""
    frames, place = catalog.manifest.provenance.get("frame", {}), f"{stage}: field {field}"
    if field not in frames:
        raise UnusableError(place, f"frames of {', '.join(frames) or 'none'}", "master frames of it")
    if not frames[field]["digest"]:
        found = "frames that a run was replacing when it ended"
        raise UnusableError(place, found, "whole ones: give piazzi frame again")
    return frames[field]


def known_plane(catalog: Catalog, field: str, settings: FrameSettings) -> Plane | None:
    """The plane a field has, unless the settings say otherwise: frames stay where they are as data are added."""
    made = catalog.manifest.provenance.get("frame", {}).get(field, {}).get("plane")
    return Plane(**made) if made and settings.ra is None and made["scale"] == settings.scale else None


def field_exposures(exposures: pd.DataFrame, settings: FrameSettings, plane: Plane | None) -> pd.DataFrame:
    """Those of a field: about its plane where it has one, so that other fields may come into the catalog."""
    if plane is not None:
        settings = settings.model_copy(update={"ra": plane.ra, "dec": plane.dec})
    return choose(exposures, settings)


def beyond(exposures: pd.DataFrame, rows: pd.DataFrame, settings: FrameSettings, plane: Plane | None) -> str:
    """A word about exposures just outside a known plane, which may have been meant; empty without any."""
    if plane is None:
        return ""
    more = len(field_exposures(exposures, settings.model_copy(update={"within": 2 * settings.within}), plane))
    found = f"{more - len(rows)} exposures {settings.within:g}' to {2 * settings.within:g}' from the middle"
    return f"{found}, left out; ra, dec and within take them in" if more > len(rows) else ""
