"""Made-up fields of stars as MEASUREMENTS and EXPOSURES: known places, known transformations, known noise."""

import numpy as np
import pandas as pd

from catalogs.catalog import create_or_open, measurement_path
from catalogs.parquet import write_table
from catalogs.tables import EXPOSURES, MEASUREMENTS
from compute.stages.plane import Plane

PLANE = Plane(80.49, -69.5)
SCALE, SIZE, ZERO = 65.6, 800, 25.0
FLOOR = 0.0


def sky(n=900, seed=1, width=1300.0):
    """Stars about the tangent point: x, y on the frame [pix] and magnitude, bright ones first."""
    rng = np.random.default_rng(seed)
    x, y = 10_000.0 + rng.uniform(-width / 2, width / 2, (2, n))
    return pd.DataFrame({"x": x, "y": y, "mag": np.sort(18.0 + 5.0 * rng.random(n) ** 0.6)})


def exposure_row(name="jw01086001001_02101_00001_nis", **known):
    """A row of EXPOSURES of a NIRISS subarray."""
    row = {
        "exposure": name, "program": 1086, "instrument": "NIRISS", "detector": "NIS", "filter": "F150W",
        "n_x": SIZE, "n_y": SIZE, "x_start": 0, "y_start": 0, "exptime": 100.0, "epoch": 2022.33, "mjd_mid": 59700.0,
        "ra": PLANE.ra, "dec": PLANE.dec, "position_angle": 94.0, "va_scale": 1.0, "path": f"{name}_cal.fits",
        "sha256": name[-9:], "status": "ok", "measured_with": "m", "image_unit": "MJy/sr",
    }  # fmt: skip
    return row | known


def observe(stars, row, *, shift=(0.0, 0.0), roll=0.0, scale=SCALE, zero=0.0, floor=0.0, warp=0.0, seed=0, noisy=True):
    """MEASUREMENTS of one exposure: `shift` [mas] and `roll` [deg] are how wrong its header is.

    `floor` [pix] is noise that formal errors do not tell; `warp` [pix] a quadratic distortion of the raw positions, and
    then there are no corrected ones.
    """
    rng = np.random.default_rng([seed, int(row["exposure"][-6:-4])])
    angle = np.radians(row["position_angle"] + roll)
    x0, y0 = PLANE.pixel(row["ra"], row["dec"])
    east, north = -(stars["x"] - x0) * 50.0 - shift[0], (stars["y"] - y0) * 50.0 - shift[1]
    x = (-np.cos(angle) * east + np.sin(angle) * north) / scale + (SIZE - 1) / 2
    y = (np.sin(angle) * east + np.cos(angle) * north) / scale + (SIZE - 1) / 2
    snr = np.clip(10 ** (-0.4 * (stars["mag"] - ZERO)) * 2, 5, 800)
    error = 0.6 / snr
    dx, dy = rng.normal(0, np.hypot(error, floor), (2, len(stars))) if noisy else np.zeros((2, len(stars)))
    x, y = x + dx, y + dy
    u, v = (x - SIZE / 2) / (SIZE / 2), (y - SIZE / 2) / (SIZE / 2)
    flux = 10 ** (-0.4 * (stars["mag"] + zero)) * 1e10 * (1 + (rng.normal(0, 1 / snr) if noisy else 0.0))
    mag = -2.5 * np.log10(flux)
    frame = pd.DataFrame({
        "exposure": row["exposure"], "x": x + warp * u * v, "y": y - warp * u**2,
        "x_error": error, "y_error": error, "xy_corr": 0.0, "flux": flux, "flux_error": flux / snr, "mag": mag,
        "mag_error": 1.0857 / snr, "sky": 1.0, "sky_error": 0.01, "qfit": 0.02, "radxs": 0.0, "chi2": 1.0,
        "peak": flux, "n_pix": 25, "neighbour": 0.0, "x_gdc": np.nan if warp else x, "y_gdc": np.nan if warp else y,
        "mag_area": mag, "mjd": row["mjd_mid"], "flags": np.uint32(0), "truth": np.arange(len(stars)),
    })  # fmt: skip
    frame = frame[(x > 0) & (x < SIZE - 1) & (y > 0) & (y < SIZE - 1)].sort_values("flux", ascending=False)
    frame["star"] = np.arange(1, len(frame) + 1)
    return frame.reset_index(drop=True)


def dithered(stars, n=6, seed=0, **options):
    """EXPOSURES and MEASUREMENTS of `n` exposures, dithered, each with a header some 0.3 arcsec and 0.05 deg wrong."""
    rng = np.random.default_rng(seed)
    rows, measured = [], []
    for k in range(n):
        ra, dec = PLANE.sky(*(10_000.0 + 90.0 * np.array([k % 3 - 1, k // 3 % 3 - 1]) + rng.uniform(-3, 3, 2)))
        names = {"name": f"jw01086001001_02101_{k + 1:05d}_nis", "ra": float(ra), "dec": float(dec)}
        row = exposure_row(**names | {key: options[key] for key in ("filter", "epoch", "mjd_mid") if key in options})
        drift = {"shift": rng.normal(0, 300, 2), "roll": rng.normal(0, 0.05), "seed": seed}
        told = {key: value for key, value in options.items() if key not in ("filter", "epoch", "mjd_mid")}
        measured.append(observe(stars, row, **drift | told))
        rows.append(row | {"n_stars": len(measured[-1])})
    return pd.DataFrame(rows), measured


def reference(stars, error=2.0, seed=5, share=0.6):
    """A reference catalog of some of the stars; `error` [mas]."""
    rng = np.random.default_rng(seed)
    kept = stars[rng.random(len(stars)) < share]
    noise = rng.normal(0, error / 50.0, (2, len(kept)))
    ra, dec = PLANE.sky(kept["x"] + noise[0], kept["y"] + noise[1])
    return pd.DataFrame({
        "id": kept.index.to_numpy(), "row": np.arange(len(kept)), "ra": ra, "dec": dec, "ra_error": error,
        "dec_error": error, "ra_dec_corr": 0.0, "mag": kept["mag"].to_numpy() + 0.2,
    })  # fmt: skip


def write_catalog(folder, rows, measured):
    """A catalog that holds these exposures and their measurements."""
    catalog = create_or_open(str(folder))
    rows = EXPOSURES.conform(rows)
    for row, stars in zip(rows.to_dict("records"), measured, strict=True):
        table = MEASUREMENTS.conform(stars)
        catalog.store.commit(measurement_path(row), lambda file, t=table: write_table(t, MEASUREMENTS, file))
    catalog.write_exposures(rows)
    return catalog
