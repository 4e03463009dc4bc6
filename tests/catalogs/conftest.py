"""Rows, a small catalog and an object store for the tests of tables, store and catalog."""

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from sample import fill, make_stars

from catalogs.catalog import create_or_open


@pytest.fixture
def stars():
    return make_stars()


@pytest.fixture
def catalog(tmp_path):
    return fill(create_or_open(tmp_path / "lmc"))


@pytest.fixture
def memory_url():
    """A fresh place on the in-memory object store."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield "memory://bucket/lmc"
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
