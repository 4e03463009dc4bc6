"""One writer at a time, whatever becomes of it: killed, suspended, on another machine."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from catalogs import lease as leases
from catalogs.errors import CatalogError
from catalogs.lease import LEASE, Lease, Pace
from catalogs.store import Store

QUICK = Pace(0.05, 0.4)
HELD = "is being written by another process: .* on "

HOLDER = """
    import sys, time
    from catalogs.errors import CatalogError
    from catalogs.lease import Pace
    from catalogs.store import Store
    store = Store({url!r})
    try:
        with store.lock(pace=Pace(0.05, 0.4)):
            print("holds", flush=True)
            sys.stdin.readline()
            store.commit("late", lambda file: file.write(b"x"))
    except CatalogError as error:
        print(error, flush=True)
"""


@pytest.fixture
def holder(disk):
    """A process that holds the catalog until it is told to write, and gives it back."""
    code = textwrap.dedent(HOLDER.format(url=disk.url))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


def elsewhere(store, **changes):
    """A holder on another machine that gives no sign of life."""
    other = replace(Lease(store, "x").me, **({"machine": "another", "host": "far"} | changes))
    store.create(LEASE, other.to_json())
    return other


def leasing(store) -> set[str]:
    return {path.rsplit("/", 1)[-1] for path in store.fs.find(store.root)}


def test_lock__given_back_leaves_nothing(store):
    for _ in range(2):
        with store.lock():
            assert leasing(store) == {LEASE}
            assert store.list() == []
        assert leasing(store) == set()


def test_lock__a_second_is_told_by_whom(disk, holder):
    with pytest.raises(CatalogError, match=rf"lmc {HELD}.*at work since 20") as caught, disk.lock(pace=QUICK):
        pass
    assert f"process {holder.pid} on" in str(caught.value)
    out, _ = holder.communicate("\n")
    assert (out, leasing(disk)) == ("", {"late"})


def test_lock__waits_for_a_living_one_and_tells(disk, holder):
    said = []

    def tell(line):
        said.append(line)
        if len(said) == 3:
            holder.stdin.write("\n")
            holder.stdin.flush()

    with disk.lock(wait=True, tell=tell, pace=QUICK):
        assert disk.list() == ["late"]
    assert f"(process {holder.pid} on" in said[0]


def test_lock__killed_holder_is_followed_at_once(disk, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    start = time.monotonic()
    with disk.lock():  # at the usual pace, at which signs of life would be missed after a minute
        assert time.monotonic() - start < 30
        disk.sweep()
        disk.commit("a", lambda file: file.write(b"x"))
    assert leasing(disk) == {"a"}


def test_lock__suspended_holder_is_followed_and_writes_no_more(disk, holder):
    holder.send_signal(signal.SIGSTOP)
    with disk.lock(wait=True, pace=QUICK):
        holder.send_signal(signal.SIGCONT)
        out, _ = holder.communicate("\n")
        assert "this run stood still too long and" in out
        assert "took it over; it writes no more" in out
        assert disk.list() == []
        disk.commit("a", lambda file: file.write(b"x"))  # still ours
    assert leasing(disk) == {"a"}


def test_lock__quiet_holder_elsewhere_is_followed_after_a_while(store):
    other, said = elsewhere(store), []
    start = time.monotonic()
    with store.lock(tell=said.append, pace=QUICK):
        assert time.monotonic() - start >= QUICK.expiry
    assert said[0].endswith(f"waiting for a sign of {other}")
    assert leasing(store) == set()


def test_lock__living_holder_elsewhere_is_seen_by_its_beats(store, monkeypatch):
    with store.lock(pace=QUICK):
        monkeypatch.setattr(leases, "machine_here", lambda: "another")
        with pytest.raises(CatalogError, match=HELD), Store(store.url).lock(pace=QUICK):
            pass


def test_lock__number_of_a_dead_process_used_again(disk):
    me = Lease(disk, "x").me
    assert me.machine, "needs /proc"
    disk.create(LEASE, replace(me, born="1").to_json())
    with disk.lock():
        pass
    assert leasing(disk) == set()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", json.dumps({"owner": "x", "more": 1}).encode()])
def test_lock__damaged_record_is_followed_after_a_while(store, content):
    store.create(LEASE, content)
    with store.lock(pace=QUICK):
        pass
    assert leasing(store) == set()


def test_lock__one_of_many_follows(store):
    elsewhere(store)
    inside, most, done, guard = [0], [0], [], threading.Lock()

    def follow():
        with Store(store.url).lock(wait=True, pace=QUICK):
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            with guard:
                inside[0] -= 1
            done.append(1)

    threads = [threading.Thread(target=follow) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(done), most[0]) == (6, 1)
    assert leasing(store) == set()


def test_lock__follower_that_died_before_its_first_beat_is_followed_too(store):
    first = elsewhere(store)
    second = replace(Lease(store, "x").me, machine="another")
    store.create(f"{LEASE}-after-{first.owner}", second.to_json())
    with store.lock(pace=QUICK):
        store.commit("a", lambda file: file.write(b"x"))
    assert leasing(store) == {"a"}


def test_lock__removed_by_hand_is_no_longer_held(store):
    with store.lock():
        store.drop(LEASE)
        with pytest.raises(CatalogError, match="its lease was removed"):
            store.commit("a", lambda file: file.write(b"x"))
    assert leasing(store) == set()


def test_lock__every_way_of_writing_is_guarded(store):
    store.commit("a", lambda file: file.write(b"x"))
    with store.lock():
        store.drop(LEASE)
        for write in (
            lambda: store.commit("b", lambda file: file.write(b"x")),
            lambda: store.commit_tree("c", lambda folder: Path(folder, "d").touch()),
            lambda: store.publish("a", "b"),
            lambda: store.remove("a"),
        ):
            with pytest.raises(CatalogError, match="writes no more"):
                write()
    assert leasing(store) == {"a"}


def test_create__one_of_many(store):
    made = []
    threads = [
        threading.Thread(target=lambda n=n: store.create("a", str(n).encode()) and made.append(n)) for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(n).encode() for n in made] == [store.get("a")]
    assert leasing(store) == {"a"}


def test_create__again_what_is_there_already(store):
    assert store.create("a", b"1")
    assert store.create("a", b"1")  # as a network does that lost the answer
    assert not store.create("a", b"2")


def test_create__without_links(disk, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    disk.put("b", b"")
    monkeypatch.setattr(os, "link", refuse)
    assert disk.create("a", b"1")
    assert not disk.create("a", b"2")
    assert leasing(disk) == {"a", "b"}
