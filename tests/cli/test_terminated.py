"""SIGTERM, as batch systems send it: the catalog is given back."""

import contextlib
import os
import signal

from compute.graph import client as clusters


def test_terminated__gives_the_catalog_back(piazzi, frames, tmp_path, monkeypatch):
    left, lmc = [], tmp_path / "lmc"

    @contextlib.contextmanager
    def connect(*_, **__):
        try:
            assert list(lmc.glob(".lease*"))
            os.kill(os.getpid(), signal.SIGTERM)
            yield
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # impatience does not keep it from clearing up
            left.append("cluster")

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(clusters, "connect", connect)
    ended = piazzi("ingest", lmc, frames[0])
    assert (ended.code, ended.out, ended.err) == (143, "", "")
    assert left == ["cluster"]
    assert not list(lmc.glob(".lease*"))
    assert signal.getsignal(signal.SIGTERM) == before
