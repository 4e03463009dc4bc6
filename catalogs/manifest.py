"""``catalog.json``: format version, datasets, and what every stage was made from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any

from catalogs.errors import CatalogError

__all__ = ["FORMAT_VERSION", "Manifest"]

FORMAT_VERSION = "1.0"
_DATASETS = {
    "exposures": "Parquet, a row per exposure and detector",
    "measurements": "Parquet, a file per exposure and detector under program, instrument, detector and filter",
    "transforms": "Parquet, by field: how every exposure lies on its master frame",
    "matches": "Parquet, by field: which measurement and which reference source is which star",
    "master": "Parquet, by field, instrument, filter and epoch: mean positions and magnitudes, a file per tile of sky",
    "motions": "Parquet, by field: places, proper motions and parallaxes of stars, a file per tile of sky",
    "zero_points": "Parquet, by field: what motions are relative to, and how well that is known",
    "kinematics": "Parquet, by field: mean motions, shares and dispersions of populations",
    "cubes": "Zarr, ePSF and distortion by instrument, detector and filter",
}


@dataclass(frozen=True)
class Manifest:
    """Content of ``catalog.json``.

    `format_version` is ``major.minor``: minors only add, so a reader accepts any of its own major and every older one.
    `provenance` maps a stage to the digest of its inputs, its settings, the versions it ran with and its row counts.
    """

    format_version: str = FORMAT_VERSION
    piazzi: str = field(default_factory=lambda: version("piazzi"))
    datasets: Mapping[str, str] = field(default_factory=lambda: dict(_DATASETS))
    provenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def with_stage(self, stage: str, record: Mapping[str, Any]) -> "Manifest":
        """A manifest in which `record` tells how `stage` was last made, by this version of piazzi."""
        return replace(self, piazzi=version("piazzi"), provenance={**self.provenance, stage: record})

    def to_json(self) -> bytes:
        """Text of the file: sorted keys, nothing that changes from run to run."""
        return (json.dumps(asdict(self), indent=2, sort_keys=True, allow_nan=False) + "\n").encode()

    @classmethod
    def from_json(cls, text: bytes, place: str) -> "Manifest":
        """Parse the file found at `place`; CatalogError where it is not readable or of a later major version."""
        try:
            found = json.loads(text)
            format_version = found["format_version"]
            major = int(format_version.split(".")[0])
            manifest = cls(format_version, found["piazzi"], dict(found["datasets"]), dict(found["provenance"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CatalogError(f"{place} is no piazzi manifest ({type(error).__name__}: {error})") from None
        if major > int(FORMAT_VERSION.split(".")[0]):
            known = f"this piazzi reads up to {FORMAT_VERSION}"
            raise CatalogError(
                f"{place} has format {format_version}, {known}: install piazzi {manifest.piazzi} or later"
            )
        return manifest
