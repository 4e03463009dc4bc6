"""What fits say of an ePSF: residuals of free positions about averages, those of stars kept out, and samplings."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stampfit import StampFits
from compute.kernels.calibrate.stamps import shine_stamps
from compute.stages.calibrate.stars import Pool, Stars

__all__ = ["judge", "numbers", "samplings"]

_BINS, _LEAST = 10, 500  # of pixel phase; stamps of a part of the field that has an amplitude of its own
_PARTS = 3  # of the field along each axis
_SHOWN, _ASIDE = 300, 0.125  # stars of a profile; farthest a sampling may lie from the axis [pix]


def judge(number: int, pool: Pool, fits: StampFits, stars: Stars) -> pd.DataFrame:
    """A row per linked stamp after pass `number`.

    `pass`; `exposure`, its row; `star`, a number within the pass; `x`, `y`, its raw position fitted freely [pix]; `dx`,
    `dy`, free minus imposed [pix]; `flux`; `qfit`; `chi2`, reduced; `reserved`.
    """
    k = stars.rows
    return pd.DataFrame({
        "pass": np.full(k.size, number, np.int16), "exposure": pool.exposure[k].astype(np.int32), "star": stars.star,
        "x": pool.x_pixel[k] + fits.x[k], "y": pool.y_pixel[k] + fits.y[k], "dx": fits.x[k] - stars.x,
        "dy": fits.y[k] - stars.y, "flux": fits.flux[k], "qfit": fits.qfit[k], "chi2": fits.chi2[k],
        "reserved": stars.reserved,
    })  # fmt: skip


def numbers(rows: pd.DataFrame) -> dict[str, float]:
    """What a pass leaves, from its rows of :func:`judge`; NaN where there is too little to say.

    `scatter`, per axis and robust [pix], and medians `qfit` and `chi2`, of stars that were used, and `_reserved`, of
    those that were not; amplitudes of the residuals' pixel phase over the field, `phase_x` and `phase_y` [pix], and
    `phase_worst` of either axis, of bright or faint stars, in any of 3x3 parts of the field.
    """
    told = {}
    for suffix, part in (("", rows[~rows["reserved"]]), ("_reserved", rows[rows["reserved"]])):
        off = np.abs(np.concatenate([part["dx"], part["dy"]]))
        told["scatter" + suffix] = 1.4826 * _median(off)
        told |= {name + suffix: _median(part[name].to_numpy()) for name in ("qfit", "chi2")}
    told |= {f"phase_{axis}": _amplitude(rows, axis) for axis in "xy"}
    worst = [_amplitude(part, axis) for part in _parts(rows) if len(part) >= _LEAST for axis in "xy"]
    return told | {"phase_worst": max(worst, default=np.nan)}


def _median(values: NDArray) -> float:
    found = values[np.isfinite(values)]
    return float(np.median(found)) if found.size else np.nan


def _parts(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Bright and faint stars of 3x3 parts of the field."""
    of = [np.clip((_PARTS * (v - v.min()) / max(np.ptp(v), 1.0)).astype(int), 0, _PARTS - 1)
          for v in (rows["x"].fillna(0.0).to_numpy(), rows["y"].fillna(0.0).to_numpy())]  # fmt: skip
    bright = rows["flux"] > rows["flux"].median()
    return [part for _, part in rows.groupby([*of, bright])]


def _amplitude(rows: pd.DataFrame, axis: str) -> float:
    """Largest departure of the median residual in ten bins of pixel phase, that of averages, from their mean [pix]."""
    off, place = rows[f"d{axis}"].to_numpy(), (rows[axis] - rows[f"d{axis}"]).to_numpy()
    good = np.isfinite(off)
    off, bins = off[good], np.floor((place[good] + 0.5) % 1.0 * _BINS).astype(int)
    medians = np.array([_median(off[bins == k]) for k in range(_BINS)])
    return float(np.abs(medians - medians.mean()).max())


def samplings(table: Table, pool: Pool, stars: Stars) -> pd.DataFrame:
    """Pixels of the brightest stars of the middle fiducial's region that lie on either axis through their centres.

    `axis` ("x" or "y"); `offset`, pixel minus star along it [pix]; `value`, pixel over the star's flux, and its
    `error`; `model`, the ePSF at the very place of the sampling.
    """
    near = ~stars.reserved
    for place, f in ((pool.x_pixel, table.fx), (pool.y_pixel, table.fy)):
        near &= np.abs(place[stars.rows, None] - f).argmin(1) == f.size // 2
    chosen = np.flatnonzero(near)
    chosen = chosen[np.argsort(-stars.flux[chosen], kind="stable")[:_SHOWN]]
    x, y, flux = stars.x[chosen], stars.y[chosen], stars.flux[chosen]
    s = pool.stamps(x, y, flux, stars.rows[chosen])
    psi, side = np.empty(s.light.shape), np.arange(-(s.light.shape[1] // 2), s.light.shape[1] // 2 + 1)
    shine_stamps(table.coef, table.fx, table.fy, table.oversampling, table.taps, x, y, s.at_x, s.at_y, psi)
    u, v = np.broadcast_arrays(side - x[:, None, None], side[:, None] - y[:, None, None])
    parts = []
    for axis, along, aside in (("x", u, v), ("y", v, u)):
        on = (np.abs(aside) <= _ASIDE) & (s.weight > 0)
        scale = np.broadcast_to(flux[:, None, None], on.shape)[on]
        parts.append(pd.DataFrame({
            "axis": axis, "offset": along[on], "value": s.light[on] / scale,
            "error": 1 / (np.sqrt(s.weight[on]) * scale), "model": psi[on],
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)
