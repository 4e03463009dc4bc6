"""Distortion polynomials in the form of the JWST Science Instrument Aperture File (SIAF).

x_idl = sum of Sci2IdlX dx^(i-j) dy^j over total degree i and power j of dy, dx and dy [pix] from the reference pixel in
the science frame, x_idl [arcsec]; y_idl alike; Idl2Sci the other way, [pix] from [arcsec]. Ideal y lies along science y
at the reference pixel, so that the coefficient of dy in x_idl is zero; the angle of the aperture on the sky has the
rest. A row is one term.
"""

import csv
from pathlib import Path

import numpy as np
from numpy.polynomial.polynomial import polyval2d
from numpy.typing import ArrayLike, NDArray

from catalogs.distortion import DistortionCube
from catalogs.errors import UnusableError
from catalogs.layers import Polynomial

__all__ = ["COLUMNS", "evaluate", "read_siaf", "write_siaf"]

COLUMNS = ("siaf_index", "exponent_x", "exponent_y", "Sci2IdlX", "Sci2IdlY", "Idl2SciX", "Idl2SciY")
_NODES = 48  # to a side of the detector, where forward and inverse are to agree


def write_siaf(cube: DistortionCube, path: str | Path, scale: float, parity: int = 1, chip: int = 0) -> float:
    """Write the polynomial of a cube as CSV; table and pixel map have no place in this form.

    Parameters
    ----------
    scale
        Of corrected pixels [arcsec/pix].
    parity
        1 where ideal x rises with science x, -1 where it falls.
    chip
        Whose polynomial it is, in a detector of several.

    Returns
    -------
    How far at most a position goes astray from science to ideal and back [pix]: polynomials are not closed under
    inversion.

    Raises
    ------
    UnusableError
        A cube without a polynomial or that chip, or whose polynomial has no inverse.
    """
    forward, backward, astray = _coefficients(_layer(cube, chip), cube, scale, parity, chip)
    with open(path, "w", newline="", encoding="ascii") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        for i in range(forward.shape[1]):
            for j in range(i + 1):
                values = (*forward[:, i - j, j], *backward[:, i - j, j])
                out.writerow([f"{i}{j}", i - j, j, *(f"{value:.15e}" for value in values)])
    return astray


def read_siaf(path: str | Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Science to ideal and back, each (2, p, p) [axis, power of x, power of y]; inverse of :func:`write_siaf`."""
    with open(path, newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    missing = set(COLUMNS) - set(rows[0] if rows else ())
    if missing:
        raise UnusableError(Path(path).name, f"no column {', '.join(sorted(missing))}", "a table of SIAF coefficients")
    both = np.zeros((4, *2 * (1 + max(int(row["exponent_x"]) for row in rows),)))
    for row in rows:
        both[:, int(row["exponent_x"]), int(row["exponent_y"])] = [float(row[name]) for name in COLUMNS[3:]]
    return both[:2], both[2:]


def evaluate(terms: NDArray[np.float64], x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Polynomials `terms` (2, p, p) at offsets from the reference: (2, ...)."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    return np.array([polyval2d(x, y, axis) for axis in terms])


def _layer(cube: DistortionCube, chip: int) -> Polynomial:
    found = next((layer for layer in cube.layers if isinstance(layer, Polynomial)), None)
    if found is None or found.coefficients.shape[-1] < 2:
        names = ", ".join(layer.NAME for layer in cube.layers) or "none"
        raise UnusableError(f"{cube.label} layers", names, "a polynomial of the first order at least")
    if not 0 <= chip < len(cube.chips):
        raise UnusableError(f"{cube.label} chip", chip, f"one below {len(cube.chips)}")
    return found


def _coefficients(
    layer: Polynomial, cube: DistortionCube, scale: float, parity: int, chip: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Terms (2, p, p) both ways, and the largest disagreement [pix]."""
    p = layer.coefficients.shape[-1]
    degree = np.add.outer(np.arange(p), np.arange(p))
    corrected = layer.coefficients[chip] / layer.half**degree
    corrected[:, 0, 0] = 0.0
    corrected[0, 1, 0] += 1.0
    corrected[1, 0, 1] += 1.0
    across, along = corrected[:, 0, 1] / np.hypot(*corrected[:, 0, 1])  # of where science y goes
    turned = np.einsum("ab,bij->aij", [[along, -across], [across, along]], corrected)
    forward = scale * turned * np.array([parity, 1])[:, None, None]
    forward[0, 0, 1] = 0.0  # but for rounding
    backward, astray = _inverse(forward, layer, cube, chip)
    return forward, backward, astray


def _inverse(forward: NDArray, layer: Polynomial, cube: DistortionCube, chip: int) -> tuple[NDArray[np.float64], float]:
    """Least squares of offsets on a grid of the chip that is denser at its edges, where polynomials run away."""
    nodes = -np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES) / 2 + 0.5
    first, end = cube.chips[chip]
    x, y = np.meshgrid(nodes * cube.n_x - 0.5 - layer.middle[0], first + nodes * (end - first) - 0.5 - layer.middle[1])
    offsets, ideal = np.array([x.ravel(), y.ravel()]), evaluate(forward, x.ravel(), y.ravel())
    p, size = forward.shape[-1], abs(ideal).max()
    i, j = (powers[np.add.outer(np.arange(p), np.arange(p)) < p] for powers in np.indices((p, p)))
    terms = (ideal[0, :, None] / size) ** i * (ideal[1, :, None] / size) ** j
    backward = np.zeros_like(forward)
    backward[:, i, j] = np.linalg.lstsq(terms, offsets.T)[0].T / size ** (i + j)
    astray = float(np.hypot(*(evaluate(backward, *ideal) - offsets)).max())
    if not astray < 1.0:
        raise UnusableError(f"{cube.label} polynomial", f"an inverse {astray:.2g} pix wrong", "one better than a pixel")
    return backward, astray
