"""The lease on an object store that many use at once."""

import threading
import time
import uuid
from dataclasses import replace

import pytest

from catalogs.errors import CatalogError
from catalogs.lease import LEASE, Lease, Pace
from catalogs.store import Store

s3fs = pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")

PACE = Pace(0.2, 1.5)


@pytest.fixture
def bucket(monkeypatch):
    known = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**known, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    found = {"endpoint_url": f"http://{host}:{port}"}
    bucket = uuid.uuid4().hex
    s3fs.S3FileSystem(**found).mkdir(bucket)
    yield bucket, found
    running.stop()


@pytest.fixture
def store(bucket):
    return Store(f"s3://{bucket[0]}/lmc", bucket[1])


def other(store):
    return Store(store.url, store.storage_options)


def names(store):
    store.fs.invalidate_cache()
    return [path.rsplit("/", 1)[1] for path in store.fs.find(store.root)]


def together(*calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_lock__one_at_a_time_and_nothing_left(store):
    with store.lock(pace=PACE):
        with pytest.raises(CatalogError, match="is being written by another process"), other(store).lock(pace=PACE):
            pass
        store.commit("a", lambda file: file.write(b"1"))
        assert store.list() == ["a"]
    assert names(store) == ["a"]


def test_create__one_of_many(store):
    made = []
    together(*(lambda n=n: other(store).create("x", str(n).encode()) and made.append(n) for n in range(16)))
    assert [str(n).encode() for n in made] == [store.get("x")]


def test_lock__one_follows_a_dead_holder_elsewhere_and_then_the_next(store):
    store.create(LEASE, replace(Lease(store, "x").me, machine="another").to_json())
    inside, most, done = [], [], []

    def follow():
        with other(store).lock(wait=True, pace=PACE):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()
            done.append(1)

    together(*[follow] * 4)
    assert (len(done), max(most)) == (4, 1)
    assert names(store) == []
