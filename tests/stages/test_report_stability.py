"""STABILITY from the cubes of exposures, and its figures and page."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from catalogs.catalog import own_epsf_path
from catalogs.cubes import write_epsf
from catalogs.stability import STABILITY
from compute.graph.report_tasks import draw_stability
from compute.stages.report.stability import (
    core_figure,
    fit_figure,
    stability,
    stability_numbers,
    stability_page,
    stability_section,
)
from compute.stages.report.style import png
from tests.stages import framed
from tests.stages.test_report_calibration import cube

LIBRARY = 0.45


def told(k: int, zones: int) -> dict:
    """Notes of the cube of exposure `k`, whose core is k percent above the library's."""
    middles = framed.SIZE * (np.arange(zones) + 0.5) / zones
    rows = [{"x": x, "y": y, "core_fraction": LIBRARY * (1 + k / 100), "library": LIBRARY}
            for y in middles for x in middles]  # fmt: skip
    return {"perturbed": zones, "stars": 900 + k, "qfit_before": 0.02, "qfit_after": 0.01, "zones": rows}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """Four exposures: two adjusted, one with too few stars for that, one with an ePSF of its own."""
    catalog = framed.write(tmp_path_factory.mktemp("steady") / "lmc", framed.detections(4, 20), frames=False)
    rows = catalog.exposures.query("status == 'ok'")
    notes = [told(1, 2), told(2, 2), {"perturbed": 0}, {}]
    for row, extra in zip(rows.to_dict("records"), notes, strict=True):
        write_epsf(catalog.store, own_epsf_path(row), dataclasses.replace(cube(1, 1), extra=extra))
    return catalog


def table(n: int, zones: int) -> pd.DataFrame:
    """STABILITY of n exposures, half of them a year later."""
    rows = framed.exposures(n)[:n]
    parts = [pd.DataFrame(told(k, zones)["zones"]).assign(exposure=name) for k, name in enumerate(rows["exposure"])]
    names = {"x": "zone_x", "y": "zone_y", "library": "library_core_fraction"}
    found = pd.concat(parts).rename(columns=names).merge(rows[["exposure", "instrument", "detector", "filter"]])
    later = found.groupby("exposure").ngroup()
    found = found.assign(mjd_mid=59700.0 + later + 365.0 * (later >= n / 2), qfit_before=0.02, qfit_after=0.01)
    return STABILITY.conform(found.assign(n_stars=900))


def test_stability__is_a_row_for_each_zone_of_each_adjusted_exposure(catalog):
    found = stability(catalog)
    assert found.columns.tolist() == STABILITY.names
    assert found["exposure"].tolist() == [framed.name_of(0)] * 4 + [framed.name_of(1)] * 4
    assert found["zone_x"].tolist() == [150.0, 450.0, 150.0, 450.0] * 2
    assert found["zone_y"].tolist() == [150.0, 150.0, 450.0, 450.0] * 2
    np.testing.assert_allclose(found["core_fraction"] / found["library_core_fraction"] - 1, np.repeat([0.01, 0.02], 4))
    assert found["n_stars"].tolist() == [901] * 4 + [902] * 4
    assert (found["filter"] == "F090W").all()


def test_stability__of_a_catalog_without_adjusted_exposures_is_empty(tmp_path):
    catalog = framed.write(tmp_path / "lmc", framed.detections(1, 20), frames=False)
    found = stability(catalog)
    assert (len(found), found.columns.tolist()) == (0, STABILITY.names)


@pytest.mark.parametrize(("n", "zones"), [(1, 1), (8, 5)])
@pytest.mark.parametrize("draw", [core_figure, fit_figure])
def test_figure__is_drawn_whole_whatever_there_is(draw, n, zones, tmp_path):
    (tmp_path / "figure.png").write_bytes(png(draw(table(n, zones), "NIRISS")))
    pixels = imread(tmp_path / "figure.png")[..., :3]
    rim = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]  # white, or something was cut off
    assert all((edge == 1).all() for edge in rim)


def test_core_figure__points_and_the_librarys_line_are_those_of_the_table():
    rows = table(8, 2)
    axes = core_figure(rows, "NIRISS").axes
    cores = [value for axis in axes[:2] for one in axis.containers for value in one.lines[0].get_ydata()]
    assert sorted(cores) == pytest.approx(sorted(rows["core_fraction"]))
    lines = [line.get_ydata()[0] for line in axes[0].lines if line.get_linestyle() == "--"]
    assert lines == pytest.approx([LIBRARY] * 4)
    changes = [value for axis in axes[2:] for one in axis.containers for value in one.lines[0].get_ydata()]
    assert sorted(changes) == pytest.approx(np.repeat(np.arange(8.0), 4).tolist(), abs=1e-9)


def test_core_figure__many_zones_have_a_colour_for_each_row():
    def legend(zones):
        return [text.get_text() for text in core_figure(table(3, zones), "").axes[1].get_legend().get_texts()]

    assert legend(2) == ["x = 150, y = 150", "x = 150, y = 450", "x = 450, y = 150", "x = 450, y = 450"]
    assert legend(3) == ["y = 100", "y = 300", "y = 500"]


def test_stability_page__tells_every_exposure(catalog):
    rows = stability(catalog)
    record = {"camera": ["NIRISS", "NIS", "F090W"], "pictures": ["s-core", "s-fit"],
              "exposures": stability_numbers(rows)}  # fmt: skip
    html = stability_page({"s": record})
    assert html.count("<img") == 2
    assert f"{framed.name_of(1)}</td><td>59700.0100</td><td>902</td><td>4</td><td>0.4590</td><td>0.4500</td>" in html
    (section,) = stability_section({"s": record}, "x")
    assert "<a href='x/stability.html'>NIRISS NIS F090W</a>" in section.body
    assert "+1.00 to +2.00" in section.body
    assert stability_section({}, "x") == []


def test_draw_stability__without_an_adjusted_exposure_there_is_no_picture(catalog):
    rows = catalog.exposures.query("status == 'ok'")
    draw_stability(catalog.store, "reports/0", "one", rows[:2])
    draw_stability(catalog.store, "reports/0", "none", rows[2:])
    assert [path.rsplit("/", 1)[1] for path in catalog.store.list("reports/0")] == [
        "none.json", "one-core.png", "one-fit.png", "one.json",
    ]  # fmt: skip
