"""One synthetic exposure in, rows of MEASUREMENTS out."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from catalogs.cubes import EpsfCube
from catalogs.errors import UnusableError
from catalogs.flags import Flag
from catalogs.tables import MEASUREMENTS
from compute.settings import MeasureSettings
from compute.stages.measure import measure
from tests.analytic import AnalyticEpsf, render
from tests.stages.synthetic import EPSF, SKY, X_START, Y_START, cube, exposure, field, noisy

SETTINGS = MeasureSettings()
TAPERED = MeasureSettings(aperture="tapered")


@pytest.fixture(scope="module")
def scene():
    x, y, flux, light = field()
    return x, y, flux, noisy(light)


@pytest.fixture(scope="module")
def measured(scene):
    return measure(exposure(scene[3], flags=int(Flag.CUTOUT)), cube(), SETTINGS)


def nearest(stars, x, y):
    """Rows of `stars` nearest to array positions, and how far they are [pix]."""
    tree = cKDTree(np.column_stack([stars["x"] - X_START, stars["y"] - Y_START]))
    distance, row = tree.query(np.column_stack([x, y]))
    return stars.iloc[row], distance


def own_flags(stars, bit):
    return (stars["flags"] & int(bit)) != 0


def test_measure__rows_are_those_of_the_table(measured):
    stars = measured.stars
    pd.testing.assert_frame_equal(MEASUREMENTS.conform(stars), stars)
    assert (stars["exposure"] == "jw01086001001_01101_00001_nis").all()
    assert (stars["mjd"] == 59700.25).all()
    assert stars[["x_gdc", "y_gdc"]].isna().all(axis=None)


def test_measure__stars_are_numbered_by_decreasing_flux(measured):
    stars = measured.stars
    assert stars["star"].tolist() == list(range(1, len(stars) + 1))
    assert stars["flux"].is_monotonic_decreasing


@pytest.mark.parametrize("settings", [SETTINGS, TAPERED], ids=["window", "tapered"])
def test_measure__truth_is_recovered_in_full_detector_pixels(scene, settings):
    x, y, flux, image = scene
    stars = measure(exposure(image), cube(), settings).stars
    assert len(stars) == x.size
    found, distance = nearest(stars, x, y)
    assert found["star"].is_unique
    # Five times the largest error, 0.025 pix for S/N 45.
    assert distance.max() < 0.12
    pulls = np.column_stack([
        (found["x"] - X_START - x) / found["x_error"],
        (found["y"] - Y_START - y) / found["y_error"],
        (found["flux"] - flux) / found["flux_error"],
    ])  # fmt: skip
    # 180 numbers: their scatter is known to 5 %.
    assert pulls.std() == pytest.approx(1.0, abs=0.16)
    assert found["mag"].to_numpy() == pytest.approx(-2.5 * np.log10(found["flux"].to_numpy()), abs=1e-12)
    expected = 2.5 / np.log(10) * found["flux_error"] / found["flux"]
    np.testing.assert_allclose(found["mag_error"], expected, rtol=1e-5)
    np.testing.assert_allclose(found["sky"], SKY, atol=12.0)
    assert (found["xy_corr"].abs() < 0.2).all()


def test_measure__flags_of_the_exposure_are_inherited(measured):
    stars = measured.stars
    assert own_flags(stars, Flag.CUTOUT).all()
    # Isolated stars on a clean frame: nothing else is held against them.
    assert (stars["flags"] == int(Flag.CUTOUT)).mean() > 0.95


def test_measure__same_bytes_twice(scene, measured):
    again = measure(exposure(scene[3], flags=int(Flag.CUTOUT)), cube(), SETTINGS)
    pd.testing.assert_frame_equal(again.stars, measured.stars, check_exact=True)
    assert again.summary == measured.summary


def test_measure__summary_tells_of_the_whole(measured):
    stars, summary = measured
    assert summary["n_stars"] == len(stars)
    assert summary["n_saturated"] == 0
    # The middle sample of the library.
    assert summary["core_fraction"] == pytest.approx(float(cube().values.max()), rel=1e-12)
    clean = stars[(stars["flags"] == int(Flag.CUTOUT)) & (stars["flux"] > 20 * stars["flux_error"])]
    assert summary["qfit_median"] == pytest.approx(clean["qfit"].median())


def test_measure__larger_pixels_hold_more_light(scene):
    area = np.ones(scene[3].shape)
    area[:, 100:] = 1.02
    stars = measure(exposure(scene[3], area=area), cube(), SETTINGS).stars
    # Surface brightness times a larger area is more flux: brighter by 2.5 log10(area).
    expected = np.where(stars["x"].round() - X_START >= 100, -2.5 * np.log10(np.float32(1.02)), 0.0)
    np.testing.assert_allclose(stars["mag_area"] - stars["mag"], expected, atol=1e-7)


def test_measure__cosmic_rays_are_flagged_or_not_found(scene):
    x, y, _, image = scene
    image = image.copy()
    free = free_places(x, y, 6)
    for k, (i, j) in enumerate(free):
        hit = [(i, j)] if k < 3 else [(i, j), (i + 1, j), (i, j + 1)]
        for a, b in hit:
            image[b, a] += 2e4 if (a, b) == (i, j) else 8e3
    stars = measure(exposure(image), cube(), SETTINGS).stars
    found, distance = nearest(stars, *np.array(free).T)
    hits = found[distance < 1.5]
    assert own_flags(hits, Flag.COSMIC_RAY).all()
    # Those of several pixels are as wide as stars to the detection; one pixel alone is not.
    assert (distance[:3] > 5).all()
    assert (distance[3:] < 1.5).all()
    others = nearest(stars, x, y)[0]
    assert own_flags(others, Flag.COSMIC_RAY).sum() == 0


def free_places(x, y, n, clear=11.0):
    """Whole pixels away from every star, from the middle of the frame."""
    j, i = np.mgrid[15:185:5, 15:185:5].reshape(2, -1)
    apart = np.hypot(i[:, None] - x, j[:, None] - y).min(axis=1) > clear
    chosen = []
    for a, b in zip(i[apart].tolist(), j[apart].tolist(), strict=True):
        if all(np.hypot(a - c, b - d) > 12 for c, d in chosen):
            chosen.append((a, b))
    assert len(chosen) >= n
    return chosen[:n]


def test_measure__extended_source_is_flagged(scene):
    x, y, _, image = scene
    ((i, j),) = free_places(x, y, 1)
    blob = AnalyticEpsf(sigmas=(3 * 0.48,), shares=(1.0,))
    image = image + render(image.shape, i + 0.2, j - 0.3, 3e4, blob)
    stars = measure(exposure(image), cube(), SETTINGS).stars
    found, distance = nearest(stars, [i + 0.2], [j - 0.3])
    assert distance[0] < 0.5
    assert own_flags(found, Flag.EXTENDED).all()
    assert not own_flags(found, Flag.COSMIC_RAY).any()
    assert own_flags(nearest(stars, x, y)[0], Flag.EXTENDED).sum() == 0


def saturated_scene():
    """A star of 5 million electrons whose core is lost and whose column bleeds, and a star 4 pix from the bleed."""
    x, y, _, light = field()
    i, j = free_places(x, y, 1, clear=15.0)[0]
    stars = render(light.shape, [i + 0.3, i + 4.2], [j + 0.1, j + 12.0], [5e6, 5e4], AnalyticEpsf())
    saturated = light + stars > 60_000
    saturated[j - 12 : j + 13, i] = True
    image = noisy(light + stars)
    image[saturated] = 60_000
    return x, y, i, j, exposure(image, saturated=saturated)


def test_measure__saturated_star_is_one_source_with_its_flux_from_the_wings():
    *_, i, j, frame = saturated_scene()
    result = measure(frame, cube(), SETTINGS)
    assert result.summary["n_saturated"] == 1
    star = result.stars.iloc[0]
    assert star["flags"] & int(Flag.SATURATED)
    assert not star["flags"] & int(Flag.NEAR_SATURATED | Flag.COSMIC_RAY | Flag.EXTENDED)
    # Wings alone, at S/N in the hundreds.
    assert (star["x"] - X_START, star["y"] - Y_START) == pytest.approx((i + 0.3, j + 0.1), abs=0.05)
    assert star["flux"] == pytest.approx(5e6, rel=0.02)


def test_measure__nothing_but_the_star_is_found_on_its_bleed_and_its_surroundings_are_flagged():
    x, y, i, j, frame = saturated_scene()
    stars = measure(frame, cube(), SETTINGS).stars
    truth = np.vstack([np.column_stack([x, y]), [(i + 0.3, j + 0.1), (i + 4.2, j + 12.0)]])
    distance = cKDTree(truth).query(stars[["x", "y"]].to_numpy() - (X_START, Y_START))[0]
    assert distance.max() < 0.5
    near = own_flags(stars, Flag.NEAR_SATURATED)
    beside = nearest(stars, [i + 4.2], [j + 12.0])[0]
    assert stars.loc[near, "star"].tolist() == beside["star"].tolist()


def test_measure__every_row_has_a_fit_or_says_why_not():
    x, y, flux, light = field(n=400, size=200, low=2.5, high=5.0, separation=3.0)
    image = noisy(light)
    good = np.random.default_rng(3).uniform(size=image.shape) > 0.05
    brightest = round(y[flux.argmax()]), round(x[flux.argmax()])
    good[brightest[0] - 3 : brightest[0] + 4, brightest[1] - 3 : brightest[1] + 4] = False
    good[brightest] = good[brightest[0], brightest[1] + 1] = True  # seen, but too little of it for a fit
    stars = measure(exposure(image, good=good), cube(), SETTINGS).stars
    failed = own_flags(stars, Flag.NOT_CONVERGED)
    assert failed.any()
    results = ["flux", "x_error", "y_error", "flux_error", "qfit", "radxs", "chi2"]
    assert stars.loc[~failed, results].notna().all(axis=None)
    assert stars.loc[failed, "flux"].isna().all()
    assert stars.loc[failed, "star"].min() > stars.loc[~failed, "star"].max()
    assert failed.mean() < 0.1
    # Of 25 pixels none is bad in 28 % of the windows; 400 stars tell that to 2 %, detection favours whole ones.
    assert own_flags(stars, Flag.BAD_PIXELS).mean() == pytest.approx(1 - 0.95**25, abs=0.1)
    # Stars a few pixels apart share their windows.
    assert own_flags(stars, Flag.NEIGHBOUR).any()


def test_measure__edge_of_the_frame_is_told():
    light = render((60, 60), [1.3, 30.0], [30.0, 30.2], [5e4, 5e4], AnalyticEpsf()) + SKY
    stars = measure(exposure(noisy(light)), cube(), SETTINGS).stars
    assert own_flags(stars[stars["x"] < X_START + 5], Flag.EDGE).tolist() == [True]
    assert own_flags(stars[stars["x"] > X_START + 25], Flag.EDGE).tolist() == [False]


def test_measure__nothing_found_is_one_line():
    blank = exposure(np.random.default_rng(1).normal(SKY, 10.0, (64, 64)))
    with pytest.raises(UnusableError, match=r"measure: jw01086.* NIS: found no stars, expected a peak above 7.0 sigma"):
        measure(blank, cube(), MeasureSettings(threshold=7.0))


def test_measure__epsf_that_hardly_covers_the_window_is_refused(scene):
    with pytest.raises(UnusableError, match="ePSF radius: found 4.0 pix, expected at least 5.0 pix"):
        measure(exposure(scene[3]), cube(radius=4.0), SETTINGS)
    assert len(measure(exposure(scene[3]), cube(radius=5.0), SETTINGS).stars) > 50


@pytest.mark.parametrize("samples", [1, 2])
def test_measure__epsf_of_few_samples_is_refused(scene, samples):
    coarse = EpsfCube(
        EPSF.table(samples, 12)[None, None], np.zeros(1), np.zeros(1), samples, 5.0, np.zeros((1, 1)),
        "NIRISS", "NIS", "F090W",
    )  # fmt: skip
    with pytest.raises(UnusableError, match=f"ePSF oversampling: found {samples}, expected at least 3"):
        measure(exposure(scene[3]), coarse, SETTINGS)
