"""A catalog on an object store holds the same bytes as one on a disk."""

import hashlib

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from catalogs import open_catalog
from tests.graph.running import FAST, OTHER, enter, tree


@pytest.fixture
def url():
    def wipe():
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]

    wipe()
    yield "memory://bucket/lmc"
    wipe()


def digests(store) -> dict[str, str]:
    return {path: hashlib.sha256(store.read_bytes(path)).hexdigest() for path in store.list()}


def on_disk(folder):
    return tree(folder)


def test_memory__same_files_as_on_a_disk(client, frames, whole, url):
    _, entered, measured = enter(url, client, frames)
    assert (entered.done, measured.done) == (3, 3)
    catalog = open_catalog(url)
    assert digests(catalog.store) == on_disk(whole)
    assert len(catalog.measurements.compute()) == catalog.exposures["n_stars"].sum() > 60
    assert list(catalog.exposures["status"]) == ["ok"] * 3


def test_memory__goes_on_where_it_stopped_and_replaces(client, frames, whole, url):
    def die(stage, done, total, key):
        if (stage, done) == ("measure", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enter(url, client, frames, progress=die)
    assert open_catalog(url).exposures["n_stars"].isna().all()
    _, entered, measured = enter(url, client, frames)
    assert (entered.skipped, measured.done) == (3, 3)
    assert enter(url, client, frames)[2].skipped == 3
    assert digests(open_catalog(url).store) == on_disk(whole)
    assert enter(url, client, frames[:1], OTHER)[2].done == 1
    assert enter(url, client, frames[:1], FAST)[2].done == 1
    assert digests(open_catalog(url).store) == on_disk(whole)


def test_memory__frames_may_be_there_too(client, frames, url):
    for frame in frames[:2]:
        with open(frame, "rb") as file:
            MemoryFileSystem().pipe_file(f"/bucket/data/{frame.rsplit('/', 1)[1]}", file.read())
    files = [f"memory://bucket/data/{frame.rsplit('/', 1)[1]}" for frame in frames[:2]]
    catalog, _, measured = enter(url, client, files)
    assert (measured.done, list(catalog.exposures["path"])) == (2, files)
