"""What the rows of a reference catalog must satisfy before anything is matched with them."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import poisson

from catalogs.errors import UnusableError
from catalogs.references.columns import MOTIONS, SOURCES

__all__ = ["check_distinct", "check_motions", "check_places"]

APART = 1.0  # nearer than this two sources are one [mas]
_AROUND = 30.0  # from pairs up to here it is told how many so near are chance [mas]
_CHANCE = 0.01

_RANGES = {column.name: column for column in SOURCES if column.low is not None and not column.nan}


def check_places(place: str, frame: pd.DataFrame) -> None:
    """Positions, their errors and epochs are numbers in range; UnusableError tells how many are not, and the first."""
    for name, column in _RANGES.items():
        values = frame[name].to_numpy()
        wanted = column.range + (f" {column.unit}" if column.unit else "")
        high = np.finfo(np.float64).max if column.high is None else column.high
        _refuse(place, name, frame, ~((values >= column.low) & (values <= high)), wanted)
        if name.endswith("_error"):
            _refuse(place, name, frame, values == 0, f"more than 0 {column.unit}")


def check_motions(place: str, frame: pd.DataFrame, lone: NDArray[np.bool_]) -> None:
    """Motions are whole and have errors; `lone` rows have none at all."""
    for name in MOTIONS:
        motion, error = frame[name].to_numpy(), frame[f"{name}_error"].to_numpy()
        _refuse(place, name, frame, ~np.isfinite(motion) & ~lone, "a motion along both axes, or along neither")
        known = np.isfinite(error) & (error > 0)
        _refuse(place, f"{name}_error", frame, ~known & ~lone, "more than 0 mas/yr wherever there is a motion")


def check_distinct(place: str, frame: pd.DataFrame) -> None:
    """No two rows share an id, and no more pairs lie within 1 mas than unrelated sources make by chance."""
    again = frame["id"].duplicated().to_numpy()
    if again.any():
        found = f"{again.sum()} of {len(frame)} rows with the id of another, first {frame['id'].iloc[again.argmax()]}"
        raise UnusableError(f"{place} column id", found, "each source once")
    ra, dec = np.radians(frame["ra"].to_numpy()), np.radians(frame["dec"].to_numpy())
    vectors = np.stack([np.cos(ra) * np.cos(dec), np.sin(ra) * np.cos(dec), np.sin(dec)], axis=1)
    tree = cKDTree(vectors)
    pairs = tree.query_pairs(np.radians(APART / 3.6e6), output_type="ndarray")
    if not len(pairs):
        return
    around = (tree.count_neighbors(tree, np.radians(_AROUND / 3.6e6)) - len(frame)) // 2 - len(pairs)
    expected = around / ((_AROUND / APART) ** 2 - 1)
    if poisson.sf(len(pairs) - 1, expected) < _CHANCE:
        one, other = (frame["id"].iloc[row] for row in min(map(tuple, np.sort(pairs, axis=1))))
        found = f"{len(pairs)} pairs within {APART:g} mas among {len(frame)} rows, first {one} and {other}"
        raise UnusableError(f"{place} columns ra, dec", found, "each source once")


def _refuse(place: str, name: str, frame: pd.DataFrame, wrong: NDArray[np.bool_], wanted: str) -> None:
    if wrong.any():
        value, source = frame[name].iloc[wrong.argmax()], frame["id"].iloc[wrong.argmax()]
        found = f"{value:g} for id {source}, first of {np.count_nonzero(wrong)} such among {len(frame)} rows"
        raise UnusableError(f"{place} column {name}", found, wanted)
