"""ePSFs by averaging the residuals of samplings about every grid point (Anderson & King 2000, section 4.2).

The placements of samplings stay the same while a table is adjusted, so they are sorted by place once: the samplings
within one grid step of a grid point, 0.25 pix for four samples per pixel, are then two runs of neighbours in memory.
"""

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.calibrate.epsf import smooth
from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stampfit import samples
from compute.kernels.calibrate.stamps import Stamps, shine_stamps
from compute.kernels.spline import coefficients
from compute.kernels.threads import each

ROUNDS = 5  # of adjusting and smoothing, A&K 2000 section 4.2.1
_CLIP, _REJECTIONS = 2.5, 4  # [sigma]; rounds of averaging and rejection at most


def average(table: Table, stamps: Stamps, *, rounds: int = ROUNDS, threads: int = 1) -> Table:
    """Adjust and smooth every fiducial's table, `rounds` times.

    A sampling is a pixel over the flux of its star, less the ePSF at the star's own place, and counts for the fiducial
    nearest to the star only (A&K 2000, section 4.2.2), by its inverse variance. The table is left where its samplings
    put it, neither centred nor normalised. `threads` share the fiducials and change no result.
    """
    values, shape = samples(table), table.coef.shape
    regions = [_Region(table, stamps, rows) for rows in _by_region(table, stamps)]
    for _ in range(rounds):
        present = table._replace(coef=coefficients(values, table.order))
        means = each(lambda k, now=present: regions[k].mean(now), len(regions), threads)  # type: ignore[misc]
        for k, mean in enumerate(means):
            index = divmod(k, shape[1])
            values[index] = smooth(values[index] + mean, table.oversampling)
    return table._replace(coef=coefficients(values, table.order))


def _by_region(table: Table, stamps: Stamps) -> list[NDArray[np.int64]]:
    """Stamps of the fiducials' regions, by row of fiducials."""
    kx, ky = (np.abs(at[:, None] - f).argmin(1) for at, f in ((stamps.at_x, table.fx), (stamps.at_y, table.fy)))
    return [np.flatnonzero((kx == i) & (ky == j)) for j in range(table.fy.size) for i in range(table.fx.size)]


class _Region:
    """Samplings of the stars about one fiducial, sorted by cell of the grid."""

    def __init__(self, table: Table, stamps: Stamps, rows: NDArray[np.int64]):
        self.stamps = s = stamps._replace(**{name: getattr(stamps, name)[rows] for name in stamps._fields})
        self.n = table.coef.shape[-1]
        self.slot = np.empty(s.light.shape, np.int32)
        self.first = np.zeros((self.n - 1) ** 2 + 1, np.int64)
        self.weight = _sort(s.weight, s.flux, s.x, s.y, table.oversampling, self.n, self.slot, self.first)
        self.residual = np.empty_like(self.weight)

    def mean(self, table: Table) -> NDArray[np.float64]:
        """Clipped mean residual about every grid point, 0 where there are no samplings."""
        s, psi = self.stamps, np.empty(self.stamps.light.shape)
        shine_stamps(
            table.coef, table.fx, table.fy, table.oversampling, table.taps, s.x, s.y, s.at_x, s.at_y, psi
        )  # fmt: skip
        _lay(s.light, s.flux, psi, self.slot, self.residual)
        mean = np.zeros((self.n, self.n))
        _clipped_means(self.first, self.residual, self.weight, mean)
        return mean


@jit
def _sort(weight, flux, x, y, oversampling, n, slot, first):
    """Weights of samplings in order of their cells.

    `slot` (K, m, m) gets the place of each pixel in that order, -1 where it is of no use; `first` where cells begin.
    """
    side, centre = weight.shape[1], (n - 1) // 2
    half = (side - 1) // 2
    for s in range(x.size):
        slot[s] = -1
        if not (abs(x[s]) < half and abs(y[s]) < half and flux[s] > 0.0):
            continue
        i0 = int(np.floor((-half - x[s]) * oversampling)) + centre
        j0 = int(np.floor((-half - y[s]) * oversampling)) + centre
        for j in range(side):
            for i in range(side):
                u, v = i0 + i * oversampling, j0 + j * oversampling
                if weight[s, j, i] > 0.0 and 0 <= u < n - 1 and 0 <= v < n - 1:
                    slot[s, j, i] = v * (n - 1) + u
                    first[v * (n - 1) + u + 1] += 1
    for c in range(first.size - 1):
        first[c + 1] += first[c]
    taken, out = first[:-1].copy(), np.empty(first[-1], np.float32)
    for s in range(x.size):
        for j in range(side):
            for i in range(side):
                c = slot[s, j, i]
                if c >= 0:
                    slot[s, j, i] = taken[c]
                    out[taken[c]] = weight[s, j, i] * flux[s] ** 2
                    taken[c] += 1
    return out


@jit
def _lay(light, flux, psi, slot, out):
    """Residuals of samplings in order of their cells."""
    for s in range(slot.shape[0]):
        for j in range(slot.shape[1]):
            for i in range(slot.shape[2]):
                if slot[s, j, i] >= 0:
                    out[slot[s, j, i]] = light[s, j, i] / flux[s] - psi[s, j, i]


@jit
def _clipped_means(first, residual, weight, mean):
    """Weighted means (n, n) of the residuals in the four cells about each grid point, without those 2.5 sigma away."""
    n, single = mean.shape[0], residual.dtype.type
    for v in range(n):
        for u in range(n):
            middle, reach = 0.0, np.inf
            for _ in range(_REJECTIONS):
                norm = total = square = 0.0
                about, near, none = single(middle), single(reach), single(0.0)
                for row in range(max(v - 1, 0), min(v + 1, n - 1)):
                    start = row * (n - 1)
                    run = slice(first[start + max(u - 1, 0)], first[start + min(u + 1, n - 1)])
                    value, certain = residual[run], weight[run]
                    for k in range(value.size):
                        off = value[k] - about
                        w = certain[k] if abs(off) <= near else none
                        norm += w
                        total += w * off
                        square += w * off * off
                if not norm > 0.0:
                    break
                step = total / norm
                middle += step
                reach = _CLIP * max(square / norm - step * step, 0.0) ** 0.5
            mean[v, u] = middle
