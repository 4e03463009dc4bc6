"""Timing two sides of a comparison alternately."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Extrapolated:
    """Work too long to be done whole: all of `whole`, and `times` what `part` does."""

    whole: Callable[[], object]
    part: Callable[[], object]
    times: float

    def __call__(self) -> None:
        """Both, once."""
        self.whole()
        self.part()


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    if isinstance(work, Extrapolated):
        return seconds(work.whole) + work.times * seconds(work.part)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(name: str, work: str, ours: Callable, peer: Callable, *, amount: float, peer_amount: float | None = None,
            pairs: int = 5, threads: int = 1, agrees: bool = True) -> dict:  # fmt: skip
    """One row of the table: both sides in units of work per second, and their ratio.

    `amount` and `peer_amount` are the units of work (stars, rows) of one call of either side. Neither first call is
    timed.
    """
    ours()
    peer()
    peer_amount = peer_amount or amount
    rates = np.array([(amount / seconds(ours), peer_amount / seconds(peer)) for _ in range(pairs)])
    ratios = rates[:, 0] / rates[:, 1]
    return {
        "name": name,
        "work": work,
        "ours": float(np.median(rates[:, 0])),
        "peer": float(np.median(rates[:, 1])),
        "ratio": float(np.median(ratios)),
        "ratio_low": float(np.quantile(ratios, 0.25)),
        "threads": threads,
        "agrees": agrees,
    }


def skipped(name: str, reason: str) -> dict:
    """A row that says why it has no numbers."""
    return {"name": name, "skipped": reason}
