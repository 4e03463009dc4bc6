"""The command line in this process, on a cluster that is already there."""

import contextlib
import sys
from collections import namedtuple

import pytest

from cli.main import main
from compute.graph import client as clusters
from tests.graph.running import client, frames, measured, own_frames, whole

__all__ = ["client", "frames", "measured", "own_frames", "whole"]

Ended = namedtuple("Ended", "code out err")


@pytest.fixture
def piazzi(monkeypatch, capsys):
    """Run one command; gives exit code, standard output and standard error."""

    def run(*words) -> Ended:
        monkeypatch.setattr(sys, "argv", ["piazzi", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Ended(0 if code is None else code, *capsys.readouterr())

    return run


@pytest.fixture
def clustered(client, monkeypatch):
    """Commands use the cluster of the tests in place of one of their own; tells what they asked for."""
    asked = []

    @contextlib.contextmanager
    def connect(cluster="local", workers=None, timeout=60.0, kernels=()):
        asked.append((cluster, workers))
        yield client

    monkeypatch.setattr(clusters, "connect", connect)
    return asked
