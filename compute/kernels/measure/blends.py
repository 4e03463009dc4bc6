"""Blends: stars that leave too much light over are tried as two."""

import numpy as np
from numpy.typing import NDArray

from compute.kernels.measure import columns, groupfit
from compute.kernels.measure.chain import Fits, Frame, Model
from compute.kernels.measure.classify import usual_chi2
from compute.kernels.measure.columns import CHI2, EXCESS, EXCESS_ERROR, FLUX, RADXS, VAR_FLUX

_GAIN = 25.0  # by how much two stars must lower chi2, in units of what is usual
_BETTER = 1.5  # and by what factor
_POOR = 1.7  # times the usual chi2 that either may leave in its window: pure noise in 22 degrees of freedom, 1 in 50
_FAULT = 0.05  # share of its flux that may lie in the wrong place whatever the noise
_SIGNIFICANT = 5.0  # least S/N of either
_NEAREST, _FARTHEST = 1.2, 3.5  # [pix] separations accepted
_SETTLED = 1e-2  # steps below a tenth of the errors: the fit in groups goes on from there
_ROUND = 0.75  # RADXS beyond which more lies about a star than a second one can bring
_STANDS_OUT = 4.0  # significance of the pixel that a second star is tried in
_REACH = 3  # pixels from a star within which a second one is looked for


def split(
    frame: Frame,
    model: Model,
    fits: Fits,
    able: NDArray[np.int64],
    half: int,
    taper: tuple[float, float],
    template_error: float,
    max_iterations: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Stars that are two: where two lower chi2 so much that noise cannot, and both look like stars by themselves.

    Galaxies, rays and pieces of halos leave light over that is not shaped like the ePSF, and stay one. A fit that
    failed, wandering between two stars, is tried as well.

    Parameters
    ----------
    able
        (n,) indices of the stars of `fits` to try.

    Returns
    -------
    star, pair
        (k,) indices, and (k, 2, 3) x, y [pix] and flux of what those stars are made of.
    """
    row = fits.rows[able]
    significance = row[:, FLUX] / np.sqrt(row[:, VAR_FLUX])
    usual = usual_chi2(significance, row[:, CHI2])
    with np.errstate(invalid="ignore"):
        suspect = (row[:, columns.N_PIX] - 3.0) * (row[:, CHI2] / usual - 1.0) > _GAIN
    k = np.flatnonzero((suspect & (significance > _SIGNIFICANT) & (row[:, RADXS] < _ROUND)) | np.isnan(row[:, FLUX]))
    start, peak = _starts(frame, fits, able[k], template_error)
    k, start = k[peak > _STANDS_OUT], start[peak > _STANDS_OUT]
    star, usual, n = able[k], usual[k], k.size
    was = np.zeros((n, 2, 3))
    was[:, 0] = np.nan_to_num(fits.rows[star, :3])
    sky, error = np.repeat(fits.sky[star], 2), np.repeat(fits.sky_error[star], 2)
    out, chi2 = np.empty((2 * n, fits.rows.shape[1])), np.empty((n, 2))
    groupfit.fit_groups(
        frame.image, fits.drawn, *frame[1:], np.arange(0, 2 * n + 1, 2), was.reshape(-1, 3), start.reshape(-1, 3),
        sky, error, *model, half, taper, template_error, _SETTLED, max_iterations, out, chi2,
    )  # fmt: skip
    rows = out.reshape(n, 2, out.shape[1])
    two = (chi2[:, 0] - chi2[:, 1] > _GAIN * usual) & (chi2[:, 0] > _BETTER * chi2[:, 1]) & _stars(rows, usual)
    return star[two], rows[two, :, :3]


def _starts(frame: Frame, fits: Fits, star: NDArray[np.int64], template_error: float) -> tuple[NDArray, NDArray]:
    """Guesses (n, 2, 3) of pairs, the second star in the pixel where most is left, and its significance (n,)."""
    x, y, flux = np.nan_to_num(fits.rows[star, :3]).T
    above, right = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1].reshape(2, -1)
    i, j = np.round(x).astype(int)[:, None] + right, np.round(y).astype(int)[:, None] + above
    at = np.clip(j, 0, frame.image.shape[0] - 1), np.clip(i, 0, frame.image.shape[1] - 1)
    r2 = (i - x[:, None]) ** 2 + (j - y[:, None]) ** 2
    usable = (frame.mask[at] == columns.GOOD) & (j == at[0]) & (i == at[1]) & (r2 > 0.5) & (r2 <= _FARTHEST**2)
    drawn, sky = fits.drawn[at], fits.sky[star, None]
    left = frame.image[at] - drawn - sky
    noise = frame.floor[at] + frame.poisson[at] * np.maximum(drawn + sky, 0.0) + (template_error * drawn) ** 2
    significance = np.where(usable, left / np.sqrt(noise), -np.inf)
    most = np.arange(star.size), significance.argmax(1)
    flux = np.where(flux > 0.0, flux, np.maximum(2.0 * left[:, left.shape[1] // 2], left[most]))
    second = np.clip(2.0 * left[most], 0.05 * flux, flux)
    pairs = np.array([(x, y, flux), (i[most], j[most], second)]).transpose(2, 0, 1)
    return pairs, significance[most]


def _stars(rows: NDArray, usual: NDArray) -> NDArray[np.bool_]:
    """Whether both of each pair (n, 2, 18) are significant, shaped like stars, and apart; False for NaN."""
    flux, noise = rows[:, :, FLUX], np.sqrt(rows[:, :, VAR_FLUX]) / rows[:, :, FLUX]
    good = (flux > 0) & (noise < 1 / _SIGNIFICANT) & (rows[:, :, CHI2] < _POOR * usual[:, None])
    good &= rows[:, :, EXCESS] < _FAULT + 3.0 * rows[:, :, EXCESS_ERROR]
    good &= abs(rows[:, :, RADXS]) < _FAULT + 3.0 * noise
    apart = np.hypot(*(rows[:, 1, :2] - rows[:, 0, :2]).T)
    return good.all(1) & (apart > _NEAREST) & (apart < _FARTHEST)
