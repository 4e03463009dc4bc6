"""Rows, a small catalog and an object store for the tests of tables, store and catalog."""

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from sample import fill, make_stars

from catalogs.catalog import create_or_open
from catalogs.store import Store


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


@pytest.fixture(params=["disk", "object store"])
def store(request, tmp_path, memory_url):
    return Store(tmp_path / "lmc" if request.param == "disk" else memory_url)


@pytest.fixture
def disk(tmp_path):
    return Store(tmp_path / "lmc")
