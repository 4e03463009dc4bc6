"""How each exposure is to be measured: with which library ePSF, and the digest that tells whether it was."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from catalogs.errors import UnusableError
from compute.settings import MeasureSettings
from compute.stages.library import Library, pick_library

__all__ = ["OWN", "Way", "way"]

OWN = "built from each exposure"  # in the manifest, in place of a library


class Way(NamedTuple):
    """What a worker chooses an exposure's library from, and the digest of settings, ePSF and code."""

    digest: str
    libraries: tuple[Library, ...]

    def told(self, settings: MeasureSettings) -> dict[str, Any]:
        """For the catalog's manifest."""
        libraries = [library._asdict() for library in self.libraries]
        return {"settings": settings.model_dump(mode="json"), "epsf": libraries or OWN}


def way(settings: MeasureSettings, libraries: Sequence[Library], exposure: Any) -> Way:
    """How `exposure`, a row of EXPOSURES as a tuple with names, is to be measured.

    Only the library made for it counts: one of another camera or epoch changes nothing. Where one is required and none
    suits, all are handed on, and the worker says so.
    """
    chosen: tuple[Library, ...]
    try:
        picked = pick_library(libraries, exposure) if libraries else None
        chosen = (picked,) if picked else ()
    except UnusableError:
        chosen = tuple(libraries)
    return Way(settings.digest(*(library.sha256 for library in chosen), version("piazzi")), chosen)
