"""Filters that were not dithered, but differ in scale, as a dither of each other."""

import numpy as np
import pytest

from catalogs.errors import UnusableError
from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stampfit import fit_stamps
from compute.kernels.calibrate.stamps import Stamps
from compute.kernels.spline import coefficients
from compute.settings import CalibrateSettings, FrameSettings
from compute.stages.calibrate.together import build_together
from compute.stages.cutting import HALF, cut
from compute.stages.frame.groups import lay_plane
from tests.analytic import AnalyticEpsf, render
from tests.dithers import EPSF, Dithered, dithered, rows_of, taken
from tests.stages.synthetic import cube

SETTINGS = CalibrateSettings(grid=1, transform="affine", passes=4, steps=10, half=4, least=60)
EPSFS = {"F090W": EPSF, "F150W": AnalyticEpsf(sigmas=(0.6, 1.5, 3.2))}


def scenes(stretch: float) -> dict[str, Dithered]:
    """One exposure of the same stars through each filter; the second is `stretch` times as large in pixels."""
    one = dithered(n=1, size=170, stars=230, step=0.0)
    middle = (one.size - 1) / 2
    x, y = (stretch * (axis - middle) + middle for axis in (one.x, one.y))
    colour = 10 ** np.random.default_rng(5).uniform(-0.2, 0.2, one.flux.size)
    return {"F090W": one, "F150W": one._replace(x=x, y=y, flux=one.flux * colour)}


def solve(stretch: float):
    parts = []
    for seed, (name, scene) in enumerate(scenes(stretch).items()):
        cuts = [cut(taken(scene, 0, seed=seed, light=scene.light(0, EPSFS[name])), cube(EPSFS[name]), SETTINGS)]
        rows = rows_of(scene).assign(exposure=name, filter=name)
        parts.append((rows, cuts, name))
    return build_together(parts, lay_plane(parts[0][0], FrameSettings()), SETTINGS)


@pytest.fixture(scope="module")
def built():
    # Over 170 pix a scale that differs by 1.2 % moves stars by up to a pixel, so all relative phases are there.
    return solve(1.012)


@pytest.mark.parametrize("k", [0, 1])
def test_together__what_undithered_exposures_leave_of_a_bias_goes_away(built, k):
    """Noiseless stars of the true ePSF at all phases, fitted with the one that was built."""
    phase = np.linspace(-0.5, 0.5, 9)
    x, y = (grid.ravel() for grid in np.meshgrid(phase, phase))
    side, epsf = 2 * HALF + 1, EPSFS["F090W" if k == 0 else "F150W"]
    light = np.array([render((side, side), HALF + p, HALF + q, 1e5, epsf) for p, q in zip(x, y, strict=True)])
    made, middle = built[k].cube, np.zeros(1)
    table = Table(coefficients(made.values, 3), middle, middle, made.oversampling, 3)
    stamps = Stamps(light.astype(np.float32), np.ones(light.shape, np.float32), x, y, np.full(81, 1e5), 0 * x, 0 * y)
    fits = fit_stamps(table, stamps)
    off = np.array([fits.x - x, fits.y - y])
    off -= off.mean(axis=1, keepdims=True)
    # Light centres are off by 60 mpix and each exposure by itself keeps 5 to 15; 200 noisy stars give some millipixels.
    assert np.abs(off).max() < 0.010
    assert off.std() < 0.004


def test_together__passes_tell_the_damping_that_filters_give(built):
    for one in built:
        last = one.passes.iloc[-1]
        assert 0.5 < last["damping_x"] < 0.85  # two images at random relative phases leave sqrt(1 / 2)
        assert last["scatter"] < 0.5 * one.judged[one.judged["pass"] == 0]["dx"].abs().median() * 1.4826


def test_together__fluxes_are_those_of_each_filter(built):
    (one, other), flux = built, {name: scene.flux for name, scene in scenes(1.012).items()}
    ratio = [np.median(each.judged[each.judged["pass"] == each.judged["pass"].max()]["flux"]) for each in (one, other)]
    assert ratio[1] / ratio[0] == pytest.approx(np.median(flux["F150W"]) / np.median(flux["F090W"]), rel=0.15)
    # A star's own colour, not the mean one, is in the imposed flux: else QFIT would tell of 10 % and more.
    assert other.passes["qfit"].iloc[-1] < 0.03


def test_together__the_same_pixels_through_both_filters_are_no_dither():
    with pytest.raises(UnusableError, match="same pixel phases"):
        solve(1.0)
