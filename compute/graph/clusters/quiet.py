"""Clusters that end without a word: what processes log while they leave each other is of no use to anybody."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, WorkerPlugin

_LOGGERS = ("distributed", "distributed.client", "distributed.worker", "distributed.nanny", "tornado.application")


def hush() -> None:
    """Log nothing more about the cluster."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@contextmanager
def quiet_end() -> Iterator[None]:
    """Give this process its log levels back once whatever was hushed within has ended."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


class QuietEnd(WorkerPlugin):
    """Hush a worker that closes."""

    name = "piazzi-quiet-end"

    def teardown(self, worker) -> None:
        """Called first thing when a worker closes."""
        hush()


@contextmanager
def leaving_quietly() -> Iterator[None]:
    """Put inside the context of a client: closing it, also after its scheduler was lost, is not logged."""
    try:
        yield
    finally:
        hush()


@contextmanager
def ending_quietly(client: Client) -> Iterator[Client]:
    """A client of a cluster that was started for it; put inside the contexts of both."""
    client.register_plugin(QuietEnd())
    with leaving_quietly():
        yield client
