"""The one place that sets Numba's defaults."""

from collections.abc import Callable
from typing import Any, Literal

from numba import njit

# Reassociation lets the compiler vectorise sums; NaN and infinity keep their meaning, because bad pixels are NaN.
_MATH = {"reassoc", "contract", "arcp", "nsz"}


def jit(function: Callable | None = None, *, inline: Literal["never", "always"] = "never", exact: bool = False) -> Any:
    """``numba.njit`` without the GIL, cached on disk, with NumPy's rules for division by zero.

    With `exact` sums are made in the order they are written, each operation rounded, whoever calls.
    """
    math = False if exact else _MATH  # not left unset, for then the caller's would hold
    compiler = njit(nogil=True, cache=True, error_model="numpy", fastmath=math, inline=inline)
    return compiler if function is None else compiler(function)
