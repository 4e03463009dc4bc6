"""Library ePSFs: found with their digest, chosen by instrument, detector and filter."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from catalogs.cubes import write_epsf
from catalogs.errors import UnusableError
from catalogs.exchange.stdpsf import write_stdpsf
from catalogs.store import Store
from compute.stages.library import Library, choose_library, find_library, own_libraries
from tests.stages.synthetic import cube, header

HEADER = header(64, 64)


@pytest.fixture
def zarr(tmp_path):
    """Writes cubes in this folder and finds them."""

    def write(name, **key):
        write_epsf(Store(str(tmp_path)), f"{name}.zarr", cube(**key))
        return find_library(str(tmp_path / f"{name}.zarr"))

    return write


def test_choose__by_instrument_detector_and_filter(zarr):
    libraries = zarr("a", filter="F150W"), zarr("b"), zarr("c", detector="NRCA1", instrument="NIRCAM")
    chosen = choose_library(libraries, HEADER)
    assert chosen.key == ("NIRISS", "NIS", "F090W")
    np.testing.assert_array_equal(chosen.values, cube().values)


def test_choose__first_of_equals(zarr):
    first, second = zarr("a", source="first"), zarr("b", source="second")
    assert choose_library((first, second), HEADER).source == "first"
    assert choose_library((second, first), HEADER).source == "second"


def test_choose__names_a_library_lacks_match_all(zarr):
    assert choose_library((zarr("a", detector="", filter=""),), HEADER).key == ("NIRISS", "", "")


def test_choose__none_fits_and_the_reason_tells_what_there_is(zarr):
    libraries = zarr("a", filter="F150W"), zarr("b", detector="NRCA1", instrument="NIRCAM")
    with pytest.raises(
        UnusableError,
        match=r"measure: jw01086.* NIS ePSF: found NIRISS/NIS/F150W and NIRCAM/NRCA1/F090W, "
        r"expected one for NIRISS/NIS/F090W",
    ):
        choose_library(libraries, HEADER)


def test_choose__a_single_broken_library_tells_its_own_trouble(tmp_path):
    file = tmp_path / "STDPSF_NIRISS_F090W.fits"
    file.write_bytes(b"nothing")
    with pytest.raises(UnusableError, match="STDPSF_NIRISS_F090W.fits"):
        choose_library((find_library(str(file)),), HEADER)


def test_choose__a_broken_library_among_others_is_passed_over(zarr, tmp_path):
    file = tmp_path / "STDPSF_NIRISS_F150W.fits"
    file.write_bytes(b"nothing")
    assert choose_library((find_library(str(file)), zarr("a")), HEADER).key == ("NIRISS", "NIS", "F090W")


def test_choose__stdpsf_by_its_file_name(tmp_path):
    path = tmp_path / "STDPSF_NIRISS_F090W.fits"
    write_stdpsf(cube(), str(path))
    chosen = choose_library((find_library(str(path)),), HEADER)
    assert chosen.key == ("NIRISS", "NIS", "F090W")
    # float32 planes.
    np.testing.assert_allclose(chosen.values, cube().values, atol=1e-7)


def test_find__digest_of_a_file_follows_its_bytes(tmp_path):
    file = tmp_path / "STDPSF_NIRISS_F090W.fits"
    file.write_bytes(b"one")
    first = find_library(str(file))
    assert first == Library(str(file), hashlib.sha256(b"STDPSF_NIRISS_F090W.fits" + b"one").hexdigest())
    file.write_bytes(b"two")
    assert find_library(str(file)).sha256 != first.sha256


def test_find__digest_of_a_folder_follows_every_file(zarr, tmp_path):
    first, twin, other = zarr("a"), zarr("b"), zarr("c", filter="F150W")
    assert first.sha256 == twin.sha256
    assert first.sha256 != other.sha256
    inside = max((tmp_path / "a.zarr" / "epsf").iterdir(), key=lambda p: p.stat().st_size)
    inside.write_bytes(inside.read_bytes() + b"x")
    assert find_library(first.path).sha256 != first.sha256


def test_find__nothing_there(tmp_path):
    with pytest.raises(UnusableError, match="found nothing, expected an STDPSF file or an ePSF cube"):
        find_library(str(tmp_path / "absent.fits"))


def test_own_libraries__newest_first_and_none_is_required(tmp_path):
    store = Store(str(tmp_path))
    for name, key in (("2022.33-built", {}), ("2027.40-built", {}), ("a", {"filter": "F480M"})):
        write_epsf(store, f"cubes/epsf/NIRISS_NIS_{key.get('filter', 'F090W')}/{name}.zarr", cube(source=name, **key))
    write_epsf(store, "cubes/epsf/NIRISS_NIS_F090W/perturbed/x.zarr", cube(source="of one exposure"))
    found = own_libraries(store)
    assert choose_library(found, HEADER).source == "2027.40-built"
    assert choose_library(found, replace(HEADER, filter="F200W")) is None
    assert own_libraries(Store(str(tmp_path / "empty"))) == ()


def test_own_libraries__validity_decides(tmp_path):
    store, mjd = Store(str(tmp_path)), HEADER.mjd_mid
    for name, first, last in (("a", mjd - 1, mjd + 1), ("b", mjd + 10, mjd + 20)):
        made = cube(source=name, valid_from=first, valid_to=last)
        write_epsf(store, f"cubes/epsf/NIRISS_NIS_F090W/{name}.zarr", made)
    assert choose_library(own_libraries(store), HEADER).source == "a"
    given = tuple(library._replace(required=True) for library in own_libraries(store))
    assert choose_library(given, HEADER).source == "b"  # who names a library means it


def test_find__unknown_protocols_are_told_in_one_line():
    with pytest.raises(UnusableError, match="expected an STDPSF file or an ePSF cube"):
        find_library("nowhere://x")
