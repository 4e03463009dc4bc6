"""A library ePSF follows an exposure's focus, and stays as it is where stars are too few to tell."""

import numpy as np
import pytest

from catalogs.cubes import EpsfCube
from catalogs.readers import read_exposures
from compute.settings import MeasureSettings, PerturbSettings
from compute.stages.frames import model_of
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
    right = perturb(frame, true, PerturbSettings(signal_to_noise=40)).extra
    assert found.extra["qfit_before"] > 2 * right["qfit_before"]
    # Much the same stars; one smooth change leaves a tenth of what the true ePSF would.
    assert found.extra["qfit_after"] == pytest.approx(right["qfit_before"], rel=0.15)
    assert (found.valid_from, found.valid_to) == (frame.header.mjd_start, frame.header.mjd_end)


def test_right_library__stays_what_it_is(exposure):
    frame, epsf = exposure
    found = perturb(frame, cube_of(epsf), PerturbSettings(signal_to_noise=40))
    assert core(found) == pytest.approx(core(cube_of(epsf)), rel=0.003)


def test_zones__tell_the_core_of_the_library_and_of_the_exposure_in_their_middles(exposure):
    frame, epsf = exposure
    library = cube_of(epsf)
    found = perturb(frame, library, PerturbSettings(zones=2, signal_to_noise=40, least=20))
    header, zones = frame.header, found.extra["zones"]
    assert found.extra["perturbed"] == 2
    quarters = [header.x_start + share * (header.n_x - 1) for share in (0.25, 0.75)]
    assert [zone["x"] for zone in zones] == quarters * 2  # along x first
    assert [zone["y"] for zone in zones] == np.repeat(
        [header.y_start + share * (header.n_y - 1) for share in (0.25, 0.75)], 2
    ).tolist()
    zero = np.zeros(1)
    for zone in zones:
        for cube, told in ((library, "library"), (found, "core_fraction")):
            # The ePSF there as a fit sees it; its quintic spline passes through the samples.
            model = model_of(cube, frame, 5)
            shown = model.at(zone["x"] - header.x_start, zone["y"] - header.y_start, zero, zero)[0]
            assert zone[told] == pytest.approx(shown, rel=1e-5)


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
