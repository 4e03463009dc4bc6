"""Positions and fluxes of cut-out stars, each stamp alone, and the conventions of an ePSF table."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels.epsf import pixel_sum
from compute.kernels.joint import Table
from compute.kernels.spline import coefficients, evaluate
from compute.kernels.stamps import Stamps, sample_stamps

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
    light, weight = (values[:, inner, inner].astype(np.float64) for values in (stamps.light, stamps.weight))
    x, y, flux = stamps.x.copy(), stamps.y.copy(), stamps.flux.copy()
    shape = light.shape
    psi, gx, gy = np.empty(shape), np.empty(shape), np.empty(shape)
    for _ in range(_ROUNDS):
        where = (x, y, stamps.at_x, stamps.at_y)
        sample_stamps(table.coef, table.fx, table.fy, table.oversampling, table.taps, *where, psi, gx, gy)
        model = flux[:, None, None] * psi
        with np.errstate(divide="ignore"):
            w = 1.0 / (1.0 / weight + (template * model) ** 2)
        columns = np.stack([flux[:, None, None] * gx, flux[:, None, None] * gy, psi], axis=1).reshape(x.size, 3, -1)
        weighted = columns * w.reshape(x.size, 1, -1)
        normal = weighted @ columns.swapaxes(1, 2)
        with np.errstate(invalid="ignore"):
            normal[~(np.linalg.det(normal) > 0)] = np.nan
        covariance: NDArray[np.float64] = np.linalg.inv(normal).astype(np.float64)
        off = (light - model).reshape(x.size, -1)
        step = np.einsum("kab,kb->ka", covariance, np.einsum("kap,kp->ka", weighted, off))
        moved = np.clip(step[:, :2], -_LONGEST, _LONGEST)
        x, y, flux = x + moved[:, 0], y + moved[:, 1], flux + step[:, 2]
        if not (np.nanmax(np.abs(moved), initial=0.0) > _CLOSE):
            break
    off = light - model
    n_free = np.maximum((w > 0).sum((1, 2)) - 3, 1)
    good = (weight > 0) * 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        qfit = (good * np.abs(off)).sum((1, 2)) / (good * light).sum((1, 2))
    chi2 = (w * off**2).sum((1, 2)) / n_free
    var_x, var_y, cov_xy, var_flux = (covariance[:, a, b] for a, b in ((0, 0), (1, 1), (0, 1), (2, 2)))
    return StampFits(x, y, flux, var_x, var_y, cov_xy, var_flux, chi2, qfit)


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
