"""Nouns: what the data are and how they rest on disk.

from catalogs import open_catalog
catalog = open_catalog("lmc")
catalog.measurements[["x", "y", "mag"]].compute()
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalogs.catalog import Catalog, open_catalog

__all__ = ["Catalog", "open_catalog"]


def __getattr__(name: str) -> object:
    # Resolved when asked for, so that a program that only wants flags or errors does not wait for pandas.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import catalogs.catalog

    return getattr(catalogs.catalog, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
