"""Library ePSFs on a cluster: each camera for itself, the same bytes always, and only what changed anew."""

import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from catalogs import open_catalog
from catalogs.cubes import read_epsf, write_epsf
from catalogs.errors import UnusableError
from catalogs.readers import read_exposures
from catalogs.store import Store
from catalogs.tables import EXPOSURES
from compute.graph import calibrate as stage
from compute.graph import pipeline
from compute.graph.run import changing, writing
from compute.settings import CalibrateSettings, EpsfSettings, MeasureSettings
from compute.stages.library import choose_library, own_libraries
from tests.dithers import dithered, write_dithered
from tests.graph.running import tree
from tests.graph.test_resume import Killed, settle
from tests.stages.fields import exposure_row
from tests.stages.synthetic import cube, exposure

# Two coarse passes: these tests ask what becomes of exposures, not how good the ePSF is.
QUICK = CalibrateSettings(grid=1, passes=3, steps=10, least=50, transform="affine", half=4)
FAST = MeasureSettings(searches=1, rounds=1, own_epsf=EpsfSettings(grid=1, passes=1))
BUILT = "cubes/epsf/NIRISS_NIS_{}/{}-built.zarr"
GOOD, POOR = BUILT.format("F090W", "2022.33"), BUILT.format("F150W", "2022.33")
POOR_FILTER = {"PUPIL": "F150W"}


def calibrate(folder, client, settings=QUICK, **options):
    with changing(str(folder)) as catalog:
        return stage.calibrate(catalog, client, settings, **options)


def ingest(folder, client, files):
    with writing(str(folder)) as catalog:
        pipeline.ingest(catalog, client, files)


def measure(folder, client, **options):
    with writing(str(folder)) as catalog:
        return pipeline.measure(catalog, client, FAST, **options)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Five dithered exposures in F090W, and two in F150W, too few."""
    folder, scene = tmp_path_factory.mktemp("dithers"), dithered(n=5, size=110, stars=130, step=3.0)
    poor = dithered(n=7, size=110, stars=130, step=3.0, seed=2)
    files = write_dithered(folder, scene), write_dithered(folder, poor, only=[5, 6], primary=POOR_FILTER)
    return {"good": files[0], "poor": files[1]}


@pytest.fixture(scope="module")
def entered(frames, client, tmp_path_factory):
    """A catalog of all but the last of the good ones, ingested alone."""
    folder = tmp_path_factory.mktemp("entered") / "lmc"
    ingest(folder, client, frames["good"][:4] + frames["poor"])
    return folder


@pytest.fixture(scope="module")
def calibrated(entered, client, tmp_path_factory):
    """That catalog and the report of its calibration."""
    folder = shutil.copytree(entered, tmp_path_factory.mktemp("calibrated") / "lmc")
    return folder, calibrate(folder, client)


@pytest.fixture
def copied(entered, tmp_path):
    return Path(shutil.copytree(entered, tmp_path / "lmc"))


@pytest.fixture
def built(calibrated, tmp_path):
    return Path(shutil.copytree(calibrated[0], tmp_path / "lmc"))


@pytest.fixture
def calls(monkeypatch):
    """How often exposures were cut and cameras solved."""
    counts = Counter()
    for name in ("cut", "build"):
        real = getattr(stage, name)

        def counted(*args, name=name, real=real):
            counts[name] += 1
            return real(*args)

        monkeypatch.setattr(stage, name, counted)
    return counts


def cubes(folder):
    return {path: digest for path, digest in tree(folder).items() if path.startswith("cubes/")}


def test_cameras__one_is_built_and_the_other_told_with_numbers(calibrated):
    folder, report = calibrated
    assert (report.stage, report.done, report.skipped) == ("calibrate", 4, 0)
    (rejected,) = report.rejected
    assert rejected["exposure"] == POOR
    assert re.fullmatch(
        r"calibrate: found \d+ images of stars in 2 exposures, 2 of which could be placed, "
        r"expected stars common to 3 dithered exposures",
        rejected["reason"],
    )
    assert not (folder / POOR).exists()
    made = read_epsf(str(folder / GOOD))
    assert made.key == ("NIRISS", "NIS", "F090W")
    assert made.n_samples.sum() > 100
    told = open_catalog(folder).manifest.provenance["calibrate"]
    assert list(told) == [GOOD]
    assert len(told[GOOD]["exposures"]) == 4
    assert [one["pass"] for one in told[GOOD]["passes"]] == [1, 2, 3]


def test_beside__tables_tell_how_the_cube_came_about(calibrated):
    catalog = open_catalog(calibrated[0])
    (told,) = catalog.manifest.provenance["calibrate"].values()
    beside = str(calibrated[0] / GOOD).removesuffix(".zarr")
    judged, samplings = (pd.read_parquet(f"{beside}-{name}.parquet") for name in ("judged", "samplings"))
    rows = judged[(judged["pass"] == 3) & ~judged["reserved"]]
    assert told["passes"][-1]["qfit"] == rows["qfit"].median()
    assert set(samplings["axis"]) == {"x", "y"}
    assert not Path(f"{beside}-control.parquet").exists()
    # Whoever looks for cubes finds the cube alone.
    assert [Path(library.path).name for library in own_libraries(catalog.store)] == [Path(GOOD).name]
    assert catalog.epsf("NIRISS", "NIS", "F090W").sizes["u"] == 101


def test_again__only_what_could_not_be_built_is_tried(built, client, calls):
    before = cubes(built)
    report = calibrate(built, client)
    assert (report.done, report.skipped, len(report.rejected)) == (0, 4, 1)
    assert calls == {"build": 1}
    assert cubes(built) == before


def test_staging__only_what_may_be_gone_on_with_is_kept(built, client):
    store, top = Store(str(built)), ".staging/calibrate"
    store.commit(f"{top}/0123/4567/first.zarr/.zgroup", lambda file: file.write(b"{}"))
    kept = {path.rsplit("/", 1)[0] for path in store.list(top, ".npz")}
    calibrate(built, client)
    assert len(kept) == 1
    assert {path.rsplit("/", 1)[0] for path in store.list(top, ".npz")} == kept
    assert all(path.startswith(tuple(kept)) for path in store.list(top))


def test_fresh__the_same_bytes(built, client, calls):
    before, manifest = cubes(built), open_catalog(built).manifest
    report = calibrate(built, client, fresh=True)
    assert (report.done, report.skipped) == (4, 0)
    assert calls["cut"] >= 4
    assert cubes(built) == before
    assert open_catalog(built).manifest == manifest


def test_settings__others_build_anew(built, client):
    before = cubes(built)
    assert calibrate(built, client, QUICK.model_copy(update={"stiffness": 1e-5})).done == 4
    after = cubes(built)
    assert after.keys() == before.keys()
    assert after != before


def test_bytes__one_worker_as_two(calibrated, copied):
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as other:
        calibrate(copied, other)
    assert cubes(copied) == cubes(calibrated[0])


def test_new_exposure__is_built_in(built, frames, client):
    before = cubes(built)
    ingest(built, client, frames["good"][4:])
    assert calibrate(built, client).done == 5
    assert cubes(built) != before
    assert len(open_catalog(built).manifest.provenance["calibrate"][GOOD]["exposures"]) == 5


def test_interrupted__what_was_cut_is_not_cut_again(calibrated, copied, client, calls):
    def die(stage, done, total, key):
        if (stage, done) == ("cut", total):
            raise Killed

    with pytest.raises(Killed):
        calibrate(copied, client, progress=die)
    settle(client)
    assert calls == {"cut": 6}
    assert calibrate(copied, client).done == 4
    assert calls == {"cut": 6, "build": 2}
    assert cubes(copied) == cubes(calibrated[0])


def test_detectors_of_one_file__each_gets_its_own(client, tmp_path, monkeypatch):
    """Two chips of a file share name and bytes; stamps of one must not pass for the other's."""
    seen = []

    def told(exposure, first, settings):
        seen.append((exposure.header.detector, first.detector))
        raise UnusableError("cut", "nothing", "stars")

    monkeypatch.setattr(stage, "_exposure", lambda *of: exposure(np.zeros((64, 64)), detector=of[-1]))
    monkeypatch.setattr(stage, "epsf", lambda one, *_: cube(detector=one.header.detector))
    monkeypatch.setattr(stage, "cut", told)
    with writing(str(tmp_path / "lmc")) as catalog:
        rows = [exposure_row(detector=name) for name in ("WF2", "WF3")]
        catalog.write_exposures(EXPOSURES.conform(pd.DataFrame(rows)))
    report = calibrate(tmp_path / "lmc", client)
    assert sorted(seen) == [("WF2", "WF2"), ("WF3", "WF3")]
    assert len(report.rejected) == 4  # each exposure, each camera
    assert "found no exposure with bright, lonely stars" in report.rejected[-1]["reason"]


def test_file_changed_since__is_told_and_left_out(calibrated, copied, client, frames, monkeypatch):
    real = stage.file_digest
    monkeypatch.setattr(stage, "file_digest", lambda path: "f" * 64 if path == frames["good"][0] else real(path))
    report = calibrate(copied, client)
    assert report.rejected[0]["exposure"] == "jw01086001001_02101_00001_nis-NIS"
    reason = r"calibrate: .* sha256: found f{12}, expected [0-9a-f]{12}, as it was ingested"
    assert re.fullmatch(reason, report.rejected[0]["reason"])
    assert cubes(copied).keys() == cubes(calibrated[0]).keys()
    assert cubes(copied) != cubes(calibrated[0])


def test_epochs__each_its_own_and_exposures_take_theirs(client, frames, tmp_path):
    later = {"EXPSTART": 60000.0, "EXPMID": 60000.001, "EXPEND": 60000.002, "OBSERVTN": "009"}
    scene = dithered(n=4, size=110, stars=130, step=3.0)
    files = frames["good"][:4] + write_dithered(tmp_path, scene, seed=3, primary=later, visit=9)
    ingest(tmp_path / "lmc", client, files)
    assert calibrate(tmp_path / "lmc", client).done == 8
    assert len(cubes(tmp_path / "lmc")) > 0
    libraries = own_libraries(Store(str(tmp_path / "lmc")))
    assert len(libraries) == 2
    for file, epoch in zip(files, ["2022.33"] * 4 + ["2023.15"] * 4, strict=True):
        assert choose_library(libraries, read_exposures(file)[0].header).source == f"{epoch}-built.zarr"


def test_measure__takes_what_was_built_and_drops_its_own(copied, client, frames):
    some = [frames["good"][0], frames["poor"][0]]
    assert measure(copied, client, files=some).done == 2
    before = open_catalog(copied).exposures["measured_with"].dropna()
    calibrate(copied, client)
    # The exposure whose camera could not be built keeps what it has, from an ePSF of its own.
    report = measure(copied, client, files=some)
    assert (report.done, report.skipped) == (1, 1)
    rows = open_catalog(copied).exposures
    assert (rows["measured_with"].dropna() != before).sum() == 1
    own = {Path(path).parts[4] for path in cubes(copied) if "perturbed" in path}
    assert own == {"jw01086001001_02101_00006_nis.zarr"}
    entries = open_catalog(copied).manifest.provenance["measure"].values()
    (library,) = [one for entry in entries for one in entry["epsf"] if isinstance(one, dict)]
    assert (library["path"].endswith(GOOD), library["required"]) == (True, False)
    assert {"built from each exposure"} == {entry["epsf"] for entry in entries if isinstance(entry["epsf"], str)}
    assert measure(copied, client, files=some).skipped == 2


def test_measure__cubes_of_other_times_are_passed_over(copied, client):
    (row,) = open_catalog(copied).exposures[["mjd_mid", "path"]].iloc[:1].to_dict("records")
    mjd = row["mjd_mid"]
    for name, since, until in (("2030", mjd + 1, None), ("2021", None, mjd - 1), ("2020", mjd - 1, mjd + 1)):
        made = cube(radius=12.5, valid_from=since, valid_to=until, source=name)
        write_epsf(Store(str(copied)), f"cubes/epsf/NIRISS_NIS_F090W/{name}.zarr", made)
    chosen = choose_library(own_libraries(Store(str(copied))), read_exposures(row["path"])[0].header)
    assert chosen.source == "2020"


class Cluster:
    """So many workers on each host, for the number of threads."""

    def __init__(self, *hosts):
        self.workers = {f"{h}-{k}": {"host": h} for h, n in enumerate(hosts) for k in range(n)}

    def scheduler_info(self, **_):
        return {"workers": self.workers}


@pytest.mark.parametrize(
    ("hosts", "n", "expected"),
    [
        ((2,), 1, [2]), ((2,), 2, [1, 1]), ((2,), 3, [1, 1, 2]), ((4,), 6, [1, 1, 1, 1, 2, 2]), ((4, 4), 2, [4, 4]),
        ((4, 2), 3, [1, 1, 1]), ((4, 1), 3, [1, 1, 1]), ((), 2, [1, 1]),
    ],
)  # fmt: skip
def test_threads__tasks_that_come_last_have_the_cores_of_idle_workers(hosts, n, expected):
    assert stage._threads(Cluster(*hosts), n, 1) == expected
    assert stage._threads(Cluster(*hosts), n, 3) == [max(3, each) for each in expected]
