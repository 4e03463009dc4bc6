"""Stars of exposures staged by tile: what is written is read, tile by tile, from any number of files."""

import numpy as np
import pandas as pd

from catalogs.masters import PLACED
from catalogs.store import Store
from compute.graph.placed import read_placed, write_placed
from compute.stages.frame.place import tiles
from compute.stages.plane import TILE


def placed(number: int, n: int = 300) -> pd.DataFrame:
    """PLACED of stars over three by two tiles."""
    rng = np.random.default_rng(number)
    values = {column.name: rng.uniform(1, 2, n) for column in PLACED.columns}
    values |= {"number": number, "frame": 0, "star": np.arange(n), "flags": rng.integers(0, 9, n)}
    values |= {"x": rng.uniform(0, 3 * TILE, n), "y": rng.uniform(-TILE, TILE, n)}
    values["qfit"][0] = np.nan
    return PLACED.conform(pd.DataFrame(values))


def test_placed__tiles_come_back(tmp_path):
    store, exposures = Store(tmp_path), [placed(0), placed(1)]
    there = [write_placed(store, f"{k}.arrow", tiles(rows, 20.0)) for k, rows in enumerate(exposures)]
    assert set(there[0]) >= {(i, j) for i in range(3) for j in (-1, 0)}
    tile = (1, -1)
    found = read_placed(store, [(f"{k}.arrow", each.index(tile)) for k, each in enumerate(there)])
    around = [
        rows[rows["x"].between(TILE - 20, 2 * TILE + 20) & rows["y"].between(-TILE - 20, 20)] for rows in exposures
    ]
    pd.testing.assert_frame_equal(found, pd.concat(around, ignore_index=True))


def test_placed__exposure_without_stars_has_no_tile(tmp_path):
    assert write_placed(Store(tmp_path), "none.arrow", tiles(placed(0)[:0], 20.0)) == []
