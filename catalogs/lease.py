"""Who writes a catalog: a lease whose holder gives signs of life, and which others take over once there are none.

The lease is a chain of small files, each made exclusively and never changed: ``.lease`` names its first holder,
``.lease-after-X`` whoever took over from X. The last of the chain holds it. A holder that has been taken over, however
long it was suspended, can therefore never put itself back: it finds a successor to its own name. Signs of life stand
apart, in ``.lease-beat-X``, which only X writes. Of several that find a holder dead one makes the next file, and to
give a lease back is to make that file oneself.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple, Protocol

from catalogs.errors import CatalogError
from catalogs.holder import Holder, born, machine_here

__all__ = ["LEASE", "Lease", "Pace", "Tell"]

LEASE = ".lease"  # all files of a lease begin so
_AFTER, _BEAT = f"{LEASE}-after-", f"{LEASE}-beat-"

Tell = Callable[[str], object]


class Pace(NamedTuple):
    """Seconds between signs of life, and without one until a holder counts as dead."""

    beat: float = 10.0
    expiry: float = 60.0


class Files(Protocol):
    """What a lease needs of the place it is kept in."""

    def create(self, relative: str, content: bytes) -> bool:
        """Make a file unless it is there; whether it was made. Of several callers one succeeds."""

    def put(self, relative: str, content: bytes) -> None:
        """Make or replace a file."""

    def get(self, relative: str) -> bytes | None:
        """Content of a file as of now, None without one."""

    def drop(self, relative: str) -> None:
        """Remove a file if it is there."""


class Lease:
    """The right to write, of one process at a time.

    Parameters
    ----------
    files
        Where it is kept.
    place
        What it is for, in messages.
    pace
        How often it is renewed and when it is lost; the same for all that share a place.
    """

    def __init__(self, files: Files, place: str, pace: Pace | None = None):
        self.files, self.place, self.pace = files, place, pace or Pace()
        self.me = Holder.here()
        self._end = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="piazzi-lease", daemon=True)

    def acquire(self, wait: bool = False, tell: Tell | None = None) -> None:
        """Become the holder.

        Parameters
        ----------
        wait
            Wait for as long as another is alive. Otherwise only as long as it takes to see that it is: at most one beat
            where it runs on another machine, at once on this one.
        tell
            Called again and again with a line that says what is waited for.

        Raises
        ------
        CatalogError
            Unless `wait`, where another is alive.
        """
        watch = _Watch(self.pace)
        while not self.files.create(LEASE, self.me.to_json()):
            chain = self._chain()
            if not chain:
                time.sleep(0.01)  # given back in between
                continue
            holder = chain[-1]
            alive = watch.look(holder, self.files.get(f"{_BEAT}{holder.owner}"))
            if alive is False:
                if self._succeed(holder):
                    break
                continue
            if alive and not wait:
                raise CatalogError(f"{self.place} is being written by another process: {holder}; --wait waits for it")
            if tell:
                tell(
                    f"{self.place}: waiting for {holder}" if alive else f"{self.place}: waiting for a sign of {holder}"
                )
            time.sleep(min(1.0, self.pace.beat / 10))
        self._beating.start()

    def check(self) -> None:
        """CatalogError where another has taken the lease over: a suspended process must not write when it wakes."""
        chain = self._chain()
        if self.me.owner not in [one.owner for one in chain[-1:]]:
            other = f"{chain[-1]} took it over" if chain else "its lease was removed"
            raise CatalogError(
                f"{self.place}: this run stood still too long and {other}; it writes no more, give the command again"
            )

    def release(self) -> None:
        """Give it back, unless it is another's by now."""
        self._end.set()
        self._beating.join(self.pace.beat)  # its last beat is not to come after all is cleared away
        mine = f"{_AFTER}{self.me.owner}"
        with suppress(OSError):  # a full disk: whoever comes next finds that this process has ended
            if not self.files.create(mine, replace(self.me, owner=uuid.uuid4().hex, released=True).to_json()):
                return
        chain = [one.owner for one in self._chain()]
        if self.me.owner in chain:
            self.files.drop(LEASE)
        for owner in chain if self.me.owner in chain else [self.me.owner]:
            self.files.drop(f"{_AFTER}{owner}")
            self.files.drop(f"{_BEAT}{owner}")

    def stray(self, names: list[str]) -> list[str]:
        """Of `names` of files those that belong to no holder of the chain: what dead processes left."""
        known = {LEASE} | {f"{kind}{one.owner}" for one in self._chain() for kind in (_AFTER, _BEAT)}
        return [name for name in names if name not in known]

    def _chain(self) -> list[Holder]:
        """All holders, one after another; the last one holds it."""
        chain, path = [], LEASE
        while (content := self.files.get(path)) is not None:
            chain.append(Holder.parse(content))
            path = f"{_AFTER}{chain[-1].owner}"
        return chain

    def _succeed(self, dead: Holder) -> bool:
        """Take over; whether this process is the one that did."""
        place = f"{_AFTER}{dead.owner}"
        if not self.files.create(place, self.me.to_json()):
            return False
        if self.me.owner in [one.owner for one in self._chain()]:
            return True
        self.files.drop(place)  # the lease had been given back, and that name means nothing any more
        return False

    def _beat(self) -> None:
        """Give signs of life until the lease is given back, or lost."""
        number = 0
        while not self._end.wait(self.pace.beat):
            number += 1
            text = json.dumps({"beat": number, "clock": time.monotonic()}).encode()
            with suppress(Exception):  # a full disk, a network that is away: the next beat may come through
                if self.me.owner not in [one.owner for one in self._chain()[-1:]]:
                    return
                self.files.put(f"{_BEAT}{self.me.owner}", text)


class _Watch:
    """What one process sees of holders, by its own clock: other machines' clocks are not to be compared with it."""

    def __init__(self, pace: Pace):
        self.pace, self.seen, self.since = pace, ("", b""), 0.0

    def look(self, holder: Holder, beat: bytes | None) -> bool | None:
        """Whether a holder is alive, None while that cannot be told yet."""
        now, before, self.seen = time.monotonic(), self.seen, (holder.owner, beat or b"")
        if before != self.seen:
            self.since = now
        near = holder.machine != "" and holder.machine == machine_here()
        if near and born(holder.pid) not in (holder.born, None):
            return False
        if holder.released:
            return None if now - self.since < self.pace.expiry else False
        if before[0] == holder.owner and before != self.seen:
            return True
        # On one machine the clock is the same; elsewhere a holder is quiet from when it was first looked at.
        quiet = now - (_clock(holder, beat) if near else self.since)
        if near and quiet < 2 * self.pace.beat:
            return True
        return False if quiet >= self.pace.expiry else None


def _clock(holder: Holder, beat: bytes | None) -> float:
    """When the holder last gave a sign of life, on its machine's clock."""
    try:
        return float(json.loads(beat or b"")["clock"])
    except (ValueError, KeyError, TypeError):
        return holder.clock
