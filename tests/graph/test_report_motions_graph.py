"""``report`` of motions: a page for every field that has some, of whatever else is known of them."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from catalogs.kinematics import KINEMATICS
from catalogs.masters import MATCHES
from catalogs.motions import ZERO_POINTS, with_magnitudes
from catalogs.parquet import write_table
from compute.graph.report import report
from compute.graph.report_motions import _cluster, draw_motions, motion_tasks
from compute.graph.report_populations import Population
from compute.graph.report_sightings import mean_places, on_detectors
from compute.settings import KinematicsSettings, PopulationSettings
from tests.graph.running import tree
from tests.stages import framed, moving

NAME, N = "motions-lmc", 400
RADII = {"motion": (1.87, 0.32), "radii": [(-12.0, 0.1)]}
POPULATIONS = {
    "all_stars": {"magnitude": "F090W", "bright": -13.0, "components": 2},
    "cluster": {"magnitude": "F090W", "circle": (*moving.CENTRE, 60.0), **RADII},
}  # fmt: skip


def put(catalog, path, rows, table):
    catalog.store.commit(path, lambda file: write_table(table.conform(rows), table, file))


def kinematics() -> pd.DataFrame:
    common = dict.fromkeys(KINEMATICS.names, 0.01) | {"absolute": True, "population": "all_stars", "n": 400}
    rows = [{"method": "median", "component": 0, "pmra": 1.9, "pmdec": 0.4}]
    rows += [
        {"method": "mixture", "component": k, "fraction": 0.5, "pmra": 1.7 + 0.2 * k, "pmdec": 0.3} for k in (1, 2)
    ]
    return pd.DataFrame([common | {"fraction": 1.0} | row for row in rows])


def histogram() -> dict:
    """What KINEMATICS keep of two peaks, the first of which is where no component is."""
    edges = np.linspace(-1.0, 4.0, 251)
    peaks = {"fractions": [0.5, 0.5], "means": [0.1, 1.35], "sigmas": [0.1, 0.1]}
    errors = {f"{name}_errors": [0.01, 0.01] for name in ("fraction", "mean", "sigma")}
    bins = {"edges": edges.tolist(), "counts": [1.6] * 250, "errors": [1.0] * 250}
    return bins | peaks | errors | {"chi2": 4.0, "dof": 244}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """Stars that have motions in three filters, measured in one, of a field without frames to draw."""
    found = framed.detections(3, N)
    catalog = framed.write(tmp_path_factory.mktemp("moving") / "lmc", found, frames=False)
    rows = moving.motions(N).assign(star_id=np.arange(N))
    for part, of in (("part-0_0", rows.index < N / 2), ("part-0_1", rows.index >= N / 2)):
        put(catalog, f"motions/field=lmc/{part}.parquet", rows[of], with_magnitudes(moving.FILTERS))
    place = rows.loc[found["star"], ["ra", "dec"]].reset_index(drop=True)
    matches = framed.residuals(found).assign(star_id=found["star"], detector="NIS", x_frame=0.0, y_frame=0.0, used=True)
    matches = matches.assign(exposure=[framed.name_of(k) for k in found["k"]], ra=place["ra"], dec=place["dec"])
    put(catalog, "matches/field=lmc/part-0_0.parquet", matches, MATCHES)
    zero = {column.name: "mean" if column.dtype == "string" else 1 for column in ZERO_POINTS.columns}
    put(catalog, "zero_points/field=lmc/part-0.parquet", pd.DataFrame([zero]), ZERO_POINTS)
    put(catalog, "kinematics/field=lmc/part-0.parquet", kinematics(), KINEMATICS)
    settings = KinematicsSettings(populations=POPULATIONS).model_dump(mode="json")
    numbers = {"axis": 35.0, "histogram": histogram(), "mixture": {"covariance": (1e-6 * np.eye(12)).tolist()}}
    entry = {"settings": settings, "numbers": {"all_stars": numbers}}
    manifest = catalog.manifest.with_stage("frame", {"lmc": {"plane": {"scale": 50.0}}})
    catalog.write_manifest(manifest.with_stage("kinematics", {"lmc": entry}))
    return catalog


@pytest.fixture(scope="module")
def reported(catalog, client):
    _, url, _ = report(catalog, client)
    return Path(url)


def page_of(url: Path) -> Path:
    return next(url.parent.rglob(f"{NAME}.html"))


def test_report__of_motions_is_linked_from_the_first_page_and_whole(reported):
    page = page_of(reported)
    assert f"<a href='{page.parent.name}/{NAME}.html'>lmc</a>" in reported.read_text()
    named = re.findall(r"(?:src|href)='([^']+)'", page.read_text())
    assert all((page.parent / name).is_file() for name in named)
    kinds = {Path(name).stem.removeprefix(f"{NAME}-") for name in named}
    assert kinds >= {
        "errors",
        "populations",
        "projection-all_stars",
        "members-cluster",
        "finding",
        "trends-NIS",
        "linked",
    }
    assert "None" not in page.read_text()


def test_report__of_motions_says_where_fits_disagree_and_what_circles_are(reported):
    text = page_of(reported).read_text()
    assert "disagree by more than three errors" in text
    assert "mean of peak 1 0.100 ± 0.010" in text
    assert "Magenta: the circle that members of cluster are sought in." in text


def test_cluster__is_shown_before_other_circles_and_those_before_the_middle():
    circle, none = (*moving.CENTRE, 9.0), np.zeros(0, bool)
    settings = {
        "all": PopulationSettings(),
        "round": PopulationSettings(circle=(80.5, -69.5, 20.0)),
        "moving": PopulationSettings(circle=circle, motion=(1.0, 1.0), radii=((-5.0, 0.1),)),
    }
    known = {name: Population(one, none, none, []) for name, one in settings.items()}
    found = _cluster(known, moving.CENTRE)
    assert (found.radius, found.note) == (9.0, "Magenta: the circle that members of moving are sought in.")
    del known["moving"]
    found = _cluster(known, moving.CENTRE)
    assert (found.radius, found.note) == (20.0, "Magenta: the circle that stars of round are chosen in.")
    assert found.centre[0] == pytest.approx(0.01 * 3600 * np.cos(np.radians(69.5)), rel=1e-3)
    assert _cluster({"all": known["all"]}, moving.CENTRE) == ((0.0, 0.0), None, "")


def test_report__of_motions_tells_what_was_measured(reported):
    record = json.loads(page_of(reported).with_suffix(".json").read_text())
    assert record["stars"] == N
    assert [row["method"] for row in record["kinematics"]] == ["median", "mixture", "mixture"]
    assert len(record["zero_points"]) == 1
    assert {one["against"] for one in record["trends"]["NIS"]} == {"x", "y", "mag"}


def test_report__of_motions_has_its_populations_in_the_linked_view(reported):
    text = page_of(reported).with_name(f"{NAME}-linked.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert list(data["groups"]) == ["all_stars", "cluster"]
    assert [panel["title"] for panel in data["panels"]] == ["Magnitudes", "Motions", "Sky"]


def test_report__of_motions_alone_does_without_populations(catalog):
    exposures = catalog.exposures[catalog.exposures["status"] == "ok"]
    draw_motions(catalog.store, "alone", NAME, "lmc", exposures, {})
    record = json.loads(catalog.store.read_bytes(f"alone/{NAME}.json"))
    assert [name.removeprefix(f"{NAME}-") for name in record["pictures"]] == ["errors", "finding", "trends-NIS"]


def test_report__of_motions_is_the_same_bytes_again(catalog, reported):
    draw, args = motion_tasks(catalog, catalog.exposures, ["lmc", "another"])[NAME]
    draw(catalog.store, "again", NAME, *args)
    page, again = page_of(reported), tree(Path(catalog.store.root) / "again")
    assert len(again) == 8  # six pictures, the linked view, the record
    assert again.items() <= tree(page.parent).items()


def test_places__are_means_over_the_exposures_of_a_detector(catalog):
    exposures = catalog.exposures
    found = on_detectors(catalog.store, "lmc", exposures[exposures["status"] == "ok"])
    known = framed.detections(3, N)
    (detector, places, at), *others = mean_places(found, np.arange(100, 300))
    assert detector == "NIS"
    assert not others
    assert at.tolist() == list(range(200))
    expected = known.groupby("star")[["x", "y"]].mean().loc[100:299]
    np.testing.assert_allclose(places, expected, rtol=1e-12)
