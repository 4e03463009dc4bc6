"""``report`` of distortions and pixel scales: a page for each that is there, of what is known of it."""

import re
from pathlib import Path

import numpy as np
import pytest

from catalogs.catalog import calibration_path
from catalogs.distortion import write_distortion
from catalogs.parquet import write_table
from catalogs.residuals import RESIDUALS
from compute.graph import report as drawing
from compute.graph.report import report
from compute.graph.scales import SCALE_TABLES
from compute.stages.scale_means import summary
from tests.graph.running import tree
from tests.stages import framed
from tests.stages.test_report_distortion import cube, residuals
from tests.stages.test_scales_stage import table

SOLVED = "F090W"
TOLD = {
    "method": "smooth", "exposures": 4, "stars": 1234, "scatter_before": 2.5, "scatter": 0.004,
    "reserved_scatter": 0.0045, "reference_scatter": None, "free": ["x uv"], "terms": {"x uv": 9.0, "y u2": 0.001},
}  # fmt: skip


def place(name, calibration="2022.33-solved"):
    return calibration_path("distortion", "NIRISS", "NIS", name, calibration)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """A solved correction and one from elsewhere, and scales of a field that has no frames any more."""
    catalog = framed.write(tmp_path_factory.mktemp("pages") / "lmc", framed.detections(2, 60), frames=False)
    write_distortion(catalog.store, place(SOLVED), cube())
    left = RESIDUALS.conform(residuals(n=100, exposures=4))
    beside = f"{place(SOLVED).removesuffix('.zarr')}-residuals.parquet"
    catalog.store.commit(beside, lambda file: write_table(left, RESIDUALS, file))
    write_distortion(catalog.store, place("F200W", "library"), cube())
    rows = table(65.56 + 1e-5 * np.cos(range(6)))
    scales = rows, *summary(rows, np.zeros((6, 6)))
    for (name, kind), found in zip(SCALE_TABLES.items(), scales, strict=True):
        path = f"{name}/field=lmc/hst.parquet"
        catalog.store.commit(path, lambda file, kind=kind, found=found: write_table(found, kind, file))
    manifest = catalog.manifest.with_stage("geometry", {place(SOLVED): TOLD})
    catalog.write_manifest(manifest.with_stage("frame", {"lmc": {"plane": {"scale": 50.0}}}))
    return catalog


@pytest.fixture(scope="module")
def reported(catalog, client):
    done, url, _ = report(catalog, client)
    return done, Path(url)


def page_of(reported, name) -> str:
    return next(reported[1].parent.rglob(f"{name}.html")).read_text()


def test_report__every_correction_detector_and_scale_has_a_page_that_is_whole(reported):
    done, index = reported
    assert done.done == 6  # two corrections, their detector, its scales; the instrument and its camera
    names = {path.stem.split("_", 2)[2] for path in index.parent.glob("*/*.html")}
    assert names == {"2022.33-solved", "NIS", "F200W_library", "F090W_2022.33-solved"}
    for path in [index, *index.parent.glob("*/*.html")]:
        named = re.findall(r"(?:src|href)='([^']+)'", path.read_text())
        assert named
        assert all((path.parent / name).is_file() for name in named)
    text = index.read_text()
    assert "NIRISS NIS F200W library</a></td><td class=text>from elsewhere" in text
    assert "NIRISS NIS 2022.33-solved, all filters</a>" in text
    assert "lmc NIRISS NIS</a>" in text


def test_report__a_solution_tells_its_numbers_and_warns_of_what_is_free(reported):
    text = page_of(reported, "distortion-NIRISS_NIS_F090W_2022.33-solved")
    assert "<p class=missed>x uv</p>" in text
    assert "<td class=text>of reserved stars [mpix]</td><td>4.5</td>" in text
    assert "None" not in text
    assert "nan" not in text
    assert "<td class=text>pixel scale [mas]</td><td>65.5600</td>" in text  # as it was measured
    assert text.count("<img") == 4
    assert page_of(reported, "detector-NIRISS_NIS_2022.33-solved").count("<img") == 2  # one filter differs from none


def test_report__of_a_correction_from_elsewhere_shows_the_correction_alone(reported):
    text = page_of(reported, "distortion-NIRISS_NIS_F200W_library")
    assert text.count("<img") == 1
    assert "F200W_library-correction.png" in text
    assert "polynomial: rms x, y; largest [mpix]" in text
    assert "Undetermined" not in text
    assert "Tests of the residuals" not in text


def test_report__of_scales_tells_their_means(reported):
    text = page_of(reported, "scales-lmc_NIRISS_NIS")
    assert "65.56000" in text
    assert text.count("<img") == 1


def test_report__the_same_again_draws_nothing_and_another_cube_draws_anew(catalog, reported, client, monkeypatch):
    before = tree(catalog.store.root)
    assert report(catalog, client)[0].done == 0
    assert tree(catalog.store.root) == before

    def stop(client, stage, call, work, progress):
        raise InterruptedError(" ".join(work))

    monkeypatch.setattr(drawing, "run_all", stop)
    write_distortion(catalog.store, place("F200W", "library"), cube(2.0))
    with pytest.raises(InterruptedError, match="distortion-NIRISS_NIS_F200W_library"):
        report(catalog, client)
