"""Two descriptions of the same motions beside each other: peaks of a histogram, and a mixture in two dimensions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from compute.kernels.kinematics.mixtures import Mixture
from compute.kernels.kinematics.resampled import Peaks
from compute.stages.report.projected import noise_along
from compute.stages.report.vpd import Component

__all__ = ["disagreements"]

_FAR = 3.0  # errors
_NAMES = ("share", "mean", "width seen")


def disagreements(
    rows: pd.DataFrame, components: Sequence[Component], covariance: NDArray, along: NDArray, peaks: Peaks
) -> list[str]:  # fmt: skip
    """Where peaks and mixture disagree by more than three errors: words for each such number, often none.

    Each peak is compared with the component it is most like, projected, and widened by the errors of the stars and as
    much noise. As errors differ from star to star that is no Gaussian: its width is that of the Gaussian as high. Both
    errors count as if they were independent, though the stars are the same: what is told here is rather too little.

    Parameters
    ----------
    rows
        The stars, with errors of their motions.
    components, covariance
        The mixture (k), and the covariance (6 k, 6 k), of a
        :class:`~compute.kernels.kinematics.mixtures.Mixture`.
    along
        (2,) unit vector of the line in (pmra, pmdec).
    peaks
        Those of the histogram along it.
    """
    expected, errors = _projected(rows, components, covariance, along)
    found, found_errors = _numbers(peaks)
    error = np.hypot(found_errors[:, None], errors)
    pulls = np.nan_to_num(np.abs(found[:, None] - expected) / error)  # NaN: an error that is not known
    lines = []
    for i, j in zip(*linear_sum_assignment((pulls**2).sum(axis=2)), strict=True):
        for q in np.flatnonzero(pulls[i, j] > _FAR):
            one = f"{found[i, q]:.3f} ± {found_errors[i, q]:.3f}"
            lines.append(f"{_NAMES[q]} of peak {i + 1} {one}, of component {j + 1} {expected[j, q]:.3f} ± "
                         f"{errors[j, q]:.3f}")  # fmt: skip
    return lines


def _projected(
    rows: pd.DataFrame, components: Sequence[Component], covariance: NDArray, along: NDArray
) -> tuple[NDArray, NDArray]:
    """Shares, means, widths (k, 3) of components along a line, and their errors."""
    fractions, means, spreads = (np.array(each) for each in zip(*components, strict=True))
    mixture = Mixture(fractions, means, spreads, np.asarray(covariance, float), np.nan, True)
    inner, all_ = np.einsum("kij,i,j->k", spreads, along, along), fractions.sum()  # peaks know of no background
    sigmas = 1 / np.mean(1 / np.sqrt(inner[:, None] + 2 * noise_along(rows, along)), axis=1)
    turn = np.array([along[0] ** 2, 2 * along[0] * along[1], along[1] ** 2])
    k = range(len(components))
    middle = [np.sqrt(along @ mixture.mean_covariance(i) @ along) for i in k]
    wide = [np.sqrt(turn @ mixture.dispersion_covariance(i) @ turn) / (2 * sigmas[i]) for i in k]
    shares, errors = fractions / all_, mixture.fraction_errors / all_
    return np.column_stack([shares, means @ along, sigmas]), np.column_stack([errors, middle, wide])


def _numbers(peaks: Peaks) -> tuple[NDArray, NDArray]:
    """Shares, means, widths (k, 3) and their errors."""
    values = peaks.fractions, peaks.means, peaks.sigmas
    errors = peaks.fraction_errors, peaks.mean_errors, peaks.sigma_errors
    return np.column_stack(values), np.column_stack(errors)
