"""Simulated NIRISS F090W frames of 2048x2048 pixels with known truth, read back from files as any frame is."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.cubes import EpsfCube
from catalogs.exposure import Exposure
from catalogs.readers import read_exposures
from compute.campaign import Campaign, Effects, Observation, Population, SkyField
from compute.kernels.simulate.distortion import forward
from compute.stages.simulate.epsfs import CUBE_HALF, NORMALISATION, OVERSAMPLING, TrueEpsf, build_epsf
from compute.stages.simulate.frames import simulate_frame
from compute.stages.simulate.instruments import INSTRUMENTS
from compute.stages.simulate.plan import half_width, plan
from compute.stages.simulate.setup import Setup, setups
from compute.stages.simulate.sky import Sky, draw_sky
from tests.analytic import scatter

SIZE, BORDER, TEFF = 2048, 14.0, 5000.0
STEADY = {"focus": 0.0, "scale_drift": 0.0}  # the ePSF of every frame is that of the library
IDEAL = STEADY | {"saturation": False, "flat": 0.0, "bad_pixels": 0.0, "cosmic_rays": 0.0}


class Scene(NamedTuple):
    """A frame, what made it, and rows of POSITIONS that tell its truth."""

    exposure: Exposure
    setup: Setup
    truth: pd.DataFrame


Stars = Callable[[Setup, np.random.Generator], tuple[NDArray, NDArray, NDArray]]


@cache
def true_epsf() -> TrueEpsf:
    """What stars are drawn from: 5x5 fiducials, 12 samples per pixel."""
    instrument = INSTRUMENTS["NIRISS"]
    return build_epsf(instrument, instrument.detector("NIS")[0], "F090W", Effects())


@cache
def library(oversampling: int) -> EpsfCube:
    """Every few samples of the true ePSF: what a perfect library of that sampling holds."""
    epsf, step = true_epsf(), OVERSAMPLING // oversampling
    middle, n = epsf.values.shape[-1] // 2, int(CUBE_HALF * oversampling)
    pick = middle + step * np.arange(-n, n + 1)
    values = epsf.values[:, :, pick[:, None], pick]
    unknown = np.zeros(values.shape[:2], np.int64)
    return EpsfCube(values, epsf.fx, epsf.fy, oversampling, NORMALISATION, unknown, "NIRISS", "NIS", "F090W", "truth")


def crowd(seed: int, size: int = 0) -> Scene:
    """A field of 4300 old stars per square arcminute, all effects but breathing and drift; `size` as below."""
    with TemporaryDirectory() as folder:
        return _read(*_crowd(Path(folder), seed, size))


def crowd_file(folder: Path, seed: int, size: int) -> str:
    """The file of such a frame, a subarray of `size` pix."""
    return _crowd(folder, seed, size)[0]


def _crowd(folder: Path, seed: int, size: int) -> tuple[str, Setup, pd.DataFrame]:
    population = Population(name="old", density=4300.0, faint=26.0, slope=0.2)
    campaign = _campaign(seed, STEADY, (population,), size)
    return _drawn(campaign, draw_sky(campaign.fields[0], 0, half_width(campaign, "field"), seed), folder)


def placed(seed: int, effects: dict, stars: Stars) -> Scene:
    """A field of stars placed by their raw pixels and charges: `stars` gives x, y [pix] and electrons."""
    campaign = _campaign(seed, effects)
    setup = _setup(campaign)
    x, y, electrons = stars(setup, np.random.default_rng(seed))
    ra, dec = setup.pointing.sky(*forward(setup.truth, x, y, 0))
    teff = np.full(x.size, TEFF)
    still = {"ref_epoch": setup.pointing.epoch, "pmra": 0.0, "pmdec": 0.0, "parallax": 0.0}
    mag = -2.5 * np.log10(electrons / setup.electrons(np.zeros(x.size), teff)[1])
    table = pd.DataFrame({"star_id": np.arange(x.size), "ra": ra, "dec": dec, "teff": teff, "mag_ref": mag} | still)
    sky = Sky(table, pd.DataFrame(columns=["galaxy_id", "ra", "dec", "mag_ref", "teff"]))
    with TemporaryDirectory() as folder:
        return _read(*_drawn(campaign, sky, Path(folder)))


def apart(n: int, low: float, high: float, separation: float = 10.0) -> Stars:
    """`n` stars or as many as fit, at least `separation` pix apart, log charge uniform from `low` to `high` [e]."""

    def stars(_, rng):
        x, y = scatter(n, (SIZE, SIZE), separation, rng, border=BORDER)
        return x, y, 10 ** rng.uniform(np.log10(low), np.log10(high), x.size)

    return stars


def pairs(n: int, low: float, high: float, separation: float) -> Stars:
    """Lone pairs of `separation` pix: the fainter `low` to `high` [e], the brighter up to one magnitude above it."""

    def stars(_, rng):
        x, y = scatter(n, (SIZE, SIZE), 24.0, rng, border=BORDER + separation)
        angle = rng.uniform(0, 2 * np.pi, x.size)
        faint = 10 ** rng.uniform(np.log10(low), np.log10(high), x.size)
        bright = faint * 10 ** (0.4 * rng.uniform(0, 1, x.size))
        x2, y2 = x + separation * np.cos(angle), y + separation * np.sin(angle)
        return np.concatenate([x, x2]), np.concatenate([y, y2]), np.concatenate([faint, bright])

    return stars


def _campaign(seed: int, effects: dict, populations: tuple[Population, ...] = (), size: int = 0) -> Campaign:
    field = SkyField(name="field", ra=80.49, dec=-69.5, populations=populations)
    seen = Observation(program=1, filters=("F090W",), epoch=2022.33, dither="none", groups=7, size=size)
    return Campaign(
        name="accuracy", seed=seed, fields=(field,), observations=(seen,), effects=Effects(**effects),
        reference=None, gaia=None,
    )  # fmt: skip


def _setup(campaign: Campaign) -> Setup:
    return setups(campaign, plan(campaign)[0], {"NIS": true_epsf()})[0]


def _drawn(campaign: Campaign, sky: Sky, folder: Path) -> tuple[str, Setup, pd.DataFrame]:
    setup = _setup(campaign)
    truth = simulate_frame(campaign, setup.exposure, sky, {"NIS": true_epsf()}, folder)[0]
    return str(folder / f"{setup.exposure.root}_cal.fits"), setup, truth.positions


def _read(path: str, setup: Setup, truth: pd.DataFrame) -> Scene:
    (exposure,) = read_exposures(path)
    return Scene(exposure, setup, truth)
