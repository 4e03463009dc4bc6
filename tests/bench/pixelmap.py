"""Maps of clipped medians of the nearest residuals against SciPy's tree and Astropy's clipping.

The peer does a few rows of the map and is taken that many times; its tree is built once. It comes twice: as it is
written down at once, where only the tree has threads, and as fast as NumPy makes it, where each thread has rows of its
own and medians are taken from sorted values.
"""

from functools import partial

import numpy as np
from astropy.stats import sigma_clip
from scipy.spatial import cKDTree

from compute.kernels.geometry.pixelmap import nearest_medians
from compute.kernels.threads import each
from tests.bench.pairs import Extrapolated
from tests.bench.pairs import compare as timed

RESIDUALS, STARS, SIDE, COUNT, CLIP = 1_000_000, 100_000, 2048, 50, 2.5
ROWS = 1000, 1032  # those the peer does
THREADS = 2


def compare() -> list[dict]:
    """Pixels per second of either."""
    rng = np.random.default_rng(14)
    x, y = rng.uniform(-0.5, SIDE - 0.5, (2, RESIDUALS))
    residual = rng.normal(0.0, 0.02, (RESIDUALS, 2))
    residual[rng.random(RESIDUALS) < 0.03] *= 10.0
    star = rng.integers(0, STARS, RESIDUALS)

    def ours(rows=(0, SIDE)):
        return nearest_medians(x, y, residual, star, rows, (0, SIDE), count=COUNT, clip=CLIP, threads=THREADS)[0]

    points = np.column_stack([x, y])
    tree = cKDTree(points)
    work = f"{RESIDUALS} residuals, map of {SIDE}x{SIDE} pix, nearest {COUNT}; peer of {ROWS[1] - ROWS[0]} rows"
    rows = []
    for name, peer in (("cKDTree, sigma_clip, nanmedian", plain), ("the same by rows, sorted", by_rows)):
        part = partial(peer, tree, residual)
        rows.append(
            timed(f"nearest_medians / {name}", work, ours,
                  Extrapolated(lambda: cKDTree(points), part, SIDE / (ROWS[1] - ROWS[0])), amount=SIDE**2,
                  threads=THREADS, agrees=np.array_equal(ours(ROWS), part()))
        )  # fmt: skip
    return rows


def plain(tree, residual):
    """All rows at once; threads search the tree."""
    clipped = clip(residual[neighbours(tree, ROWS, THREADS)])
    return np.nanmedian(clipped, axis=2).astype(np.float32)


def by_rows(tree, residual):
    """A few rows at a time in each thread."""
    step = 4

    def some(k):
        ordered = np.sort(clip(residual[neighbours(tree, (ROWS[0] + k * step, ROWS[0] + (k + 1) * step), 1)]), axis=2)
        n = np.count_nonzero(~np.isnan(ordered), axis=2)[:, :, None]
        return sum(np.take_along_axis(ordered, j, 2) for j in ((n - 1) // 2, n // 2))[:, :, 0] / 2.0

    return np.concatenate(each(some, (ROWS[1] - ROWS[0]) // step, THREADS)).astype(np.float32)


def neighbours(tree, rows, workers):
    """Rows of residuals (n_rows, SIDE, COUNT)."""
    return tree.query(np.stack(np.meshgrid(np.arange(SIDE), np.arange(*rows)), -1), COUNT, workers=workers)[1]


def clip(values):
    """Values (n_rows, SIDE, COUNT, 2) with NaN for what is left out, axes one before the other."""
    return np.stack([sigma_clip(values[..., a], CLIP, maxiters=None, axis=2, masked=False) for a in range(2)], -1)
