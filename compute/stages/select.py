"""Stage `select`: which measurements are stars, and which of these are well measured.

Limits of QFIT and RADXS follow instrumental magnitude in each exposure (Libralato et al. 2023, section 3.1 and figures
5 and 6): both grow towards the faint, and with whatever the ePSF of that exposure gets wrong. Nothing is dropped.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.flags import Flag
from compute.kernels.measure.cuts import running
from compute.settings import CutSettings

_FLOOR = 0.02  # share of the flux by which fits of good stars differ from their ePSF, whatever the noise
_QFIT_NOISE, _RADXS_NOISE = 10.0, 4.0  # fixed limits per relative error of the flux, beyond what noise alone gives


def cuts(stars: pd.DataFrame, settings: CutSettings) -> pd.DataFrame:
    """Stars, cosmic rays and galaxies among rows of MEASUREMENTS of any number of exposures.

    A star has a QFIT below its limit and a RADXS between its two; what is below the lower one is a ray or hot pixel,
    what is above the upper one a galaxy or blend, and what is none of these is undecided. Limits are `sigmas` spreads
    about the median of the `nearest` sources in magnitude that have none of the `flags`, and never wider than the fixed
    ones, ``qfit + 10 noise`` and ``+-(radxs + 4 noise)`` with the usual noise of the flux at that magnitude. Those
    alone serve exposures with fewer than `least` such sources.

    Returns
    -------
    pandas.DataFrame
        Indexed as `stars`: `star`, `ray`, `galaxy` (bool, at most one True), and the limits at each row's magnitude,
        `qfit_cut`, `radxs_low`, `radxs_high`; all False, with NaN, where a fit has failed.
    """
    limits = np.full((len(stars), 3), np.nan)
    sound = ~_flagged(stars, settings)
    # Exposures of WFPC2 have several detectors; a single table does not name its own.
    keys = [name for name in ("exposure", "detector") if name in stars]
    for rows in stars.groupby(keys, observed=True).indices.values():
        limits[rows] = _limits(stars.iloc[rows], sound[rows], settings)
    qfit, radxs = (stars[name].to_numpy(float) for name in ("qfit", "radxs"))
    ray, galaxy = radxs < limits[:, 1], radxs > limits[:, 2]
    star = (qfit <= limits[:, 0]) & (limits[:, 1] <= radxs) & (radxs <= limits[:, 2])
    columns = {"star": star, "ray": ray, "galaxy": galaxy}
    columns |= dict(zip(("qfit_cut", "radxs_low", "radxs_high"), limits.T, strict=True))
    return pd.DataFrame(columns, index=stars.index)


def well_measured(stars: pd.DataFrame, settings: CutSettings) -> NDArray[np.bool_]:
    """Rows (n,) of MEASUREMENTS that are stars, have none of the `flags`, and reach `signal_to_noise`."""
    bright = (stars["flux"] >= settings.signal_to_noise * stars["flux_error"]).to_numpy()
    return cuts(stars, settings)["star"].to_numpy() & ~_flagged(stars, settings) & bright


def _flagged(stars: pd.DataFrame, settings: CutSettings) -> NDArray[np.bool_]:
    bits = sum(int(Flag[name]) for name in set(settings.flags))
    return (stars["flags"].to_numpy() & np.uint32(bits)) != 0


def _limits(stars: pd.DataFrame, sound: NDArray[np.bool_], settings: CutSettings) -> NDArray[np.float64]:
    """Limits (n, 3) of QFIT, and of RADXS below and above, for one exposure's rows."""
    names = ("mag", "flux", "flux_error", "qfit", "radxs")
    mag, flux, error, qfit, radxs = (stars[name].to_numpy(float) for name in names)
    use = sound & np.isfinite([mag, error, qfit, radxs]).all(axis=0)

    def usual(value: NDArray) -> tuple[NDArray, NDArray]:
        return running(mag[use], value[use], mag, settings.nearest, settings.sigmas)

    # Not a source's own error, which its misfit has raised.
    noise = (usual(error)[0] if use.any() else error) / flux
    most, either = settings.qfit + _QFIT_NOISE * noise, settings.radxs + _RADXS_NOISE * noise
    if np.count_nonzero(use) < settings.least:
        return np.column_stack([most, -either, either])
    scale = _FLOOR + noise  # in units of which neither changes much within a window
    (middle, spread), (excess, width) = usual(qfit / scale), usual(radxs / scale)
    k = settings.sigmas
    limits = np.column_stack([middle + k * spread, excess - k * width, excess + k * width]) * scale[:, None]
    bounds = np.column_stack([most, either, either])
    return np.clip(limits, -bounds, bounds)
