"""Blocks of work on explicit threads, for kernels that do not hold the GIL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def each(work: Callable[[int], Result], n: int, threads: int) -> list[Result]:
    """``work(k)`` for every k below `n`, in order; each thread takes one run of neighbouring k."""
    if threads == 1:
        return [work(k) for k in range(n)]
    runs = [range(*run) for run in shares(n, threads)]
    with ThreadPoolExecutor(threads) as pool:
        return [result for run in pool.map(lambda run: [work(k) for k in run], runs) for result in run]


def shares(n: int, threads: int) -> list[tuple[int, int]]:
    """Neighbouring rows for each thread."""
    return [(n * t // threads, n * (t + 1) // threads) for t in range(threads)]
