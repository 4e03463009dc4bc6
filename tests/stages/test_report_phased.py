"""What depends on pixel phase and on colour: known dependences in, the same out."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from catalogs.masters import MASTER
from catalogs.parquet import write_table
from compute.graph.report_frames import draw_frame
from compute.stages.frame.groups import FrameKey
from compute.stages.report.binned import PHASES, amplitude, curve, phase, slope
from compute.stages.report.colours import colour_figure, with_colours
from compute.stages.report.measured import quality_figure
from compute.stages.report.phased import epoch_figure, flux_figure, of_other_epoch
from compute.stages.report.style import png
from tests.stages import framed


def titled(figure) -> list[float]:
    return [float(axis.get_title("left").split()[1]) for axis in figure.axes[:2]]


def residuals(n: int, wave: float, seed=0) -> pd.DataFrame:
    """Bright detections whose magnitude and x wave with the pixel phase in x."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, framed.SIZE - 1, (n, 2))
    cosine = wave * np.cos(2 * np.pi * place[:, 0])
    noise = rng.normal(0, 0.004, (3, n))
    return pd.DataFrame({
        "number": 0, "x": place[:, 0], "y": place[:, 1], "error": 0.01, "dmag": cosine + noise[0],
        "dx": cosine + noise[1], "dy": noise[2],
    })  # fmt: skip


def coloured(n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stars whose QFIT grows by 0.02 with each magnitude of colour, and the same in another filter, some missing."""
    rng = np.random.default_rng(2)
    mag, colour = rng.uniform(-12, -8, n), rng.uniform(0, 1, n)
    qfit = 0.02 + 0.02 * colour + rng.normal(0, 0.002, n)
    stars = pd.DataFrame({"star_id": np.arange(n), "mag": mag, "qfit": qfit})
    return stars, stars.assign(mag=mag - colour)[::2]


@pytest.mark.parametrize("n", [1, 0])
@pytest.mark.parametrize(
    "draw",
    [
        lambda n: flux_figure(residuals(n, 0.01), "NIRISS"),
        lambda n: epoch_figure(residuals(n, 0.01), "NIRISS"),
        lambda n: colour_figure(with_colours(*coloured(n)), "F090W − F150W", "NIRISS"),
    ],
    ids=["flux", "epoch", "colour"],
)
def test_figure__is_drawn_whole_however_few_stars_there_are(draw, n, tmp_path):
    (tmp_path / "figure.png").write_bytes(png(draw(n)))
    pixels = imread(tmp_path / "figure.png")[..., :3]
    rim = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]  # white, or something was cut off
    assert all((edge == 1).all() for edge in rim)


def test_flux_figure__amplitude_is_that_put_in():
    x, y = titled(flux_figure(residuals(20_000, 0.01), "NIRISS"))
    assert x == pytest.approx(10 * np.sinc(0.1) * np.cos(np.pi / 10), abs=0.4)  # middles of bins lie beside the tops
    assert y < 0.6  # medians of 2000 that scatter by 8 mmag


def test_of_other_epoch__phases_stay_and_what_is_smooth_goes():
    found = framed.residuals(framed.detections(3, 3000, noise=0.002, wave=0.03))
    back = np.array([np.linalg.inv(framed.matrix(k)) for k in range(3)])
    rng = np.random.default_rng(1)
    moved = rng.normal(0, 0.004, (3000, 2))[found["star"]]  # stars of their own
    smooth = np.column_stack([0.1 * np.sin(found["x"] / 150), 1e-3 * found["y"] + 0.4])  # a frame that lies elsewhere
    shift = moved + smooth + np.where(found["star"].to_numpy()[:, None] % 3 == 0, np.nan, 0.0)
    rows = of_other_epoch(found, shift, back)
    assert len(rows) == 6000
    waves = [amplitude(curve(phase(rows[axis]), rows[f"d{axis}"], PHASES).median) for axis in "xy"]
    # Two thirds are left by each star's own mean of three; cells of 85 stars take a little more.
    assert waves[0] == pytest.approx(0.03 * 0.984 * 2 / 3, abs=0.002)
    assert waves[1] < 0.002
    assert rows["dy"].std() < 0.02  # of a wave 0.07 pix rms, what cells of 67 pix do not resolve


def test_of_other_epoch__exposures_of_few_stars_say_nothing():
    found = framed.residuals(framed.detections(2, 10))
    back = np.array([np.linalg.inv(framed.matrix(k)) for k in range(2)])
    assert of_other_epoch(found, np.zeros((20, 2)), back).empty


def test_with_colours__takes_a_fifth_on_either_side_at_every_magnitude():
    stars, other = coloured(4000)
    found = with_colours(stars, other, -1)
    assert len(found) == 2000
    np.testing.assert_allclose(found["colour"], found["mag_other"] - found["mag"])
    shares = found.groupby(np.floor(found["mag"] / 0.5))["side"].value_counts(normalize=True).unstack()
    np.testing.assert_allclose(shares[[-1, 1]], 0.2, atol=0.006)
    assert found.loc[found["side"] < 0, "colour"].max() < found.loc[found["side"] > 0, "colour"].min()


def test_colour_figure__difference_is_that_put_in():
    figure = colour_figure(with_colours(*coloured(8000)), "F090W − F150W", "NIRISS")
    difference = figure.axes[2].containers[0].lines[0].get_ydata()
    # Fifths of an even distribution are 0.8 mag apart; medians of a hundred are good to 0.0004.
    np.testing.assert_allclose(difference[np.isfinite(difference)], 0.016, atol=0.002)


def test_slope__is_that_of_the_line_and_known_as_well_as_told():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(200):
        place = rng.uniform(0, 5, 500)
        found.append(slope(curve(place, 0.3 * place + rng.normal(0, 0.1, 500), np.linspace(0, 5, 11))))
    values, errors = np.array(found).T
    # 200 draws know the mean to 0.0003, and a standard deviation to 5 %; medians of a slope scatter a little more.
    assert values.mean() == pytest.approx(0.3, abs=0.001)
    assert values.std() == pytest.approx(errors.mean(), rel=0.25)
    assert np.isnan(slope(curve([1.0] * 9, [1.0] * 9, np.linspace(0, 5, 11)))).all()


def test_quality_figure__tells_how_radxs_follows_the_magnitude():
    rng = np.random.default_rng(5)
    mag = rng.uniform(-12, -6, 5000)
    stars = pd.DataFrame({
        "x": rng.uniform(0, 100, 5000), "y": rng.uniform(0, 100, 5000), "flux": 10 ** (-0.4 * mag), "mag": mag,
        "flux_error": 1.0, "qfit": 0.05, "radxs": -0.004 * (mag + 9) + rng.normal(0, 0.005, 5000), "chi2": 1.0,
        "flags": np.zeros(5000, np.uint32),
    })  # fmt: skip
    figure = quality_figure(stars, "NIRISS")
    told = figure.axes[1].get_title("left").split()
    assert float(told[4]) == pytest.approx(-0.004, abs=0.0003)
    assert figure.axes[0].get_title("left").endswith("0.0500")


def test_draw_frame__colours_and_epochs_where_the_field_has_such_frames(tmp_path):
    catalog = framed.write(tmp_path / "lmc", framed.detections(3, 400, wave=0.03))
    rows = framed.transforms(3)
    exposures = catalog.exposures[:3]
    master = framed.masters(framed.detections(3, 400, wave=0.03))
    key = FrameKey("NIRISS", "F090W", 2022.33)
    others = (
        FrameKey("NIRISS", "F150W", 2022.33),
        FrameKey("NIRISS", "F090W", 2023.33),
        FrameKey("ACS", "F090W", 2006.0),
    )
    for one in others[:2]:
        folder = f"master/field={framed.FIELD}/instrument={one.instrument}/filter={one.filter}/epoch={one.epoch_name}"
        catalog.store.commit(f"{folder}/part-9_9.parquet", lambda file: write_table(master, MASTER, file))
    draw_frame(catalog.store, "reports/0", "one", framed.FIELD, key, rows, exposures, framed.MAS, others)
    drawn = set(json.loads(catalog.store.read_bytes("reports/0/one.json"))["pictures"])
    assert {"one-fluxes", "one-colours", "one-epochs"} <= drawn
    assert all(catalog.store.exists(f"reports/0/{name}.png") for name in drawn)
