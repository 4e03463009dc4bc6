"""What dithers do to a bias that repeats with every pixel."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["damping", "damping_between", "expected_damping", "largest_gap", "largest_hole"]

_MESH = 24  # places across a pixel


def damping(position: NDArray, start: NDArray, harmonic: int = 1) -> float:
    """Share of a pixel-phase bias that is left in the mean of a star's positions, 1 without dithers.

    A bias b cos(2 pi k x) has, in the mean over images at phases x_i, the size b |mean exp(2 pi i k x_i)|; this is its
    root mean square over stars. Averaging positions and rebuilding the ePSF in turns gains this factor a pass.

    Parameters
    ----------
    position
        (K,) pixel coordinates along one axis, in order of star.
    start
        (S + 1,) where each star's images begin; every star has one.
    harmonic
        k, periods per pixel.
    """
    turn = np.exp(2j * np.pi * harmonic * position)
    mean = np.add.reduceat(turn, start[:-1]) / np.diff(start)
    return float(np.sqrt(np.mean(np.abs(mean) ** 2)))


def damping_between(position: NDArray, start: NDArray, group: NDArray, harmonic: int = 1) -> float:
    """The same where images are of several groups (K,), each with an ePSF and hence a bias of its own.

    Means tie the biases of groups to each other, and there are combinations of them that go away slowly: where two
    groups see all stars at the same distance d in phase, biases b(x) and b(x - d) agree and stay. A round of averaging
    and rebuilding is linear in the complex amplitudes of the groups' biases; this is the root of the largest eigenvalue
    of it, which for a single group is the root mean square over stars.
    """
    turn = np.exp(2j * np.pi * harmonic * position)
    n = int(group.max()) + 1
    sums = np.array([np.add.reduceat(np.where(group == k, turn, 0.0), start[:-1]) for k in range(n)])
    tied = (sums.conj() / np.diff(start)) @ sums.T / np.bincount(group, minlength=n)[:, None]
    return float(np.sqrt(np.abs(np.linalg.eigvals(tied)).max()))


def expected_damping(
    x: NDArray, y: NDArray, visit: NDArray, looseness: float = 0.0, harmonic: int = 1
) -> tuple[float, float]:
    """Share of a pixel-phase bias along x and along y that dithers known from headers will leave, rms.

    Headers tell how far apart two images of a star lie only as well as the local scale and skew are known: a distance d
    has a random error of `looseness` d along each axis. Nothing is known of the phases of one visit against another.
    The square of :func:`damping` is a mean over pairs of images; this is the root of its expected value,
    cos(2 pi k dx) exp(-(2 pi k looseness d)^2 / 2) for a pair of one visit and 0 for a pair of two.

    Parameters
    ----------
    x, y
        (K,) where one star lies in K images [pix].
    visit
        (K,) the visit that each image is of, any number that tells them apart.
    looseness
        Error of distances, relative.
    harmonic
        k, periods per pixel.
    """
    dx, dy = x[:, None] - x, y[:, None] - y
    turn = 2 * np.pi * harmonic
    known = (visit[:, None] == visit) * np.exp(-((turn * looseness) ** 2) * (dx**2 + dy**2) / 2)
    left = (float(np.mean(known * np.cos(turn * d))) for d in (dx, dy))
    in_x, in_y = (np.sqrt(max(one, 0.0)) for one in left)
    return float(in_x), float(in_y)


def largest_gap(position: NDArray) -> float:
    """Widest stretch of a pixel in which none of the positions (K,) falls [pix]: 1 where all have one phase."""
    phase = np.sort(position % 1.0)
    return float(np.diff(phase, append=phase[:1] + 1.0).max())


def largest_hole(x: NDArray, y: NDArray) -> float:
    """Radius of the widest circle, pixels repeating, that holds no pair of phases (K,): 0.7 pix where all have one.

    Centres are looked for on a mesh, to 0.03 pix.
    """
    mesh = np.arange(_MESH) / _MESH
    in_x, in_y = (np.abs((mesh[:, None] - axis + 0.5) % 1.0 - 0.5) for axis in (x, y))
    return float(np.hypot(in_x[:, None], in_y[None]).min(2).max())
