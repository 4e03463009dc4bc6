"""Stage `report`: figures that tell at a glance whether the measurements can be trusted."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first: workers have no display)
from matplotlib.figure import Figure  # noqa: E402

_GREY, _RED, _BLUE = "0.35", "#c0392b", "#1f618d"
plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 110})


def quality_figure(stars: pd.DataFrame, label: str, inherited: int = 0) -> Figure:
    """QFIT, RADXS and chi2 against instrumental magnitude, clean stars over flagged ones (Libralato et al. 2023,
    Figs. 5 and 6), and where the clean, well exposed stars fall on their pixels (their Fig. 1).

    `inherited` are flag bits every star of the exposure has (CUTOUT, CTE), not held against it here.
    """
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.6), layout="constrained")
    own = stars["flags"].to_numpy() & ~np.uint32(inherited)
    clean = own == 0
    limits = {"qfit": (0.0, 1.0), "radxs": (-0.6, 0.6), "chi2": (0.1, 100.0)}
    for axis, (name, limit) in zip(axes, limits.items(), strict=False):
        axis.plot(stars["mag"][~clean], stars[name][~clean], ".", ms=2, color="0.8", label=f"flagged, {(~clean).sum()}")
        axis.plot(stars["mag"][clean], stars[name][clean], ".", ms=2, color=_GREY, label=f"clean, {clean.sum()}")
        axis.set(xlabel="instrumental magnitude", ylabel=name.upper(), ylim=limit)
    axes[2].set_yscale("log")
    axes[1].axhline(0.0, color=_RED, lw=0.8)
    axes[2].axhline(1.0, color=_RED, lw=0.8)
    axes[0].legend(frameon=False, markerscale=4, loc="upper left")
    axes[0].set_title(label, loc="left")
    bright = clean & (stars["flux"] > 20 * stars["flux_error"]).to_numpy()
    for name, colour in (("x", _BLUE), ("y", _RED)):
        phase = stars[name][bright] - np.round(stars[name][bright])
        axes[3].hist(phase, np.linspace(-0.5, 0.5, 21), histtype="step", color=colour, label=name)
    axes[3].axhline(bright.sum() / 20, color=_GREY, lw=0.8, ls=":")
    axes[3].set(xlabel="pixel phase [pix]", ylabel="clean stars above S/N 20", ylim=(0, None))
    axes[3].legend(frameon=False, loc="lower right")
    return figure


def frame_figure(image: np.ndarray, stars: pd.DataFrame, origin: tuple[int, int], side: int = 160) -> Figure:
    """The middle of a frame, and the same with its stars marked: clean ones in blue, flagged ones in red."""
    ny, nx = image.shape
    x0, y0 = max((nx - side) // 2, 0), max((ny - side) // 2, 0)
    cut = image[y0 : y0 + side, x0 : x0 + side]
    extent = (origin[0] + x0 - 0.5, origin[0] + x0 + cut.shape[1] - 0.5,
              origin[1] + y0 - 0.5, origin[1] + y0 + cut.shape[0] - 0.5)  # fmt: skip
    low, high = np.nanpercentile(cut, (5, 99))
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.4), layout="constrained", sharex=True, sharey=True)
    for axis in axes:
        axis.imshow(cut, origin="lower", extent=extent, cmap="gray_r", vmin=low, vmax=high, interpolation="nearest")
        axis.set(xlabel="x [pix]", ylabel="y [pix]")
    clean = stars["flags"] == 0
    for chosen, colour in ((clean, _BLUE), (~clean, _RED)):
        axes[1].plot(stars["x"][chosen], stars["y"][chosen], "o", mfc="none", mec=colour, ms=9, mew=1.2)
    axes[1].set(xlim=extent[:2], ylim=extent[2:])
    figure.suptitle("blue: clean stars, red: flagged", fontsize=10)
    return figure


def match_truth(stars: pd.DataFrame, truth: pd.DataFrame, radius: float = 0.5) -> pd.DataFrame:
    """Each measured star with the brightest true star of its exposure within `radius` pix: `true_x`, `true_y`,
    `true_flux` beside its own columns; stars without one are left out.
    """
    parts = []
    for name, mine in stars.groupby("exposure"):
        theirs = truth[truth["exposure"] == name].sort_values("flux", ascending=False)
        near = cKDTree(theirs[["x", "y"]]).query_ball_point(mine[["x", "y"]], radius)
        found = [k for k, n in enumerate(near) if n]
        best = theirs.iloc[[min(near[k]) for k in found]].reset_index(drop=True)
        true = best[["x", "y", "flux"]].add_prefix("true_")
        parts.append(pd.concat([mine.iloc[found].reset_index(drop=True), true], axis=1))
    return pd.concat(parts, ignore_index=True)


def truth_summary(matched: pd.DataFrame, truth: pd.DataFrame) -> dict[str, Any]:
    """How measured stars compare with truth: numbers for the page and for JSON."""
    clean = matched[matched["flags"] == 0]
    bright = clean[clean["flux"] > 100 * clean["flux_error"]]
    mad = {axis: float(1.4826 * (bright[axis] - bright[f"true_{axis}"]).abs().median() * 1000.0) for axis in ("x", "y")}
    return {
        "true stars": len(truth),
        "matched": len(matched),
        "clean": len(clean),
        "clean above S/N 100": len(bright),
        "x scatter above S/N 100 [mpix]": round(mad["x"], 2),
        "y scatter above S/N 100 [mpix]": round(mad["y"], 2),
        "median flux ratio": round(float((bright["flux"] / bright["true_flux"]).median()), 5),
    }


def truth_figure(matched: pd.DataFrame) -> Figure:
    """Position errors against magnitude, with the errors claimed, and against pixel phase; flux errors beside them."""
    clean = matched[matched["flags"] == 0]
    figure, axes = plt.subplots(1, 3, figsize=(15, 3.8), layout="constrained")
    residual = 1000.0 * (clean["x"] - clean["true_x"])
    axes[0].plot(clean["mag"], residual, ".", ms=2, color=_GREY)
    claimed = (1000.0 * clean["x_error"]).groupby((clean["mag"] * 4).round() / 4).median()
    for sign in (-1, 1):
        axes[0].plot(claimed.index, sign * claimed, "-", lw=1.2, color=_RED)
    axes[0].set(xlabel="instrumental magnitude", ylabel="x - truth [mpix]", ylim=(-150, 150))
    axes[0].set_title("grey: clean stars, red: claimed error", loc="left")
    bright = clean[clean["flux"] > 100 * clean["flux_error"]]
    for name, colour in (("x", _BLUE), ("y", _RED)):
        phase = bright[f"true_{name}"] - np.round(bright[f"true_{name}"])
        offset = 1000.0 * (bright[name] - bright[f"true_{name}"])
        axes[1].plot(phase, offset, ".", ms=2, color=colour, alpha=0.4)
        bins = np.clip(((phase + 0.5) * 10).astype(int), 0, 9)
        axes[1].plot(np.arange(10) / 10 - 0.45, offset.groupby(bins).median().reindex(range(10)), "-o", ms=3,
                     color=colour, label=name)  # fmt: skip
    axes[1].set(xlabel="pixel phase of truth [pix]", ylabel="position - truth [mpix]", ylim=(-40, 40))
    axes[1].set_title("above S/N 100, medians in bins", loc="left")
    axes[1].legend(frameon=False)
    axes[2].plot(clean["mag"], clean["flux"] / clean["true_flux"] - 1.0, ".", ms=2, color=_GREY)
    axes[2].set(xlabel="instrumental magnitude", ylabel="flux / truth - 1", ylim=(-0.3, 0.3))
    axes[2].axhline(0.0, color=_RED, lw=0.8)
    return figure
