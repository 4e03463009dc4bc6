"""What is left in the residuals of a distortion correction: trends against zero, local features, and numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from catalogs.distortion import DistortionCube, LookUpTable, PixelMap, Polynomial
from compute.kernels.geometry.trends import scan, trend
from compute.stages.report.binned import phase, spread
from compute.stages.report.distortion_maps import shifts
from compute.stages.report.distortion_rows import brightest, chosen, kind_of, star_scatter
from compute.stages.report.distortion_trends import BANDS, gaussian
from compute.stages.report.precision import precision

__all__ = ["distortion_numbers", "features", "layer_numbers", "trends"]

_BINS, _PHASES, _MAGS = 16, 10, 8
_LAYERS = {"polynomial": Polynomial, "table": LookUpTable, "map": PixelMap}


def trends(rows: pd.DataFrame, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Binned residuals against zero: chi2, its probability and the largest mean, by axis and coordinate.

    Residuals against averages are taken one by one, and tell of small scales; what all exposures share, as they do the
    low orders when dithers are small, is not in them. Those against a reference catalog, where there are any, are first
    averaged star by star, as the star's own error is in all of them alike.
    """
    parts = [chosen(rows, False)] if (~rows["reference"]).any() else []
    if rows["reference"].any():
        parts.append(_star_means(chosen(rows, True)))
    return [
        {"against": kind_of(part), "residual": f"d{axis}", "coordinate": name} | _judged(part, axis, place, edges)
        for part in parts if len(part)
        for name, (place, edges) in _coordinates(part, shape).items()
        for axis in "xy"
        if not (part["reference"].iloc[0] and name.startswith("pixel phase"))  # of mean positions there is none
    ]  # fmt: skip


def _star_means(rows: pd.DataFrame) -> pd.DataFrame:
    columns = ["x", "y", "dx", "dy", "mag", "error"]
    return rows.groupby("star_id")[columns].mean().assign(reference=True).reset_index()


def _coordinates(rows: pd.DataFrame, shape: tuple[int, int]) -> dict[str, tuple[ArrayLike, NDArray]]:
    """Coordinates, and edges of their bins."""
    n_y, n_x = shape
    x, y, mag = (rows[name] for name in ("x", "y", "mag"))
    radius = np.hypot(x - (n_x - 1) / 2, y - (n_y - 1) / 2)
    return {
        "x": (x, np.linspace(-0.5, n_x - 0.5, _BINS + 1)),
        "y": (y, np.linspace(-0.5, n_y - 0.5, _BINS + 1)),
        "radius": (radius, np.linspace(0, np.hypot(n_x, n_y) / 2, _BINS + 1)),
        "amplifier, in rows": (y, np.linspace(-0.5, n_y - 0.5, BANDS + 1)),  # as on NIRISS
        "amplifier, in columns": (x, np.linspace(-0.5, n_x - 0.5, BANDS + 1)),  # as on NIRCam
        "magnitude": (mag, np.linspace(mag.min(), mag.max(), _MAGS + 1)),
        "pixel phase in x": (phase(x), np.linspace(-0.5, 0.5, _PHASES + 1)),
        "pixel phase in y": (phase(y), np.linspace(-0.5, 0.5, _PHASES + 1)),
    }


def _judged(rows: pd.DataFrame, axis: str, place: ArrayLike, edges: NDArray) -> dict[str, Any]:
    found = trend(rows[f"d{axis}"], rows["error"], place, edges)
    largest = 1e3 * float(np.nanmax(np.abs(found.mean), initial=0.0))
    return {"largest": largest, "chi2": found.chi2, "dof": found.dof, "p": found.p}


def features(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Local features of residuals against averages, or the catalog, in narrow bands across the detector."""
    best = chosen(rows, False)
    found = scan(best["x"], best["y"], best["dx"], best["dy"], best["error"])
    return [one._asdict() for one in found]


def distortion_numbers(rows: pd.DataFrame, cube: DistortionCube, mas: float) -> dict[str, Any]:
    """What a report records of a correction.

    Parameters
    ----------
    rows
        RESIDUALS of one detector and filter.
    mas
        Pixel scale [mas/pix].

    Returns
    -------
    dict
        `pairs` and, per axis [pix]: `before`, `after`, spreads of residuals against the catalog, of `used` and
        `reserved` stars; `sigma` of the Gaussian of the brightest against averages. `best`, the median 1-D rms of the
        best stars about their average, and `noise`, what errors let expect [pix]. `layers`: rms and largest shift of
        each [pix]. `trends`, `features`: tests of what is left.
    """
    far, near = chosen(rows, True), chosen(rows, False)
    kept = far["reserved"].to_numpy(bool)
    stars = star_scatter(rows)
    rms = np.sqrt((stars["rms_x"] ** 2 + stars["rms_y"] ** 2) / 2)
    found = precision(stars.assign(rms_x=rms, rms_y=rms), 1.0)
    best = stars[(stars["mag"] >= found.bright) & (stars["mag"] <= found.faint)]
    top = brightest(near)
    return {
        "camera": cube.key,
        "scale": mas,
        "against": kind_of(far),
        "pairs": {"reference": int(rows["reference"].sum()), "averages": int((~rows["reference"]).sum())},
        "exposures": int(rows["exposure"].nunique()),
        "before": {axis: spread(far[f"d{axis}_before"]) for axis in "xy"},
        "after": {axis: spread(far[f"d{axis}"]) for axis in "xy"},
        "used": {axis: spread(far.loc[~kept, f"d{axis}"]) for axis in "xy"},
        "reserved": {axis: spread(far.loc[kept, f"d{axis}"]) for axis in "xy"},
        "sigma": {axis: gaussian(top[f"d{axis}"])[2] for axis in "xy"},
        "best": found.x,
        "noise": float(np.sqrt((best["x_error"] ** 2 + best["y_error"] ** 2) / 2).median()),
        "layers": layer_numbers(cube),
        "trends": trends(rows, cube.shape),
        "features": features(rows),
    }


def layer_numbers(cube: DistortionCube) -> Mapping[str, dict[str, float]]:
    """Rms per axis and largest shift of every layer [pix]."""
    found = {}
    for name, kind in _LAYERS.items():
        if any(isinstance(layer, kind) for layer in cube.layers):
            both = shifts(cube, [kind])
            largest = float(np.nanmax(np.hypot(*both)))
            rms_x, rms_y = (float(np.sqrt(np.nanmean(one**2))) for one in both)
            found[name] = {"rms_x": rms_x, "rms_y": rms_y, "largest": largest}
    return found
