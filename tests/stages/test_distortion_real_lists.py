"""The distortion of a real detector, solved from half of the stars of four real lists and judged by the other half."""

import numpy as np
import pandas as pd
import pytest

from catalogs.exchange.lists import read_xymq
from compute.kernels.geometry.distortion import forward
from compute.kernels.geometry.published import solve

SHAPE = (1024, 1024)


@pytest.fixture(scope="module")
def stars(shared_data):
    names = (f"ie8j01x{letter}q_flt.uvwXYMpq" for letter in "lmno")
    lists = [read_xymq(shared_data / "hst1pass_lists" / name).assign(exposure=k) for k, name in enumerate(names)]
    return pd.concat(lists, ignore_index=True)


def judged(stars, **options):
    """Rms per axis [pix] of the half that was not used, of polynomial alone and with the table, and the solution."""
    half = np.random.default_rng(1).random(len(stars)) < 0.5
    columns = stars[["X", "Y", "u", "v", "exposure"]].to_numpy()
    solution = solve(*columns[half].T, SHAPE, table_cells=16, **options)
    x, y, u, v, exposure = columns[~half].T
    rms = []
    for layers in ((solution.polynomial,), (solution.polynomial, solution.table)):
        corrected = np.array(forward(layers, x, y))
        linked = np.array([link.apply(u, v) for link in solution.links])
        linked = linked[exposure.astype(int), :, np.arange(len(x))].T
        rms.append(np.sqrt(((linked - corrected) ** 2).mean(1)))
    return *rms, solution


@pytest.mark.parametrize("direct", [False, True])
def test_lists__are_corrected_as_well_as_they_were_measured(stars, direct):
    smooth, fine, solution = judged(stars, direct=direct)
    # What the authors' own correction has beyond a polynomial of order five: 0.008 and 0.005 pix.
    assert (smooth < 0.009).all()
    assert (fine < 0.7 * smooth).all()
    assert solution.polynomial_changes[-1] < 1e-5 > solution.table_changes[-1]
