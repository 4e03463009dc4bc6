"""Warming: after it, no stage compiles anything."""

from numba.core.dispatcher import Dispatcher

from compute.kernels import spline
from compute.kernels.calibrate import epsf
from compute.kernels.measure import detect, render, saturated, sky, spikes, starfit
from compute.kernels.simulate import ccd, distortion, drawing, rays
from compute.kernels.simulate.warm import warm as warm_simulator
from compute.kernels.warm.measure import warm
from compute.settings import EpsfSettings, MeasureSettings
from compute.stages.epsf import epsf as build
from compute.stages.measure import measure
from tests.stages.drawing import Drawn, campaign
from tests.stages.synthetic import exposure, field, noisy

FITTER, SIMULATOR = (detect, epsf, render, saturated, sky, spikes, spline, starfit), (ccd, distortion, drawing, rays)


def signatures(modules):
    return {
        f"{module.__name__}.{name}": {str(signature) for signature in kernel.signatures}
        for module in modules
        for name, kernel in vars(module).items()
        if isinstance(kernel, Dispatcher)
    }


def test_warm__leaves_nothing_to_compile():
    frame = exposure(noisy(field()[3]))
    warm()
    before = signatures(FITTER)
    for order in (3, 5):
        measure(frame, build(frame, EpsfSettings(passes=1)), MeasureSettings(spline_order=order))
    assert signatures(FITTER) == before


def test_warm__leaves_the_simulator_nothing_to_compile(tmp_path):
    warm_simulator()
    before = signatures(SIMULATOR)
    effects = {"photon_noise": True, "saturation": True, "cosmic_rays": 1.0, "cte": 0.5, "brighter_fatter": 0.01}
    for camera in ({}, {"instrument": "WFPC2", "filters": ["F814W"], "size": 0}):
        Drawn(tmp_path, campaign(effects=effects, field={"galaxies": {"density": 20.0}}, **camera))
    assert signatures(SIMULATOR) == before
