"""Files appear whole or not at all, here and on an object store, and never outside the catalog."""

import os
import pickle
import subprocess
import sys
import textwrap

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import CatalogError
from catalogs.store import Store


def put(store, path, content=b"x"):
    store.commit(path, lambda file: file.write(content))


def fill_zarr(folder, marker="1"):
    os.makedirs(f"{folder}/epsf/c")
    for name in ("zarr.json", "epsf/zarr.json", "epsf/c/0"):
        with open(f"{folder}/{name}", "w") as file:
            file.write(marker)


def test_commit__content_returns_and_is_replaced(store):
    put(store, "a/b.parquet", b"one")
    put(store, "a/b.parquet", b"two")
    assert store.read_bytes("a/b.parquet") == b"two"
    with store.open("a/b.parquet") as file:
        assert file.read() == b"two"
    assert store.list() == ["a/b.parquet"]


def test_commit__a_writer_that_fails_leaves_the_old_file_and_nothing_else(store):
    put(store, "a/b", b"old")

    def fail(file):
        file.write(b"half")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        store.commit("a/b", fail)
    assert store.read_bytes("a/b") == b"old"
    assert [path for path in store.fs.find(store.root) if not path.endswith("a/b")] == []


def test_commit__nothing_is_visible_while_writing(disk):
    seen = []
    disk.commit("a/b", lambda file: seen.append((disk.exists("a/b"), disk.list())))
    assert seen == [(False, [])]


def test_commit_tree__appears_whole_and_is_replaced_whole(store):
    store.commit_tree("cubes/a.zarr", fill_zarr)
    store.commit_tree("cubes/a.zarr", lambda folder: open(f"{folder}/zarr.json", "w").close())
    assert store.list("cubes") == ["cubes/a.zarr/zarr.json"]


def test_commit_tree__a_writer_that_fails_leaves_the_old_folder(store):
    store.commit_tree("a.zarr", fill_zarr)

    def fail(folder):
        fill_zarr(folder, marker="2")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        store.commit_tree("a.zarr", fail)
    assert store.read_bytes("a.zarr/epsf/c/0") == b"1"
    assert len(store.fs.find(store.root)) == 3


def test_commit_tree__root_metadata_comes_last_on_an_object_store(memory_url, monkeypatch):
    uploaded = []
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", lambda self, path, value, **_: uploaded.append(path))
    Store(memory_url).commit_tree("a.zarr", fill_zarr)
    assert [path.split("a.zarr/")[1] for path in uploaded] == ["epsf/c/0", "epsf/zarr.json", "zarr.json"]


def test_publish__moves_a_finished_file(store):
    put(store, ".staging/measure/1.parquet", b"stars")
    put(store, "measurements/program=1/a.parquet", b"older")
    store.publish(".staging/measure/1.parquet", "measurements/program=1/a.parquet")
    store.publish("measurements/program=1/a.parquet", "measurements/program=2/a.parquet")
    assert store.list() == ["measurements/program=2/a.parquet"]
    assert store.read_bytes("measurements/program=2/a.parquet") == b"stars"


def test_list__sorted_by_prefix_and_suffix(store):
    for path in ("b/2.parquet", "b/1.parquet", "b/1.json", "bb/3.parquet"):
        put(store, path)
    assert store.list("b", ".parquet") == ["b/1.parquet", "b/2.parquet"]
    assert store.list(suffix=(".json", "3.parquet")) == ["b/1.json", "bb/3.parquet"]
    assert store.list("absent") == []


def test_remove__files_and_folders(store):
    store.commit_tree("a.zarr", fill_zarr)
    put(store, "b")
    store.remove("b")
    store.remove("a.zarr")
    assert store.list() == []
    assert not store.exists("a.zarr")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../a", "a/../../b", "a//b", "", ".", "a/", "a/./b", "a\\..\\b", "a\0"]
)
def test_path__outside_the_catalog_is_refused(store, path):
    for use in (store.read_bytes, store.exists, store.remove, lambda path: put(store, path)):
        with pytest.raises(ValueError, match="is no path inside"):
            use(path)


@given(st.text(st.sampled_from("./a\\ ~"), max_size=8))
def test_path__whatever_is_accepted_stays_below_the_root(path):
    store = Store("/srv/lmc")
    try:
        full = store.locate(path)
    except ValueError:
        return
    assert os.path.normpath(full) == full
    assert full.startswith("/srv/lmc/")


def test_store__pickles_and_reads_from_another_folder(disk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = Store("lmc")
    put(disk, "a", b"1")
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(relative)).read_bytes("a") == b"1"


def test_store__credentials_are_not_printed(memory_url):
    store = Store(memory_url, {"secret": "hush"})
    assert "hush" not in repr(store)
    assert pickle.loads(pickle.dumps(store)).storage_options == {"secret": "hush"}


def test_locate_url__other_libraries_can_open_it(store):
    import fsspec

    put(store, "a/b", b"1")
    with fsspec.open(store.locate_url("a/b"), "rb") as file:
        assert file.read() == b"1"


def test_lock__a_second_writer_is_told_which_catalog(disk):
    with disk.lock(), pytest.raises(CatalogError, match=r"lmc is being written by another process"), disk.lock():
        pass
    with disk.lock():  # free again
        put(disk, "a")
    assert disk.list() == ["a"]


def test_lock__ends_with_the_process_that_held_it(disk):
    code = f"import os\nfrom catalogs.store import Store\nwith Store({disk.url!r}).lock():\n    os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    with disk.lock():
        pass


def test_sweep__a_killed_writer_leaves_nothing_visible_and_is_swept(disk):
    code = textwrap.dedent(f"""
        import os, signal
        from catalogs.store import Store
        store = Store({disk.url!r})
        def stop(target):
            with (open(target + "/part", "wb") if isinstance(target, str) else target) as file:
                file.write(b"half")
                file.flush()
                if isinstance(target, str) or not os.fork():
                    os.kill(os.getpid(), signal.SIGKILL)
            os.wait()
            store.commit_tree("cubes/a.zarr", stop)
        store.commit("measurements/a.parquet", stop)
    """)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    put(disk, "measurements/b.parquet")
    assert disk.list() == ["measurements/b.parquet"]
    assert disk.sweep() == 2
    assert list(disk.fs.find(disk.root)) == [f"{disk.root}/measurements/b.parquet"]
    assert disk.sweep() == 0


def test_sweep__a_folder_whose_replacement_was_cut_short_comes_back(disk, monkeypatch):
    disk.commit_tree("a.zarr", fill_zarr)
    os.rename(f"{disk.root}/a.zarr", f"{disk.root}/.old-a.zarr")  # as far as a killed writer came
    assert disk.list() == []
    disk.sweep()
    assert disk.read_bytes("a.zarr/zarr.json") == b"1"
