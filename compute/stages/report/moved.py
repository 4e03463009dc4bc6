"""Motions of a simulated field beside the true ones."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from catalogs.flags import Flag
from compute.kernels.match.crossmatch import match_sky
from compute.kernels.motion.celestial import propagate
from compute.stages.report.style import BLUE, GREY, RED, new_figure, styled

__all__ = ["beside", "match_motions", "motion_figure", "motion_numbers", "zero_point"]

_RADIUS = 40.0  # [mas] within which a true star is the one that was measured
_FAR = 5.0  # errors, beyond which a star is a mismatch and not noise
_BEST = 0.3  # share of the stars, those with the smallest errors


def match_motions(motions: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Clean stars of MOTIONS beside the true star at their place and time: `ra_off`, `dec_off`, motion minus the true
    one [mas/yr], less the mean of the best stars, which relative motions leave open; `pmra_error`, `pmdec_error`.
    """
    whole = int(Flag.GROUP_FIT | Flag.CTE | Flag.CUTOUT)
    clean = motions[(motions["flags"].to_numpy().astype(np.int64) & ~whole) == 0]
    if clean.empty:
        return pd.DataFrame(columns=["ra_off", "dec_off", "pmra_error", "pmdec_error"])
    mine, theirs = beside(clean, truth)
    found = {f"{name}_error": mine[f"{name}_error"].to_numpy() for name in ("pmra", "pmdec")}
    for axis, name in (("ra", "pmra"), ("dec", "pmdec")):
        off = mine[name] - theirs[name]
        found[f"{axis}_off"] = (off - zero_point(off, mine[f"{name}_error"])).to_numpy()
    return pd.DataFrame(found)


def beside(motions: pd.DataFrame, truth: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of MOTIONS that have a true star at their place and time, and these stars, row by row."""
    ra, dec, pmra, pmdec = (truth[name].to_numpy() for name in ("ra", "dec", "pmra", "pmdec"))
    years = float(motions["ref_epoch"].median()) - truth["ref_epoch"].to_numpy()
    ra, dec = propagate(ra, dec, pmra, pmdec, years, np.zeros(len(truth)), np.zeros(3))
    pairs = match_sky(motions["ra"], motions["dec"], ra, dec, _RADIUS)
    return motions.iloc[pairs.first].reset_index(drop=True), truth.iloc[pairs.second].reset_index(drop=True)


def zero_point(off: pd.Series, error: pd.Series) -> float:
    """What relative motions leave open: the median of motions minus true ones of the stars with the least errors."""
    return float(off[error <= error.quantile(_BEST)].median()) if len(off) else 0.0


def motion_numbers(matched: pd.DataFrame) -> dict[str, float]:
    """How many stars have motions, how well the best are known, and scatter over error of all."""
    if matched.empty:
        return {}
    pulls = np.concatenate([matched["ra_off"] / matched["pmra_error"], matched["dec_off"] / matched["pmdec_error"]])
    error = np.hypot(matched["pmra_error"], matched["pmdec_error"]) / np.sqrt(2)
    return {
        "clean stars with a motion and a true star": float(len(matched)),
        "error of the best 30 % of motions [mas/yr]": float(np.median(error[error <= np.quantile(error, _BEST)])),
        "scatter of motions over their errors": float(1.4826 * np.median(np.abs(pulls))),
        "motions beyond 5 errors [%]": float(100 * np.mean(np.abs(pulls) > _FAR)),
    }


@styled
def motion_figure(matched: pd.DataFrame) -> Figure:
    """Errors of motions against those that were claimed, and their distribution beside a Gaussian's."""
    figure, axes = new_figure(3.8, 1, 2)
    for name, axis, colour in (("pmra", "ra", BLUE), ("pmdec", "dec", RED)):
        error, off = matched[f"{name}_error"], matched[f"{axis}_off"]
        axes[0].plot(error, off, ".", ms=2, color=colour, alpha=0.4, label=name)
        axes[1].hist((off / error).clip(-_FAR, _FAR), bins=50, range=(-_FAR, _FAR), density=True, histtype="step",
                     color=colour, lw=1.3)  # fmt: skip
    reach = float(matched[["pmra_error", "pmdec_error"]].quantile(0.95).max())
    for sign in (-1, 1):
        axes[0].plot([0, reach], [0, sign * reach], "-", color=GREY, lw=1.0)
    axes[0].set(xlabel="claimed error [mas/yr]", ylabel="motion − truth [mas/yr]", xlim=(0, reach),
                ylim=(-4 * reach, 4 * reach))  # fmt: skip
    axes[0].set_title("lines: one error")
    axes[0].legend(loc="upper left", ncols=2)
    pull = np.linspace(-_FAR, _FAR, 200)
    axes[1].plot(pull, np.exp(-(pull**2) / 2) / np.sqrt(2 * np.pi), "-", color=GREY, lw=1.2)
    axes[1].set(xlabel="(motion − truth) / error", ylabel="density")
    axes[1].set_title("grey: a Gaussian of unit width; outermost: all beyond")
    return figure
