"""Catalogs with a master frame written by hand: every residual is known."""

import json

import numpy as np
import pandas as pd

from catalogs.catalog import create_or_open, frame_path, measurement_path
from catalogs.masters import MASTER, MATCHES, TRANSFORMS
from catalogs.parquet import write_table
from catalogs.tables import EXPOSURES, MEASUREMENTS

FIELD, MAS, SCALE, SIZE = "lmc", 50.0, 65.0, 600
KEY = {"instrument": "NIRISS", "filter": "F090W", "epoch": 2022.33}
FOLDER = frame_path(FIELD, "NIRISS", "F090W", "2022.33")


def name_of(k: int) -> str:
    """Name of exposure `k`."""
    return f"jw01086001001_02101_{k + 1:05d}_nis"


def matrix(k: int) -> np.ndarray:
    """From the detector to the frame: mirrored, turned a little more for each exposure."""
    angle = np.radians(94.0 + 10.0 * k)
    return SCALE / MAS * np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def detections(n_exposures=6, n_stars=400, noise=0.004, wave=0.0, seed=0) -> pd.DataFrame:
    """Every star in every exposure: `k`, `star`, raw `x`, `y`, and `dx`, `dy`, how far a mean is missed on the frame.

    `noise` [pix] is that of the detector, `wave` [pix] the error in x as pixel phase goes round.
    """
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(5, SIZE - 6, (2, n_exposures, n_stars))  # where on the detector does not matter to a residual
    error = rng.normal(0, noise, (n_exposures, n_stars, 2))
    error[..., 0] += wave * np.sin(2 * np.pi * (x - np.round(x)))
    missed = np.einsum("kij,knj->kni", [matrix(k) for k in range(n_exposures)], error)
    missed -= missed.mean(axis=0)
    k, star = np.indices((n_exposures, n_stars))
    columns = {"k": k, "star": star, "x": x, "y": y, "dx": missed[..., 0], "dy": missed[..., 1]}
    return pd.DataFrame({name: value.ravel() for name, value in columns.items()})


def magnitude(star):
    """Instrumental magnitude of each star."""
    return -12.0 + 0.01 * np.asarray(star)


def residuals(found: pd.DataFrame, noise=0.004) -> pd.DataFrame:
    """Detections as a report reads them from MATCHES, MEASUREMENTS and MASTER."""
    error = noise * SCALE / MAS
    means = {f"mean_{axis}_error": error / np.sqrt(found["k"].nunique()) for axis in "xy"}
    return found.assign(
        number=found["k"], row=found["star"], mag=magnitude(found["star"]), reserved=found["star"] % 10 == 0,
        x_error=error, y_error=error, **means,
    )  # fmt: skip


def masters(found: pd.DataFrame, noise=0.004) -> pd.DataFrame:
    """MASTER of the detections; every 20th star is flagged."""
    groups, n = found.groupby("star"), found["k"].nunique()
    error = noise * SCALE / MAS / np.sqrt(n)
    star = np.arange(found["star"].nunique())
    rows = {
        "star_id": star, "x": 9900.0 + star, "y": 1e4, "x_error": error, "y_error": error, "xy_corr": 0.0, "ra": 80.5,
        "dec": -69.5, "ra_error": 50 * error, "dec_error": 50 * error, "mag": magnitude(star), "mag_error": 0.01,
        "n_found": n, "n_used": n, "rms_x": groups["dx"].std(), "rms_y": groups["dy"].std(), "rms_mag": 0.01,
        "qfit": 0.02, "radxs": 0.0, "mean_epoch": 2022.33, "flags": np.where(star % 20 == 0, 1, 0),
    }  # fmt: skip
    return MASTER.conform(pd.DataFrame(rows))


def exposures(n: int) -> pd.DataFrame:
    """EXPOSURES, the last one rejected."""
    rows = [
        {
            "exposure": name_of(k), "program": 1086, **KEY, "detector": "NIS", "n_x": SIZE, "n_y": SIZE, "x_start": 0,
            "y_start": 0, "exptime": 50.0, "mjd_mid": 59700.0 + 0.01 * k, "ra": 80.49, "dec": -69.5,
            "position_angle": 94.0, "path": name_of(k),
            "sha256": "0", "n_stars": 400, "status": "ok", "measured_with": "m",
        }
        for k in range(n)
    ]  # fmt: skip
    reason = "SCI: found <all NaN>, expected stars"
    return pd.DataFrame([*rows, {"exposure": "bad", "path": "bad", "status": "rejected", "reason": reason}])


def transforms(n: int) -> pd.DataFrame:
    """TRANSFORMS: the exposures, one that could not be placed, and the tie to a reference."""
    rows = []
    for k in range(n):
        row = {"exposure": name_of(k), "detector": "NIS", "scale": SCALE, "rotation": 94.001, "status": "ok"}
        terms = np.column_stack([[1e4, 1e4], matrix(k)])
        rows.append(row | {"coefficients": json.dumps(terms.tolist())})
    rows.append(rows[0] | {"exposure": "lost", "status": "found 0 stars, expected 3"})
    rows.append(rows[0] | {"exposure": "reference", "detector": "", "rms": 0.03})
    common = {
        **KEY, "kind": "affine", "corrected": True, "x_centre": 0.0, "y_centre": 0.0, "half_width": 1.0,
        "covariance": json.dumps(np.zeros((6, 6)).tolist()), "scale_error": 1e-4, "skew_on": 0.0, "skew_off": 0.0,
        "zero_point": 0.001, "zero_point_error": 1e-4, "floor": 0.001, "floor_mag": 0.0, "n_used": 300,
    }  # fmt: skip
    return TRANSFORMS.conform(pd.DataFrame([{"rms": 0.005} | row | common for row in rows]))


def write(folder, found: pd.DataFrame, *, noise=0.004, frames=True):
    """A catalog of the detections, in MEASUREMENTS alone or with a master frame and a reference catalog."""
    n = found["k"].nunique()
    catalog, rows = create_or_open(folder), EXPOSURES.conform(exposures(n))
    catalog.write_exposures(rows)
    for k, part in found.groupby("k"):
        _put(catalog, measurement_path(rows.iloc[k]), _measured(k, part, noise), MEASUREMENTS)
    if not frames:
        return catalog
    master, linked = masters(found, noise), residuals(found, noise)
    common = {"x_frame": 1e4, "y_frame": 1e4, "ra": 80.5, "dec": -69.5, "used": True}
    matches = linked.assign(star_id=linked["star"], exposure=[name_of(k) for k in linked["k"]], detector="NIS")
    _put(catalog, f"{FOLDER}/part-9_9.parquet", master, MASTER)
    _put(catalog, f"transforms/field={FIELD}/part-0.parquet", transforms(n), TRANSFORMS)
    _put(catalog, f"matches/field={FIELD}/part-9_9.parquet", matches.assign(**common), MATCHES)
    tied = matches[matches["k"] == 0].assign(**common, exposure="gaia", detector="")
    tied = tied.assign(x_frame=master["x"].to_numpy(), dx=tied["dx"] + 0.02)
    _put(catalog, f"matches/field={FIELD}/gaia-NIRISS_F090W_2022.33_9_9.parquet", tied, MATCHES)
    entry = {FIELD: {"plane": {"ra": 80.5, "dec": -69.5, "scale": MAS}}}
    catalog.write_manifest(catalog.manifest.with_stage("frame", entry))
    return catalog


def _measured(k: int, part: pd.DataFrame, noise: float) -> pd.DataFrame:
    flux = 10 ** (-0.4 * magnitude(part["star"]))
    known = dict.fromkeys(("sky", "radxs", "neighbour", "xy_corr"), 0.0)
    return part.assign(
        exposure=name_of(k), x_error=noise, y_error=noise, flux=flux, flux_error=flux / 100, mag_error=0.01,
        mag=magnitude(part["star"]), sky_error=0.0, qfit=0.02, chi2=1.0, peak=flux, n_pix=25, x_gdc=part["x"],
        y_gdc=part["y"], mag_area=0.0, mjd=59700.0, flags=0, **known,
    )  # fmt: skip


def _put(catalog, path: str, rows: pd.DataFrame, table) -> None:
    catalog.store.commit(path, lambda file: write_table(table.conform(rows), table, file))
