"""MEASUREMENTS drawn from truth without pixels: what a perfect fit of the inner 5x5 pixels would have given.

For catalogs too large to be drawn: errors are those of the Cramer-Rao bound, positions and fluxes scatter by them.
Blends are not merged and nothing false is found.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.flags import Flag
from catalogs.tables import EXPOSURES, MEASUREMENTS
from compute.campaign import Campaign
from compute.kernels.simulate.distortion import area_map, forward
from compute.kernels.simulate.streams import stream
from compute.stages.simulate.epsfs import OVERSAMPLING, TrueEpsf
from compute.stages.simulate.instruments import Array
from compute.stages.simulate.plan import Exposure
from compute.stages.simulate.positions import locate
from compute.stages.simulate.rows import Truth, finished, source_rows
from compute.stages.simulate.setup import Setup, setups
from compute.stages.simulate.sky import Sky

THRESHOLD = 5.0  # S/N of the faintest star kept
_QFIT = 0.012  # of a perfectly exposed star
_UNITS = {"NIRISS": "MJy/sr", "NIRCAM": "MJy/sr", "WFPC2": "DN"}


def simulate_measurements(
    campaign: Campaign, exposure: Exposure, sky: Sky, epsfs: dict[str, TrueEpsf]
) -> list[tuple[Truth, pd.DataFrame, pd.DataFrame]]:
    """Truth, MEASUREMENTS and EXPOSURES rows of each detector of an exposure."""
    found = []
    for setup in setups(campaign, exposure, epsfs):
        positions = pd.concat([_stars(setup, sky, *window) for window in setup.windows()], ignore_index=True)
        positions["peak"] = positions["electrons"] * setup.epsf.core(exposure.focus) + setup.sky
        positions["saturated"] = positions["peak"] > setup.detector.saturation
        measured = _measure(setup, positions)
        found.append((finished(setup, positions, ""), measured, _exposure_row(setup, measured)))
    return found


def _stars(setup: Setup, sky: Sky, chip: int, array: Array, corner: tuple[int, int]) -> pd.DataFrame:
    """POSITIONS of the stars on one array, and its chip."""
    seconds = setup.exposure.exptime
    where = locate(sky.stars, setup.pointing, setup.truth, setup.detector, chip, array, corner, seconds)
    mags, electrons = setup.electrons(*(sky.stars[name].to_numpy()[where.rows] for name in ("mag_ref", "teff")))
    area = area_map(setup.truth, (array.n_y, array.n_x), chip, float(array.y + corner[1]), float(corner[0]))
    ids = sky.stars["star_id"].to_numpy()[where.rows]
    return source_rows(setup, "star", ids, where, mags, electrons, area).assign(chip=chip)


def _measure(setup: Setup, positions: pd.DataFrame) -> pd.DataFrame:
    """Rows of MEASUREMENTS, brightest first."""
    electrons = positions["electrons"].to_numpy()
    position_error, flux_error = bounds(setup, electrons)
    seen = np.flatnonzero(electrons > THRESHOLD * flux_error)
    rng = stream(setup.campaign.seed, "measurements", setup.exposure.root, setup.detector.name)
    noise = rng.standard_normal((3, len(seen)))
    position_error, flux_error = position_error[seen], flux_error[seen]
    true = positions.iloc[seen].reset_index(drop=True)
    x = true["x"].to_numpy() + noise[0] * position_error
    y = true["y"].to_numpy() + noise[1] * position_error
    unit = (true["flux"] / true["electrons"]).to_numpy()
    flux = (true["electrons"].to_numpy() + noise[2] * flux_error) * unit
    x_gdc, y_gdc = forward(setup.truth, x, y, true["chip"].to_numpy())
    saturated = true["saturated"].to_numpy()
    mag = -2.5 * np.log10(flux)
    frame = pd.DataFrame({
        "exposure": setup.exposure.root, "x": x, "y": y, "x_error": position_error, "y_error": position_error,
        "xy_corr": 0.0, "flux": flux, "flux_error": flux_error * unit, "mag": mag,
        "mag_error": 1.0857 * flux_error * unit / flux, "sky": setup.sky * setup.electron,
        "sky_error": 0.0, "qfit": _QFIT + 0.8 * flux_error * unit / flux, "radxs": 0.0, "chi2": 1.0,
        "peak": true["peak"] * unit, "n_pix": 25, "neighbour": 0.0, "x_gdc": x_gdc, "y_gdc": y_gdc, "mag_area": mag,
        "mjd": true["mjd"], "flags": np.where(saturated, np.uint32(Flag.SATURATED), np.uint32(0)),
    })  # fmt: skip
    frame = frame.sort_values("flux", ascending=False, kind="stable", ignore_index=True)
    frame["star"] = np.arange(len(frame), dtype=np.int32)
    return MEASUREMENTS.conform(frame)


def bounds(setup: Setup, electrons: NDArray) -> tuple[NDArray, NDArray]:
    """Cramer-Rao bounds of position [pix] and flux [e] for stars of known sky, 5x5 pixels, mean over pixel phases."""
    grid = np.geomspace(10.0, 1e8, 60)
    values = setup.epsf.values.mean(axis=(0, 1)) + setup.exposure.focus * setup.epsf.focus
    slope = np.gradient(values, 1 / OVERSAMPLING, axis=1)
    floor = setup.sky + setup.detector.read_noise**2
    middle, information = len(values) // 2, np.zeros((2, len(grid)))
    phases = range(-OVERSAMPLING // 2, OVERSAMPLING // 2, 3)
    for p in phases:
        for q in phases:
            pick = np.ix_(*(middle + shift + OVERSAMPLING * np.arange(-2, 3) for shift in (p, q)))
            psi, step = values[pick].ravel(), slope[pick].ravel()
            variance = np.maximum(grid[:, None] * psi, 0) + floor
            information[0] += (grid[:, None] ** 2 * step**2 / variance).sum(axis=1) / len(phases) ** 2
            information[1] += (psi**2 / variance).sum(axis=1) / len(phases) ** 2
    wanted = np.log(np.clip(electrons, grid[0], grid[-1]))
    return tuple(np.exp(np.interp(wanted, np.log(grid), np.log(each**-0.5))) for each in information)


def _exposure_row(setup: Setup, measured: pd.DataFrame) -> pd.DataFrame:
    """One row of EXPOSURES, as if a frame had been read and measured."""
    exposure, pointing, observation = setup.exposure, setup.pointing, setup.observation
    _, array, corner = setup.windows()[0]
    saturated = measured["flags"] & np.uint32(Flag.SATURATED) > 0
    row = {
        "exposure": exposure.root, "program": observation.program, "observation": f"{observation.observation:03d}",
        "visit": "001", "instrument": setup.instrument.name, "detector": setup.detector.name,
        "filter": exposure.filter, "subarray": f"SUB{array.n_x}" if corner[0] else "FULL",
        "readout": "", "n_x": array.n_x,
        "n_y": array.n_y if setup.jwst else setup.detector.height, "x_start": corner[0],
        "y_start": corner[1], "exptime": exposure.exptime, "mjd_start": exposure.mjd_start,
        "mjd_mid": pointing.mjd_mid, "mjd_end": exposure.mjd_start + exposure.exptime / 86400,
        "epoch": pointing.epoch, "ra": exposure.header_ra, "dec": exposure.header_dec,
        "position_angle": exposure.header_position_angle, "va_scale": pointing.va_scale,
        "observer_x": pointing.observer[0], "observer_y": pointing.observer[1], "observer_z": pointing.observer[2],
        "path": "simulated", "n_stars": len(measured), "n_saturated": int(saturated.sum()),
        "qfit_median": float(measured["qfit"].median()), "core_fraction": setup.epsf.core(exposure.focus),
        "status": "ok", "image_unit": _UNITS.get(setup.instrument.name, "electron"),
    }  # fmt: skip
    return EXPOSURES.conform(pd.DataFrame([row]))
