"""Warming: after it, no stage compiles anything."""

from numba.core.dispatcher import Dispatcher

from compute.kernels import detect, epsf, render, sky, spline, starfit
from compute.kernels.warm import warm
from compute.settings import EpsfSettings, MeasureSettings
from compute.stages.epsf import epsf as build
from compute.stages.measure import measure
from tests.stages.synthetic import exposure, field, noisy


def signatures():
    return {
        f"{module.__name__}.{name}": {str(signature) for signature in kernel.signatures}
        for module in (detect, epsf, render, sky, spline, starfit)
        for name, kernel in vars(module).items()
        if isinstance(kernel, Dispatcher)
    }


def test_warm__leaves_nothing_to_compile():
    frame = exposure(noisy(field()[3]))
    warm()
    before = signatures()
    for order in (3, 5):
        measure(frame, build(frame, EpsfSettings(passes=1)), MeasureSettings(spline_order=order))
    assert signatures() == before
