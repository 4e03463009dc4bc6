"""HATS catalogs: folders of Parquet files, one for each of some HEALPix pixels."""

import csv
from collections.abc import Mapping

from catalogs.errors import UnusableError
from catalogs.store import Store

__all__ = ["Hats", "open_hats"]

_PROPERTIES = ("hats.properties", "properties")
_COLLECTION = "collection.properties"


class Hats:
    """A HATS catalog.

    Attributes
    ----------
    store
        Its root.
    properties
        Content of ``hats.properties``.
    """

    def __init__(self, store: Store, properties: Mapping[str, str]):
        self.store, self.properties = store, properties

    @property
    def columns(self) -> dict[str, str]:
        """Names of the columns that the catalog itself declares: of `ra` and `dec`."""
        names = {"ra": self.properties.get("hats_col_ra"), "dec": self.properties.get("hats_col_dec")}
        return {name: column for name, column in names.items() if column}

    @property
    def n_rows(self) -> int | None:
        """How many rows the whole catalog has; None where it does not tell."""
        text = self.properties.get("hats_nrows", "")
        return int(text) if text.isdigit() else None

    def leaves(self, place: str) -> list[str]:
        """Paths of the files inside the store, in order; UnusableError where a pixel has none."""
        paths = [path for path in self.store.list("dataset", (".parquet", ".parq")) if "/Npix=" in path]
        found = {(_key(path, "Norder"), _key(path, "Npix")) for path in paths}
        if self.store.exists("partition_info.csv"):
            rows = csv.DictReader(self.store.read_bytes("partition_info.csv").decode().splitlines())
            wanted = {(row["Norder"].strip(), row["Npix"].strip()) for row in rows}
            if lost := sorted(wanted - found):
                order, pixel = lost[0]
                first = f"{len(lost)} of {len(wanted)} pixels without a file, first Norder {order} Npix {pixel}"
                raise UnusableError(f"{place}/dataset", first, "a file for each row of partition_info.csv")
        if not paths:
            raise UnusableError(f"{place}/dataset", "no file", "Norder=*/Dir=*/Npix=*.parquet")
        return sorted(paths, key=lambda path: (int(_key(path, "Norder")), int(_key(path, "Npix")), path))

    @property
    def schema_path(self) -> str | None:
        """File with the schema of all, if there is one."""
        path = "dataset/_common_metadata"
        return path if self.store.exists(path) else None


def open_hats(store: Store, place: str) -> Hats | None:
    """The HATS catalog at a store's root, or the main one of a collection there; None where neither is."""
    if store.exists(_COLLECTION):
        main = _properties(store, _COLLECTION).get("hats_primary_table_url", "")
        try:
            inner = Store(store.locate_url(main), store.storage_options)
        except ValueError:
            raise UnusableError(
                f"{place}/{_COLLECTION}", repr(main), "hats_primary_table_url, a folder in it"
            ) from None
        return open_hats(inner, f"{place}/{main}")
    for name in _PROPERTIES:
        if store.exists(name):
            properties = _properties(store, name)
            kind = properties.get("dataproduct_type", "object")
            if kind not in ("object", "source"):
                raise UnusableError(f"{place}/{name} dataproduct_type", repr(kind), "object or source")
            return Hats(store, properties)
    return None


def _properties(store: Store, path: str) -> dict[str, str]:
    lines = (line.strip() for line in store.read_bytes(path).decode().splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#!")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _key(path: str, name: str) -> str:
    """Value of ``name=value`` in a path."""
    part = next((part for part in path.split("/") if part.startswith(f"{name}=")), "")
    return part.removeprefix(f"{name}=").partition(".")[0]
