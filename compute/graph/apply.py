"""Run one function over many keys on the cluster; the order of completion never shows in the result."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from distributed import Client, Future, as_completed
from distributed.scheduler import KilledWorker

from catalogs.errors import PiazziError


class Progress(Protocol):
    """Told how a stage advances."""

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        """`done` of `total` tasks of `stage` have ended; `note` is a word about the last one."""


class Outcome(NamedTuple):
    """What became of one task: its result, or the reason there is none."""

    key: str
    result: Any
    failure: str | None


def apply(
    client: Client,
    stage: str,
    function: Callable[..., Any],
    arguments: Mapping[str, tuple],
    progress: Progress | None = None,
    retries: int = 2,
) -> Iterator[Outcome]:
    """Call ``function(*arguments[key])`` as one task per key; outcomes come as tasks end.

    An exception is tried again `retries` times, a death of the worker as often as the scheduler's allowed failures;
    what then remains is an outcome with its reason, never an end of the run.
    """
    # To a scheduler equal names are one task, and it may serve several catalogs or still hold an abandoned call.
    call = uuid.uuid4().hex[:12]
    futures = {
        client.submit(function, *args, key=f"{stage}-{key}-{call}", retries=retries, pure=False): key
        for key, args in arguments.items()
    }
    for done, future in enumerate(as_completed(futures), 1):
        key = futures[future]
        outcome = _outcome(stage, key, future)
        future.release()
        if progress:
            progress(stage, done, len(futures), key)
        yield outcome


def run(
    client: Client,
    stage: str,
    function: Callable[..., Any],
    arguments: Mapping[str, tuple],
    progress: Progress | None = None,
) -> dict[str, str]:
    """Run tasks whose results are on disk; the reasons of those that failed, by key."""
    return {end.key: end.failure for end in apply(client, stage, function, arguments, progress) if end.failure}


def run_all(
    client: Client,
    stage: str,
    function: Callable[..., Any],
    arguments: Mapping[str, tuple],
    progress: Progress | None = None,
) -> None:
    """Run tasks none of which may fail; PiazziError with a line for each that did, once all have ended."""
    broken = run(client, stage, function, arguments, progress)
    if broken:
        raise PiazziError("\n".join(f"{key}: {reason}" for key, reason in sorted(broken.items())))


def _outcome(stage: str, key: str, future: Future) -> Outcome:
    """The end of one task. A result that died with its worker is waited for: the scheduler computes it again."""
    try:
        return Outcome(key, future.result(), None)
    except Exception as error:
        if future.status != "error":
            raise ConnectionError(f"{stage}: the scheduler was lost; run the same command again to go on") from error
        if isinstance(error, KilledWorker):
            found, expected = f"{error.allowed_failures + 1} dead workers", "one that survives (out of memory?)"
        else:
            found, expected = " ".join(f"{type(error).__name__}: {error}".split()), "no error"
    return Outcome(key, None, f"{stage}: found {found}, expected {expected}")
