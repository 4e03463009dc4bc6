"""Who holds a lease: a process, told so that others can see whether it still runs."""

import hashlib
import json
import os
import socket
import sys
import time
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Holder", "born", "machine_here"]


@dataclass(frozen=True)
class Holder:
    """One that holds or held a lease.

    `machine` is what processes share that see each other's numbers, `pid`, and clock; `clock` [s] is on that clock.
    """

    owner: str
    host: str = "an unknown host"
    machine: str = ""
    pid: int = 0
    born: str = ""
    command: str = "a process"
    since: str = "an unknown time"
    clock: float = 0.0
    released: bool = False

    @classmethod
    def here(cls) -> "Holder":
        """The process that asks."""
        command = " ".join([Path(sys.argv[0]).name, *(word for word in sys.argv[1:2] if word.isalpha())])
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        pid, machine = os.getpid(), machine_here()
        began = born(pid) or ""
        return cls(uuid.uuid4().hex, socket.gethostname(), machine, pid, began, command, since, time.monotonic())

    @classmethod
    def parse(cls, content: bytes) -> "Holder":
        """A record as it was written; damaged ones are holders of whom only that is known."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError):
            return cls(hashlib.sha256(content).hexdigest()[:32])

    def to_json(self) -> bytes:
        """The record, as of now."""
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return json.dumps(asdict(replace(self, since=since, clock=time.monotonic())), sort_keys=True).encode()

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid} on {self.host}, at work since {self.since})"


def machine_here() -> str:
    """What processes have in common that see each other: one boot of one kernel, and the same namespaces."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return " ".join([boot, *(os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "time"))])
    except OSError:  # not Linux: only signs of life tell
        return ""


def born(pid: int) -> str | None:
    """When a process began, empty when it has ended, None where that is hidden.

    Numbers are used again, and this tells.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended, or this process may not see it: /proc can hide those of other users (hidepid)
        return None if _there(pid) else ""
    return "" if fields[0] in "ZX" else fields[19]


def _there(pid: int) -> bool:
    """Whether a process has this number, of whatever user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
