"""Which exposures are of one epoch."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["epochs_of"]


def epochs_of(rows: pd.DataFrame, gap: float) -> NDArray[np.int64]:
    """Number of the epoch of each of the EXPOSURES `rows`, in order of time; epochs end where none follows within
    `gap` [yr].
    """
    order = np.argsort(rows["epoch"].to_numpy(), kind="stable")
    times = rows["epoch"].to_numpy()[order]
    number = np.empty(len(rows), np.int64)
    number[order] = np.cumsum(np.diff(times, prepend=times[:1]) > gap)
    return number
