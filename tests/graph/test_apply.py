"""Tasks on the cluster: every key has its outcome, whatever becomes of the task."""

import errno
import time

import pytest
from distributed import Client

from catalogs.errors import FailedError
from compute.graph.apply import apply, run_all


def double(value):
    return 2 * value


def slow_first(value):
    time.sleep(0.2 if value == 1 else 0)
    return value


def fail_on_three(value):
    if value == 3:
        raise ValueError("three\nis not a number here")
    return value


def test_apply__every_key_has_its_own_result(client):
    outcomes = list(apply(client, "s", double, {f"k{i}": (i,) for i in range(7)}))
    assert {o.key: o.result for o in outcomes} == {f"k{i}": 2 * i for i in range(7)}
    assert not any(o.failure for o in outcomes)


def test_apply__outcomes_come_as_tasks_end(client):
    keys = [o.key for o in apply(client, "s", slow_first, {"first": (1,), "second": (2,)})]
    assert keys == ["second", "first"]


def test_apply__nothing_to_do(client):
    assert list(apply(client, "s", double, {})) == []


def test_apply__an_exception_is_an_outcome_in_one_line(client):
    outcomes = {o.key: o for o in apply(client, "s", fail_on_three, {f"k{i}": (i,) for i in range(5)})}
    assert outcomes.pop("k3") == ("k3", None, "s: found ValueError: three is not a number here, expected no error")
    assert {key: o.result for key, o in outcomes.items()} == {"k0": 0, "k1": 1, "k2": 2, "k4": 4}


def test_apply__an_exception_is_tried_again(client, tmp_path):
    def fail_twice():
        tries = len(list(tmp_path.iterdir()))
        (tmp_path / str(tries)).touch()
        if tries < 2:
            raise OSError("busy")
        return tries

    (outcome,) = apply(client, "s", fail_twice, {"k": ()})
    assert (outcome.result, outcome.failure) == (2, None)


def test_apply__progress_counts_to_the_total(client):
    told = []
    list(apply(client, "s", double, {"a": (1,), "b": (2,), "c": (3,)}, progress=lambda *now: told.append(now)))
    assert [now[:3] for now in told] == [("s", 1, 3), ("s", 2, 3), ("s", 3, 3)]
    assert {now[3] for now in told} == {"a", "b", "c"}


def test_apply__an_abandoned_call_leaves_nothing_to_the_next(client):
    abandoned = apply(client, "s", double, {"a": (1,), "b": (2,)})
    next(abandoned)
    assert {o.key: o.result for o in apply(client, "s", slow_first, {"a": (10,), "b": (20,)})} == {"a": 10, "b": 20}


def test_apply__two_clients_of_one_scheduler_do_not_mix(client):
    with Client(client.scheduler.address, set_as_default=False) as neighbour:
        theirs = apply(neighbour, "s", slow_first, {"a": (1,), "b": (2,)})
        assert next(theirs).key == "b"
        (ours,) = apply(client, "s", double, {"a": (21,)})
        assert (ours.result, next(theirs).result) == (42, 1)


@pytest.mark.parametrize("retries", [0, 1])
def test_apply__retries_are_counted(client, tmp_path, retries):
    def fail():
        (tmp_path / str(time.monotonic_ns())).touch()
        raise ValueError("never")

    (outcome,) = apply(client, "s", fail, {"k": ()}, retries=retries)
    assert outcome.failure
    assert len(list(tmp_path.iterdir())) == retries + 1


def test_apply__a_full_disk_ends_the_run(client):
    def write(value):
        raise OSError(errno.ENOSPC, "No space left on device", f"{value}.parquet")

    with pytest.raises(OSError, match="^measure: the disk is full .*; make room and run the same command again"):
        list(apply(client, "measure", write, {"a": (1,)}))


def test_run_all__what_failed_is_told_once_all_have_ended(client):
    done = []
    with pytest.raises(FailedError) as caught:
        run_all(client, "s", fail_on_three, {f"k{i}": (i,) for i in (1, 3, 5)}, lambda *now: done.append(now))
    assert str(caught.value) == "k3: s: found ValueError: three is not a number here, expected no error"
    assert len(done) == 3
