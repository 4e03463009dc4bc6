"""One iteration of the published distortion solution against the same in NumPy.

NumPy has no medians of many cells: one sort of everything does without a loop, a loop over cells is quicker.
"""

import numpy as np

from compute.kernels.geometry.cellmeans import sort, sweep
from compute.kernels.geometry.published import fit_cells, middles
from compute.kernels.geometry.published_direct import design
from tests.bench.pairs import compare as timed
from tests.kernels.linked import iterate, medians_at_once, medians_of_each, observe, smooth

SHAPE, EXPOSURES, STARS, CELLS, ORDER, CLIP = (2048, 2048), 18, 10_000, 20, 5, 3.0


def compare() -> list[dict]:
    """Pairs per second of either."""
    rng = np.random.default_rng(3)
    layer = smooth(SHAPE, ORDER, 4.0, rng)
    x, y, fx, fy, e = observe([layer], SHAPE, EXPOSURES, STARS, rng, noise=0.02)
    pairs = sort(x, y, fx - fx.mean(), fy - fy.mean(), e, SHAPE, CELLS)
    raw, nothing = np.array([pairs.x, pairs.y]), layer._replace(terms=np.zeros_like(layer.terms))
    everyone, grid = np.ones(e.size, bool), middles(SHAPE, CELLS)
    terms, on_cells = design(pairs.x, pairs.y, layer), design(*(g.ravel() for g in np.meshgrid(*grid)), layer)
    zero = np.zeros((terms.shape[1], 2))

    def ours(threads):
        state = sweep(pairs, raw, nothing, None, held=False, clip=CLIP, threads=threads)
        return state, fit_cells(state.mean, nothing, grid)

    def theirs(medians, threads):
        return iterate(pairs, terms, on_cells, zero, everyone, CLIP, medians, threads)

    rows, work = [], f"{EXPOSURES} x {STARS} pairs, order {ORDER}, {CELLS} x {CELLS} cells: one iteration"
    for name, medians in (("vectorised", medians_at_once), ("cell by cell", medians_of_each)):
        for threads in (1, 2):
            state, found = ours(threads)
            _, mean, used = theirs(medians, threads)
            agrees = bool(np.allclose(state.mean.T, mean, rtol=0, atol=1e-8) and (state.used == used).all())
            rows.append(
                timed(f"distortion iteration / NumPy, {name}", work, lambda t=threads: ours(t),
                      lambda m=medians, t=threads: theirs(m, t), amount=e.size, threads=threads, agrees=agrees)
            )  # fmt: skip
    return rows
