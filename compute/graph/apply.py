"""Run one function over many keys on the cluster; the order of completion never shows in the result."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from distributed import Client, Future, as_completed
from distributed.scheduler import KilledWorker

from catalogs.errors import FailedError, disk_full


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

    Raises
    ------
    ConnectionError
        Where the scheduler is lost.
    OSError
        Where a disk is full: no key is to blame for that, and none would fare better.
    """
    ends = _ends(client, stage, function, arguments, retries)
    for done, outcome in enumerate(ends, 1):
        if progress:
            progress(stage, done, len(arguments), outcome.key)
        yield outcome


def _ends(
    client: Client, stage: str, function: Callable[..., Any], arguments: Mapping[str, tuple], retries: int
) -> Iterator[Outcome]:
    """Ends of all tasks; those whose workers died too often have another try, each with the cluster to itself.

    A worker holds tasks that it has not begun, and the scheduler blames these for its death as much as the one at work.
    """
    # To a scheduler equal names are one task, and it may serve several catalogs or still hold an abandoned call.
    call = uuid.uuid4().hex[:12]

    def submit(key: str, name: str) -> Future:
        return client.submit(function, *arguments[key], key=f"{stage}-{key}-{name}", retries=retries, pure=False)

    futures = {submit(key, call): key for key in arguments}
    suspects = []
    for future in as_completed(futures):
        key = futures[future]
        outcome = _outcome(stage, key, future)
        died = future.status == "error" and isinstance(future.exception(), KilledWorker)
        future.release()
        if died and len(arguments) > 1:
            suspects.append(key)
        else:
            yield outcome
    for key in sorted(suspects):
        yield _outcome(stage, key, submit(key, f"{call}-alone"))


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
    """Run tasks none of which may fail; FailedError with a line for each that did, once all have ended."""
    broken = run(client, stage, function, arguments, progress)
    if broken:
        raise FailedError("\n".join(f"{key}: {reason}" for key, reason in sorted(broken.items())))


def _outcome(stage: str, key: str, future: Future) -> Outcome:
    """The end of one task. A result that died with its worker is waited for: the scheduler computes it again."""
    try:
        return Outcome(key, future.result(), None)
    except Exception as error:
        if future.status != "error":
            raise ConnectionError(f"{stage}: the scheduler was lost; run the same command again to go on") from error
        if full := disk_full(error):
            raise OSError(f"{stage}: {full}") from error
        if isinstance(error, KilledWorker):
            found, expected = f"{error.allowed_failures + 1} dead workers", "one that survives (out of memory?)"
        else:
            found, expected = " ".join(f"{type(error).__name__}: {error}".split()), "no error"
    return Outcome(key, None, f"{stage}: found {found}, expected {expected}")
