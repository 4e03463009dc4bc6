"""Which cube of a catalog an exposure would be measured or corrected with now.

Told from names and attributes; a cube is read only where these leave it open whether it is the one that was used.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from catalogs.catalog import Catalog
from catalogs.records import read_json
from catalogs.store import Store
from compute.graph.made import solution

__all__ = ["Newest", "newest_cubes"]


class _Cube:
    """One cube: where it is, for which camera and times [MJD], and what it was solved from."""

    def __init__(self, store: Store, path: str, solved: str | None):
        attrs = read_json(store, f"{path}/.zattrs")
        since, until = attrs.get("valid_from"), attrs.get("valid_to")
        self.store, self.path, self.solution = store, path, solved
        _, self.kind, self.camera, self.name = path.split("/")
        self.since, self.until = -float("inf") if since is None else since, float("inf") if until is None else until

    @cached_property
    def sha256(self) -> str:
        """As stages take it when they use the cube."""
        url = self.store.locate_url(self.path)
        if self.kind == "epsf":
            from compute.stages.library import find_library

            return find_library(url).sha256
        from compute.stages.distortion import find_calibration

        return find_calibration(url, self.store.storage_options).sha256


class _Choice(NamedTuple):
    """The cube for one exposure, if there is any, of a kind."""

    cube: _Cube | None
    kind: str

    def differs(self, used: Mapping[str, Any] | None, solved: Mapping[str, str | None], verb: str) -> list[str]:
        """Why it is not the one that was `used`, by path and sha256, solved as `solved` tells; empty where it is."""
        if self.cube is None:
            gone = used is not None and "cubes/" in used["path"]
            return [f"{verb} with the {self.kind} {_name(used)}, no longer there"] if used and gone else []
        if used is None:
            return [f"{verb} without the {self.kind} there is now"]
        here, same = used["path"].endswith(self.cube.path), solved.get(used["path"]) == self.cube.solution
        if (here and same) or self.cube.sha256 == used["sha256"]:
            return []
        if here:
            return [f"{verb} with the {self.kind} {self.cube.name} before it was solved again"]
        return [f"{verb} with the older {self.kind} {_name(used)}, now {self.cube.name}"]


class Newest:
    """The cubes of one kind, newest first."""

    def __init__(self, cubes: Sequence[_Cube], kind: str):
        self.cubes, self.kind = cubes, kind

    def of(self, exposure: Any) -> _Choice:
        """The newest for an exposure, a row of EXPOSURES as a tuple with names."""
        camera = f"{exposure.instrument}_{exposure.detector}_{exposure.filter}"
        suits = (one for one in self.cubes if one.camera == camera and one.since <= exposure.mjd_mid <= one.until)
        return _Choice(next(suits, None), self.kind)


def newest_cubes(catalog: Catalog, kind: str, stage: str) -> Newest:
    """All library cubes of a `kind`, ``epsf`` or ``distortion``, which `stage` solves."""
    roots = catalog.store.list(f"cubes/{kind}", "/.zattrs")
    paths = [path.rsplit("/", 1)[0] for path in roots if path.count("/") == 4]
    cubes = [_Cube(catalog.store, path, solution(catalog, stage, path)) for path in reversed(paths)]
    return Newest(cubes, {"epsf": "ePSF"}.get(kind, kind))


def _name(used: Mapping[str, Any]) -> str:
    return str(used["path"]).rstrip("/").rsplit("/", 1)[-1]
