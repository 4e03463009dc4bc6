"""True effective PSFs: cores as measured in flight, one normalisation, centring that focus does not move."""

import functools

import numpy as np
import pytest

from catalogs.cubes import EpsfCube, enclosed_sum
from compute.campaign import Effects
from compute.stages.simulate.epsfs import (
    HALF,
    NORMALISATION,
    OVERSAMPLING,
    WING,
    WING_OVERSAMPLING,
    build_epsf,
    load_epsf,
    save_epsf,
)
from compute.stages.simulate.instruments import INSTRUMENTS

MIDDLE = HALF * OVERSAMPLING
PIXEL = OVERSAMPLING


@functools.cache
def build(camera, filter_name, **effects):
    instrument = INSTRUMENTS[camera]
    return build_epsf(instrument, instrument.detector("")[0], filter_name, Effects(**({"epsf_grid": 3} | effects)))


@pytest.fixture(scope="module")
def blue():
    return build("NIRISS", "F090W")


@pytest.fixture(scope="module")
def ultraviolet():
    """The most aberrated there is."""
    return build("WFC3", "F336W", epsf_grid=2)


@pytest.fixture(scope="module", params=["blue", "ultraviolet"])
def epsf(request):
    return request.getfixturevalue(request.param)


def lean(values):
    """How far the halves of the central pixel are from balance, along x and y."""
    half = PIXEL // 2
    return (values[..., MIDDLE, MIDDLE - half] - values[..., MIDDLE, MIDDLE + half],
            values[..., MIDDLE - half, MIDDLE] - values[..., MIDDLE + half, MIDDLE])  # fmt: skip


def test_core__of_niriss_is_as_measured_in_flight(blue):
    # Libralato et al. 2023: 0.46 in F090W, 0.11 in F480M.
    assert blue.core() == pytest.approx(0.46, rel=0.1)
    assert build("NIRISS", "F480M", epsf_grid=1).core() == pytest.approx(0.11, rel=0.1)


@pytest.mark.parametrize(("camera", "low", "high"), [("ACS", 0.20, 0.32), ("WFC3", 0.15, 0.25), ("WFPC2", 0.16, 0.25)])
def test_core__of_hst_cameras_is_of_the_right_size(camera, low, high):
    filter_name = "F606W" if camera == "ACS" else "F814W"
    assert low < build(camera, filter_name, epsf_grid=1).core() < high


def test_core__varies_across_the_field(epsf):
    cores = epsf.values[..., MIDDLE, MIDDLE]
    assert 0.01 < np.ptp(cores) / cores.mean() < 0.3
    assert epsf.core() == pytest.approx(cores.mean())


def test_normalisation__is_one_within_five_pixels(epsf):
    assert enclosed_sum(epsf.values, OVERSAMPLING, NORMALISATION) == pytest.approx(1.0, abs=1e-12)
    assert enclosed_sum(epsf.focus, OVERSAMPLING, NORMALISATION) == pytest.approx(0.0, abs=1e-12)


def test_values__are_positive_and_finite(epsf):
    assert epsf.values.min() > 0
    assert np.isfinite(epsf.focus).all()


def test_focus__changes_the_mean_core_by_its_number_and_moves_nothing(epsf):
    for focus in (-0.06, 0.03):
        changed = epsf.values + focus * epsf.focus
        assert epsf.core(focus) == pytest.approx((1 + focus) * epsf.core(), rel=1e-12)
        assert changed[..., MIDDLE, MIDDLE].mean() == pytest.approx(epsf.core(focus), rel=1e-12)
        assert np.abs(lean(changed)).max() < 1e-10
        assert changed.min() > -1e-3  # a linear change may leave the dark rings of a core a little below nothing


@pytest.mark.parametrize("camera", ["WFPC2", "ACS", "NIRISS"])
def test_focus__takes_light_from_the_core_and_no_more(camera):
    # Defocus has an optimum, where the derivative would be divided by nothing.
    found = build(camera, "F277W" if camera == "NIRISS" else "F814W", epsf_grid=1)
    assert np.abs(found.focus).sum() / OVERSAMPLING**2 < 3  # in units of the flux, for the loss of a whole core


def test_fiducials__reach_the_edges(epsf):
    n = 4096 if len(epsf.fx) == 2 else 2048
    assert (epsf.fx[0], epsf.fx[-1], epsf.fy[0], epsf.fy[-1]) == (0, n - 1, 0, n - 1)
    single = build("NIRISS", "F277W", epsf_grid=1)
    assert single.fx.tolist() == single.fy.tolist() == [1023.5]
    assert single.values.shape[:2] == (1, 1)


def test_wing__is_the_same_light_further_out(blue):
    half = WING * WING_OVERSAMPLING
    assert blue.wing.shape == (2 * half + 1,) * 2
    u = np.arange(-half, half + 1) / WING_OVERSAMPLING
    inner = np.s_[half - 12 * WING_OVERSAMPLING : half + 12 * WING_OVERSAMPLING + 1]
    step = OVERSAMPLING // WING_OVERSAMPLING
    same = blue.values[1, 1, PIXEL:-PIXEL:step, PIXEL:-PIXEL:step]
    wing, r = blue.wing[inner, inner], np.hypot(u[inner], u[inner][:, None])
    assert same.shape == wing.shape
    # Means over rings, where speckles of more colours even out; one factor normalises all fiducials' wings.
    for low, high, tolerance in ((0, 1, 0.06), (1, 3, 0.1), (3, 6, 0.1), (6, 12, 0.15)):
        ring = (r >= low) & (r < high)
        assert wing[ring].mean() == pytest.approx(same[ring].mean(), rel=tolerance)
    assert 1.0 < enclosed_sum(blue.wing, WING_OVERSAMPLING, WING - 1.0) < 1.15


def test_effects__blur_lowers_the_core():
    blurs = {"diffusion": 0.0}, {}, {"jitter": 15.0}
    cores = [build("NIRISS", "F277W", epsf_grid=1, **each).core() for each in blurs]
    assert cores == sorted(cores, reverse=True)
    assert build("NIRISS", "F277W", epsf_grid=1, diffusion=float(np.hypot(0.31, 15 / 65.569))).core() == cores[2]
    assert build("NIRISS", "F277W", epsf_grid=1, intra_pixel=0.3).core() > cores[1]


def test_table__phases_and_places_of_an_array(blue):
    table = blue.table(0.02, 896, 640)
    assert table.fx.tolist() == (blue.fx - 896).tolist()
    assert table.fy.tolist() == (blue.fy - 640).tolist()
    assert table.phases[:, :, 0, 0, HALF, HALF].mean() == pytest.approx(blue.core(0.02), rel=1e-6)


def test_save__and_load(tmp_path, blue):
    save_epsf(tmp_path / "new" / "epsf", blue)
    found = load_epsf(tmp_path / "new" / "epsf")
    for name in ("values", "focus", "wing", "fx", "fy"):
        assert np.array_equal(getattr(found, name), getattr(blue, name))


def test_dataset__opens_as_a_cube(blue):
    dataset = blue.dataset("NIRISS", "NIS", "F090W")
    cube = EpsfCube.from_dataset(dataset)
    assert cube.key == ("NIRISS", "NIS", "F090W")
    assert (cube.oversampling, cube.radius, cube.normalisation_radius) == (OVERSAMPLING, 12.5, NORMALISATION)
    assert cube.centre_values.mean() == pytest.approx(blue.core(), rel=1e-12)
    assert enclosed_sum(cube.values, cube.oversampling, NORMALISATION) == pytest.approx(1.0, abs=1e-12)
    assert dataset["focus"].dims == ("v", "u")
    assert float(dataset["focus"].sel(v=0, u=0)) == pytest.approx(blue.core(), rel=1e-12)


@pytest.mark.slow
def test_build__is_the_same_again_and_another_for_another_detector():
    wfpc2 = INSTRUMENTS["WFPC2"]
    one, again, other = (
        build_epsf(wfpc2, wfpc2.detector("")[k], "F814W", Effects(epsf_grid=1)).values for k in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3
