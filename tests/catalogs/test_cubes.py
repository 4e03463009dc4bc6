import pickle

import numpy as np
import pytest
import xarray as xr

from catalogs.cubes import EpsfCube, enclosed_sum, open_cube, read_epsf, write_epsf
from catalogs.errors import UnusableError


def gaussian(sigma, oversampling, radius=12.5):
    """Density of a round Gaussian star at sample offsets (n, n)."""
    half = round(radius * oversampling)
    offset = np.arange(-half, half + 1) / oversampling
    return np.exp(-(offset**2 + offset[:, None] ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def make_cube(**changes):
    psf = gaussian(1.0, 4)
    parts = {
        "values": psf * np.linspace(0.9, 1.1, 6).reshape(2, 3, 1, 1),
        "fx": [0, 1023, 2047],
        "fy": [0, 2047],
        "oversampling": 4,
        "normalisation_radius": 5.0,
        "n_samples": np.arange(6).reshape(2, 3),
        "instrument": "NIRISS",
        "detector": "NIS",
        "filter": "F090W",
        "source": "built",
        "valid_from": 59700.0,
        "extra": {"enclosed": {"5": 1.0}, "comments": ["a", "b"]},
    }
    return EpsfCube(**(parts | changes))


class FolderStore:
    """The least a store can be: a folder."""

    def __init__(self, root):
        self.root = root

    def commit_tree(self, relative_dir, write):
        folder = self.root / relative_dir
        folder.mkdir(parents=True)
        write(str(folder))


def same(a, b):
    arrays = all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("values", "fx", "fy", "n_samples"))
    names = ("oversampling", "normalisation_radius", "key", "source", "valid_from", "valid_to", "centring", "extra")
    return arrays and all(getattr(a, n) == getattr(b, n) for n in names)


def test_offsets__four_samples_per_pixel():
    cube = make_cube()
    assert cube.radius == 12.5
    assert cube.u[[0, 49, 50, 51, 100]].tolist() == [-12.5, -0.25, 0.0, 0.25, 12.5]


def test_centre_values__sample_at_offset_zero():
    cube = make_cube()
    assert cube.centre_values.shape == (2, 3)
    at_zero = cube.to_dataset()["epsf"].sel(u=0.0, v=0.0, fx=2047.0, fy=0.0)
    assert cube.centre_values[0, 2] == float(at_zero) == cube.values[0, 2].max()


def test_values__are_a_read_only_copy():
    values = np.ones((1, 1, 3, 3))
    cube = make_cube(values=values, fx=[0], fy=[0], n_samples=[[1]])
    values[:] = 7
    assert (cube.values == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        cube.values[0] = 2


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"values": np.ones((2, 3, 4, 4))}, "values"),
        ({"values": np.ones((2, 3, 5, 3))}, "values"),
        ({"values": np.ones((3, 2, 5, 5))}, "values"),
        ({"values": np.ones((6, 5, 5))}, "values"),
        ({"values": np.full((2, 3, 5, 5), np.nan)}, "values"),
        ({"n_samples": np.ones((3, 2))}, "n_samples"),
        ({"fx": [0, 2047, 1023]}, "fx"),
        ({"fy": [5, 5]}, "fy"),
        ({"fy": [5, np.nan]}, "fy"),
        ({"oversampling": 0}, "oversampling"),
        ({"oversampling": 2.5}, "oversampling"),
        ({"normalisation_radius": 0.0}, "normalisation_radius"),
        ({"normalisation_radius": np.nan}, "normalisation_radius"),
    ],
)
def test_cube__refuses_what_cannot_be_an_epsf(changes, place):
    with pytest.raises(UnusableError, match=rf"ePSF cube built {place}: found .*, expected "):
        make_cube(**changes)


@pytest.mark.parametrize("oversampling", [3, 4, 5, 8])
@pytest.mark.parametrize("radius", [3.0, 5.0, 5.5, 10.0])
def test_enclosed_sum__gaussian_of_known_integral(oversampling, radius):
    # The one-sample ramp at the rim leaves less than 1e-3 of a star of 2 pix sigma at three samples per pixel or more.
    expected = 1 - np.exp(-(radius**2) / 8)
    assert enclosed_sum(gaussian(2.0, oversampling), oversampling, radius) == pytest.approx(expected, abs=1e-3)


def test_enclosed_sum__equals_mean_over_phases_of_pixel_sums():
    psf = gaussian(1.0, 4)
    # All the light is inside 10 pix: each of the 16 ways to put the star on the pixels holds all of it.
    phases = [psf[i::4, j::4].sum() for i in range(4) for j in range(4)]
    assert enclosed_sum(psf, 4, 10.0) == pytest.approx(np.mean(phases), abs=1e-12)


def test_enclosed_sum__keeps_leading_axes():
    cube = make_cube()
    sums = enclosed_sum(cube.values, 4, 5.0)
    assert sums.shape == (2, 3)
    assert sums[1, 2] == enclosed_sum(cube.values[1, 2], 4, 5.0)


def test_dataset__round_trip():
    cube = make_cube()
    dataset = cube.to_dataset()
    assert dataset["epsf"].dims == ("fy", "fx", "v", "u")
    assert dataset["epsf"].attrs["units"] == "1"
    assert dataset["u"].attrs["units"] == dataset["fx"].attrs["units"] == "pix"
    assert "valid_to" not in dataset.attrs
    assert same(EpsfCube.from_dataset(dataset), cube)


def test_from_dataset__names_what_is_missing():
    with pytest.raises(UnusableError, match="n_samples"):
        EpsfCube.from_dataset(make_cube().to_dataset().drop_vars("n_samples"))
    dataset = make_cube().to_dataset()
    del dataset.attrs["oversampling"]
    with pytest.raises(UnusableError, match="oversampling"):
        EpsfCube.from_dataset(dataset)


def test_zarr__round_trip(tmp_path):
    cube = make_cube()
    write_epsf(FolderStore(tmp_path), "cubes/epsf/NIRISS_NIS_F090W/a.zarr", cube)
    folder = tmp_path / "cubes/epsf/NIRISS_NIS_F090W/a.zarr"
    assert same(read_epsf(folder), cube)
    assert (folder / ".zmetadata").is_file()
    xr.testing.assert_identical(open_cube(folder).load(), cube.to_dataset())


def test_zarr__same_cube_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_epsf(FolderStore(tmp_path), name, make_cube())
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) > 6
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_zarr__opened_lazily(tmp_path):
    write_epsf(FolderStore(tmp_path), "a", make_cube())
    (tmp_path / "a/epsf/0.0.0.0").write_bytes(b"not a chunk")
    dataset = open_cube(tmp_path / "a")
    assert dataset["epsf"].shape == (2, 3, 101, 101)
    assert dataset["epsf"].chunks is None
    with pytest.raises(RuntimeError):
        dataset["epsf"].load()


def test_open_cube__no_cube_there(tmp_path):
    with pytest.raises(UnusableError, match="expected a Zarr cube"):
        open_cube(tmp_path)
    with pytest.raises(UnusableError, match="expected a Zarr cube"):
        read_epsf(tmp_path / "absent.zarr")


def test_cube__survives_the_trip_to_a_worker():
    assert same(pickle.loads(pickle.dumps(make_cube())), make_cube())


# --- flux term ---


def test_flux_term__comes_back_from_a_store(tmp_path):
    term = np.zeros(make_cube().values.shape[2:])
    term[1:-1, 1:-1] = -1e-3
    original = make_cube(flux_term=term, flux_unit=1e5)
    found = EpsfCube.from_dataset(original.to_dataset())
    write_epsf(FolderStore(tmp_path), "cubes/a.zarr", original)
    stored = read_epsf(tmp_path / "cubes/a.zarr")
    for one in (found, stored):
        np.testing.assert_array_equal(one.flux_term, term)
        assert one.flux_unit == 1e5
        assert not one.flux_term.flags.writeable


def test_flux_term__a_cube_without_one_has_no_trace_of_it():
    dataset = make_cube().to_dataset()
    assert "flux_term" not in dataset
    assert "flux_unit" not in dataset.attrs
    assert EpsfCube.from_dataset(dataset).flux_term is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flux_term": 0.0}, "flux_unit: found None, expected a positive charge"),
        ({"flux_unit": 1e5}, "flux_unit: found 100000.0, expected a positive charge .* none without"),
        ({"flux_term": 0.0, "flux_unit": -1.0}, "flux_unit: found -1.0"),
        ({"flux_term": np.nan, "flux_unit": 1.0}, "flux_term: found"),
        ({"flux_term": np.zeros((3, 3)), "flux_unit": 1.0}, r"flux_term: found shape \(3, 3\), expected finite values"),
    ],
)
def test_flux_term__that_cannot_be_one_is_refused(changes, message):
    term = changes.get("flux_term")
    if term is not None and np.ndim(term) == 0:
        changes = changes | {"flux_term": np.full(make_cube().values.shape[2:], term)}
    with pytest.raises(UnusableError, match=message):
        make_cube(**changes)
