"""Positions and fluxes of cut-out stars, each stamp alone, and the conventions of an ePSF table."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.calibrate.epsf import pixel_sum
from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stamps import Stamps, sample_stamps
from compute.kernels.spline import coefficients, evaluate

_ROUNDS, _LONGEST = 12, 0.3  # [pix] longest step
_CLOSE = 1e-6  # [pix]


class StampFits(NamedTuple):
    """Of each stamp (K,): the star from the middle pixel [pix], flux, their variances, reduced chi-square, QFIT."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    var_x: NDArray[np.float64]
    var_y: NDArray[np.float64]
    cov_xy: NDArray[np.float64]
    var_flux: NDArray[np.float64]
    chi2: NDArray[np.float64]
    qfit: NDArray[np.float64]


def fit_stamps(table: Table, stamps: Stamps, *, half: int = 2, template: float = 0.002) -> StampFits:
    """Fit every stamp for itself on its middle (2 half + 1)^2 pixels (A&K 2000, section 4.3), from where it stands.

    `template` is the ePSF's fractional error, added to the variance. Fits that fail have NaN.
    """
    middle = stamps.light.shape[1] // 2
    inner = slice(middle - half, middle + half + 1)
    light, weight = (np.ascontiguousarray(pixels[:, inner, inner]) for pixels in (stamps.light, stamps.weight))
    out, epsf = np.empty((len(StampFits._fields), stamps.x.size)), (table.coef, table.fx, table.fy)
    where = stamps.x, stamps.y, stamps.flux, stamps.at_x, stamps.at_y
    _fit(*epsf, table.oversampling, table.taps, light, weight, *where, template, out)
    return StampFits(*out)


@jit
def _fit(coef, fx, fy, oversampling, taps, light, weight, x, y, flux, at_x, at_y, template, out):
    """Fill the columns of `out` with the fields of StampFits."""
    side = light.shape[1]
    psi, gx, gy = np.empty((1, side, side)), np.empty((1, side, side)), np.empty((1, side, side))
    star, h, g = np.empty(3), np.empty((3, 3)), np.empty(3)
    for s in range(x.size):
        star[0], star[1], star[2] = x[s], y[s], flux[s]
        of, good = slice(s, s + 1), True
        for _ in range(_ROUNDS):
            sample_stamps(coef, fx, fy, oversampling, taps, star[:1], star[1:2], at_x[of], at_y[of], psi, gx, gy)
            chi2, off, total, n = _accumulate(light[s], weight[s], psi[0], gx[0], gy[0], star[2], template, h, g)
            good = chi2 < np.inf and _invert(h)  # not where light is NaN
            if not good:
                break
            farthest = 0.0
            for a in range(3):
                step = h[a, 0] * g[0] + h[a, 1] * g[1] + h[a, 2] * g[2]
                if a < 2:
                    step = min(max(step, -_LONGEST), _LONGEST)
                    farthest = max(farthest, abs(step))
                star[a] += step
            if farthest <= _CLOSE:
                break
        out[:, s] = np.nan
        if good:
            out[0, s], out[1, s], out[2, s] = star
            out[3, s], out[4, s], out[5, s], out[6, s] = h[0, 0], h[1, 1], h[0, 1], h[2, 2]
            out[7, s], out[8, s] = chi2 / max(n - 3, 1), off / total


@jit
def _accumulate(light, weight, psi, gx, gy, flux, template, h, g):
    """Normal equations of x, y and flux; chi-square, sum of |light - model|, sum of light, and number of pixels."""
    h[:] = 0.0
    g[:] = 0.0
    chi2 = off = total = 0.0
    n = 0
    for j in range(light.shape[0]):
        for i in range(light.shape[1]):
            if not weight[j, i] > 0.0:
                continue
            model = flux * psi[j, i]
            w, left = 1.0 / (1.0 / weight[j, i] + (template * model) ** 2), light[j, i] - model
            a, b, c = flux * gx[j, i], flux * gy[j, i], psi[j, i]
            h[0, 0] += w * a * a
            h[0, 1] += w * a * b
            h[0, 2] += w * a * c
            h[1, 1] += w * b * b
            h[1, 2] += w * b * c
            h[2, 2] += w * c * c
            g[0] += w * a * left
            g[1] += w * b * left
            g[2] += w * c * left
            chi2 += w * left * left
            off += abs(left)
            total += light[j, i]
            n += 1
    return chi2, off, total, n


@jit
def _invert(h):
    """Replace the upper triangle of a symmetric 3x3 matrix by its inverse, all of it; False where it has none."""
    a, b, c, d, e, f = h[0, 0], h[0, 1], h[0, 2], h[1, 1], h[1, 2], h[2, 2]
    p, q, r = d * f - e * e, c * e - b * f, b * e - c * d
    det = a * p + b * q + c * r
    if not (det > 0.0 and det < np.inf):
        return False
    h[0, 0], h[1, 1], h[2, 2] = p / det, (a * f - c * c) / det, (a * d - b * b) / det
    h[0, 1] = h[1, 0] = q / det
    h[0, 2] = h[2, 0] = r / det
    h[1, 2] = h[2, 1] = (b * c - a * e) / det
    return True


def light_centres(stamps: Stamps) -> tuple[NDArray, NDArray, NDArray]:
    """Centroids of the middle 3x3 pixels and sums of 5x5 (K,): where everything starts, pixel-phase errors and all."""
    middle = stamps.light.shape[1] // 2
    core = stamps.light[:, middle - 1 : middle + 2, middle - 1 : middle + 2].astype(np.float64)
    wide = stamps.light[:, middle - 2 : middle + 3, middle - 2 : middle + 3].sum((1, 2), dtype=np.float64)
    step, total = np.arange(-1.0, 2.0), np.maximum(core.sum((1, 2)), 1e-30)
    x, y = (core.sum(1) * step).sum(1) / total, (core.sum(2) * step).sum(1) / total
    return np.clip(x, -1, 1), np.clip(y, -1, 1), np.maximum(wide, 1e-30)


def conform(table: Table, radius: float) -> Table:
    """The table with psi(-0.5, 0) = psi(0.5, 0), and likewise in y (A&K 2000, eq. 9), and unit sum within `radius`."""
    coef = np.empty_like(table.coef)
    for index in np.ndindex(table.coef.shape[:2]):
        coef[index] = _conform(table.coef[index], table.oversampling, table.order, radius)
    return table._replace(coef=coef)


def samples(table: Table) -> NDArray[np.float64]:
    """Values at the table's own sampling, (n_fy, n_fx, n, n)."""
    n = table.coef.shape[-1]
    offset = (np.arange(n) - n // 2) / table.oversampling
    return np.array([
        [_values(one, table.oversampling, table.order, offset, offset) for one in row] for row in table.coef
    ])  # fmt: skip


def _values(coef: NDArray, oversampling: int, order: int, u: NDArray, v: NDArray) -> NDArray:
    """One table at offsets u, v (n,), mirrored where the spline would reach beyond its edge: (n_v, n_u)."""
    pad = order + 2 * oversampling
    wide = np.pad(coef, pad, mode="reflect")[None, None]
    middle, zero = np.zeros(1), np.zeros(u.size * v.size)
    dx, dy = (grid.ravel() for grid in np.meshgrid(u, v))
    return evaluate(wide, middle, middle, oversampling, (0,) * (order + 1), zero, zero, dx, dy).reshape(v.size, u.size)


def _conform(coef: NDArray, oversampling: int, order: int, radius: float) -> NDArray:
    n = coef.shape[0]
    offset, edge, h = (np.arange(n) - n // 2) / oversampling, np.array([-0.5, 0.5]), 1e-4
    for _ in range(10):
        shift = []
        for along_x in (True, False):
            lines = [np.append(edge - h, edge + h), np.zeros(1)]
            u, v = lines if along_x else lines[::-1]
            left, right, left_up, right_up = _values(coef, oversampling, order, u, v).ravel()
            slope = (left_up - left - right_up + right) / (2 * h)
            shift.append(((right + right_up) - (left + left_up)) / 2 / slope if slope != 0.0 else 0.0)
        right_by, up_by = np.clip(shift, -_LONGEST, _LONGEST)
        coef = coefficients(_values(coef, oversampling, order, offset + right_by, offset + up_by), order)
        if max(abs(right_by), abs(up_by)) < _CLOSE:
            break
    return coef / pixel_sum(_values(coef, oversampling, order, offset, offset), oversampling, radius)
