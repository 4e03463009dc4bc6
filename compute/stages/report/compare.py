"""Measured stars against the truth they were simulated from: who belongs to whom, and what that says in numbers.

Tables are MEASUREMENTS with their path keys, and POSITIONS with `exposure`, `detector` and `edge`, the distance of a
source from the edge of its array [pix].
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

RADIUS = 0.7  # pix within which a measured star and a true source are the same
BARS = {  # what a healthy run keeps to: least and greatest value
    "isolated stars above S/N 10 found [%]": (98.0, 100.0),
    "clean ones with no true source [%]": (0.0, 3.0),
    "x scatter above S/N 100 [mpix]": (0.0, 20.0),
    "y scatter above S/N 100 [mpix]": (0.0, 20.0),
    "median flux ratio above S/N 100": (0.99, 1.01),
}
_BRIGHT, _FOUND = 100.0, 10.0  # S/N of stars whose errors are looked at, and above which every one should be found
_ALONE, _SHARE, _EDGE = 8.0, 0.1, 6.0  # pix, share of flux, pix
_BINS, _TYPICAL = 10, 50


def match_truth(stars: pd.DataFrame, truth: pd.DataFrame, radius: float = RADIUS) -> pd.DataFrame:
    """Each measured star with the brightest true source of its exposure within `radius` pix: `true_x`, `true_y`,
    `true_flux` and `kind` beside its own columns; stars without one are left out.
    """
    parts = []
    for mine, theirs in _together(stars, truth):
        theirs = theirs.sort_values("flux", ascending=False, kind="stable")
        near = cKDTree(theirs[["x", "y"]]).query_ball_point(mine[["x", "y"]], radius)
        found = [k for k, n in enumerate(near) if n]
        best = theirs.iloc[[min(near[k]) for k in found]].reset_index(drop=True)
        true = best[["x", "y", "flux"]].add_prefix("true_").assign(kind=best["kind"])
        parts.append(pd.concat([mine.iloc[found].reset_index(drop=True), true], axis=1))
    return pd.concat(parts, ignore_index=True)


def false_detections(stars: pd.DataFrame, truth: pd.DataFrame, radius: float = RADIUS) -> pd.DataFrame:
    """Clean stars with no true star, galaxy or target of their exposure within `radius` pix."""
    parts = []
    for mine, theirs in _together(stars[stars["flags"] == 0], truth):
        distance, _ = cKDTree(theirs[["x", "y"]]).query(mine[["x", "y"]])
        parts.append(mine[distance > radius])
    return pd.concat(parts, ignore_index=True)


def findable(stars: pd.DataFrame, truth: pd.DataFrame, signal_to_noise: float = _FOUND) -> pd.DataFrame:
    """True stars that nothing excuses missing, with `found` and `found_clean`.

    They are unsaturated, 6 pix inside the array, no other source within 8 pix has a tenth of their flux, and their
    true flux is `signal_to_noise` times the error of the stars that were measured nearest to it.
    """
    parts = []
    for mine, theirs in _together(stars, truth):
        away = (mine["flux"] / mine["flux_error"] - signal_to_noise).abs()
        error = mine["flux_error"].loc[away.nsmallest(_TYPICAL).index].median()
        chosen = (theirs["kind"] == "star") & ~theirs["saturated"] & (theirs["edge"] > _EDGE) & alone(theirs)
        due = theirs[chosen & (theirs["flux"] > signal_to_noise * error)]
        clean = mine[mine["flags"] == 0]
        parts.append(due.assign(found=_near(due, mine), found_clean=_near(due, clean)))
    return pd.concat(parts, ignore_index=True)


def alone(sources: pd.DataFrame, radius: float = _ALONE, share: float = _SHARE) -> NDArray[np.bool_]:
    """Which sources of one exposure have no other within `radius` pix with more than `share` of their flux."""
    flux = sources["flux"].to_numpy()
    one, other = cKDTree(sources[["x", "y"]]).query_pairs(radius, output_type="ndarray").T
    free = np.ones(len(sources), bool)
    free[one[flux[other] > share * flux[one]]] = False
    free[other[flux[one] > share * flux[other]]] = False
    return free


def residuals(matched: pd.DataFrame) -> pd.DataFrame:
    """Clean matched stars with `dx`, `dy`, measured minus true [pix], less the median of their exposure's bright ones
    in `offset_x`, `offset_y`: where an ePSF has its origin is a convention, and shifts all stars of an exposure alike.
    """
    clean = matched[(matched["flags"] == 0) & (matched["kind"] == "star")].copy()
    bright = clean["flux"] > _BRIGHT * clean["flux_error"]
    keys = [clean["exposure"], clean["detector"]]
    for axis in ("x", "y"):
        error = clean[axis] - clean[f"true_{axis}"]
        clean[f"offset_{axis}"] = error.where(bright).groupby(keys).transform("median").fillna(0.0)
        clean[f"d{axis}"] = error - clean[f"offset_{axis}"]
    return clean.assign(bright=bright)


def phase_curve(compared: pd.DataFrame, axis: str) -> pd.Series:
    """Median error of bright stars [mpix] in ten bins of true pixel phase; the index is their middles."""
    bright = compared[compared["bright"]]
    place = bright[f"true_{axis}"]
    bins = np.clip(((place - np.round(place) + 0.5) * _BINS).astype(int), 0, _BINS - 1)
    curve = 1e3 * bright[f"d{axis}"].groupby(bins).median().reindex(range(_BINS))
    return curve.set_axis((np.arange(_BINS) + 0.5) / _BINS - 0.5)


def numbers(stars: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float]:
    """How measured stars compare with truth; what there are no stars to tell from is left out."""
    matched, due = match_truth(stars, truth), findable(stars, truth)
    compared = residuals(matched)
    bright = compared[compared["bright"]]
    groups = [part for _, part in compared.groupby(["exposure", "detector"])]
    clean = int((stars["flags"] == 0).sum())
    said: dict[str, float] = {
        "exposures": len(groups),
        "true stars on them": int((truth["kind"] == "star").sum()),
        "measured": len(stars),
        "with a true source": len(matched),
        "clean": clean,
        "clean ones with no true source [%]": 100 * len(false_detections(stars, truth)) / max(clean, 1),
        "isolated true stars above S/N 10": len(due),
        "isolated stars above S/N 10 found [%]": 100 * due["found"].mean(),
        "found and clean [%]": 100 * due["found_clean"].mean(),
        "clean stars above S/N 100": len(bright),
    }
    for axis in ("x", "y"):
        said[f"{axis} scatter above S/N 100 [mpix]"] = 1482.6 * bright[f"d{axis}"].abs().median()
        curves = [phase_curve(part, axis) for part in groups]
        said[f"{axis} pixel-phase amplitude, typical exposure [mpix]"] = np.median(
            [(curve - curve.mean()).abs().max() for curve in curves]
        )
        offsets = [part[f"offset_{axis}"].iloc[0] for part in groups]
        said[f"largest shift of an exposure in {axis} [mpix]"] = 1e3 * max(offsets, key=abs)
    said["median flux ratio above S/N 100"] = (bright["flux"] / bright["true_flux"]).median()
    known = {name: value for name, value in said.items() if not np.isnan(value)}
    return {name: value if isinstance(value, int) else round(float(value), 4) for name, value in known.items()}


def _together(stars: pd.DataFrame, truth: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Measured and true rows of each exposure and detector."""
    groups = dict(list(truth.groupby(["exposure", "detector"])))
    for key, mine in stars.groupby(["exposure", "detector"]):
        yield mine, groups[key]


def _near(sources: pd.DataFrame, stars: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether a star lies within RADIUS of each source."""
    return cKDTree(stars[["x", "y"]]).query(sources[["x", "y"]])[0] <= RADIUS
