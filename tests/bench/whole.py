"""A whole crowded F090W exposure against peers, and its chain of kernels on two threads against one."""

import importlib.util
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from astropy.nddata import NDData
from astropy.table import Table
from photutils.detection import DAOStarFinder
from photutils.psf import GriddedPSFModel, PSFPhotometry
from scipy.spatial import cKDTree

from catalogs.cubes import EpsfCube
from catalogs.exposure import Exposure
from compute.kernels.measure.chain import find, find_hidden, fit_rounds
from compute.settings import MeasureSettings
from compute.stages.frames import frame_of, model_of
from compute.stages.measure import measure
from tests.accuracy.scenes import crowd, library
from tests.bench.pairs import Extrapolated, skipped
from tests.bench.pairs import compare as timed

FEW = 1000  # stars that photutils fits; its time for all is extrapolated
BRIGHT = 100.0  # S/N above which positions are compared
PYPASS = "whole exposure / bp3m pypass"


def compare() -> list[dict]:
    """Stars per second from pixels to rows with flags."""
    exposure, cube = crowd(1).exposure, library(4)
    return [_photutils(exposure, cube), _pypass(_corner(exposure, 512), cube), _threads(exposure, cube)]


def _ours(exposure: Exposure, cube: EpsfCube) -> pd.DataFrame:
    return measure(exposure, cube, MeasureSettings()).stars


def _threads(exposure: Exposure, cube: EpsfCube) -> dict:
    """The chain of kernels, on arrays: find, fit with neighbours in turn, find what was hidden, fit again."""
    settings = MeasureSettings()
    frame, model = frame_of(exposure), model_of(cube, exposure, settings.spline_order)
    limits = settings.threshold, settings.isolation, settings.sharpness

    def fitted(sources, threads):
        return fit_rounds(
            frame, model, sources, rounds=settings.rounds, half=settings.window // 2, taper=(0.0, 0.0),
            template_error=settings.template_error, max_iterations=settings.max_iterations,
            annulus=(settings.sky_inner, settings.sky_outer), threads=threads,
        )  # fmt: skip

    def chain(threads):
        sources = find(frame, model, *limits, threads)
        hidden = find_hidden(frame, model, sources, fitted(sources, threads), *limits, threads)
        return fitted(hidden, threads)

    one, two = chain(1), chain(2)
    same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, two, strict=True))
    n = len(one.rows)
    work = f"{n} stars on 2048x2048 pix; two searches, three rounds each; bytes {'agree' if same else 'differ'}"
    return timed("chain, 2 threads / 1 thread", work, lambda: chain(2), lambda: chain(1), amount=n, threads=2,
                 agrees=same)  # fmt: skip


def _photutils(exposure: Exposure, cube: EpsfCube) -> dict:
    """Finder on the whole frame, fits of a sample; the peer is given the sky, and fits every star as if alone."""
    stars, sky = _ours(exposure, cube), float(np.median(exposure.data[exposure.good]))
    data, error = np.nan_to_num(exposure.data - sky).astype(float), exposure.error.astype(float)
    sample = stars[stars["flux"].notna()].sample(FEW, random_state=1).sort_values("y")
    init = Table({name: sample[name].to_numpy(float) for name in ("x", "y", "flux")})
    fitter = PSFPhotometry(_gridded(cube), (5, 5))
    noise = float(np.median(error[exposure.good]))

    def find():
        return DAOStarFinder(threshold=5 * noise, fwhm=1.6)(data, mask=~exposure.good)

    def fit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fitter(data, error=error, mask=~exposure.good, init_params=init)

    found = fit()
    clean = ((sample["flags"] == 0) & (sample["flux"] > BRIGHT * sample["flux_error"])).to_numpy()
    off = np.array([found[f"{axis}_fit"] - sample[axis].to_numpy() for axis in "xy"])[:, clean]
    rms = float(np.sqrt((off**2).mean()))
    n = len(stars)
    work = f"{n} stars on 2048x2048 pix; DAOStarFinder and PSFPhotometry 5x5, sky given, no neighbours, fits"
    work += f" extrapolated from {FEW}; positions of {clean.sum()} clean stars above S/N {BRIGHT:.0f} differ by"
    work += f" {rms:.1e} pix rms"
    return timed("whole exposure / photutils", work, lambda: _ours(exposure, cube), Extrapolated(find, fit, n / FEW),
                 amount=n, pairs=3, agrees=rms < 5e-3)  # fmt: skip


def _gridded(cube: EpsfCube) -> GriddedPSFModel:
    places = [(x, y) for y in cube.fy for x in cube.fx]
    tables = cube.values.reshape(-1, *cube.values.shape[2:]).copy()
    return GriddedPSFModel(NDData(tables, meta={"grid_xypos": places, "oversampling": cube.oversampling}))


def _corner(exposure: Exposure, size: int) -> Exposure:
    """The lower left of a frame."""
    planes = ("data", "error", "good", "saturated", "area", "poisson", "floor")
    cut: dict[str, Any] = {name: np.ascontiguousarray(getattr(exposure, name)[:size, :size]) for name in planes}
    return replace(exposure, header=replace(exposure.header, n_x=size, n_y=size), **cut)


def _pypass(exposure: Exposure, cube: EpsfCube) -> dict:
    """The closest peer in scope, two passes with neighbours subtracted, on the faster of its backends."""
    if importlib.util.find_spec("pypass") is None:
        return skipped(PYPASS, "bp3m is not installed (the extra `bench`)")
    from pypass import run_photometry

    stars = _ours(exposure, cube)
    tables = cube.values.reshape(-1, *cube.values.shape[2:])
    # The peer's photon noise wants counts: one count is what has a variance of one.
    gain = float(np.median(exposure.poisson))
    data, floor = np.nan_to_num(exposure.data / gain).astype(float), (exposure.floor / gain**2).astype(float)
    base = np.where(exposure.good, floor + np.median(data), np.inf)
    noise = float(np.sqrt(np.median(base)))

    def peer():
        return run_photometry(data, tables, (cube.fx, cube.fy), 4, half_width=2, hmin=2, fmin=5 * noise / 0.53,
                              suppress_radius=2, n_passes=2, n_discovery_passes=2, noise_map=base,
                              mask=~exposure.good, n_jobs=1, backend="numpy")  # fmt: skip

    theirs = pd.DataFrame([(star.x, star.y, star.flux) for star in peer()], columns=["x", "y", "flux"])
    clean = stars[(stars["flags"] == 0) & (stars["flux"] > BRIGHT * stars["flux_error"])]
    off = cKDTree(theirs[["x", "y"]]).query(clean[["x", "y"]])[0]
    off = off[off < 0.5]
    rms = float(np.sqrt((off**2).mean() / 2))
    work = f"{len(stars)} stars on {exposure.header.n_x}x{exposure.header.n_y} pix, two passes of the peer, which finds"
    work += f" {len(theirs)}; positions of {off.size} of {len(clean)} clean stars above S/N {BRIGHT:.0f} differ by"
    work += f" {rms:.1e} pix rms"
    return timed(PYPASS, work, lambda: _ours(exposure, cube), peer, amount=len(stars), peer_amount=len(theirs),
                 pairs=2, agrees=rms < 2e-2)  # fmt: skip
