import numpy as np
import pandas as pd
import pytest

from catalogs.catalog import create_or_open, measurement_path, open_catalog
from catalogs.distortion import DistortionCube
from catalogs.errors import UnusableError
from catalogs.parquet import read_table, write_table
from catalogs.residuals import RESIDUALS
from catalogs.tables import EXPOSURES, MEASUREMENTS
from compute.graph.geometry import geometry
from compute.settings import GeometrySettings, ReferenceSettings
from tests.graph.running import tree
from tests.warped import Field, errors, truth

QUICK = {"cells": 8, "knots": 0.0, "amplifiers": False, "order": 3}
FILTERS = ("F090W", "F150W2")


def make(folder, filters=FILTERS):
    """A catalog measured through two filters, and a reference of the same sky."""
    catalog, rows, measured = create_or_open(str(folder / "lmc")), [], []
    for name in filters:
        field = Field(truth(filter=name), n_stars=1500)
        rows.append(field.exposures())
        measured += field.measured()
    table = EXPOSURES.conform(pd.concat(rows, ignore_index=True))
    catalog.write_exposures(table)
    for row, stars in zip(table.to_dict("records"), measured, strict=True):
        catalog.store.commit(measurement_path(row), lambda file, one=stars: write_table(one, MEASUREMENTS, file))
    field.reference.assign(ref_epoch=2022.33).to_parquet(folder / "known.parquet")
    return catalog, ReferenceSettings(file=str(folder / "known.parquet"), motions=False, without_motion="keep")


@pytest.fixture(scope="module")
def solved(tmp_path_factory, client):
    folder = tmp_path_factory.mktemp("geometry")
    catalog, reference = make(folder)
    with catalog.store.lock():
        report = geometry(catalog, client, GeometrySettings(**QUICK), reference)
    return folder, reference, report


def test_geometry__every_filter_has_its_cube_and_residuals(solved):
    folder, _, report = solved
    catalog = open_catalog(str(folder / "lmc"))
    assert (report.done, report.skipped, report.rejected) == (12, 0, [])
    for name in FILTERS:
        cube = DistortionCube.from_dataset(catalog.distortion("NIRISS", "NIS", name))
        # Six exposures of 1 000 stars to 4 mpix, references to 8 mpix.
        assert errors(cube, truth(filter=name)).std(axis=1).max() < 0.003
        with catalog.store.open(f"cubes/distortion/NIRISS_NIS_{name}/2022.33-solved-residuals.parquet") as file:
            table = read_table(file, RESIDUALS)
        assert set(table["reference"]) == {True, False}


def test_geometry__measurements_are_corrected_with_it(solved):
    folder, _, _ = solved
    catalog = open_catalog(str(folder / "lmc"))
    assert catalog.exposures["corrected_with"].notna().all()
    stars = catalog.measurements.compute()
    assert np.isfinite(stars["x_gdc"]).all()


def test_geometry__again_it_does_nothing(solved, client):
    folder, reference, _ = solved
    catalog, before = open_catalog(str(folder / "lmc")), tree(folder / "lmc")
    with catalog.store.lock():
        report = geometry(catalog, client, GeometrySettings(**QUICK), reference)
    assert (report.done, report.skipped) == (0, 12)
    assert {path: digest for path, digest in tree(folder / "lmc").items() if "lock" not in path} == {
        path: digest for path, digest in before.items() if "lock" not in path
    }


@pytest.mark.slow
def test_geometry__published_chain_ends_with_a_map_of_all_filters(tmp_path, client, monkeypatch):
    catalog, reference = make(tmp_path)

    def die(*_):
        raise KeyboardInterrupt

    with catalog.store.lock():
        with monkeypatch.context() as patched:  # a run that ends just before it publishes, and is started again
            patched.setattr("compute.graph.geometry._publish", die)
            with pytest.raises(KeyboardInterrupt):
                geometry(catalog, client, GeometrySettings(**QUICK, method="published"), reference)
        report = geometry(catalog, client, GeometrySettings(**QUICK, method="published"), reference)
    assert report.rejected == []
    maps = []
    for name in FILTERS:
        cube = DistortionCube.from_dataset(catalog.distortion("NIRISS", "NIS", name))
        maps.append(cube.layers[2].values)
        # A table of 8x8 cells leaves 7 mpix of the waves; the map takes up most of that.
        assert errors(cube, truth(filter=name)).std(axis=1).max() < 0.006
    np.testing.assert_array_equal(*maps)


def test_geometry__self_calibration_says_what_is_free_and_is_done_once(tmp_path, client):
    catalog, _ = make(tmp_path, filters=("F090W",))
    with catalog.store.lock():
        first = geometry(catalog, client, GeometrySettings(**QUICK))
        again = geometry(catalog, client, GeometrySettings(**QUICK))
    assert (first.done, again.done, again.skipped) == (6, 0, 6)
    assert "skew" in first.notes[0]["note"]
    entry = next(iter(catalog.manifest.provenance["geometry"].values()))
    assert "reference_scatter" not in entry
    assert catalog.exposures["corrected_with"].notna().all()


def test_geometry__an_update_needs_an_older_solution(solved, client):
    folder, reference, _ = solved
    catalog = open_catalog(str(folder / "lmc"))
    before = tree(folder / "lmc" / "cubes")
    with catalog.store.lock():
        report = geometry(catalog, client, GeometrySettings(**QUICK, update=2), reference)
    assert report.done == 0
    assert "no distortion to update" in report.rejected[0]["reason"]
    assert tree(folder / "lmc" / "cubes") == before


def test_geometry__an_epoch_named_anew_leaves_no_second_cube(tmp_path, client):
    catalog, reference = make(tmp_path, filters=("F090W",))
    with catalog.store.lock():
        geometry(catalog, client, GeometrySettings(**QUICK), reference)
        catalog.write_exposures(catalog.exposures.assign(epoch=2022.36))
        geometry(catalog, client, GeometrySettings(**QUICK), reference)
    cubes = [path.name for path in (tmp_path / "lmc/cubes/distortion/NIRISS_NIS_F090W").iterdir()]
    assert sorted(cubes) == ["2022.36-solved-residuals.parquet", "2022.36-solved.zarr"]


def test_geometry__a_camera_with_too_few_stars_is_told_and_the_other_solved(tmp_path, client):
    catalog, reference = make(tmp_path)
    for row in catalog.exposures.to_dict("records"):
        if row["filter"] == "F150W2":
            few = MEASUREMENTS.conform(MEASUREMENTS.empty())
            catalog.store.commit(measurement_path(row), lambda file, one=few: write_table(one, MEASUREMENTS, file))
    with catalog.store.lock():
        report = geometry(catalog, client, GeometrySettings(**QUICK), reference)
    assert report.done == 6
    assert "F150W2" in report.rejected[0]["exposure"]
    assert "0 stars in 6 exposures" in report.rejected[0]["reason"]


def test_geometry__nothing_measured_is_one_clear_line(tmp_path, client):
    catalog = create_or_open(str(tmp_path / "lmc"))
    with pytest.raises(UnusableError, match="geometry: found no measured exposure"):
        geometry(catalog, client, GeometrySettings())
