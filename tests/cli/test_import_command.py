"""``piazzi import``: libraries made elsewhere become cubes that later stages take as the catalog's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catalogs import open_catalog
from catalogs.cubes import EpsfCube, read_epsf
from catalogs.distortion import read_distortion, write_distortion
from catalogs.exchange.imports import IMPORTED
from catalogs.exchange.stdgdc import write_stdgdc
from catalogs.exchange.stdpsf import write_stdpsf
from catalogs.store import Store
from compute.stages.library import own_libraries
from tests.analytic import AnalyticEpsf
from tests.distortions import make_cube


@pytest.fixture
def library(tmp_path) -> Path:
    path = tmp_path / "STDPSF_NIRISS_F090W.fits"
    write_stdpsf(make_library(), path)
    return path


def make_library() -> EpsfCube:
    return EpsfCube(
        values=AnalyticEpsf().table()[None, None],
        fx=[1023.0],
        fy=[1023.0],
        oversampling=4,
        normalisation_radius=5.0,
        n_samples=[[0]],
        instrument="NIRISS",
        detector="NIS",
        filter="F090W",
    )


def test_libraries__become_the_catalogs_own(piazzi, library, tmp_path):
    distortion = tmp_path / "STDGDC_NIRISS_F090W.fits"
    write_stdgdc(make_cube(), distortion)
    ended = piazzi("import", tmp_path / "lmc", library, distortion)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"cubes/{kind}/NIRISS_NIS_F090W/{IMPORTED}.zarr" for kind in ("distortion", "epsf")
    ]
    catalog = open_catalog(tmp_path / "lmc")
    np.testing.assert_allclose(catalog.epsf("NIRISS", "NIS", "F090W")["epsf"], make_library().values, atol=1e-7)
    np.testing.assert_allclose(
        read_distortion(tmp_path / "lmc/cubes/distortion/NIRISS_NIS_F090W" / f"{IMPORTED}.zarr").forward(100.0, 60.0),
        make_cube().forward(100.0, 60.0),
        atol=1e-3,  # the format rounds to 1e-5 pix, and is bilinear between pixels
    )
    assert [one.required for one in own_libraries(catalog.store)] == [False]


def test_validity__is_what_was_said(piazzi, library, tmp_path):
    assert piazzi("import", tmp_path / "lmc", library, "--valid-from", 59_000, "--name", "2022-team").code == 0
    cube = read_epsf(tmp_path / "lmc/cubes/epsf/NIRISS_NIS_F090W/2022-team.zarr")
    assert (cube.valid_from, cube.valid_to) == (59_000.0, None)
    assert not cube.covers(58_999.0)


def test_cubes_of_another_catalog__come_over_with_their_range(piazzi, tmp_path):
    write_distortion(Store(tmp_path), "far.zarr", make_cube(valid_from=1.0, valid_to=2.0))
    assert piazzi("import", tmp_path / "lmc", tmp_path / "far.zarr").code == 0
    there = open_catalog(tmp_path / "lmc").distortion("NIRISS", "NIS", "F090W")
    assert (there.attrs["valid_from"], there.attrs["valid_to"]) == (1.0, 2.0)


def test_a_whole_camera__is_a_cube_for_each_detector(piazzi, tmp_path):
    chips = make_library()
    wide = replace(chips, detector="", instrument="WFPC2", filter="F814W", fx=[100.0, 900.0], fy=[100.0, 900.0],
                   values=np.repeat(np.repeat(chips.values[:1, :1], 2, 0), 2, 1),
                   n_samples=np.zeros((2, 2), int))  # fmt: skip
    write_stdpsf(wide, tmp_path / "STDPSF_WFPC2_F814W.fits")
    assert piazzi("import", tmp_path / "lmc", tmp_path / "STDPSF_WFPC2_F814W.fits").code == 0
    folders = {path.parent.name for path in (tmp_path / "lmc/cubes/epsf").glob("*/*.zarr")}
    assert folders == {f"WFPC2_{name}_F814W" for name in ("PC1", "WF2", "WF3", "WF4")}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.fits"], "nothing.fits"),
        (["odd.fits"], "found ?/?/?, expected a name like STDPSF_<camera>_<filter>.fits"),
        (["STDPSF_NIRISS_F090W.fits", "--name", "2022-built"], "one that does not end as the catalog's own"),
        (["STDPSF_NIRISS_F090W.fits", "--name", "../up"], "letters, digits and _ . + - only"),
        (["STDPSF_NIRISS_F090W.fits", "STDPSF_NIRISS_F090W.fits"], "a second epsf of NIRISS/NIS/F090W"),
        (["STDPSF_NIRISS_F090W.fits", "--valid-from", 3, "--valid-to", 2], "found MJD 3.0 to 2.0"),
    ],
)
def test_what_cannot_be_used__is_one_line_and_writes_nothing(piazzi, library, tmp_path, words, told):
    write_stdpsf(make_library(), tmp_path / "odd.fits")
    ended = piazzi("import", tmp_path / "lmc", *(tmp_path / w if str(w).endswith(".fits") else w for w in words))
    assert ended.code == 2
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not list((tmp_path / "lmc").rglob("*.zarr"))


def test_a_name_that_is_taken__needs_replace(piazzi, library, tmp_path):
    assert piazzi("import", tmp_path / "lmc", library).code == 0
    again = piazzi("import", tmp_path / "lmc", library)
    assert again.code == 2
    assert "there already, expected another --name, or --replace" in again.err
    assert piazzi("import", tmp_path / "lmc", library, "--replace").code == 0
