"""A catalog: one directory or URL that holds every table and cube of a project."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.errors import CatalogError
from catalogs.kinematics import KINEMATICS
from catalogs.manifest import Manifest
from catalogs.masters import MASTER, MATCHES, TRANSFORMS
from catalogs.motions import ZERO_POINTS, with_magnitudes
from catalogs.parquet import read_table, write_table
from catalogs.paths import calibration_path, field_path, frame_path, measurement_path, own_epsf_path
from catalogs.scales import SCALES
from catalogs.schema import Table
from catalogs.store import Store
from catalogs.tables import EXPOSURES, MEASUREMENTS

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "EXPOSURES_RECORD", "Catalog", "calibration_path", "check_place", "create_or_open", "field_path", "frame_path",
    "measurement_path", "open_catalog", "own_epsf_path", "read_part",
]  # fmt: skip

_MANIFEST = "catalog.json"
_EXPOSURES = "exposures/part-0.parquet"
EXPOSURES_RECORD = ".records/exposures.json"  # SHA-256 that EXPOSURES may have, two while it is replaced
_ENGINES = "piazzi.frames"
_KEYS = [key.name for key in MEASUREMENTS.keys]
_PLACE = [*_KEYS, "exposure"]  # what a path is made of


class Catalog:
    """An open catalog. Reading is always allowed; writing needs ``store.lock()``.

    Attributes
    ----------
    store
        Where the files are.
    manifest
        Content of ``catalog.json``.
    """

    def __init__(self, store: Store, manifest: Manifest):
        self.store, self.manifest = store, manifest

    def __repr__(self) -> str:
        return f"Catalog({self.store.url!r})"

    @property
    def exposures(self) -> pd.DataFrame:
        """EXPOSURES as they are now; no rows before the first ingest. Units are in ``attrs["units"]``."""
        if not self.store.exists(_EXPOSURES):
            return EXPOSURES.empty()
        try:
            with self.store.open(_EXPOSURES) as file:
                return read_table(file, EXPOSURES)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:  # what damaged bytes may lead to
            told = " ".join(f"{type(error).__name__}: {error}".split())
            raise CatalogError(f"{self.store.locate_url(_EXPOSURES)}: not readable ({told})") from None

    @property
    def measurements(self) -> Any:
        """MEASUREMENTS with the path keys as columns: a lazy frame, a partition per exposure.

        EXPOSURES tells which files belong, so a stage at work beside the reader never shows half its files.
        """
        rows = self._measured()
        paths = [measurement_path(row) for row in rows[_PLACE].to_dict("records")]
        keys = rows[_KEYS].to_dict("records")
        made_from = rows[["sha256", "measured_with", "corrected_with"]].to_csv(index=False).encode()
        return _engine()(paths, keys, MEASUREMENTS, self.store, _digest(made_from))

    def stars(self, exposure: str, detector: str | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """MEASUREMENTS of one exposure as a pandas frame, without an engine; `columns` picks and orders them.

        Raises
        ------
        CatalogError
            Where it has not been measured; without a `detector`, where several saw it.
        """
        rows = self._measured()
        rows = rows[(rows["exposure"] == exposure) & (True if detector is None else rows["detector"] == detector)]
        if len(rows) != 1:
            found = f"detectors {', '.join(rows['detector'])}" if len(rows) else "no such measured exposure"
            asked = " ".join(filter(None, [exposure, detector]))
            raise CatalogError(f"{self.store.url}: {asked}: found {found}, expected one")
        row = rows.iloc[0].to_dict()
        return read_part(measurement_path(row), row, MEASUREMENTS, self.store, columns)

    def _measured(self) -> pd.DataFrame:
        exposures = self.exposures
        return exposures[(exposures["status"] == "ok") & exposures["n_stars"].notna()]

    @property
    def master(self) -> Any:
        """MASTER frames of all fields, filters and epochs: a lazy frame, a partition per tile of sky."""
        return self._tree("master", "master frames", MASTER)

    @property
    def matches(self) -> Any:
        """MATCHES of all fields: a lazy frame, a partition per tile of sky or reference catalog."""
        return self._tree("matches", "matches", MATCHES)

    @property
    def transforms(self) -> Any:
        """TRANSFORMS of all fields: a lazy frame, a partition per field."""
        return self._tree("transforms", "transformations", TRANSFORMS)

    @property
    def scales(self) -> Any:
        """SCALES of all fields: a lazy frame, a partition per field and reference catalog."""
        return self._tree("scales", "pixel scales", SCALES)

    @property
    def motions(self) -> Any:
        """MOTIONS of all fields: a lazy frame, a partition per tile of sky; magnitudes in every filter of any field."""
        return self._tree("motions", "motions", self.motions_table)

    @property
    def motions_table(self) -> Table:
        """MOTIONS as declared, with a magnitude in every filter of any field."""
        some = {path.split("/")[1]: path for path in self.store.list("motions", ".parquet")}  # a file of each field
        names: set[str] = set()
        for path in some.values():
            with self.store.open(path) as file:
                names.update(pq.read_schema(file).names)
        filters = [name.removeprefix("mag_") for name in names if name.startswith("mag_")]
        return with_magnitudes(filters)

    @property
    def zero_points(self) -> Any:
        """ZERO_POINTS of the motions of all fields: a lazy frame, a partition per field."""
        return self._tree("zero_points", "zero points", ZERO_POINTS)

    @property
    def kinematics(self) -> Any:
        """KINEMATICS of all fields: a lazy frame, a partition per field."""
        return self._tree("kinematics", "kinematics", KINEMATICS)

    def epsf(self, instrument: str, detector: str, filter: str, mjd: float | None = None) -> "xr.Dataset":
        """The newest ePSF cube, of those valid at `mjd` if given; arrays are read when touched."""
        return self._cube("epsf", instrument, detector, filter, mjd)

    def distortion(self, instrument: str, detector: str, filter: str, mjd: float | None = None) -> "xr.Dataset":
        """The newest distortion cube, of those valid at `mjd` if given; arrays are read when touched."""
        return self._cube("distortion", instrument, detector, filter, mjd)

    def write_exposures(self, frame: pd.DataFrame) -> None:
        """Replace EXPOSURES, and the record of its digest; the order of `frame` does not matter."""
        order = ["program", "instrument", "detector", "exposure", "path"]
        frame = EXPOSURES.conform(frame).sort_values(order, kind="stable", na_position="last", ignore_index=True)
        table = io.BytesIO()
        write_table(frame, EXPOSURES, table)
        before = [self.store.sha256(_EXPOSURES)] if self.store.exists(_EXPOSURES) else []
        now = hashlib.sha256(table.getvalue()).hexdigest()
        self._record_exposures([*before, now])  # a kill may leave the old rows or the new ones
        self.store.commit(_EXPOSURES, lambda file: file.write(table.getvalue()))
        self._record_exposures([now])

    def _record_exposures(self, digests: Sequence[str]) -> None:
        text = json.dumps({"sha256": list(digests)}).encode()
        self.store.commit(EXPOSURES_RECORD, lambda file: file.write(text))

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace ``catalog.json``."""
        self.store.commit(_MANIFEST, lambda file: file.write(manifest.to_json()))
        self.manifest = manifest

    def _cube(self, *wanted: Any) -> "xr.Dataset":
        from catalogs.calibrations import newest_cube  # brings xarray, which tables do not need

        return newest_cube(self.store, *wanted)

    def _tree(self, folder: str, content: str, table: Table) -> Any:
        parts = self.parts(folder, table)
        if not parts:
            raise CatalogError(f"{self.store.url}: the catalog has no {content} yet")
        paths, values = zip(*parts, strict=True)
        return _engine()(list(paths), list(values), table, self.store, _digest(self.manifest.to_json()))

    def parts(self, folder: str, table: Table) -> list[tuple[str, dict[str, Any]]]:
        """Path and path keys of every file of a dataset, as `master` or `motions`; sorted by path."""
        numbers = [key.name for key in table.keys if key.dtype == "float64"]
        found = []
        for path in self.store.list(folder, ".parquet"):
            keys: dict[str, Any] = dict(part.split("=", 1) for part in path.split("/") if "=" in part)
            found.append((path, keys | {name: float(keys[name]) for name in numbers}))
        return found


def open_catalog(url: str | os.PathLike, storage_options: Mapping[str, Any] | None = None) -> Catalog:
    """Open a catalog to read.

    Parameters
    ----------
    url
        Local path, or URL of any kind that fsspec knows.
    storage_options
        What fsspec needs to reach it.

    Raises
    ------
    CatalogError
        Where there is no catalog, or one of a later format.
    """
    store = Store(url, storage_options)
    if not store.exists(_MANIFEST):
        raise CatalogError(f"no piazzi catalog at {url}")
    return _open(store)


def create_or_open(url: str | os.PathLike | Store, storage_options: Mapping[str, Any] | None = None) -> Catalog:
    """Open a catalog to write, made if there is none; CatalogError where other files are in the way.

    What is made while another process may do the same has to be made under ``store.lock()``: give the store.
    """
    store = url if isinstance(url, Store) else Store(url, storage_options)
    check_place(store)
    if store.exists(_MANIFEST):
        return _open(store)
    catalog = Catalog(store, Manifest())
    catalog.write_manifest(catalog.manifest)
    return catalog


def check_place(store: Store) -> None:
    """CatalogError unless there is a catalog, or nothing."""
    if store.exists(_MANIFEST):
        return
    if store.fs.isfile(store.root):
        raise CatalogError(f"{store.url} is a file, not a piazzi catalog")
    if others := store.list():
        raise CatalogError(f"{store.url} is no piazzi catalog and not empty: it holds {others[0]}")


def _open(store: Store) -> Catalog:
    return Catalog(store, Manifest.from_json(store.read_bytes(_MANIFEST), store.locate_url(_MANIFEST)))


def read_part(
    path: str, keys: Mapping[str, Any], table: Table, store: Store, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read one file of a table with its path keys as columns; `columns` picks and orders them."""
    with store.open(path) as file:
        frame = read_table(file, table, columns)
    for key in table.keys:
        frame[key.name] = pd.Series(keys[key.name], index=frame.index, dtype=key.pandas_dtype)
    return frame if columns is None else frame[list(columns)]


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def _engine() -> Callable[..., Any]:
    """The installed engine's ``lazy_table(paths, keys, table, store, version)``."""
    failure = "none is installed"
    for entry in sorted(entry_points(group=_ENGINES), key=lambda entry: entry.name):
        try:
            return entry.load()
        except ImportError as error:
            failure = f"{entry.name}: {error}"
    raise CatalogError(f"lazy frames need an engine ({failure}); install dask[dataframe] and distributed")
