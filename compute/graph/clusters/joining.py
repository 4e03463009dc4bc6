"""A cluster that is running already, found by address or scheduler file."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from distributed import Client, Security

from catalogs.errors import PiazziError, UnusableError
from compute.graph.clusters import defaults
from compute.graph.clusters.probe import spoken
from compute.graph.clusters.quiet import leaving_quietly
from compute.graph.clusters.security import configured, required

_EXPECTED = "local, slurm, kubernetes, tcp://host:port, tls://host:port or an existing scheduler file"
_FIRST = 10.0  # seconds of trying before we look whether the other side speaks as we do


@contextmanager
def joined(cluster: str, timeout: float | None = None) -> Iterator[Client]:
    """A client of a running scheduler, once it has a worker.

    Raises
    ------
    PiazziError
        If the scheduler cannot be reached in `timeout` seconds, or has no worker then.
    """
    timeout = defaults.seconds("timeout") if timeout is None else timeout
    where, (address, security) = f"--cluster {cluster}", located(cluster)
    with _connected(where, address, security, timeout) as client, leaving_quietly():
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError:
            raise PiazziError(f"{where}: no worker joined within {timeout:.0f} s") from None
        yield client


def located(cluster: str) -> tuple[str, Security | None]:
    """Address of a scheduler, and credentials where it is encrypted; nothing is connected.

    Raises
    ------
    PiazziError
        If `cluster` is neither an address nor a scheduler file, or its certificates cannot be used.
    """
    address, where = _checked(cluster) if "://" in cluster else _address(cluster), f"--cluster {cluster}"
    if address.startswith("tls://"):
        return address, configured(where)
    if required():
        raise UnusableError(where, f"{address}, which is not encrypted", "tls://, for Dask's configuration requires it")
    return address, None


def _checked(address: str) -> str:
    """An address as it was given, with a protocol we speak, a host and a port."""
    try:
        parts = urlsplit(address)
        if parts.scheme in ("tcp", "tls") and parts.hostname and parts.port and not parts.path:
            return address
    except ValueError:  # a port that is none
        pass
    raise PiazziError(f"--cluster: found {address!r}, expected {_EXPECTED}")


def _address(file: str) -> str:
    """The address a scheduler wrote into its file."""
    if not Path(file).is_file():
        raise PiazziError(f"--cluster: found {file!r}, expected {_EXPECTED}")
    try:
        return str(json.loads(Path(file).read_text("utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UnusableError(f"--cluster {file}", "a file without an address", "one that a scheduler wrote") from None


def _connected(where: str, address: str, security: Security | None, timeout: float) -> Client:
    """Connect; an error tells what is in the way, and early where waiting cannot help."""
    until = time.monotonic() + timeout
    while True:
        left = max(until - time.monotonic(), 0.1)
        try:
            return Client(address, timeout=min(left, _FIRST), security=security)
        except (OSError, ValueError, RuntimeError) as error:
            scheme, found = address.partition("://")[0], spoken(address)
            if found and found != scheme:
                raise UnusableError(where, f"a scheduler that speaks {found}://", f"{scheme}://") from error
            why = _reason(error)
            refused = "certificate" in why.lower()
            if refused or not isinstance(error, OSError) or time.monotonic() >= until:
                raise PiazziError(f"{where}: no scheduler answers ({why})") from error


def _reason(error: BaseException) -> str:
    """What lies at the bottom of an error, in one line; what was merely cancelled there says nothing."""
    why = " ".join(str(error).split()) or type(error).__name__
    while error.__cause__ is not None:
        error = error.__cause__
        why = " ".join(str(error).split()) or why
    return why
