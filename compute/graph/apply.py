"""Run one function over many keys on the cluster; the order of completion never shows in the result."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from distributed import Client, as_completed
from distributed.scheduler import KilledWorker


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
        if future.status == "finished":
            outcome = Outcome(key, future.result(), None)
        else:
            outcome = Outcome(key, None, _reason(stage, future))
        future.release()
        if progress:
            progress(stage, done, len(futures), key)
        yield outcome


def _reason(stage: str, future) -> str:
    """One line about a task that failed for good; a lost scheduler is raised, because nothing can go on without it."""
    error = future.exception() if future.status == "error" else None
    if error is None:
        raise ConnectionError(f"{stage}: the scheduler was lost; run the same command again to go on")
    if isinstance(error, KilledWorker):
        return f"{stage}: found {error.allowed_failures + 1} dead workers, expected one that survives (out of memory?)"
    found = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{stage}: found {found}, expected no error"
