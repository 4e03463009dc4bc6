"""A crowd of bright stars on dithered exposures: undersampled, warped, and known exactly."""

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.exposure import Exposure
from compute.kernels.motion.celestial import deproject
from tests.analytic import AnalyticEpsf, expose, render, scatter
from tests.frames import tan_cards, write_jwst
from tests.stages.synthetic import exposure, header

EPSF = AnalyticEpsf()
SKY, READ_NOISE = 100.0, 5.0
GAIN = 1000.0  # electrons for one MJy/sr
_SCALE, _ANGLE, _RA, _DEC = 65.5, 30.0, 80.5, -69.5  # [mas/pix], [deg]
_WARP = 0.3  # [pix] quadratic distortion at the edge


class Dithered(NamedTuple):
    """Stars in an array: `x`, `y` (exposures, stars), `flux` (stars,), `offset` (exposures, 2) of pointings [pix]."""

    size: int
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux: NDArray[np.float64]
    offset: NDArray[np.float64]

    def light(self, k: int, epsf: AnalyticEpsf = EPSF) -> NDArray[np.float64]:
        """Noiseless pixels of an exposure, without sky."""
        return render((self.size, self.size), self.x[k], self.y[k], self.flux, epsf)

    def pointing(self, k: int) -> tuple[float, float]:
        """Where the middle of an exposure points [deg]."""
        sin, cos = np.sin(np.radians(_ANGLE)), np.cos(np.radians(_ANGLE))
        x, y = _SCALE * self.offset[k]
        ra, dec = deproject(sin * y - cos * x, cos * y + sin * x, _RA, _DEC)
        return float(ra), float(dec)


def dithered(
    n: int = 9, size: int = 180, stars: int = 260, separation: float = 7.0, low: float = 4.3, step: float = 6.0,
    seed: int = 1,
) -> Dithered:  # fmt: skip
    """`n` exposures of `stars` stars on a 3x3 pattern of `step` pix, thirds of pixels and a random part added."""
    rng = np.random.default_rng(seed)
    margin = 2 * step
    side = int(size + 2 * margin)
    x, y = scatter(stars, (side, side), separation, rng, 0.0)
    flux = 10 ** rng.uniform(low, 5.5, x.size)
    pattern = np.array([(k % 3 - 1, k // 3 % 3 - 1) for k in range(n)]) * (step + 1 / 3)
    offset = pattern + rng.uniform(-0.15, 0.15, (n, 2))
    u, v = x - margin - offset[:, :1], y - margin - offset[:, 1:]
    p, q = 2 * u / size - 1, 2 * v / size - 1
    return Dithered(size, u + _WARP * p * q, v - _WARP * p**2, flux, offset)


def taken(scene: Dithered, k: int, seed: int = 0, light: NDArray | None = None, **changes) -> Exposure:
    """An exposure in electrons, noisy; `light` in place of the scene's own."""
    shown = scene.light(k) if light is None else light
    data, _ = expose(shown, SKY, READ_NOISE, np.random.default_rng([seed, k]))
    return exposure(data, **_names(scene, k) | changes)


def rows_of(scene: Dithered, order=None) -> pd.DataFrame:
    """Rows of EXPOSURES."""
    order = range(len(scene.offset)) if order is None else order
    headers = [header(scene.size, scene.size, **_names(scene, k)) for k in order]
    return pd.DataFrame([asdict(one) | {"epoch": one.epoch} for one in headers])


def _names(scene: Dithered, k: int) -> dict:
    ra, dec = scene.pointing(k)
    return {"exposure": _name(k), "ra": ra, "dec": dec, "position_angle": _ANGLE}


def _name(k: int, visit: int = 1) -> str:
    return f"jw01086001{visit:03d}_02101_{k + 1:05d}_nis"


def write_dithered(folder: Path, scene: Dithered, only=None, seed: int = 0, visit: int = 1, primary=None) -> list[str]:
    """Write exposures, all or `only` some, as NIRISS frames."""
    folder.mkdir(parents=True, exist_ok=True)
    files, shape = [], (scene.size, scene.size)
    for k in range(len(scene.offset)) if only is None else only:
        data, error = expose(scene.light(k), SKY, READ_NOISE, np.random.default_rng([seed, k]))
        planes = {"SCI": data / GAIN, "ERR": error / GAIN, "VAR_POISSON": (error**2 - READ_NOISE**2) / GAIN**2}
        planes |= {"VAR_RNOISE": np.full(shape, READ_NOISE**2 / GAIN**2), "DQ": np.zeros(shape, np.uint32)}
        planes |= {"AREA": None, "VAR_FLAT": None}
        ra, dec = scene.pointing(k)
        cards = tan_cards(_SCALE, ((scene.size + 1) / 2,) * 2, _ANGLE) | {"CRVAL1": ra, "CRVAL2": dec}
        path = folder / f"{_name(k, visit)}_cal.fits"
        files.append(write_jwst(path, shape=shape, arrays=planes, sci=cards, primary=primary))
    return files
