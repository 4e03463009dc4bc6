"""Which cube of a catalog is meant: the newest of a camera and filter, of those valid at a time."""

import xarray as xr

from catalogs.cubes import open_cube
from catalogs.errors import CatalogError
from catalogs.paths import segment
from catalogs.store import Store

__all__ = ["newest_cube"]

_ROOTS = (".zmetadata", "zarr.json")  # written last, so a cube that has one is whole


def newest_cube(
    store: Store, kind: str, instrument: str, detector: str, filter: str, mjd: float | None = None
) -> xr.Dataset:
    """The newest ``epsf`` or ``distortion`` cube, of those valid at `mjd` if given; arrays are read when touched.

    CatalogError, with what there is, where there is none.
    """
    top = f"cubes/{kind}"
    names = {"instrument": instrument, "detector": detector, "filter": filter}
    folder = f"{top}/{'_'.join(segment(name, value) for name, value in names.items())}"
    found = [path.rsplit("/", 1)[0] for path in store.list(folder, _ROOTS)]
    cubes = [path for path in found if path.count("/") == 3]  # neither perturbed ones nor groups inside
    for path in reversed(cubes):
        cube = open_cube(store.locate_url(path), store.storage_options)
        if mjd is None or _covers(cube, mjd):
            return cube
        cube.close()
    if cubes:
        there = ", ".join(path.rsplit("/", 1)[1] for path in cubes)
        raise CatalogError(f"{store.url}: no {folder} covers MJD {mjd}; there are {there}")
    roots = [path for path in store.list(top, _ROOTS) if path.count("/") == 4]
    there = ", ".join(sorted({path.split("/")[2] for path in roots})) or "none"
    single = f", only those of single exposures in {folder}/perturbed" if found else ""
    raise CatalogError(f"{store.url}: no calibration in {folder}{single}; there are {there}")


def _covers(cube: xr.Dataset, mjd: float) -> bool:
    first, last = cube.attrs.get("valid_from"), cube.attrs.get("valid_to")
    return (first is None or first <= mjd) and (last is None or mjd <= last)
