"""A library ePSF follows an exposure's focus, and stays as it is where stars are too few to tell."""

import numpy as np
import pytest

from catalogs.cubes import EpsfCube
from catalogs.readers import read_exposures
from compute.settings import MeasureSettings, PerturbSettings
from compute.stages.measure import measure
from compute.stages.perturb import perturb, zones_of
from compute.stages.simulate.epsfs import OVERSAMPLING
from tests.stages.drawing import STARS, Drawn, campaign


def cube_of(epsf, focus=0.0, over=4):
    """The simulated ePSF at a focus, as a library would have it."""
    middle, n = epsf.values.shape[-1] // 2, int(12.5 * over)
    pick = np.arange(-n, n + 1) * (OVERSAMPLING // over) + middle
    values = (epsf.values + focus * epsf.focus)[:, :, pick[:, None], pick]
    return EpsfCube(values, epsf.fx, epsf.fy, over, 5.0, np.zeros(values.shape[:2]), "NIRISS", "NIS", "F150W", "true")


@pytest.fixture(scope="module")
def exposure(tmp_path_factory):
    """A field of bright stars in focus, and its true ePSF."""
    stars = STARS.model_copy(update={"density": 2500.0, "faint": 22.5})
    drawn = Drawn(
        tmp_path_factory.mktemp("frames"),
        campaign(effects={"photon_noise": True, "read_noise": True, "sky": 1.0}, field={"populations": [stars]},
                 size=512, groups=5),
    )  # fmt: skip
    (frame,) = read_exposures(str(drawn.files[0]))
    return frame, drawn.epsfs["NIS"]


def core(cube):
    return float(cube.centre_values.mean())


def test_focus__is_found_from_the_exposures_own_stars(exposure):
    frame, epsf = exposure
    true, library = cube_of(epsf), cube_of(epsf, focus=-0.1)
    assert abs(core(library) / core(true) - 1) > 0.01
    found = perturb(frame, library, PerturbSettings(signal_to_noise=40))
    assert found.extra["perturbed"] == 1
    assert core(found) == pytest.approx(core(true), rel=0.005)
    before, after = (measure(frame, cube, MeasureSettings()).summary["qfit_median"] for cube in (library, found))
    best = measure(frame, true, MeasureSettings()).summary["qfit_median"]
    assert after < before
    assert after == pytest.approx(best, rel=0.05)
    assert (found.valid_from, found.valid_to) == (frame.header.mjd_start, frame.header.mjd_end)


def test_right_library__stays_what_it_is(exposure):
    frame, epsf = exposure
    found = perturb(frame, cube_of(epsf), PerturbSettings(signal_to_noise=40))
    assert core(found) == pytest.approx(core(cube_of(epsf)), rel=0.003)


def test_few_stars__fewer_zones_or_none(exposure):
    frame, epsf = exposure
    library = cube_of(epsf)
    assert perturb(frame, library, PerturbSettings(zones=5, signal_to_noise=40)).extra["perturbed"] < 5
    same = perturb(frame, library, PerturbSettings(signal_to_noise=40, least=5000))
    assert same.extra["perturbed"] == 0
    np.testing.assert_array_equal(same.values, library.values)


@pytest.mark.parametrize("zones", [1, 2, 5])
def test_zones__shares_sum_to_one_and_are_whole_at_the_middles(zones):
    at = np.linspace(-100, 2200, 57)
    shares = zones_of(0.0, 2048.0, zones, at)
    np.testing.assert_allclose(shares.sum(1), 1.0)
    assert (shares >= 0).all()
    middles = (np.arange(zones) + 0.5) * 2048.0 / zones
    np.testing.assert_allclose(zones_of(0.0, 2048.0, zones, middles), np.eye(zones), atol=1e-12)
