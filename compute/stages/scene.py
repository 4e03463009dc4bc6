"""Stage `scene`: a small star field with known truth, written as NIRISS imaging files for the demo and for tests.

Dithered exposures of one field through F150W on a 1024x1024 subarray: analytic stars, flat sky, photon and read noise,
a few bad pixels and cosmic rays. No distortion and no background galaxies.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from pydantic import Field

from compute.kernels.scene import AnalyticEpsf, expose, render, scatter
from compute.settings import Settings

_GAIN, _TIME, _PHOTMJSR, _READ_NOISE = 1.61, 300.0, 0.35, 15.0  # e-/DN, s, MJy/sr per DN/s, e-
_SCALE = 65.56 / 3.6e6  # deg/pix
_FULL_WELL = 90_000.0  # e-


class SceneSettings(Settings):
    """What the field is like."""

    stars: int = Field(3000, ge=1, description="stars in the field")
    size: int = Field(1024, ge=64, le=2040, description="side of the subarray [pix]")
    exposures: int = Field(2, ge=1, le=100, description="dithered exposures")
    sky: float = Field(120.0, ge=0, description="sky in each pixel [electrons]")
    separation: float = Field(6.0, gt=0, description="least distance between stars [pix]")
    seed: int = Field(1801, description="seed of all randomness")


def scene(folder: Path, settings: SceneSettings) -> list[Path]:
    """Write the exposures and ``truth.parquet``; the same settings give the same pixels.

    Truth has a row per star and exposure: `exposure`, `star` (number in the field), `x`, `y` [full-detector pix] and
    `flux` [MJy/sr x pix].
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(settings.seed)
    size, epsf = settings.size, AnalyticEpsf(tilt=0.05)
    x, y = scatter(settings.stars, (size + 40, size + 40), settings.separation, rng, border=0.0)
    flux = 10 ** rng.triangular(2.6, 3.4, 5.7, x.size)
    start = (2048 - size) // 2
    unit = _PHOTMJSR / (_GAIN * _TIME)  # MJy/sr of one electron in a pixel
    files, truth = [], []
    for n in range(settings.exposures):
        dx, dy = rng.uniform(-15.0, 15.0, 2) - 20.0
        light = render((size, size), x + dx, y + dy, flux, epsf)
        electrons, error = expose(light, settings.sky, _READ_NOISE, rng)
        for row, column in rng.integers(1, size - 1, (size // 20, 2)):  # cosmic rays nobody flagged
            electrons[row, column : column + 2] += rng.uniform(500, 20_000)
        dq = np.where(electrons > _FULL_WELL, 3, 0).astype(np.uint32)
        dq[tuple(rng.integers(0, size, (2, size * size // 1000)))] |= 1
        path = folder / f"jw09999001001_02101_{n + 1:05d}_nis_cal.fits"
        _write(path, electrons * unit, error * unit, dq, unit, start, (x.mean() + dx, y.mean() + dy), n)
        files.append(path)
        inside = (abs(x + dx - size / 2) < size / 2) & (abs(y + dy - size / 2) < size / 2)
        name = path.name.removesuffix("_cal.fits")
        truth.append(
            pd.DataFrame({"x": x + dx + start, "y": y + dy + start, "flux": flux * unit})[inside].assign(
                exposure=name, star=np.flatnonzero(inside)
            )
        )
    pd.concat(truth, ignore_index=True).to_parquet(folder / "truth.parquet")
    return files


def _write(path: Path, data, error, dq, unit: float, start: int, pointing: tuple[float, float], number: int) -> None:
    """One ``_cal`` file: the extensions and keywords a pipeline product of this mode carries."""
    size = data.shape[0]
    begin = 60000.0 + number * 0.01
    primary = {
        "TELESCOP": "JWST", "INSTRUME": "NIRISS", "DETECTOR": "NIS", "FILTER": "CLEAR", "PUPIL": "F150W",
        "EXP_TYPE": "NIS_IMAGE", "READPATT": "NIS", "PROGRAM": "09999", "OBSERVTN": "001", "VISIT": "001",
        "SUBARRAY": f"SUB{size}", "SUBSTRT1": start + 1, "SUBSTRT2": start + 1, "SUBSIZE1": size, "SUBSIZE2": size,
        "FASTAXIS": -2, "SLOWAXIS": -1, "EFFEXPTM": _TIME, "EXPSTART": begin, "EXPMID": begin + _TIME / 172800,
        "EXPEND": begin + _TIME / 86400, "CAL_VER": "0.0.0", "CRDS_CTX": "none", "SDP_VER": "none",
        "PRD_VER": "none", "DATAMODL": "ImageModel",
    }  # fmt: skip
    science = {
        "BUNIT": "MJy/sr", "PHOTMJSR": _PHOTMJSR, "PIXAR_SR": 1.01e-13, "CRPIX1": pointing[0] + 1,
        "CRPIX2": pointing[1] + 1, "CRVAL1": 80.5, "CRVAL2": -69.5, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg", "CUNIT2": "deg", "CDELT1": _SCALE, "CDELT2": _SCALE, "PC1_1": -1.0, "PC1_2": 0.0,
        "PC2_1": 0.0, "PC2_2": 1.0, "VA_SCALE": 1.0,
    }  # fmt: skip
    arrays = {
        "SCI": data,
        "ERR": error,
        "AREA": np.ones_like(data),
        "VAR_POISSON": error**2 - (_READ_NOISE * unit) ** 2,
        "VAR_RNOISE": np.full_like(data, (_READ_NOISE * unit) ** 2),
        "VAR_FLAT": np.zeros_like(data),
    }
    hdus = [fits.ImageHDU(array.astype(np.float32), name=name) for name, array in arrays.items()]
    hdus.insert(2, fits.ImageHDU(dq, name="DQ"))
    hdus[0].header.update(science)
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(primary)), *hdus]).writeto(path, overwrite=True)
