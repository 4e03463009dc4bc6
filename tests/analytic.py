"""Analytic stars on a noisy detector: scenes whose truth is known exactly.

Its ePSF is a sum of round Gaussians integrated over square pixels, exact at any offset through the error function; it
shares nothing with the fitter, so that truth is independent of the code it judges.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf


@dataclass(frozen=True)
class AnalyticEpsf:
    """Sum of pixel-integrated Gaussians, scaled to unit sum within 5 pix of a star centred on a pixel.

    `sigmas` [pix] and `shares` describe the components; `tilt` makes every width grow by that fraction from x = 0 to
    x = `span` pix, a field dependence for tests of interpolation.
    """

    sigmas: tuple[float, ...] = (0.48, 1.3, 3.0)
    shares: tuple[float, ...] = (0.72, 0.22, 0.06)
    tilt: float = 0.0
    span: float = 1024.0

    def __call__(self, dx: ArrayLike, dy: ArrayLike, x: float = 0.0) -> NDArray[np.float64]:
        """Fraction of the star's flux in pixels offset by (dx, dy) = pixel minus star, for a star at column x."""
        i, j = np.mgrid[-5:6, -5:6]
        inside = i**2 + j**2 <= 25
        return self._raw(dx, dy, x) / self._raw(i[inside], j[inside], x).sum()

    def _raw(self, dx, dy, x):
        total = 0.0
        for sigma, share in zip(self.sigmas, self.shares, strict=True):
            width = np.sqrt(2.0) * sigma * (1.0 + self.tilt * x / self.span)
            profiles = [(erf((np.asarray(d) + 0.5) / width) - erf((np.asarray(d) - 0.5) / width)) / 2 for d in (dx, dy)]
            total = total + share * profiles[0] * profiles[1]
        return total

    def table(self, oversampling: int = 4, radius: float = 12.5, x: float = 0.0) -> NDArray[np.float64]:
        """The ePSF sampled on the (n, n) grid of a cube, n = 2 * radius * oversampling + 1."""
        half = int(radius * oversampling)
        u = np.arange(-half, half + 1) / oversampling
        return self(u[None, :], u[:, None], x)


def render(
    shape: tuple[int, int], x: ArrayLike, y: ArrayLike, flux: ArrayLike, epsf: AnalyticEpsf, radius: int = 12
) -> NDArray[np.float64]:
    """Noiseless (n_y, n_x) image of stars at `x`, `y` [pix] with total `flux`, drawn within `radius` pix."""
    image = np.zeros(shape)
    for xs, ys, fs in zip(np.atleast_1d(x), np.atleast_1d(y), np.atleast_1d(flux), strict=True):
        i = np.arange(max(round(xs) - radius, 0), min(round(xs) + radius + 1, shape[1]))
        j = np.arange(max(round(ys) - radius, 0), min(round(ys) + radius + 1, shape[0]))
        if i.size and j.size:
            image[j[0] : j[-1] + 1, i[0] : i[-1] + 1] += fs * epsf(i[None, :] - xs, j[:, None] - ys, float(xs))
    return image


def scatter(
    n: int, shape: tuple[int, int], separation: float, rng: np.random.Generator, border: float = 8.0
) -> tuple[NDArray, NDArray]:
    """Up to `n` random positions at least `separation` pix apart and `border` pix from the edge."""
    cells: dict[tuple[int, int], tuple[float, float]] = {}
    size = separation / np.sqrt(2.0)
    for x, y in rng.uniform((border, border), (shape[1] - border, shape[0] - border), (20 * n, 2)):
        kx, ky = int(x / size), int(y / size)
        near = [cells.get((kx + a, ky + b)) for a in range(-2, 3) for b in range(-2, 3)]
        if all(p is None or (p[0] - x) ** 2 + (p[1] - y) ** 2 >= separation**2 for p in near):
            cells[kx, ky] = (x, y)
            if len(cells) == n:
                break
    points = np.array(list(cells.values())).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def expose(
    scene: NDArray, sky: float, read_noise: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Noisy electrons and their true one-sigma: Poisson light on a flat `sky`, Gaussian read noise [electrons]."""
    light = scene + sky
    return rng.poisson(light) + rng.normal(0.0, read_noise, scene.shape), np.sqrt(light + read_noise**2)
