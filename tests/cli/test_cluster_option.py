"""``--cluster`` as it is typed: what names none is told before a catalog is made or anything is waited for."""

import asyncio

import dask
import pytest

from compute.graph.clusters import check_cluster
from compute.graph.clusters.joining import _reason

_NONE = ["tcp://nonsense", "tcp://host:x", "tcp://:8786", "tcp://host:8786/x", "http://host:8786", "slrum", "none.json"]


@pytest.mark.parametrize("cluster", _NONE)
def test_cluster__that_is_none_makes_no_catalog(piazzi, clustered, frames, tmp_path, cluster):
    ended = piazzi("ingest", tmp_path / "lmc", frames[0], "--cluster", cluster)
    assert (ended.code, ended.out) == (2, "")
    expected = "local, slurm, kubernetes, tcp://host:port, tls://host:port or an existing scheduler file"
    assert ended.err == f"piazzi: --cluster: found {cluster!r}, expected {expected}\n"
    assert not clustered
    assert not (tmp_path / "lmc").exists()


def test_cluster__file_or_encryption_that_cannot_be_used(piazzi, clustered, frames, tmp_path):
    (tmp_path / "s.json").write_text("{}")
    with dask.config.set({"distributed.comm.require-encryption": True}):
        for cluster, found in ((tmp_path / "s.json", "a file without"), ("tcp://here:1", "tcp://here:1, which is not")):
            ended = piazzi("ingest", tmp_path / "lmc", frames[0], "--cluster", cluster)
            assert ended.code == 2
            assert f"--cluster {cluster}: found {found}" in ended.err
    assert not (tmp_path / "lmc").exists()


@pytest.mark.parametrize("cluster", ["local", "slurm", "kubernetes", "tcp://host:8786", "tcp://[::1]:8786"])
def test_cluster__that_there_may_be(cluster):
    check_cluster(cluster)


def test_reason__is_the_deepest_that_says_something():
    error, bottom = OSError("Timed out trying\nto connect"), asyncio.CancelledError()
    error.__cause__ = bottom
    assert _reason(error) == "Timed out trying to connect"
    bottom.__cause__ = OSError("Name or service not known")
    assert _reason(error) == "Name or service not known"
    assert _reason(TimeoutError()) == "TimeoutError"
