"""Stars on dithered exposures of a warped detector, as MEASUREMENTS and without pixels: every shift is known."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.distortion import DistortionCube, PixelMap, Polynomial
from catalogs.readers.scales import detector_chips, nominal_scale
from catalogs.tables import MEASUREMENTS
from compute.kernels.geometry.distortion import inverse
from compute.kernels.motion.celestial import deproject
from compute.stages.geometry.deliver import shifts
from compute.stages.layered import layers_of

RA, DEC, ANGLE, NOISE = 80.5, -69.5, 94.0, 0.004
REFERENCE_ERROR = 0.5  # [mas]
_MAS = 3_600_000.0


def truth(detector="NIS", filter="F090W", wave=0.04, quadratic=3.0, gap=0.0) -> DistortionCube:
    """Quadratic terms of some pixels, and two and one and a half periods of waves; `gap` [pix] sets two chips apart."""
    chips, n_x = detector_chips(detector)
    n_y, terms = int(chips[-1, 1]), np.zeros((len(chips), 2, 4, 4))
    terms[:, 0, 2, 0], terms[:, 1, 1, 1], terms[:, 0, 1, 0], terms[:, 1, 0, 1] = quadratic, -quadratic, 1.0, -1.0
    terms[:, 0, 1, 2] = 0.3 * len(filter) - 1.0
    if len(chips) > 1:
        terms[0, 1, 0, 0], terms[1, 1, 0, 0] = -gap / 2, gap / 2
    y, x = np.mgrid[:n_y, :n_x]
    waves = wave * np.array([np.sin(4 * np.pi * x / n_x), np.cos(3 * np.pi * y / n_y)])
    layers = Polynomial(terms, ((n_x - 1) / 2, (n_y - 1) / 2), n_x / 2), PixelMap(waves.astype(np.float32), chips)
    instrument = {"NIS": "NIRISS", "WFC": "ACS"}[detector]
    return DistortionCube(layers, chips, n_x, instrument, detector, filter, "truth")


class Field:
    """Stars in a square of sky, a reference catalog of them, and exposures that see them."""

    def __init__(self, cube: DistortionCube, n_stars=2000, n_exposures=6, seed=0, step=80.0):
        rng, self.cube = np.random.default_rng(seed), cube
        self.scale = nominal_scale(cube.detector)
        self.reach = max(cube.shape)
        half = 0.62 * self.reach * self.scale
        self.xi, self.eta = rng.uniform(-half, half, (2, n_stars))
        self.mag = rng.uniform(-14.0, -11.0, n_stars)
        self.offset = step * np.array([[k % 3 - 1, k // 3 - 0.5] for k in range(n_exposures)]) + rng.uniform(
            -0.5, 0.5, (n_exposures, 2)
        )
        self.rng = rng

    @property
    def reference(self) -> pd.DataFrame:
        """The stars as a catalog knows them."""
        error = np.random.default_rng(99).normal(0, REFERENCE_ERROR, (2, self.xi.size))
        ra, dec = deproject(self.xi + error[0], self.eta + error[1], RA, DEC)
        known = {"ra_error": REFERENCE_ERROR, "dec_error": REFERENCE_ERROR, "ra_dec_corr": 0.0, "mag": self.mag + 30}
        return pd.DataFrame({"id": np.arange(ra.size), "ra": ra, "dec": dec, **known})

    def exposures(self) -> pd.DataFrame:
        """EXPOSURES rows; the header is right to a tenth of a pixel."""
        n_y, n_x = self.cube.shape
        ra, dec = deproject(*self._sky(-self.offset), RA, DEC)
        common = {"program": 1086, "instrument": self.cube.instrument, "detector": self.cube.detector, "sha256": "0",
                  "filter": self.cube.filter, "n_x": n_x, "n_y": n_y, "x_start": 0, "y_start": 0, "exptime": 50.0,
                  "epoch": 2022.33, "position_angle": ANGLE, "va_scale": 1.0, "n_stars": 1000, "status": "ok",
                  "measured_with": "m"}  # fmt: skip
        names = [f"{self.cube.filter.lower()}{k:02d}" for k in range(len(ra))]
        mjd = 59700.0 + 0.01 * np.arange(len(ra))
        return pd.DataFrame({"exposure": names, "path": names, "ra": ra, "dec": dec, "mjd_mid": mjd} | common)

    def measured(self) -> list[pd.DataFrame]:
        """MEASUREMENTS of every exposure."""
        return [self._one(k) for k in range(len(self.offset))]

    def _sky(self, offset: NDArray) -> NDArray:
        """Corrected pixels as the sky sees them, [xi, eta] in mas; +y stands `ANGLE` east of north."""
        sin, cos = np.sin(np.radians(ANGLE)), np.cos(np.radians(ANGLE))
        x, y = self.scale * offset.T
        return np.array([sin * y - cos * x, cos * y + sin * x])

    def _one(self, k: int) -> pd.DataFrame:
        sin, cos = np.sin(np.radians(ANGLE)), np.cos(np.radians(ANGLE))
        n_y, n_x = self.cube.shape
        x = (-cos * self.xi + sin * self.eta) / self.scale + (n_x - 1) / 2 + self.offset[k, 0]
        y = (sin * self.xi + cos * self.eta) / self.scale + (n_y - 1) / 2 + self.offset[k, 1]
        chip = (y > n_y / 2).astype(int) if len(self.cube.chips) > 1 else np.zeros(x.size, int)
        x, y = inverse(layers_of(self.cube), x, y, chip)
        inside = (x > 5) & (x < n_x - 6) & (y > 5) & (y < n_y - 6)
        x, y = (axis[inside] + self.rng.normal(0, NOISE, inside.sum()) for axis in (x, y))
        mag = self.mag[inside] + self.rng.normal(0, 0.01, x.size)
        flux = 10 ** (-0.4 * mag)
        columns = {
            "exposure": f"{self.cube.filter.lower()}{k:02d}", "star": np.argsort(np.argsort(mag)), "x": x, "y": y,
            "x_error": NOISE, "y_error": NOISE, "xy_corr": 0.0, "flux": flux, "flux_error": flux / 100, "mag": mag,
            "mag_error": 0.01, "sky": 0.0, "sky_error": 0.0, "qfit": 0.02 + self.rng.uniform(0, 0.005, x.size),
            "radxs": self.rng.normal(0, 0.002, x.size), "chi2": 1.0, "peak": flux, "n_pix": 25, "neighbour": 0.0,
            "x_gdc": np.nan, "y_gdc": np.nan, "mag_area": mag, "mjd": 59700.0, "flags": 0,
        }  # fmt: skip
        return MEASUREMENTS.conform(pd.DataFrame(columns))


def errors(found: DistortionCube, cube: DistortionCube, edge: int = 10) -> NDArray[np.float64]:
    """True minus solved corrected positions (2, n) over the detector, after a four-parameter link [pix]."""
    n_y, n_x = cube.shape
    y, x = (axis.ravel() for axis in np.mgrid[edge : n_y - edge : 9, edge : n_x - edge : 9])
    solved, true = ((x + s[0, y, x]) + 1j * (y + s[1, y, x]) for s in (shifts(found), shifts(cube)))
    design = np.stack([solved, np.ones_like(solved)], axis=1)
    off = true - design @ np.linalg.lstsq(design, true, rcond=None)[0]
    return np.array([off.real, off.imag])
