"""``piazzi report``: pages and pictures whole, the same from the same catalog, numbers that are true."""

import json
import re
from pathlib import Path

import pytest

from catalogs.catalog import open_catalog
from tests.graph.running import tree
from tests.stages import framed

NAME = f"{framed.FIELD}_NIRISS_F090W_2022.33"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Path:
    """Six exposures with an ePSF that is wrong by 30 mpix in x."""
    folder = tmp_path_factory.mktemp("report") / "lmc"
    framed.write(folder, framed.detections(wave=0.03))
    return folder


def pages(catalog: Path) -> list[Path]:
    return sorted((catalog / "reports").rglob("*.html"))


def told(ended) -> dict:
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_report__a_frame_has_its_page_and_its_numbers(piazzi, clustered, catalog):
    found = told(piazzi("report", catalog, "--json"))
    assert Path(found["report"]) == catalog / "reports" / "index.html"
    assert found["stages"][0]["done"] == 4  # the frame, its detector's ties, the instrument, the camera
    numbers = found["frames"][NAME]
    # The wave less a sixth of it in each star's own mean; medians of 230 positions are good to 1.5 mpix.
    assert numbers["phase"]["x"] == pytest.approx(0.03 * 0.976 * 5 / 6, abs=0.005)
    assert numbers["phase"]["y"] < 0.005
    assert (numbers["stars"], numbers["exposures"], numbers["rejected"]) == (400, 6, 1)
    assert numbers["tie_mas"] == pytest.approx(0.03 * framed.MAS)
    assert numbers["references"]["gaia"]["sources"] == 400
    assert [one["status"] for one in numbers["singles"]] == ["ok"] * 6 + ["found 0 stars, expected 3"]


def test_report__every_picture_and_link_is_there(catalog):
    assert len(pages(catalog)) == 2
    for path in pages(catalog):
        named = re.findall(r"(?:src|href)='([^']+)'", path.read_text())
        assert named
        assert all((path.parent / name).is_file() for name in named)


def test_report__the_same_catalog_gives_the_same_bytes(piazzi, clustered, catalog):
    before = tree(catalog)
    again = told(piazzi("report", catalog, "--json"))
    assert (again["stages"][0]["done"], again["stages"][0]["skipped"]) == (0, 4)
    assert told(piazzi("report", catalog, "--fresh", "--field", framed.FIELD, "--json"))["stages"][0]["done"] == 4
    assert tree(catalog) == before


def test_report__of_measurements_alone(piazzi, clustered, tmp_path):
    framed.write(tmp_path / "lmc", framed.detections(n_exposures=1, n_stars=50), frames=False)
    ended = piazzi("report", tmp_path / "lmc")
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"report: {tmp_path}/lmc/reports/index.html\n")
    html = (tmp_path / "lmc" / "reports" / "index.html").read_text()
    assert "1 exposures, 400 measured stars" in html
    assert "SCI: found &lt;all NaN&gt;" in html
    assert len(list((tmp_path / "lmc" / "reports").rglob("*.png"))) == 2


def test_report__what_an_older_one_left_goes(piazzi, clustered, tmp_path):
    place = framed.write(tmp_path / "lmc", framed.detections(n_exposures=1, n_stars=50), frames=False)
    place.store.commit("reports/0123456789abcdef/fits.png", lambda file: file.write(b"old"))
    place.store.commit("reports/truth.png", lambda file: file.write(b"of another page"))
    assert piazzi("report", tmp_path / "lmc").code == 0
    assert not place.store.exists("reports/0123456789abcdef")
    assert place.store.exists("reports/truth.png")


@pytest.mark.parametrize("words", [("--field", "m31"), ()])
def test_report__nothing_to_tell_of_is_one_line(piazzi, clustered, catalog, tmp_path, words):
    if not words:
        place = open_catalog(catalog)
        catalog = tmp_path / "empty"
        catalog.mkdir()
        (catalog / "catalog.json").write_bytes(place.store.read_bytes("catalog.json"))
    ended = piazzi("report", catalog, *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "found" in ended.err
    assert "expected" in ended.err
