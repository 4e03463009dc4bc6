"""Stars, galaxies and rays told apart by limits that follow each exposure, against what was simulated."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.spatial import cKDTree

from catalogs.cubes import EpsfCube
from catalogs.flags import Flag
from catalogs.readers import read_exposures
from compute.kernels.measure.cuts import running
from compute.settings import CutSettings, MeasureSettings
from compute.stages import select
from compute.stages.measure import measure
from compute.stages.simulate.epsfs import OVERSAMPLING
from tests.stages.drawing import STARS, Drawn, campaign

SETTINGS = CutSettings()
CLASSES = ["star", "ray", "galaxy"]
LIMITS = ["qfit_cut", "radxs_low", "radxs_high"]


def true_cube(epsf, over=4):
    """The ePSF that was simulated, as a library would have it."""
    middle, n = epsf.values.shape[-1] // 2, int(12.5 * over)
    pick = np.arange(-n, n + 1) * (OVERSAMPLING // over) + middle
    values = epsf.values[:, :, pick[:, None], pick]
    return EpsfCube(values, epsf.fx, epsf.fy, over, 5.0, np.zeros(values.shape[:2]), "NIRISS", "NIS", "F150W", "true")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A field of stars and galaxies with rays, measured: rows, what each of them truly is, and its S/N."""
    effects = {"photon_noise": True, "read_noise": True, "sky": 1.0, "saturation": True, "cosmic_rays": 3.0}
    stars = STARS.model_copy(update={"density": 1500.0, "faint": 25.0})
    field = {"populations": [stars], "galaxies": {"density": 400.0, "bright": 20.0, "faint": 24.0}}
    drawn = Drawn(tmp_path_factory.mktemp("frames"), campaign(effects=effects, field=field, size=900, groups=5))
    (exposure,) = read_exposures(str(drawn.files[0]))
    rows = measure(exposure, true_cube(drawn.epsfs["NIS"]), MeasureSettings()).stars
    truth = drawn.truths[0].positions
    x, y = rows["x"].to_numpy(), rows["y"].to_numpy()
    away = {}
    for kind, found in truth.groupby("kind", observed=True):
        away[kind] = cKDTree(found[["x", "y"]]).query(np.column_stack([x, y]), k=2)[0].T
    star = away["star"][0] < 0.7
    galaxy = ~star & (away["galaxy"][0] < 1.5)
    lone = star & (away["star"][1] > 6) & (away["galaxy"][0] > 15)
    return SimpleNamespace(
        rows=rows, star=star, lone=lone, galaxy=galaxy, nothing=~star & ~galaxy & (away["galaxy"][0] > 15),
        significance=usual_significance(rows), found=select.cuts(rows, SETTINGS),
    )  # fmt: skip


def usual_significance(rows):
    """S/N of a sound star of like magnitude: errors of galaxies and blends contain their misfit."""
    mag, error = rows["mag"].to_numpy(), rows["mag_error"].to_numpy(float)
    use = np.isfinite(mag + error)
    return 1.0857 / running(mag[use], error[use], mag, 101, 3.0)[0]


def sound(rows):
    return (rows["flags"] & ~np.uint32(Flag.GROUP_FIT)).to_numpy() == 0


@pytest.mark.parametrize(("low", "high", "galaxies"), [(10, 30, 0.75), (30, 1e5, 0.97)])
def test_cuts__stars_are_stars_and_galaxies_galaxies(scene, low, high, galaxies):
    between = (scene.significance > low) & (scene.significance <= high)
    # Measured 0.997 and 1.0 of some 300, 0.82 and 1.0 of 142 and 31: the faint ones are like stars within the noise.
    assert scene.found["star"][scene.lone & sound(scene.rows) & between].mean() > 0.98
    assert scene.found["galaxy"][scene.galaxy & between].mean() > galaxies


def test_well_measured__hardly_anything_but_stars(scene):
    chosen = select.well_measured(scene.rows, SETTINGS)
    # Measured 2 % galaxies, all but one of S/N below 30, and 0.917 of all lone stars.
    assert (chosen & ~scene.star).sum() < 0.035 * chosen.sum()
    assert chosen[scene.lone & (scene.significance > 10)].mean() > 0.88


def test_cuts__limits_widen_towards_the_faint_but_not_beyond_the_fixed_ones(scene):
    found, rows = scene.found, scene.rows
    faint, bright = scene.significance < 15, scene.significance > 100
    assert found["qfit_cut"][faint].min() > 2 * found["qfit_cut"][bright].max()
    assert found["radxs_high"][faint].min() > found["radxs_high"][bright].max()
    fixed = select.cuts(rows, SETTINGS.model_copy(update={"least": 10**6}))[LIMITS]
    assert (abs(found[LIMITS]) <= abs(fixed) + 1e-12)[found[LIMITS].notna()].all(axis=None)
    assert found["qfit_cut"][bright].median() < 0.5 * fixed["qfit_cut"][bright].median()


def table(n, wrong=0.01, seed=1, exposure="a"):
    """Rows of stars whose fits differ from their ePSF by noise, and by the share `wrong` of their light."""
    rng = np.random.default_rng(seed)
    flux = 10 ** rng.uniform(2.0, 5.0, n)
    error = np.sqrt(flux + 400.0)
    noise = np.hypot(error / flux, wrong)
    return pd.DataFrame({
        "exposure": exposure, "flux": flux, "flux_error": error.astype(np.float32), "mag": -2.5 * np.log10(flux),
        "qfit": 7 * noise * rng.normal(1.0, 0.15, n), "radxs": 1.2 * noise * rng.normal(size=n),
        "flags": np.zeros(n, np.uint32),
    })  # fmt: skip


def test_cuts__detectors_of_one_exposure_have_their_own_limits():
    sharp, poor = table(1500).assign(detector="PC1"), table(1500, wrong=0.04, seed=2).assign(detector="WF2")
    found = select.cuts(pd.concat([sharp, poor]), SETTINGS)
    pd.testing.assert_frame_equal(found, pd.concat([select.cuts(sharp, SETTINGS), select.cuts(poor, SETTINGS)]))


@pytest.mark.parametrize("column", ["ray", "galaxy"])
def test_cuts__the_sign_of_radxs_tells_rays_from_galaxies(column):
    stars = table(2000)
    odd = np.arange(len(stars)) % 50 == 0
    stars.loc[odd, "radxs"] += (-1 if column == "ray" else 1) * (0.2 + 10 * stars["flux_error"] / stars["flux"])
    found = select.cuts(stars, SETTINGS)
    assert found[column][odd].all()
    # One star in two thousand is beyond 3.5 sigma either way, and beyond limits that are themselves uncertain a few.
    assert found["star"][~odd].mean() > 0.99
    assert (found[CLASSES].sum(axis=1) <= 1).all()


def test_cuts__each_exposure_has_its_own_limits():
    sharp, poor = table(1500), table(1500, wrong=0.04, seed=2, exposure="b")
    both = pd.concat([sharp, poor]).sample(frac=1.0, random_state=3)  # an index with every label twice
    found = select.cuts(both, SETTINGS)
    pd.testing.assert_index_equal(found.index, both.index)
    for each in (sharp, poor):
        mine = (both["exposure"] == each["exposure"].iloc[0]).to_numpy()
        pd.testing.assert_frame_equal(found[mine].sort_index(), select.cuts(each, SETTINGS))
    bright = both["flux"] > 3e4
    cut = found["qfit_cut"].to_numpy()
    assert cut[bright & (both["exposure"] == "b")].min() > cut[bright & (both["exposure"] == "a")].max()


@pytest.mark.parametrize("n", [1, 5, SETTINGS.least - 1])
def test_cuts__few_stars_have_fixed_limits(n):
    stars = table(n)
    found = select.cuts(stars, SETTINGS)
    if n == 1:
        noise = stars["flux_error"].to_numpy(float) / stars["flux"].to_numpy()
        np.testing.assert_allclose(found["qfit_cut"], SETTINGS.qfit + 10 * noise)
    np.testing.assert_allclose(found["radxs_low"], -found["radxs_high"])
    np.testing.assert_allclose((found["qfit_cut"] - 0.2) / 10, (found["radxs_high"] - 0.1) / 4)
    assert found["star"].all()


def test_cuts__failed_fits_are_nothing():
    stars = table(500)
    stars.loc[:9, ["flux", "flux_error", "mag", "qfit", "radxs"]] = np.nan
    found = select.cuts(stars, SETTINGS)
    assert not found.loc[:9, CLASSES].any(axis=None)
    assert found.loc[:9, LIMITS].isna().all(axis=None)
    assert found.loc[10:, LIMITS].notna().all(axis=None)
    assert not select.well_measured(stars, SETTINGS)[:10].any()


def test_cuts__nothing_in_nothing_out():
    found = select.cuts(table(0), SETTINGS)
    assert found.columns.tolist() == CLASSES + LIMITS
    assert len(found) == select.well_measured(table(0), SETTINGS).size == 0


def test_well_measured__flags_and_faintness_count():
    stars = table(1000)
    stars.loc[::4, "flags"] = np.uint32(Flag.EDGE)
    stars.loc[1::4, "flags"] = np.uint32(Flag.GROUP_FIT | Flag.CTE)
    clean = select.cuts(stars, SETTINGS)["star"] & (stars["flux"] >= 10 * stars["flux_error"])
    np.testing.assert_array_equal(select.well_measured(stars, SETTINGS), clean & (stars["flags"] != Flag.EDGE))
    lenient = CutSettings(flags=("SATURATED",), signal_to_noise=0)
    np.testing.assert_array_equal(select.well_measured(stars, lenient), select.cuts(stars, lenient)["star"])


def test_settings__flags_are_named():
    assert {"SATURATED", "COSMIC_RAY", "NEIGHBOUR"} <= set(SETTINGS.flags)
    assert not {"GROUP_FIT", "CTE", "CUTOUT"} & set(SETTINGS.flags)
    with pytest.raises(ValidationError, match="flags names STARS, expected names among SATURATED"):
        CutSettings(flags=("EDGE", "STARS"))
