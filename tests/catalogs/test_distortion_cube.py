"""Distortion cubes: what each layer means, what is refused, and Zarr and back."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from catalogs.catalog import create_or_open
from catalogs.distortion import DistortionCube, LookUpTable, PixelMap, Polynomial, read_distortion, write_distortion
from catalogs.errors import CatalogError, UnusableError
from catalogs.store import Store
from tests.distortions import SIZE, make_cube


def same(a: DistortionCube, b: DistortionCube) -> bool:
    arrays = all(x.dataset().identical(y.dataset()) for x, y in zip(a.layers, b.layers, strict=True))
    names = ("key", "source", "valid_from", "valid_to", "n_x", "gauge", "area_scale", "extra", "shape")
    return arrays and np.array_equal(a.chips, b.chips) and all(getattr(a, n) == getattr(b, n) for n in names)


def test_polynomial__terms_are_shifts_at_the_edge():
    coefficients = np.zeros((1, 2, 3, 3))
    coefficients[0, 0, 1, 1], coefficients[0, 1, 0, 2] = 2.0, -3.0
    layer = Polynomial(coefficients, (10.0, 20.0), 5.0)
    np.testing.assert_allclose(layer.delta([15.0, 5.0, 10.0], [25.0, 25.0, 15.0]), [[2, -2, 0], [-3, -3, -3]])


def test_polynomial__each_chip_its_own():
    coefficients = np.zeros((2, 2, 1, 1))
    coefficients[1] = 7.0
    layer = Polynomial(coefficients, (0.0, 0.0), 1.0)
    assert layer.delta([1.0, 1.0], [2.0, 2.0], [0, 1]).tolist() == [[0, 7], [0, 7]]


def test_table__edge_cells_hold_on_the_edge_and_beyond():
    layer = LookUpTable([[[0.0, 1.0, 3.0]] * 2, [[0.0] * 3, [2.0] * 3]], [0.0, 8.0, 15.0], [0.0, 15.0])
    np.testing.assert_allclose(layer.delta([-5, 0, 4, 8, 11.5, 15, 99], 3.0)[0], [0, 0, 0.5, 1, 2, 3, 3])
    np.testing.assert_allclose(layer.delta(4.0, [-5, 0, 7.5, 15, 99])[1], [0, 0, 1, 2, 2])


def test_map__ends_at_the_edge_of_its_chip():
    rows = np.arange(6.0)[:, None] * np.ones((2, 6, 4))
    layer = PixelMap(rows, [[0, 3], [3, 6]])
    np.testing.assert_allclose(layer.delta(1.0, [-9, 1.25, 2.4, 2.6], 0)[0], [0, 1.25, 2, 2])
    np.testing.assert_allclose(layer.delta(1.0, [2.4, 2.6, 3.5, 9], 1)[0], [3, 3, 3.5, 5])


def test_map__unmeasured_pixels_reach_as_far_as_interpolation():
    values = np.zeros((2, 5, 5))
    values[:, 2, 2] = np.nan
    layer = PixelMap(values, [[0, 5]])
    assert np.isnan(layer.delta([1.5, 2.0, 2.9], [2.0, 2.9, 1.1])).all()
    assert (layer.delta([1.0, 3.0, 1.9], [2.0, 2.0, 1.0]) == 0).all()


def test_forward__is_the_sum_of_layers_at_the_raw_position():
    cube = make_cube()
    x, y = np.random.default_rng(2).uniform(-8, SIZE + 7, (2, 40))
    shifts = sum(layer.delta(x, y) for layer in cube.layers)
    # The same numbers added in another order.
    np.testing.assert_allclose(cube.forward(x, y) - [x, y], shifts, atol=1e-12)


def test_forward__of_no_position_is_none():
    found = make_cube().forward([np.nan, 3.0, np.inf, 3.0], [3.0, np.nan, 3.0, 3.0])
    assert np.isnan(found[:, :3]).all()
    assert np.isfinite(found[:, 3]).all()


def test_chips__rows_beyond_belong_to_the_nearest():
    cube = make_cube(n_chips=2)
    assert cube.chip_of([-5, 0, 127.4, 127.6, 255, 300]).tolist() == [0, 0, 0, 1, 1, 1]


def test_cube__layers_stand_in_their_order_whatever_was_given():
    cube = make_cube()
    assert same(replace(cube, layers=cube.layers[::-1]), cube)


@pytest.mark.parametrize("n_chips", [1, 2])
@pytest.mark.parametrize("kinds", [(0, 1, 2), (0,), (1,), (2,), ()])
def test_zarr__there_and_back(tmp_path, n_chips, kinds):
    cube = make_cube(n_chips, single=n_chips == 2, valid_from=59700.5, extra={"stars": 12, "words": ["a"]})
    cube = replace(cube, layers=tuple(cube.layers[k] for k in kinds))
    write_distortion(Store(tmp_path), "cube.zarr", cube)
    assert same(read_distortion(tmp_path / "cube.zarr"), cube)


def test_zarr__same_cube_same_bytes(tmp_path):
    for name in "ab":
        write_distortion(Store(tmp_path), f"{name}.zarr", make_cube())
    first, second = ([path.read_bytes() for path in sorted((tmp_path / f"{n}.zarr").rglob("*")) if path.is_file()]
                     for n in "ab")  # fmt: skip
    assert first == second


def test_zarr__a_nameless_cube_is_called_after_its_folder(tmp_path):
    cube = make_cube(instrument="", detector="", filter="")
    for name in ("ACS_WFC_F606W.zarr", "1.zarr"):
        write_distortion(Store(tmp_path), name, cube)
    assert read_distortion(tmp_path / "ACS_WFC_F606W.zarr").key == ("ACS", "WFC", "F606W")
    assert read_distortion(tmp_path / "1.zarr").key == ("", "", "")


def test_catalog__opens_the_newest_cube_that_is_valid(tmp_path):
    catalog = create_or_open(tmp_path / "lmc")
    for name, start, end in (("20220701", 59700.0, 59800.0), ("20230101", 59900.0, None)):
        cube = make_cube(source=name, valid_from=start, valid_to=end)
        write_distortion(catalog.store, f"cubes/distortion/NIRISS_NIS_F090W/{name}.zarr", cube)
    for mjd, expected in ((None, "20230101"), (59750.0, "20220701"), (60000.0, "20230101")):
        assert catalog.distortion("NIRISS", "NIS", "F090W", mjd).attrs["source"] == expected
    with pytest.raises(CatalogError, match="covers MJD 59850"):
        catalog.distortion("NIRISS", "NIS", "F090W", 59850.0)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"layers": make_cube().layers[:1] * 2}, "layers"),
        ({"chips": [[0, 128], [100, 256]]}, "chips"),
        ({"chips": [[0, 0]]}, "chips"),
        ({"chips": [[0, 128], [128, 256]]}, "polynomial"),
        ({"n_x": 255}, "pixel map"),
        ({"area_scale": 0.0}, "area_scale"),
        ({"area_scale": np.nan}, "area_scale"),
    ],
)
def test_cube__refuses_what_disagrees(changes, place):
    with pytest.raises(UnusableError, match=rf"distortion made {place}: found .*, expected "):
        make_cube(**changes)


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: Polynomial(np.zeros((2, 6, 6)), (0, 0), 1.0), "polynomial"),
        (lambda: Polynomial(np.ones((1, 2, 2, 2)), (0, 0), 1.0), "polynomial"),
        (lambda: Polynomial(np.full((1, 2, 1, 1), np.nan), (0, 0), 1.0), "polynomial"),
        (lambda: Polynomial(np.zeros((1, 2, 1, 1)), (0, 0), 0.0), "polynomial half"),
        (lambda: LookUpTable(np.zeros((2, 2, 3)), [0, 1], [0, 1]), "table"),
        (lambda: LookUpTable(np.zeros((2, 2, 2)), [1, 0], [0, 1]), "table"),
        (lambda: LookUpTable(np.full((2, 2, 2), np.inf), [0, 1], [0, 1]), "table"),
        (lambda: PixelMap(np.zeros((3, 5, 5)), [[0, 5]]), "pixel_map"),
        (lambda: PixelMap(np.zeros((2, 5, 5)), [[0, 6]]), "pixel_map chips"),
    ],
)
def test_layer__refuses_what_it_cannot_be(make, place):
    with pytest.raises(UnusableError, match=rf"distortion {place}: found .*, expected "):
        make()


def test_zarr__a_broken_chunk_is_refused(tmp_path):
    write_distortion(Store(tmp_path), "a.zarr", make_cube())
    for chunk in (tmp_path / "a.zarr" / "polynomial").glob("[0-9c]*"):
        chunk.write_bytes(b"broken")
    with pytest.raises(UnusableError, match="distortion dataset: found .*, expected the variables"):
        read_distortion(tmp_path / "a.zarr")


def test_dataset__of_something_else_is_refused():
    with pytest.raises(UnusableError, match="distortion dataset"):
        DistortionCube.from_dataset(xr.Dataset({"epsf": ("u", [1.0])}))
