"""Galaxies: Sersic profiles on a fine grid, convolved with the effective PSF, sampled at pixel centres."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.special import gamma, gammainc

from compute.kernels.simulate.drawing import RADIUS, Table, draw_stars

FINE = 4  # cells per pixel
_SMALL = 0.5  # half-light radius below which a profile is not resolved [pix]
_NEAR, _INNER = 8, 6  # cells to either side of the middle that are averages, over points to a side


def sersic(
    half: int, radius: float, index: float, axis_ratio: float, angle: float, shape: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Light of a Sersic profile in cells of 1/FINE pix; (2 half FINE + 1,) squared, centred on a cell.

    The whole profile has unit light; the share beyond `half` is left out of the sum.

    Parameters
    ----------
    half
        Half width of the grid [pix].
    radius, index, axis_ratio, angle
        Half-light radius along the major axis, Sersic index, minor over major axis, direction of the major axis
        [radians] from the first axis of the frame `radius` is measured in.
    shape
        (2, 2) matrix from pixel offsets to that frame.
    """
    n, profile = half * FINE, (radius, index, axis_ratio, angle, shape)
    offsets = np.arange(-n, n + 1) / FINE
    light = _profile(offsets, *profile)
    near = slice(max(n - _NEAR, 0), n + _NEAR + 1)
    sub = ((np.arange(_INNER) + 0.5) / _INNER - 0.5) / FINE
    fine = _profile((offsets[near, None] + sub).ravel(), *profile)
    light[near, near] = fine.reshape(-1, _INNER, len(fine) // _INNER, _INNER).mean(axis=(1, 3))
    # The cusp: points crowd towards the middle as cubes do.
    cube = (np.arange(4 * _INNER) + 0.5) / (2 * _INNER) - 1
    weight = cube**2 / (cube**2).sum()
    light[n, n] = weight @ _profile(cube**3 / (2 * FINE), *profile) @ weight
    b, scale = _steepness(index), np.sqrt(abs(np.linalg.det(shape)))
    if radius < _SMALL * scale:  # cells too coarse for the cusp, but next to nothing beyond the grid
        return light * gammainc(2 * index, b * (half * scale / radius) ** (1 / index)) / light.sum()
    # Light of the whole profile, in units of the brightness at `radius` (Ciotti 1991, A&A 249, 99, eq. 2).
    whole = 2 * np.pi * index * axis_ratio * radius**2 * np.exp(b) * gamma(2 * index) / b ** (2 * index)
    return light * (scale / FINE) ** 2 / whole


def _steepness(index: float) -> float:
    """Steepness b of a Sersic profile (Ciotti & Bertin 1999, A&A 352, 447, eq. 18)."""
    return 2 * index - 1 / 3 + 4 / (405 * index) + 46 / (25515 * index**2)


def _profile(
    offsets: NDArray, radius: float, index: float, axis_ratio: float, angle: float, shape: NDArray
) -> NDArray[np.float64]:
    """Surface brightness at all pairs of pixel offsets (n,), [dy, dx], in units of that at `radius`."""
    dx, dy = offsets[None, :], offsets[:, None]
    u, v = shape[0, 0] * dx + shape[0, 1] * dy, shape[1, 0] * dx + shape[1, 1] * dy
    along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    return np.exp(-_steepness(index) * ((np.hypot(along, across / axis_ratio) / radius) ** (1 / index) - 1))


def coma(half: int, inner: float) -> NDArray[np.float64]:
    """Light of a coma in steady outflow, 1/r, fading to nothing at `half` pix, in cells of 1/FINE pix.

    The sum within `inner` pix is one.
    """
    n = half * FINE
    offsets = np.arange(-n, n + 1) / FINE
    r = np.hypot(offsets[None, :], offsets[:, None])
    r[n, n] = 0.2837 / FINE  # the mean of 1/r over the central cell is 4 asinh(1) cells
    light = np.where(r < half, (1 - (r / half) ** 2) ** 2 / r, 0.0)
    return light / light[r <= inner].sum()


def draw_galaxy(image: NDArray, table: Table, x: float, y: float, flux: float, light: NDArray[np.float64]) -> None:
    """Add a galaxy with total `flux` at array position (x, y), its `light` from :func:`sersic`."""
    half = (len(light) - 1) // 2 // FINE
    psf = _resampled(table, x, y)
    size = fft.next_fast_len(len(light) + len(psf) - 1, real=True)
    both = fft.irfft2(fft.rfft2(light, (size, size)) * fft.rfft2(psf, (size, size)), (size, size))
    reach = half + RADIUS
    stamp = both[: 2 * reach * FINE + 1 : FINE, : 2 * reach * FINE + 1 : FINE]
    left, low = int(np.floor(x + 0.5)) - reach, int(np.floor(y + 0.5)) - reach
    rows = slice(max(low, 0), min(low + 2 * reach + 1, image.shape[0]))
    columns = slice(max(left, 0), min(left + 2 * reach + 1, image.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = stamp[rows.start - low : rows.stop - low, columns.start - left : columns.stop - left]
        image[rows, columns] += flux * part


def _resampled(table: Table, x: float, y: float) -> NDArray[np.float64]:
    """The ePSF around (x, y) at offsets of 1/FINE pix from the pixel it falls in: [RADIUS pix below, above]."""
    side, middle = 2 * RADIUS + 1, (np.floor(x + 0.5), np.floor(y + 0.5))
    out = np.zeros((2 * RADIUS * FINE + 1,) * 2)
    for p in range(FINE):
        for q in range(FINE):
            # An object drawn q/FINE further left shows its ePSF that much further right.
            one = np.zeros((side, side))
            corner = middle[0] - RADIUS + q / FINE, middle[1] - RADIUS + p / FINE
            fx, fy = table.fx - corner[0], table.fy - corner[1]
            place = np.array([x - corner[0]]), np.array([y - corner[1]])
            draw_stars(one, table.phases, fx, fy, *place, np.ones(1), RADIUS)
            out[p::FINE, q::FINE] = one[: side - (p > 0), : side - (q > 0)]
    return out
