"""Catalogs of sources known beforehand, for frames and matches: any format in, one set of columns out.

from catalogs.references import read_reference
reference = read_reference("gaia.parquet")
reference.sources, reference.removed, reference.notes
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalogs.references.read import Reference, read_reference

__all__ = ["Reference", "read_reference"]


def __getattr__(name: str) -> object:
    # Resolved when asked for: settings want Gaia's rules and not pyarrow.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import catalogs.references.read

    return getattr(catalogs.references.read, name)
