"""The distortion of an exposure: found, chosen, applied; the simulator's own cubes among them."""

import numpy as np
import pandas as pd
import pytest

from catalogs.cubes import write_cube
from catalogs.distortion import DistortionCube, read_distortion, write_distortion
from catalogs.errors import UnusableError
from catalogs.exchange.stdgdc import write_stdgdc
from catalogs.store import Store
from compute.kernels.geometry.distortion import forward, inverse
from compute.kernels.simulate.distortion import area_map
from compute.kernels.simulate.distortion import forward as true_forward
from compute.stages.distortion import (
    choose_calibration,
    corrected,
    find_calibration,
    has_own_area,
    own_calibrations,
    uncorrected,
)
from compute.stages.layered import layers_of
from compute.stages.simulate.geometry import distortion
from compute.stages.simulate.instruments import INSTRUMENTS
from compute.stages.simulate.truth import distortion_dataset
from compute.stages.simulate.truth import read_distortion as read_truth
from tests.distortions import SIZE, make_cube

ROW = {"instrument": "NIRISS", "detector": "NIS", "filter": "F090W", "mjd_mid": 59770.0}
ROW |= {"x_start": 0, "y_start": 0, "n_x": SIZE, "n_y": SIZE}


@pytest.fixture
def kept(tmp_path):
    """Writes cubes in this folder and finds them."""

    def keep(name, **parts):
        write_distortion(Store(tmp_path), f"{name}.zarr", make_cube(**parts))
        return find_calibration(str(tmp_path / f"{name}.zarr"))

    return keep


def stars_at(x, y, area=1.0):
    mag = np.linspace(-9, -5, np.size(x))
    return pd.DataFrame(
        {"x": x, "y": y, "mag": mag, "x_gdc": np.nan, "y_gdc": np.nan, "mag_area": mag - 2.5 * np.log10(area)}
    )


def test_choose__the_first_that_suits(kept):
    other, early, first, second = (
        kept("a", filter="F150W"), kept("b", valid_to=59000.0), kept("c", source="c"), kept("d", source="d"),
    )  # fmt: skip
    assert choose_calibration((other, early, first, second), ROW) == first
    assert choose_calibration((second, first), ROW) == second
    assert choose_calibration((other, early), ROW) is None
    assert choose_calibration((early,), ROW | {"mjd_mid": 58999.0}) == early


def test_choose__names_a_cube_lacks_match_all_but_its_size_must_do(kept):
    (nameless,) = (kept("1", instrument="", detector="", filter=""),)
    assert choose_calibration((nameless,), ROW) == nameless
    assert choose_calibration((nameless,), ROW | {"x_start": 1}) is None
    assert choose_calibration((nameless,), ROW | {"x_start": 100, "y_start": 150, "n_x": 64, "n_y": 64}) == nameless


def test_find__digest_follows_bytes_and_name(kept, tmp_path):
    first, second = kept("a"), kept("b", seed=2)
    assert first.sha256 != second.sha256
    assert kept("a").sha256 == first.sha256
    for name in ("STDGDC_NIRISS_F090W.fits", "STDGDC_NIRISS_F150W.fits"):
        write_stdgdc(make_cube(size=16, strength=0.2), tmp_path / name)
    one, other = (find_calibration(str(tmp_path / f"STDGDC_NIRISS_{name}.fits")) for name in ("F090W", "F150W"))
    assert (one.key, other.key) == (("NIRISS", "NIS", "F090W"), ("NIRISS", "NIS", "F150W"))
    assert one.sha256 != other.sha256


def test_find__what_is_no_distortion(tmp_path):
    with pytest.raises(UnusableError, match="found nothing, expected an STDGDC file or a distortion cube"):
        find_calibration(str(tmp_path / "absent.fits"))
    (tmp_path / "a.fits").write_bytes(b"nothing")
    with pytest.raises(UnusableError, match="a complete STDGDC FITS file"):
        find_calibration(str(tmp_path / "a.fits"))
    with pytest.raises(UnusableError, match="Protocol not known: nowhere, expected an STDGDC file"):
        find_calibration("nowhere://a.fits")


def test_own__newest_first_and_only_of_these_cameras(tmp_path):
    store = Store(tmp_path)
    for camera in ("NIRISS_NIS_F090W", "NIRISS_NIS_F150W"):
        for name in ("2022", "2024", "2023"):
            write_distortion(store, f"cubes/distortion/{camera}/{name}.zarr", make_cube(size=16))
    found = own_calibrations(store, [("NIRISS", "NIS", "F090W")] * 2 + [("ACS", "WFC", "F606W")])
    assert [each.name for each in found] == [
        f"cubes/distortion/NIRISS_NIS_F090W/{year}.zarr" for year in (2024, 2023, 2022)
    ]


def test_corrected__positions_and_nothing_else_where_the_frame_has_an_area(kept):
    calibration = kept("a")
    x, y = np.random.default_rng(1).uniform(0, SIZE - 1, (2, 50))
    stars = stars_at(x, y, area=1.02)
    found = corrected(stars, calibration, own_area=has_own_area(stars))
    np.testing.assert_allclose(found[["x_gdc", "y_gdc"]].T, make_cube().forward(x, y), atol=1e-11)
    pd.testing.assert_frame_equal(found.drop(columns=["x_gdc", "y_gdc"]), stars.drop(columns=["x_gdc", "y_gdc"]))
    pd.testing.assert_frame_equal(uncorrected(found, own_area=True), stars)


def test_corrected__areas_too_where_the_frame_has_none(kept):
    calibration = kept("a", fine=0.0)
    stars = stars_at([20.2, 100.0, 220.0], [30.3, 128.0, 10.0])
    stars.loc[1, ["mag", "mag_area"]] = np.nan  # no flux was fitted
    assert not has_own_area(stars)
    found = corrected(stars, calibration, own_area=False)
    cube, step = make_cube(fine=0.0), 0.5
    x, y = np.round(stars["x"]), np.round(stars["y"])
    along, across = ((cube.forward(x + dx, y + dy) - cube.forward(x - dx, y - dy)) / (2 * step)
                     for dx, dy in ((step, 0), (0, step)))  # fmt: skip
    area = along[0] * across[1] - along[1] * across[0]
    assert np.ptp(area) > 1e-3
    # A mean over 33 pixels of a strong distortion, 4 pix in 128, against the value in the middle.
    np.testing.assert_allclose(
        found["mag_area"] - stars["mag"], np.where(np.isnan(stars["mag"]), np.nan, -2.5 * np.log10(area)), atol=1e-3
    )
    assert found["mag_area"].isna().tolist() == [False, True, False]
    pd.testing.assert_frame_equal(uncorrected(found, own_area=False), stars)


@pytest.fixture(
    scope="module", params=[("NIRISS", "NIS", "F090W"), ("WFPC2", "WF3", "F814W")], ids=lambda camera: camera[0]
)
def camera(request):
    instrument = INSTRUMENTS[request.param[0]]
    detector = next(each for group in instrument.detectors.values() for each in group if each.name == request.param[1])
    return request.param, distortion(instrument, detector, request.param[2]), detector.height


def test_truth__its_cube_is_read_as_it_is(camera, tmp_path):
    key, truth, height = camera
    name = f"{'_'.join(key)}.zarr"
    write_cube(Store(tmp_path), name, distortion_dataset(truth, height))
    cube = read_distortion(tmp_path / name)
    assert (cube.key, cube.shape, cube.valid_from) == (key, (height, round(2 * truth.middle[0]) + 1), None)
    x, y = np.random.default_rng(4).uniform(-8, height + 7, (2, 4000))
    there = forward(layers_of(cube), x, y)
    np.testing.assert_allclose(there, true_forward(read_truth(distortion_dataset(truth, height)), x, y), atol=1e-9)
    np.testing.assert_allclose(inverse(layers_of(cube), *there), [x, y], atol=1e-8)
    again = DistortionCube.from_dataset(cube.to_dataset())
    np.testing.assert_array_equal(forward(layers_of(again), x, y), there)


def test_truth__areas_agree_with_those_of_simulated_frames(tmp_path):
    """What mag_area takes from the true cube is what it takes from the AREA plane of a frame."""
    instrument = INSTRUMENTS["NIRISS"]
    (detector,) = instrument.detector("NIS")
    truth = distortion(instrument, detector, "F090W")
    write_cube(Store(tmp_path), "NIRISS_NIS_F090W.zarr", distortion_dataset(truth, detector.height))
    calibration = find_calibration(str(tmp_path / "NIRISS_NIS_F090W.zarr"))
    x, y = np.random.default_rng(4).integers(0, 2048, (2, 5000))
    plane = area_map(truth, (2048, 2048), 0, 0.0)
    by_file = stars_at(x, y, plane[y, x])["mag_area"]
    by_cube = corrected(stars_at(x, y), calibration, own_area=False)["mag_area"]
    difference = by_file - by_cube
    assert np.ptp(by_file - stars_at(x, y)["mag"]) > 5e-3
    # Waves of 0.05 pix in 300, bands of 0.005 in 12 and steps of 0.05 between amplifiers, over 32 pixels: 1 to 3 mmag.
    assert difference.std() < 0.8e-3
    assert difference.abs().max() < 4e-3
