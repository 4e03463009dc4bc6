"""What `status` tells of a catalog that would be made otherwise now."""

import os
from pathlib import Path

import pytest

from catalogs import open_catalog
from catalogs.distortion import write_distortion
from catalogs.store import Store
from compute.graph import stale as stales
from compute.graph.pipeline import measure
from compute.graph.run import writing
from tests.distortions import full_size
from tests.graph.running import FAST, OTHER, enter, name_of, write_field

ALL = ", ".join(f"{name_of(k)}--NIS" for k in (1, 2, 3))


def told(folder) -> list[str]:
    catalog = open_catalog(folder)
    return [str(one) for one in stales.stale(catalog, catalog.exposures)]


def again(folder, client, settings=FAST, **options):
    with writing(str(folder)) as catalog:
        return measure(catalog, client, settings, **options)


def test_stale__nothing(measured):
    assert told(measured) == []


@pytest.fixture
def own(client, own_frames, tmp_path):
    files = own_frames(tmp_path / "data", 2)
    enter(tmp_path / "lmc", client, files)
    return tmp_path / "lmc", [Path(file) for file in files]


def test_stale__source_files(own):
    folder, (first, second) = own
    assert told(folder) == []
    first.unlink()
    os.utime(second, (1e9, 1e9))
    assert told(folder) == [
        f"ingest: source file missing: 1 exposure ({name_of(1)}--NIS)",
        f"ingest: source file changed since it was entered: 1 exposure ({name_of(2)}--NIS)",
    ]


def test_stale__source_entered_again_is_known(own, client):
    folder, (first, _) = own
    write_field(first, seed=77)
    assert len(told(folder)) == 1
    enter(folder, client, [str(first)], replace=True)
    assert told(folder) == []


def test_stale__settings_of_the_last_call(measured, client, frames):
    again(measured, client, OTHER, files=frames[:1])
    rest = f"2 exposures ({name_of(2)}--NIS, {name_of(3)}--NIS)"
    (line,) = told(measured)
    assert line.startswith("measure: measured with other settings than the last call's (own_epsf ")
    assert line.endswith(rest)
    again(measured, client, OTHER)
    assert told(measured) == []


def test_stale__another_version(measured, monkeypatch):
    monkeypatch.setattr(stales, "version", lambda name: "9.9")
    (line,) = told(measured)
    assert line == f"measure: measured with piazzi 0.1.0, here is 9.9: 3 exposures ({ALL})"


def test_stale__lost_record(measured):
    with writing(str(measured)) as catalog:
        catalog.write_manifest(catalog.manifest.with_stage("measure", {}))
    assert told(measured) == [f"measure: measured in a way the catalog has no record of: 3 exposures ({ALL})"]


def test_stale__distortions(measured, client, tmp_path):
    place, store = "cubes/distortion/NIRISS_NIS_F090W/{}.zarr", Store(measured)
    write_distortion(store, place.format("2022"), full_size(1))
    assert told(measured) == [f"correct: corrected without the distortion there is now: 3 exposures ({ALL})"]
    assert again(measured, client).done == 3
    assert told(measured) == []
    write_distortion(store, place.format("2023"), full_size(2))
    then = "corrected with the older distortion 2022.zarr, now 2023.zarr"
    assert told(measured) == [f"correct: {then}: 3 exposures ({ALL})"]
    store.remove(place.format("2022"))
    store.remove(place.format("2023"))
    gone = "corrected with the distortion 2022.zarr, no longer there"
    assert told(measured) == [f"correct: {gone}: 3 exposures ({ALL})"]
    write_distortion(Store(tmp_path), "given.zarr", full_size(3))
    again(measured, client, distortion=[str(tmp_path / "given.zarr")])
    assert told(measured) == []  # it was given on purpose
