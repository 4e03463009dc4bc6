"""What a source is, from how its light differs from a star's."""

import numpy as np
from numpy.typing import NDArray

from compute.kernels.measure.columns import CHI2, COV_XY, FLUX, VAR_FLUX, VAR_X, VAR_Y

_SIGMAS = 4.0  # significance at which light in the wrong place tells
_LEAST = 0.1  # share of the flux in the wrong place that any ePSF may get wrong
_BRIGHT, _FEW, _WRONG = 50.0, 100, 100.0  # fewer than _FEW above S/N _BRIGHT: an ePSF wrong by 1 / _WRONG is supposed
_NEIGHBOURS = 401  # stars of like S/N that tell what chi2 is usual
_TRUSTED = 25.0  # S/N up to which a library ePSF is as good as true
_FAINT = 40.0  # S/N from which no star is like an event
_EVEN = -6.0  # chi2 of the event minus the star's where either is as likely: its pixels are chosen from 25
_FALL = 3.0  # change of it that makes a star e times as likely; of two fixed models it would be 2
_MOST = 0.8  # largest share of events that is believed of a frame
_ROUNDS = 30
_NOISE, _PULL = 1.5, 5.0  # times the usual chi2 that noise alone may give; what misfit beyond adds to the variances
_TIMES = 2.3  # times the usual chi2 at which a fit is bad: of pure noise in 22 degrees of freedom, 1 in 2000


def usual_chi2(significance: NDArray, chi2: NDArray) -> NDArray[np.float64]:
    """What chi2 is at each source's S/N where nothing is wrong: the lower quartile of those of like S/N, at least 1.

    An ePSF that is a little wrong raises the chi2 of every bright star alike; blends, rays and galaxies, which stand
    out among their likes, do not raise a lower quartile. Nor can an ePSF wrong by a few percent raise the chi2 of faint
    stars: 1 + (S/N / 25)^2 is the most that counts as usual, so that a frame of rays alone is not usual. Where bright
    stars are too few to tell, an error of one percent is supposed. NaN is passed over.
    """
    usual = np.ones(chi2.size)
    good = np.flatnonzero(np.isfinite(chi2) & np.isfinite(significance))
    if good.size == 0:
        return usual
    order = good[np.argsort(significance[good], kind="stable")]
    width = min(_NEIGHBOURS, order.size)
    windows = np.lib.stride_tricks.sliding_window_view(chi2[order], width)[:: max(width // 8, 1)]
    middles = np.arange(len(windows)) * max(width // 8, 1) + width // 2
    quartile = np.quantile(windows, 0.25, axis=1)
    found, most = np.interp(np.arange(order.size), middles, quartile), 1.0 + (significance[order] / _TRUSTED) ** 2
    least = np.ones(order.size)
    if np.count_nonzero(significance[order] > _BRIGHT) < _FEW:
        least += (significance[order] / _WRONG) ** 2
    usual[order] = np.clip(found, least, most)
    return usual


def widened(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows (n, 18) of :mod:`compute.kernels.measure.columns` with errors that contain what the model leaves out.

    Light that is not the star's, of companions too close to be seen first of all, pulls its parameters as well as
    raising chi2. In simulated crowds the variances grow by 5 (m - 1.5) times what noise alone gives where chi2 is m
    times the usual of like sources: stars with a neighbour within 4 pix, seen or not, then scatter by 1.2 of their
    errors, and lone stars by as much as before. NaN is passed over.
    """
    misfit = rows[:, CHI2] / usual_chi2(rows[:, FLUX] / np.sqrt(rows[:, VAR_FLUX]), rows[:, CHI2])
    wider = rows.copy()
    wider[:, [VAR_X, VAR_Y, COV_XY, VAR_FLUX]] *= 1.0 + _PULL * np.fmax(misfit - _NOISE, 0.0)[:, None]
    return wider


def events(significance: NDArray, event: NDArray) -> NDArray[np.bool_]:
    """Sources more likely to be light in a few pixels than a star, for as many of either as this frame has.

    Where rays are many a faint source with hardly any wings is one of them, and where stars are many it is a star: the
    share of events among all faint sources and the probability of each to be one are found in turn
    (expectation-maximisation). NaN is no event.

    Parameters
    ----------
    significance, event
        (n,) S/N, and the chi2 that four pixels of any light leave minus the star's.
    """
    odds = np.exp(np.clip((_EVEN - event) / _FALL, -50.0, 50.0))
    faint = odds[(significance < _FAINT) & np.isfinite(event)]
    share = 0.5
    for _ in range(_ROUNDS if faint.size else 0):
        share = min((share * faint / (share * faint + 1.0 - share)).mean(), _MOST)
    return share * odds > 1.0 - share


def shapes(row: dict[str, NDArray]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Sources too sharp (cosmic rays, hot pixels) and too wide (galaxies, blends, pieces of spikes) to be one star.

    Light in the wrong place tells, in the central pixel or in the ring of RADXS, where it is beyond both its noise and
    what an ePSF may get wrong; so does a QFIT far above what noise gives, about 7 / (S/N) in a 5x5 window. Where chi2
    is far above the usual of like sources the fit is bad, and the sign of RADXS says in which way. What is
    not wide but better explained by light in a few pixels alone is sharp (:func:`events`).

    Parameters
    ----------
    row
        Columns of :mod:`compute.kernels.measure.columns` by name, each (n,).

    Returns
    -------
    sharp, wide
        (n,); never both.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        noise = np.sqrt(row["var_flux"]) / row["flux"]
        floor = _LEAST + _SIGMAS * noise
        sharp = (row["excess"] > _LEAST + _SIGMAS * row["excess_error"]) | (row["radxs"] < -floor)
        wide = (row["radxs"] > floor) | (row["qfit"] > 0.2 + 10.0 * noise)
        bad = row["chi2"] > _TIMES * usual_chi2(1 / noise, row["chi2"])
    alone = row["neighbour"] < _LEAST  # or else the misfit may be a neighbour's
    sharp |= bad & alone & (row["radxs"] < 0) | events(1 / noise, row["event"]) & ~wide
    wide |= bad
    return sharp, wide & ~sharp
