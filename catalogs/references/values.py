"""Columns of Arrow as NumPy arrays: numbers with NaN for what is missing, names that never pass through floats."""

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds
from numpy.typing import NDArray

from catalogs.errors import UnusableError

__all__ = ["labels", "numbers"]


def numbers(place: str, column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Numbers or truth values as float64; nulls are NaN. UnusableError for anything else."""
    kind = column.type
    if kinds.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (kinds.is_floating(kind) or kinds.is_integer(kind) or kinds.is_decimal(kind) or kinds.is_null(kind)):
        raise UnusableError(place, f"values of type {kind}", "numbers")
    return column.cast(pa.float64(), safe=False).to_numpy()


def labels(place: str, column: pa.ChunkedArray) -> NDArray:
    """Names of sources: int64, or text as objects. UnusableError for floats, which cannot hold them, and for nulls."""
    kind = column.type
    if kinds.is_dictionary(kind):
        kind = kind.value_type
    if not (kinds.is_integer(kind) or kinds.is_string(kind) or kinds.is_large_string(kind)):
        raise UnusableError(place, f"values of type {kind}", "whole numbers or text")
    if column.null_count:
        raise UnusableError(place, f"no value in {column.null_count} of {len(column)} rows", "a name for each source")
    try:
        return column.cast(pa.int64() if kinds.is_integer(kind) else pa.string()).to_numpy()
    except pa.ArrowInvalid:
        raise UnusableError(place, "numbers beyond 2**63", "numbers that fit 64 bits with a sign, or text") from None
