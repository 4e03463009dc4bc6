"""Crossmatches against SciPy's trees and Astropy: same catalogues, same answers, trees built anew as our cells are."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, match_coordinates_sky
from scipy.spatial import cKDTree

from compute.kernels.match.crossmatch import match, nearest, nearest_sky
from tests.bench.pairs import compare as timed

ROWS, RADIUS, MAS = 1_000_000, 0.5, 500.0


def compare() -> list[dict]:
    """Rows per second of either, one way and both ways."""
    rng = np.random.default_rng(7)
    side = 4.0 * np.sqrt(ROWS)  # a star per 16 square pixels
    first = rng.uniform(0.0, side, (ROWS, 2))
    second = (first + rng.normal(0.0, 0.02, first.shape))[rng.permutation(ROWS)]
    catalogs = *first.T, *second.T
    rows = []
    for balanced in (True, False):
        for threads in (1, 2):
            row, distance = nearest(*catalogs, RADIUS)
            theirs = one_way(first, second, balanced, 1)
            agrees = np.array_equal(row, theirs[1]) and bool(np.allclose(distance[row >= 0], theirs[0][row >= 0]))
            kind = f"cKDTree {'balanced' if balanced else 'unbalanced'}"
            work = f"{ROWS} x {ROWS} rows in a plane, {(row >= 0).mean():.4f} have a neighbour; build and one query"
            rows.append(
                timed(f"nearest / {kind}", work, lambda t=threads: nearest(*catalogs, RADIUS, t),
                      lambda b=balanced, t=threads: one_way(first, second, b, t), amount=ROWS, threads=threads,
                      agrees=agrees)
            )  # fmt: skip
            agrees = np.array_equal(match(*catalogs, RADIUS)[:2], both_ways(first, second, balanced, 1))
            work = f"{ROWS} x {ROWS} rows in a plane, mutual; two trees, queried both ways"
            rows.append(
                timed(f"match / {kind}", work, lambda t=threads: match(*catalogs, RADIUS, t),
                      lambda b=balanced, t=threads: both_ways(first, second, b, t), amount=ROWS, threads=threads,
                      agrees=agrees)
            )  # fmt: skip
    return rows + sky(first / side, second / side)


def sky(first, second):
    """One degree of the sky; Astropy has one thread."""
    catalogs = (
        80.0 + first[:, 0] / np.cos(1.2),
        -69.0 + first[:, 1],
        80.0 + second[:, 0] / np.cos(1.2),
        -69.0 + second[:, 1],
    )

    def peer():
        ours, theirs = (SkyCoord(*c, unit=u.deg) for c in (catalogs[:2], catalogs[2:]))
        return match_coordinates_sky(ours, theirs)

    index, separation, _ = peer()
    agrees = np.array_equal(nearest_sky(*catalogs, MAS)[0], np.where(separation.to_value(u.mas) <= MAS, index, -1))
    work = f"{ROWS} x {ROWS} rows over a degree of the sky; one way"
    return [
        timed("nearest_sky / match_coordinates_sky (1 thread)", work, lambda t=t: nearest_sky(*catalogs, MAS, t), peer,
              amount=ROWS, threads=t, agrees=agrees)
        for t in (1, 2)
    ]  # fmt: skip


def one_way(first, second, balanced, threads):
    """Distances and rows, -1 where there are none."""
    tree = cKDTree(second, balanced_tree=balanced, compact_nodes=balanced)
    distance, row = tree.query(first, distance_upper_bound=RADIUS, workers=threads)
    return distance, np.where(row < len(second), row, -1)


def both_ways(first, second, balanced, threads):
    """Rows of mutual neighbours."""
    (_, row), (_, back) = one_way(first, second, balanced, threads), one_way(second, first, balanced, threads)
    k = np.flatnonzero(row >= 0)
    k = k[back[row[k]] == k]
    return k, row[k]
