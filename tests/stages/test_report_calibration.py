"""Reports of ePSF cubes: figures drawn whole, and numbers and pages that tell what the cube holds."""

import numpy as np
import pytest
from distributed import Client
from matplotlib.image import imread

from catalogs.catalog import calibration_path
from catalogs.cubes import EpsfCube, write_epsf
from compute.graph.report import report
from compute.stages.library import own_libraries
from compute.stages.report.calibration import cube_numbers, cube_page, cubes_section
from compute.stages.report.catalog import index_page
from compute.stages.report.fiducials import profile_figure, variation_figure
from compute.stages.report.style import png
from tests.analytic import AnalyticEpsf
from tests.stages import framed
from tests.stages.judging import judged, samplings

PASSES = [
    {"pass": 1, "stars": 90, "stamps": 1234, "change": 0.1, "scatter": 0.05, "qfit": 0.1},
    {"pass": 2, "stars": 88, "stamps": 1200, "change": 0.0021, "scatter": 0.0034, "qfit": 0.0132},
]
TOLD = {"passes": PASSES, "exposures": ["a", "b"]}
NAME = "epsf-NIRISS_NIS_F090W_2022.33-built"


def cube(n_x: int, n_y: int) -> EpsfCube:
    """Stars that grow wider to the right."""
    grown = AnalyticEpsf(tilt=0.1, span=1000.0)
    fx, fy = np.linspace(0, 1000, n_x), np.linspace(0, 1000, n_y)
    values = np.array([[grown.table(radius=6.0, x=x) for x in fx] for _ in fy])
    samples = 10 + np.arange(n_x * n_y).reshape(n_y, n_x)
    return EpsfCube(values, fx, fy, 4, 5.0, samples, "NIRISS", "NIS", "F090W", "built")


@pytest.mark.parametrize(
    "draw",
    [
        lambda: variation_figure(cube(3, 2), "NIRISS"),
        lambda: variation_figure(cube(1, 1), "NIRISS"),
        lambda: profile_figure(cube(3, 2), "NIRISS"),
        lambda: profile_figure(cube(1, 1), "NIRISS"),
    ],
    ids=["variation", "one-fiducial", "profile", "one-profile"],
)
def test_figure__is_drawn_whole_whatever_there_is(draw, tmp_path):
    figure = draw()
    (tmp_path / "figure.png").write_bytes(png(figure))
    pixels = imread(tmp_path / "figure.png")[..., :3]
    assert pixels.shape[1] > 1200
    rim = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]  # white, or something was cut off
    assert all((edge == 1).all() for edge in rim)


def test_variation_figure__tables_stand_where_their_fiducials_are():
    known = cube(3, 2)
    values = known.values.copy()
    values[1, 2] *= 2.0
    shown = variation_figure(EpsfCube(values, known.fx, known.fy, 4, 5.0, known.n_samples), "NIRISS").axes[0].images[0]
    found, side, half = shown.get_array(), 49 + 1, 24
    middles = found[half::side, half::side]
    np.testing.assert_array_equal(middles, values[:, :, half, half])


def test_variation_figure__differences_are_percent_of_the_means_peak():
    known = cube(2, 1)
    shown = variation_figure(known, "NIRISS").axes[1].images[0].get_array()
    peaks = known.centre_values[0]
    wanted = 100 * (peaks[0] - peaks.mean()) / peaks.mean()
    assert shown[16, 16] == pytest.approx(wanted, rel=1e-12)  # 4 pix at 4 samples
    assert shown[16, 16 + 34] == pytest.approx(-wanted, rel=1e-12)


def test_profile_figure__cuts_pass_through_the_samples():
    known = cube(3, 3)
    line = profile_figure(known, "NIRISS").axes[1].lines[2].get_xydata()
    samples = known.values[1, 2, 24, 16:33]
    np.testing.assert_allclose(np.interp(known.u[16:33], *line.T), samples, atol=3e-4)  # drawn in steps of 0.02 pix


def test_cube_page__tells_passes_numbers_and_pictures():
    record = {"pictures": [f"{NAME}-variation", f"{NAME}-density"]} | cube_numbers(cube(3, 2), TOLD)
    html = cube_page(NAME, record)
    assert "<h1>ePSF NIRISS NIS F090W 2022.33-built</h1>" in html
    assert "<td>2</td><td>88</td><td>1,200</td><td>0.210</td><td>3.40</td><td>0.0132</td>" in html
    assert "3 x 2" in html
    assert "10 to 15" in html
    assert html.count("<img") == 2


def test_cube_page__what_reserved_stars_and_phases_say_of_a_pass():
    passes = [{**one, "qfit_reserved": None, "phase_worst": 0.00123} for one in PASSES]
    html = cube_page(NAME, {"pictures": []} | cube_numbers(cube(3, 2), {**TOLD, "passes": passes}))
    assert "<th>QFIT of reserved</th><th>worst phase [mpix]</th>" in html
    assert "<td>0.0132</td><td></td><td>1.23</td>" in html


def test_cube_page__of_an_epsf_from_elsewhere_has_no_passes():
    html = cube_page("epsf-NIRISS_NIS_F090W_given", {"pictures": []} | cube_numbers(cube(1, 1), {}))
    assert "Passes" not in html
    assert "scatter" not in html


def test_index_page__leads_to_the_epsfs():
    record = {"pictures": []} | cube_numbers(cube(3, 2), TOLD)
    nothing = {"ties": [], "quality": [], "cameras": []}
    rows = framed.exposures(3).assign(n_saturated=0, qfit_median=0.1, core_fraction=0.4)
    html = index_page(rows, {}, "x", nothing, cubes_section({NAME: record}, "x"))
    assert f"<a href='x/{NAME}.html'>NIRISS NIS F090W 2022.33-built</a>" in html
    assert cubes_section({}, "x") == []
    assert "ePSFs of the catalog" not in index_page(rows, {}, "x", nothing)


def test_report__tells_of_every_cube_and_which_exposures_were_measured_with_it(tmp_path):
    catalog = framed.write(tmp_path / "lmc", framed.detections(3), frames=False)
    places = [calibration_path("epsf", "NIRISS", "NIS", "F090W", f"{year}-built") for year in (2022, 2023)]
    for place, one in zip(places, (cube(1, 1), cube(3, 2)), strict=True):
        write_epsf(catalog.store, place, one)
    newest, _ = own_libraries(catalog.store)
    catalog.write_manifest(catalog.manifest.with_stage("measure", {"m": {"epsf": [newest._asdict()]}}))
    catalog.write_manifest(catalog.manifest.with_stage("calibrate", {places[1]: TOLD}))
    beside = {"judged": judged(200, {0: 0.1, 2: 0.0}), "samplings": samplings(100, cube(3, 2))}
    for name, table in beside.items():
        catalog.store.commit(f"{places[1].removesuffix('.zarr')}-{name}.parquet", table.to_parquet)
    with Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as client:
        first, _, _ = report(catalog, client)
        again, _, _ = report(catalog, client)
    assert (first.done, again.done) == (4, 0)  # two cubes, the instrument, the camera
    drawn = sorted(path.rsplit("_", 1)[1] for path in catalog.store.list("reports", ".png") if "/epsf-" in path)
    kinds = ["centres", "density", "phase", "profile", "regions", "samplings", "variation"]
    assert drawn == [
        "2022-built-profile.png",
        "2022-built-variation.png",
        *(f"2023-built-{kind}.png" for kind in kinds),
    ]
    page = next(path for path in catalog.store.list("reports", "2023-built.html"))
    html = catalog.store.read_bytes(page).decode()
    assert "1,234" in html
    assert html.count("<img") == len(kinds)
