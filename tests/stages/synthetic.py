"""Exposures and ePSF cubes made of arrays, for stages to work on."""

import numpy as np

from catalogs.cubes import EpsfCube
from catalogs.exposure import Chip, Exposure, HeaderRecord
from catalogs.wcs import TanWcs
from tests.analytic import AnalyticEpsf, expose, render, scatter

EPSF = AnalyticEpsf()
X_START, Y_START = 100, 200
SKY, READ_NOISE = 100.0, 5.0


def header(n_x, n_y, **changes):
    """What a NIRISS subarray's file would tell."""
    known = {
        "exposure": "jw01086001001_01101_00001_nis", "program": 1086, "observation": "001", "visit": "001",
        "instrument": "NIRISS", "detector": "NIS", "filter": "F090W", "subarray": "SUB", "readout": "NISRAPID",
        "n_x": n_x, "n_y": n_y, "x_start": X_START, "y_start": Y_START, "exptime": 100.0,
        "mjd_start": 59700.0, "mjd_mid": 59700.25, "mjd_end": 59700.5, "ra": 80.5, "dec": -69.5,
        "position_angle": 30.0, "va_scale": 1.0, "photmjsr": 0.35, "observer_x": None, "observer_y": None,
        "observer_z": None, "image_unit": "electron", "cal_ver": None, "crds_ctx": None, "sdp_ver": None,
        "prd_ver": None,
    }  # fmt: skip
    return HeaderRecord(**known | changes)


def exposure(image, *, good=None, saturated=None, area=1.0, flags=0, **changes):
    """An exposure in electrons whose variance is signal + 25."""
    shape = image.shape
    saturated = np.zeros(shape, bool) if saturated is None else saturated
    good = np.isfinite(image) & ~saturated & (True if good is None else good)
    maps = {"area": area, "poisson": 1.0, "floor": READ_NOISE**2}
    maps = {name: np.array(np.broadcast_to(value, shape), np.float32) for name, value in maps.items()}
    noise = np.sqrt(np.maximum(np.nan_to_num(image), 0.0) + READ_NOISE**2)
    wcs = TanWcs(80.5, -69.5, 0.0, 0.0, (-1.8e-5, 0.0, 0.0, 1.8e-5))
    chips = (Chip("NIS", 0, shape[0], wcs),)
    return Exposure(
        header(shape[1], shape[0], **changes), image.astype(np.float32), noise.astype(np.float32), good, saturated,
        **maps, chips=chips, amplifiers=(), flags=flags,
    )  # fmt: skip


def cube(epsf=EPSF, radius=12.5, **names):
    """The analytic ePSF as a one-fiducial library."""
    table = epsf.table(4, radius)[None, None]
    known = {"instrument": "NIRISS", "detector": "NIS", "filter": "F090W"} | names
    return EpsfCube(table, np.array([512.0]), np.array([512.0]), 4, 5.0, np.zeros((1, 1)), **known)


def field(n=60, size=200, low=3.5, high=5.0, seed=1, separation=14.0):
    """Positions in the array, fluxes, and noiseless pixels, sky included."""
    rng = np.random.default_rng(seed)
    x, y = scatter(n, (size, size), separation, rng)
    flux = 10 ** rng.uniform(low, high, x.size)
    return x, y, flux, render((size, size), x, y, flux, EPSF) + SKY


def noisy(light, seed=2):
    """Photon and read noise on pixels that hold their sky already."""
    return expose(light, 0.0, READ_NOISE, np.random.default_rng(seed))[0]
