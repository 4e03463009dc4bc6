"""From many samplings to one ePSF (Anderson & King 2000, section 4.2).

Every pixel near a star samples the ePSF at one offset. Residuals of the samplings against the present model are
averaged about each grid point, the points are smoothed, and the table is centred and scaled by its conventions.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, shift

from compute.kernels._jit import jit

NORMALISATION_RADIUS = 5.0  # [pix]
_CLIP = 2.5  # sigmas, A&K 2000 section 4.2.1
_SCATTER = 0.02  # fractional error given to every sampling, so that a few bright stars do not decide alone


@cache
def smoothing_kernel(size: int, degree: int) -> NDArray[np.float64]:
    """(size, size) weights whose sum with the neighbours' values is the least-squares polynomial at the middle.

    ``smoothing_kernel(5, 4)`` is A&K 2000 eq. 8: a polynomial of total degree 4 on 5x5 points; it sums to 1.
    """
    j, i = np.mgrid[:size, :size].reshape(2, -1) - size // 2
    terms = np.stack([i**a * j**b for a in range(degree + 1) for b in range(degree + 1 - a)], axis=1)
    kernel = np.linalg.pinv(terms.astype(float))[0].reshape(size, size)
    kernel.setflags(write=False)  # for it is shared
    return kernel


@jit
def average_residuals(
    image, model, mask, poisson, floor, x, y, flux, sky, region, oversampling, reach, passes, mean, count
):
    """Clipped mean residual of the samplings within half a grid cell's reach of each grid point.

    Each sampling, (image - sky - model) / flux, belongs to the four grid points around it, that is to those within
    0.25 pix for four samples per pixel. Samplings beyond 2.5 sigma of a point's mean are rejected there, again in each
    pass.

    Parameters
    ----------
    image, model, mask, poisson, floor
        The frame, all its stars drawn with the present ePSF, and its noise, as for the fit.
    x, y, flux, sky
        (N,) the chosen stars.
    region
        (N,) fiducial each star informs.
    oversampling, reach
        Samples per pixel; half width of the square of pixels used about each star [pix].
    passes
        Rounds of averaging and rejection.
    mean, count
        (n_fiducials, n, n) filled in place.
    """
    n = mean.shape[2]
    centre = (n - 1) // 2
    shape = mean.shape
    weight, spread = np.zeros(shape), np.full(shape, np.inf)
    total, square = np.zeros(shape), np.zeros(shape)
    mean[:] = 0.0
    for _ in range(passes):
        weight[:] = 0.0
        total[:] = 0.0
        square[:] = 0.0
        count[:] = 0.0
        for s in range(x.size):
            k = region[s]
            xc, yc = int(np.round(x[s])), int(np.round(y[s]))
            for j in range(max(yc - reach, 0), min(yc + reach + 1, image.shape[0])):
                for i in range(max(xc - reach, 0), min(xc + reach + 1, image.shape[1])):
                    if mask[j, i] != 0:
                        continue
                    u = int(np.floor((i - x[s]) * oversampling)) + centre
                    v = int(np.floor((j - y[s]) * oversampling)) + centre
                    if u < 0 or v < 0 or u + 1 >= n or v + 1 >= n:
                        continue
                    light = image[j, i] - sky[s]
                    r = (light - model[j, i]) / flux[s]
                    noise = poisson[j, i] * max(model[j, i] + sky[s], 0.0) + floor[j, i]
                    w = flux[s] ** 2 / (noise + (_SCATTER * model[j, i]) ** 2)
                    for b in range(2):
                        for a in range(2):
                            if abs(r - mean[k, v + b, u + a]) <= _CLIP * spread[k, v + b, u + a]:
                                weight[k, v + b, u + a] += w
                                total[k, v + b, u + a] += w * r
                                square[k, v + b, u + a] += w * r * r
                                count[k, v + b, u + a] += 1.0
        for k in range(shape[0]):
            for v in range(n):
                for u in range(n):
                    if weight[k, v, u] > 0.0:
                        m = total[k, v, u] / weight[k, v, u]
                        mean[k, v, u] = m
                        spread[k, v, u] = np.sqrt(max(square[k, v, u] / weight[k, v, u] - m * m, 0.0))


def smooth(table: NDArray, oversampling: int) -> NDArray[np.float64]:
    """One table smoothed with the quartic kernel in the core, a quadratic one beyond, and a plane in the far wings.

    Spacecraft ePSFs lose fine structure outwards, so stiffer polynomials there take noise away and blunt nothing; in
    the innermost 2 pix only the quartic of A&K 2000 eq. 8 is faithful.
    """
    half = (table.shape[0] - 1) // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1] / oversampling
    r = np.hypot(u, v)
    core = convolve(table, smoothing_kernel(5, 4), mode="nearest")
    middle = convolve(table, smoothing_kernel(5, 2), mode="nearest")
    far = convolve(table, smoothing_kernel(7, 1), mode="nearest")
    inner, outer = np.clip(r - 2.0, 0.0, 1.0), np.clip((r - 5.0) / 2.0, 0.0, 1.0)
    return (1.0 - outer) * ((1.0 - inner) * core + inner * middle) + outer * far


def recentre(table: NDArray, oversampling: int) -> NDArray[np.float64]:
    """Shift a table until psi(-0.5, 0) = psi(0.5, 0) and psi(0, -0.5) = psi(0, 0.5), A&K 2000 eq. 9.

    The shift is the difference of the two values over the *difference* of the two slopes.
    """
    c, h = (table.shape[0] - 1) // 2, oversampling / 2.0
    for _ in range(10):
        shifts = []
        for line in (table[:, c], table[c, :]):
            fine = np.interp([c - h - 1, c - h, c - h + 1, c + h - 1, c + h, c + h + 1], np.arange(line.size), line)
            slopes = (fine[5] - fine[3]) / 2.0 - (fine[2] - fine[0]) / 2.0
            shifts.append((fine[4] - fine[1]) / slopes if slopes != 0.0 else 0.0)
        if max(map(abs, shifts)) < 1e-4 * oversampling:
            break
        # Sampling the table at u + s moves its content by -s.
        table = shift(table, [np.clip(s, -1.0, 1.0) for s in shifts], order=5, mode="nearest")
    return table


def normalise(table: NDArray, oversampling: int, radius: float = NORMALISATION_RADIUS) -> NDArray[np.float64]:
    """Scale a table so that a star centred on a pixel has unit sum over the pixels within `radius` pix."""
    return table / pixel_sum(table, oversampling, radius)


def even_phases(table: NDArray, oversampling: int, radius: float = NORMALISATION_RADIUS) -> NDArray[np.float64]:
    """Scale each pixel phase of a table to the same sum, so that a star's flux does not depend on where it falls.

    Undithered samplings leave this free: each star's own flux follows whatever the table says at its phase. Real pixels
    are even to a percent or two (A&K 2000, section 3.6), far better than the free solution.
    """
    n, c = table.shape[0], (table.shape[0] - 1) // 2
    v, u = np.mgrid[:n, :n] - c
    inside = np.hypot(u, v) <= (radius + 0.5) * oversampling
    phase = (v % oversampling) * oversampling + u % oversampling
    sums = np.bincount(phase[inside], weights=table[inside], minlength=oversampling**2)
    return table * (sums.mean() / sums)[phase]


def pixel_sum(table: NDArray, oversampling: int, radius: float) -> float:
    """Sum over whole pixels within `radius` pix of a star centred on a pixel."""
    c = (table.shape[0] - 1) // 2
    reach = int(min(radius, c // oversampling))
    j, i = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = i**2 + j**2 <= radius**2
    return float(table[c + oversampling * j[inside], c + oversampling * i[inside]].sum())


def gaussian_table(sigma: float, oversampling: int, n: int) -> NDArray[np.float64]:
    """First guess of an ePSF: a Gaussian core with a halo three times wider that holds a fifth of the light."""
    u = (np.arange(n) - (n - 1) // 2) / oversampling
    r2 = u[None, :] ** 2 + u[:, None] ** 2
    table = 0.8 * np.exp(-r2 / (2 * sigma**2)) + 0.2 / 9.0 * np.exp(-r2 / (18 * sigma**2))
    return normalise(table, oversampling)


def phase_harmonics(positions: NDArray) -> tuple[float, float]:
    """Sine amplitudes [pix] that make the pixel phases of undithered stars uniform (A&K 2000, section 5.2).

    Nature places stars evenly with respect to pixels. A density 1 + sum c_k cos(2 pi k phase) of *measured* phases is
    undone by adding sum a_k sin(2 pi k phase) with a_k = c_k / (2 pi k), c_k = 2 <cos>. Each amplitude is shrunk by its
    own noise, so that few stars correct little. Biases even in phase, those of a lopsided ePSF, are left alone.
    """
    phase = positions - np.round(positions)
    out = []
    for k in (1, 2):
        cosine = np.cos(2 * np.pi * k * phase)
        a, noise = cosine.mean() / (np.pi * k), 1.0 / (np.sqrt(2.0 * phase.size) * np.pi * k)
        out.append(float(a * max(0.0, 1.0 - (noise / a) ** 2)) if a != 0.0 else 0.0)
    return out[0], out[1]


def flatten_phases(positions: NDArray, harmonics: tuple[float, float]) -> NDArray[np.float64]:
    """Positions moved by the correction of :func:`phase_harmonics`."""
    phase = 2 * np.pi * positions
    return positions + harmonics[0] * np.sin(phase) + harmonics[1] * np.sin(2 * phase)
