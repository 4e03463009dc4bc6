"""Pairs of raw and reference positions with a known distortion, and one iteration of its solution in plain NumPy."""

import itertools

import numpy as np

from compute.kernels.geometry.distortion import forward
from compute.kernels.geometry.layers import Polynomial
from compute.kernels.threads import each

SCALE, TURN = 1.3, 40.0  # frame pixels for a raw one, degrees


def smooth(shape, order, largest, rng):
    """Random polynomials in the gauge of the solution: `largest` [pix] for each term at the edge, less by degree."""
    size, half = order + 1, max(shape) / 2
    degree = np.add.outer(np.arange(size), np.arange(size))
    terms = np.where(degree > order, 0, largest * rng.uniform(-1, 1, (2, size, size)) * 2.0 ** -np.maximum(degree, 1))
    on, off = terms[0, 1, 0], terms[0, 0, 1]
    growth = np.sqrt(half**2 + on**2 + off**2) - half
    terms[:, 0, 0], terms[:, 1, 0], terms[:, 0, 1] = 0.0, (growth + on, off), (off, growth - on)
    return Polynomial(terms[None], (shape[1] - 1) / 2, (shape[0] - 1) / 2, half)


def observe(layers, shape, exposures, stars, rng, noise=0.0, parity=1):
    """x, y, frame x, frame y, exposure of `stars` in each of `exposures`, which differ in shift, rotation and scale.

    `noise` [pix] of the raw positions, per axis.
    """
    n = exposures * stars
    x, y = rng.uniform(0, shape[1] - 1, n), rng.uniform(0, shape[0] - 1, n)
    exposure = np.repeat(np.arange(exposures), stars)
    z = np.array([1.0, 1j]) @ forward(layers, x, y)
    turn = np.exp(1j * np.radians(TURN + rng.uniform(-1, 1, exposures)))
    z = z * (SCALE * (1 + 1e-4 * rng.normal(size=exposures)) * turn)[exposure]
    z += (rng.uniform(-200, 200, (2, exposures)).T @ [1.0, 1j])[exposure] + 9000 + 7000j
    x, y = (at + noise * rng.normal(size=n) for at in (x, y))
    return x, y, parity * z.real, z.imag, exposure


def iterate(pairs, design, on_cells, coefficients, used, clip, medians, threads=1):
    """One iteration for sorted `pairs`: links, residuals, outliers, averages, half of what fits them.

    `design` (n, m) and `on_cells` (cells, m) are the polynomial's terms; `coefficients` (m, 2). Returns new
    coefficients, averages (cells, 2), who is used (n,). `medians` is one of the functions below.
    """
    n = len(used)
    split = np.searchsorted(pairs.start, np.linspace(0, n, threads + 1).astype(int))
    split[-1] = len(pairs.start) - 1
    parts = [slice(*pairs.start[split[t : t + 2]]) for t in range(threads)]
    corrected = np.empty((2, n))

    def add_up(t):
        part = parts[t]
        x, y = corrected[:, part] = (design[part] @ coefficients).T + (pairs.x[part], pairs.y[part])
        fx, fy, e = pairs.frame_x[part], pairs.frame_y[part], pairs.exposure[part]
        columns = (np.ones(x.size), fx, fy, x, y, fx**2 + fy**2, fx * x + fy * y, fy * x - fx * y)
        return [np.bincount(e, column * used[part], pairs.n_exposures) for column in columns]

    m, fx, fy, x, y, squares, along, across = sum(np.array(sums) for sums in each(add_up, threads, threads))
    size = squares - (fx**2 + fy**2) / m
    a, b = (along - (fx * x + fy * y) / m) / size, (across - (fy * x - fx * y) / m) / size
    c, d = (x - a * fx - b * fy) / m, (y - a * fy + b * fx) / m
    residual, centre, spread, judged = np.empty((2, n)), np.zeros((2, len(pairs.start) - 1)), [], np.empty(n, bool)

    def judge(t):
        part, starts = parts[t], pairs.start[split[t] : split[t + 1] + 1] - pairs.start[split[t]]
        fx, fy, e = pairs.frame_x[part], pairs.frame_y[part], pairs.exposure[part]
        own = a[e], b[e]
        residual[0, part] = own[0] * fx + own[1] * fy + c[e] - corrected[0, part]
        residual[1, part] = own[0] * fy - own[1] * fx + d[e] - corrected[1, part]
        cell = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        for axis in (0, 1):
            centre[axis, split[t] : split[t + 1]] = medians(residual[axis, part], starts)
        distance = ((residual[:, part] - centre[:, split[t] : split[t + 1]][:, cell]) ** 2).sum(0)
        return distance, cell, medians(distance, starts)

    found = each(judge, threads, threads)
    spread = np.concatenate([spread for *_, spread in found])
    limit = clip**2 / (2 * np.log(2)) * np.maximum(spread, np.median(spread))
    mean = np.empty((len(pairs.start) - 1, 2))

    def average(t):
        part, cells = parts[t], slice(split[t], split[t + 1])
        distance, cell, _ = found[t]
        judged[part] = distance <= limit[cells][cell]
        starts = pairs.start[cells] - part.start
        sums = np.add.reduceat(np.vstack([judged[part], residual[:, part] * judged[part]]), starts, axis=1)
        mean[cells] = (sums[1:] / sums[0]).T

    each(average, threads, threads)
    return coefficients + 0.5 * np.linalg.lstsq(on_cells, mean)[0], mean, judged


def medians_of_each(values, start):
    """Of each cell, by selection in one after the other; the upper of two middle ones."""
    return [np.partition(values[i:j], (j - i) // 2)[(j - i) // 2] for i, j in itertools.pairwise(start)]


def medians_at_once(values, start):
    """The same without a loop, by one sort of everything by cell and value."""
    cell = np.repeat(np.arange(len(start) - 1), np.diff(start))
    return values[np.lexsort((values, cell))[(start[:-1] + start[1:]) // 2]]
