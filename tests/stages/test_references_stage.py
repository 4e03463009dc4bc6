"""Reference catalogs: errors are what they say, belong to their stars, and reach no further than their limits."""

import numpy as np
import pandas as pd
import pytest

from catalogs.parquet import read_table, write_table
from catalogs.truth import GAIA, REFERENCE
from compute.campaign import Gaia, Population, Reference, SkyField
from compute.kernels.simulate.motion import apparent
from compute.kernels.simulate.populations import colour
from compute.stages.simulate.references import GAIA_IDS, gaia_extract, reference_catalog
from compute.stages.simulate.sky import draw_sky

SEED = 1801
SETTINGS = Reference(motions=True)
OLD = Population(name="old", density=2500, pmra=1.9, pmdec=0.4, dispersion=0.14)
DISC = Population(name="disc", kind="dwarfs", density=400, distance_modulus=10, faint=22, dispersion=8)
FIELD = SkyField(name="lmc", ra=80.5, dec=-69.5, populations=(OLD, DISC), blends=0.05)
FIVE = ["ra", "dec", "parallax", "pmra", "pmdec"]


@pytest.fixture(scope="module")
def stars():
    return draw_sky(FIELD, 1, 90.0, SEED).stars


@pytest.fixture(scope="module")
def reference(stars):
    return reference_catalog(stars, SETTINGS, SEED)


@pytest.fixture(scope="module")
def gaia(stars):
    return gaia_extract(stars, Gaia(), SEED)


def of(stars, ids):
    """Rows of STARS in the order of `ids`."""
    return stars.set_index("star_id").loc[np.asarray(ids)]


def misplaced(rows, true, epoch):
    """Offsets east and north of catalog positions from the truth at an epoch [mas]."""
    years = epoch - true["ref_epoch"].to_numpy()
    values = (true[name].to_numpy() for name in ("ra", "dec", "pmra", "pmdec"))
    ra, dec = apparent(*values, 0.0, years, np.zeros(3))
    return (rows["ra"] - ra) * np.cos(np.radians(dec)) * 3.6e6, (rows["dec"] - dec) * 3.6e6


def apart(stars, ids):
    """Distance of companions from their brighter star [mas]."""
    second = of(stars, ids)
    first = of(stars, second["companion_of"])
    north = (second["dec"].to_numpy() - first["dec"].to_numpy()) * 3.6e6
    east = (second["ra"].to_numpy() - first["ra"].to_numpy()) * np.cos(np.radians(second["dec"])) * 3.6e6
    return np.hypot(east, north)


def assert_unit_normal(pulls):
    """Mean 0 and rms 1 within five standard errors."""
    n = len(pulls)
    assert abs(np.mean(pulls)) < 5 / np.sqrt(n)
    assert abs(np.std(pulls) - 1) < 5 / np.sqrt(2 * n)


def test_reference__fits_its_table_and_survives_a_file(reference, tmp_path):
    write_table(reference, REFERENCE, tmp_path / "reference.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "reference.parquet", REFERENCE), reference)


def test_reference__pulls_are_one(stars, reference):
    true = of(stars, reference["source_id"])
    east, north = misplaced(reference, true, SETTINGS.epoch)
    mag = true["mag_ref"] + colour(true["teff"], 0.6)
    pulls = {
        "ra": east / reference["ra_error"],
        "dec": north / reference["dec_error"],
        "mag": (reference["mag"] - mag.to_numpy()) / reference["mag_error"],
        "pmra": (reference["pmra"] - true["pmra"].to_numpy()) / reference["pmra_error"],
        "pmdec": (reference["pmdec"] - true["pmdec"].to_numpy()) / reference["pmdec_error"],
    }
    for each in pulls.values():
        assert_unit_normal(each)
    correlation = np.corrcoef(np.array(list(pulls.values()))) - np.eye(5)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(reference))


def test_reference__errors_rise_smoothly_between_the_limits(stars, reference):
    true = of(stars, reference["source_id"])
    mag = (true["mag_ref"] + colour(true["teff"], 0.6)).to_numpy()
    error = reference["ra_error"].to_numpy()[mag.argsort()]
    mag = np.sort(mag)
    assert mag[-1] <= SETTINGS.faint
    assert error[mag < SETTINGS.bright] == pytest.approx(0.14)
    assert error[-1] == pytest.approx(1.0, rel=0.01)
    assert (np.diff(error) >= 0).all()
    assert np.interp(22.0, mag, error) == pytest.approx(0.14 * (1 / 0.14) ** 0.25, rel=0.01)


def test_reference__a_subset_of_stars_gives_the_same_rows(stars, reference):
    pairs = stars.sample(frac=0.3, random_state=1)
    subset = stars[stars["star_id"].isin(pairs["star_id"]) | stars["star_id"].isin(pairs["companion_of"])]
    shuffled = subset.sample(frac=1, random_state=2)
    found = reference_catalog(shuffled, SETTINGS, SEED).sort_values("source_id", ignore_index=True)
    expected = reference[reference["source_id"].isin(subset["star_id"])].reset_index(drop=True)
    assert len(found) > 1000
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_reference__errors_are_the_same_at_another_epoch_and_not_with_another_seed(stars, reference):
    later = reference_catalog(stars, SETTINGS.model_copy(update={"epoch": 2012.0}), SEED)
    other = reference_catalog(stars, SETTINGS, SEED + 1)
    true = of(stars, reference["source_id"])
    here, there = misplaced(reference, true, 2006.39)[0], misplaced(later, true, 2012.0)[0]
    assert here.to_numpy() == pytest.approx(there.to_numpy(), abs=1e-6)  # rounding of degrees [mas]
    anew = misplaced(other, true, 2006.39)[0]
    assert abs(np.corrcoef(here, anew)[0, 1]) < 5 / np.sqrt(len(here))


def test_reference__companions_too_near_are_not_in_it(stars, reference):
    companions = stars[stars["companion_of"] >= 0]
    distance = apart(stars, companions["star_id"])
    mag = companions["mag_ref"] + colour(companions["teff"], 0.6)
    expected = companions["star_id"][(distance >= 80).to_numpy() & (mag <= SETTINGS.faint).to_numpy()]
    found = reference["source_id"][reference["source_id"].isin(companions["star_id"])]
    assert found.tolist() == expected.tolist()
    assert 0 < len(found) < len(companions)


def test_reference__motions_are_given_only_when_asked_for(stars):
    rows = reference_catalog(stars, Reference(), SEED)
    assert rows[["pmra", "pmdec", "pmra_error", "pmdec_error"]].isna().all(axis=None)


def test_gaia__fits_its_table_and_survives_a_file(gaia, tmp_path):
    write_table(gaia, GAIA, tmp_path / "gaia.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "gaia.parquet", GAIA), gaia)


def test_gaia__numbers_would_not_survive_a_float(stars, gaia):
    assert gaia["source_id"].dtype == np.int64
    assert (gaia["source_id"] - GAIA_IDS).isin(stars["star_id"]).all()
    through_float = gaia["source_id"].astype(float).astype(np.int64)
    assert (through_float != gaia["source_id"]).mean() > 0.9


def test_gaia__pulls_have_the_covariance_it_gives(stars, gaia):
    full = gaia[gaia["astrometric_params_solved"] == 31]
    true = of(stars, full["source_id"] - GAIA_IDS)
    east, north = misplaced(full, true, 2016.0)
    off = [east, north, *(full[name] - true[name].to_numpy() for name in FIVE[2:])]
    pulls = np.array([np.asarray(o) / full[f"{name}_error"] for o, name in zip(off, FIVE, strict=True)]).T
    for each in pulls.T:
        assert_unit_normal(each)
    matrix = np.tile(np.eye(5), (len(full), 1, 1))
    for i in range(5):
        for j in range(i + 1, 5):
            given = full[f"{FIVE[i]}_{FIVE[j]}_corr"].to_numpy()
            matrix[:, i, j] = matrix[:, j, i] = given
            product = pulls[:, i] * pulls[:, j]
            # The sum of given * product is that of given**2 if the correlations are real, and 0 if they are not.
            assert (given * product).sum() / (given**2).sum() == pytest.approx(1, abs=5 / np.sqrt((given**2).sum()))
    chi2 = np.einsum("ni,ni->n", pulls, np.linalg.solve(matrix, pulls[:, :, None])[:, :, 0])
    assert chi2.mean() == pytest.approx(5, abs=5 * np.sqrt(10 / len(full)))


def test_gaia__errors_grow_with_magnitude_as_in_dr3(gaia):
    full = gaia[gaia["astrometric_params_solved"] == 31]
    for low, high, bounds in ((0, 15, (0.015, 0.027)), (18.8, 19.2, (0.1, 0.3)), (20.4, 20.7, (0.35, 0.75))):
        rows = full[full["phot_g_mean_mag"].between(low, high)]
        assert len(rows) > 10
        for name in FIVE:
            assert bounds[0] < rows[f"{name}_error"].median() < bounds[1], (name, low)


def test_gaia__some_faint_rows_are_positions_alone(gaia):
    two = gaia["astrometric_params_solved"] == 3
    faint = gaia["phot_g_mean_mag"] > 20.35  # beyond the noise of G at the limit, 20.3
    absent = [column.name for column in GAIA.columns if column.nullable and "phot" not in column.name]
    absent.remove("bp_rp")
    assert gaia.loc[two, absent].isna().all(axis=None)
    assert gaia.loc[~two, absent].notna().all(axis=None)
    assert gaia.loc[two, "phot_g_mean_mag"].min() > 20.25
    assert 0.1 < two[faint].mean() < 0.5
    assert gaia.loc[two, "ra_error"].median() > 3 * gaia.loc[~two & faint, "ra_error"].median()


def test_gaia__limit_blends_and_colour(stars, gaia):
    true = of(stars, gaia["source_id"] - GAIA_IDS)
    assert gaia["phot_g_mean_mag"].max() < 20.7 + 0.03  # noise of G
    assert (apart(stars, true.index[true["companion_of"] >= 0]) >= 180).all()
    blended = true.index.isin(stars["companion_of"])
    assert gaia.loc[blended, "ruwe"].dropna().min() > 1.1
    assert gaia.loc[~blended, "ruwe"].median() == pytest.approx(1.02, abs=0.02)
    bright = gaia["phot_g_mean_mag"].to_numpy() < 18
    teff = true["teff"].to_numpy()
    assert np.corrcoef(gaia.loc[bright, "bp_rp"], 1 / teff[bright])[0, 1] > 0.95


def test_catalogs__no_stars_no_rows(stars):
    REFERENCE.check(reference_catalog(stars.iloc[:0], SETTINGS, SEED), "test")
    GAIA.check(gaia_extract(stars.iloc[:0], Gaia(), SEED), "test")
