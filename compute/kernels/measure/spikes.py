"""Spikes and halos beyond the reach of the ePSF: what the bright stars of a frame have in common far from them.

Diffraction spikes keep their directions but not one law: they fall as 1/r^2 behind JWST's segments, as 1/r behind HST's
vanes. So the frame's own bright stars tell: the median of the light about them, per unit of their flux.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from compute.kernels._jit import jit
from compute.kernels.measure.chain import Fits, Frame, Model, draw
from compute.kernels.measure.columns import FLUX, GOOD, X, Y
from compute.kernels.measure.sky import annulus_sky
from compute.kernels.spline import evaluate

_HALF = 64  # [pix] to which light is followed from a star
_FEWEST, _MOST = 6, 40  # stars a median is of: fewer would take a companion for a spike
_DOMINANT = 0.2  # share of all weight that one star may have
_SIGMAS = 3.0  # errors of the median that common light must exceed
_ROUNDS = 2  # as stars lie on one another's spikes
_BORDER = 6  # [pix] of a stamp that are taken as sky
_LOST = 0.1  # of the noise of a pixel, where light is no longer followed
_RING = (4.0, 7.0)  # [pix] about a source, where the level that it stands on is


def far_light(frame: Frame, model: Model, fits: Fits) -> NDArray[np.float32]:
    """Light of bright stars beyond what `fits.drawn` holds of them, (n_y, n_x) [image unit].

    Zeros where fewer than six stars are bright enough to show it.
    """
    light = np.zeros_like(frame.image)
    near = model.radius - 2
    noise = _noise(frame)
    x, y, flux = _bright(frame, model, fits, near, noise)
    if x.size < _FEWEST:
        return light
    k = np.s_[:_MOST]
    weight = np.minimum(flux[k], _DOMINANT * flux[k].sum())
    whole = frame.image - draw(frame, model, x[_MOST:], y[_MOST:], flux[_MOST:])
    shape = np.zeros((2 * _HALF + 1, 2 * _HALF + 1), np.float32)
    for _ in range(_ROUNDS):
        stamps = np.empty((x[k].size, *shape.shape), np.float32)
        cut(whole - light, frame.mask, x[k], y[k], flux[k], shape, near, stamps)
        common(_less_sky(stamps), weight, shape)
        light = np.zeros_like(frame.image)
        spread(light, x, y, flux, shape, near, _reaches(flux, shape, _LOST * noise))
    return light


def far_flux(far: NDArray[np.float32], model: Model, x: NDArray, y: NDArray) -> NDArray[np.float64]:
    """Flux (N,) that a fit of 5x5 pixels at `x`, `y` (N,) [pix] would find in the far light of bright stars alone."""
    ny, nx = far.shape
    i, j = (np.clip(np.rint(place), 2, size - 3).astype(int) for place, size in ((x, nx), (y, ny)))
    b, a = np.mgrid[-2:3, -2:3].reshape(2, -1)
    window = far[j[:, None] + b, i[:, None] + a]
    flux, lit = np.zeros(x.size), np.flatnonzero((window > 0).any(axis=1))
    where = np.repeat(x[lit], 25), np.repeat(y[lit], 25)
    dx, dy = (i[lit, None] + a - x[lit, None]).ravel(), (j[lit, None] + b - y[lit, None]).ravel()
    psi = evaluate(*model[:5], *where, dx, dy).reshape(-1, 25)
    level, error = np.empty(lit.size), np.empty(lit.size)
    annulus_sky(far, np.zeros_like(far), np.full(far.shape, GOOD, np.uint8), x[lit], y[lit], *_RING, level, error)
    flux[lit] = (psi * (window[lit] - np.nan_to_num(level)[:, None])).sum(axis=1) / (psi**2).sum(axis=1)
    return flux


def _noise(frame: Frame) -> float:
    """Noise of a usual pixel [image unit]."""
    step = max(frame.image.shape[0] // 64, 1)
    variance = frame.poisson[::step] * np.fmax(frame.image[::step], 0.0) + frame.floor[::step]
    return float(np.sqrt(np.nanmedian(variance)))


def _bright(frame: Frame, model: Model, fits: Fits, near: int, noise: float) -> tuple[NDArray, NDArray, NDArray]:
    """Positions and fluxes of stars whose ePSF rises above the noise of a pixel at `near` pix, brightest first."""
    turn = np.linspace(0.0, 2.0 * np.pi, 360)
    middle = (frame.image.shape[1] - 1) / 2, (frame.image.shape[0] - 1) / 2
    edge = model.at(*middle, near * np.cos(turn), near * np.sin(turn)).max()
    rows = fits.rows[fits.rows[:, FLUX] * edge > noise]
    x, y, flux = rows[np.lexsort((rows[:, X], rows[:, Y], -rows[:, FLUX])), :3].T.copy()
    return x, y, flux


def _reaches(flux: NDArray, shape: NDArray[np.float32], least: float) -> NDArray[np.int64]:
    """Whole pixels beyond which a star's light is nowhere above `least`, (N,)."""
    offset = np.abs(np.arange(-_HALF, _HALF + 1))
    most = np.zeros(_HALF + 1)
    np.maximum.at(most, np.maximum(offset[:, None], offset).ravel(), shape.ravel())
    fall = np.maximum.accumulate(most[::-1])[::-1]
    return np.minimum(np.searchsorted(-fall, -least / flux), _HALF - 1)


def _less_sky(stamps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stamps (N, n, n) less the median of their border; all NaN where a border is."""
    border = np.full(stamps.shape[1:], True)
    border[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return stamps - np.nanmedian(stamps[:, border], axis=1)[:, None, None]


@jit
def common(stamps, weight, shape):
    """Fill `shape` (n, n) with the weighted median of stamps (N, n, n), NaN left out.

    It is zero where stars with half of the weight do not tell, and where it is not beyond three of its errors.
    """
    n = weight.size
    values, weights = np.empty(n), np.empty(n)
    for j in range(shape.shape[0]):
        for i in range(shape.shape[1]):
            m, total, squares = 0, 0.0, 0.0
            for s in range(n):
                if stamps[s, j, i] == stamps[s, j, i]:
                    values[m], weights[m] = stamps[s, j, i], weight[s]
                    total += weight[s]
                    squares += weight[s] ** 2
                    m += 1
            shape[j, i] = 0.0
            if total > 0.5 * weight.sum():
                median = _weighted_median(values[:m], weights[:m], 0.5 * total)
                spread = 1.4826 * _weighted_median(np.abs(values[:m] - median), weights[:m], 0.5 * total)
                if median * total > _SIGMAS * 1.25 * spread * np.sqrt(squares):
                    shape[j, i] = median


@jit
def _weighted_median(values, weights, half):
    """The value at which the sum of the weights of those up to it reaches `half`."""
    order, total, k = np.argsort(values), 0.0, 0
    while k < order.size - 1:
        total += weights[order[k]]
        if total >= half:
            break
        k += 1
    return values[order[k]]


@jit(inline="always")
def _between(image, i, j, u, v):
    """Bilinear between the pixel (i, j) and the next ones."""
    low = (1.0 - u) * image[j, i] + u * image[j, i + 1]
    return (1.0 - v) * low + v * ((1.0 - u) * image[j + 1, i] + u * image[j + 1, i + 1])


@jit
def cut(image, mask, x, y, flux, shape, near, stamps):
    """Fill stamps (N, n, n) with light per unit of flux at whole offsets from stars, NaN where a pixel is not good.

    Beyond the square of `near` pix about a star its own far light `shape` (n, n), which `image` is free of, is added.
    """
    ny, nx = image.shape
    half = (stamps.shape[1] - 1) // 2
    stamps[:] = np.nan
    for s in range(x.size):
        i0, j0 = int(np.floor(x[s])), int(np.floor(y[s]))
        u, v = x[s] - i0, y[s] - j0
        for j in range(max(j0 - half, 0), min(j0 + half + 1, ny - 1)):
            for i in range(max(i0 - half, 0), min(i0 + half + 1, nx - 1)):
                if mask[j, i] == GOOD == mask[j, i + 1] and mask[j + 1, i] == GOOD == mask[j + 1, i + 1]:
                    a, b = i - i0, j - j0
                    own = shape[b + half, a + half] if max(abs(a), abs(b)) > near else np.float32(0.0)
                    stamps[s, b + half, a + half] = _between(image, i, j, u, v) / flux[s] + own


@jit
def spread(light, x, y, flux, shape, near, reaches):
    """Add `shape` (n, n), per unit of flux, between the squares of `near` and `reaches` (N,) pix about stars."""
    ny, nx = light.shape
    half = (shape.shape[0] - 1) // 2
    for s in range(x.size):
        xc, yc, reach = int(np.round(x[s])), int(np.round(y[s])), reaches[s]
        for j in range(max(yc - reach, 0), min(yc + reach + 1, ny)):
            v = j - y[s] + half
            for i in range(max(xc - reach, 0), min(xc + reach + 1, nx)):
                if abs(i - xc) > near or abs(j - yc) > near:
                    u = i - x[s] + half
                    k, m = int(np.floor(u)), int(np.floor(v))
                    light[j, i] += np.float32(flux[s] * _between(shape, k, m, u - k, v - m))
