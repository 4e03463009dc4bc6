"""Stage `motion`: known motions in, the same out, with errors as large as they say and those in common apart."""

import numpy as np
import pandas as pd
import pytest

from catalogs.errors import PiazziError, UnusableError
from catalogs.flags import Flag
from compute.kernels.geometry.trends import trend
from compute.kernels.motion.celestial import project
from compute.settings import MotionSettings
from compute.stages.frame.groups import FrameKey
from compute.stages.motion.field import epochs_of, solve_field, star_positions
from compute.stages.motion.positions import magnitudes
from compute.stages.motion.table import motions_table
from tests.stages.epochs import DISPERSION, FIRST, IDS, LAST, MEAN, PLANE, catalog, master, observer, sky

SCALED = [(0.8, 1.0003, 2e-4), (-0.5, -2e-4, 0.9996)]  # an affine tie that is off by 40 mas and 3e-4


def make(masters, first=None, zero=None, observers=None, **settings):
    """What the field has in common, and MOTIONS with the index of the true stars."""
    settings = MotionSettings(**({"absolute": True} if zero else {}), **settings)
    epochs = epochs_of({key: (observers or {}).get(key) for key in masters}, first, settings)
    field = solve_field(epochs, masters, first, zero, PLANE, settings)
    positions = star_positions(epochs, masters, field.sources, PLANE)
    mags = magnitudes(masters, field.sources if first else None)
    ids = field.sources.set_index("star_id")["id"]
    table = motions_table(positions, epochs, field.common, field.members, mags, ids, PLANE, settings)
    return field, table.set_index("star_id")


@pytest.fixture(scope="module")
def stars():
    return sky()


@pytest.fixture(scope="module")
def two(stars):
    """Master frames of two epochs, one tied badly."""
    return {FIRST: master(stars, FIRST, best=0.15), LAST: master(stars, LAST, link=SCALED)}


@pytest.fixture(scope="module")
def relative(two):
    return make(two)


def off(table, stars, linear=True) -> pd.DataFrame:
    """Motions less the true ones, without what is linear in place unless it shall stay; and their errors."""
    true = stars.loc[table.index]
    x, y = project(table["ra"], table["dec"], PLANE.ra, PLANE.dec)
    design = np.column_stack([np.ones_like(x), x, y])[:, : 3 if linear else 1]
    found = {"x": x, "y": y}
    for axis in ("pmra", "pmdec"):
        d, weight = (table[axis] - true[axis]).to_numpy(), 1 / table[f"{axis}_error"].to_numpy()
        found[axis] = d - design @ np.linalg.lstsq(design * weight[:, None], d * weight)[0]
    return pd.DataFrame(found, index=table.index)


def test_two_epochs__errors_are_as_large_as_they_say(relative, stars):
    _, table = relative
    left = off(table, stars)
    for axis in ("pmra", "pmdec"):
        # 4000 stars: 1.1 percent; no star is left out, whatever it does.
        assert np.std(left[axis] / table[f"{axis}_error"]) == pytest.approx(1.0, abs=0.045)
        for against in (left["x"], left["y"], stars["mag"], stars["colour"]):
            edges = np.quantile(against, np.linspace(0, 1, 9))
            assert trend(left[axis], table[f"{axis}_error"], against, edges).p > 1e-3
    assert (table[["n_epochs", "n_used"]] == [2, 16]).all(axis=None)
    assert table["baseline"].round(6).eq(15.94).all()
    assert (table["chi2"] == 0).all()
    assert table[["parallax", "parallax_error", "ra_parallax_corr", "source_id"]].isna().all(axis=None)
    np.testing.assert_allclose(table["mag_F606W"] - table["mag_F090W"], stars["colour"], atol=1e-9)


def test_two_epochs__what_links_get_wrong_is_no_more_than_they_say(relative, stars):
    field, table = relative
    (link,) = (row for row in field.numbers["epochs"] if "covariance" in row)
    x, y = project(table["ra"], table["dec"], PLANE.ra, PLANE.dec)
    design = np.column_stack([np.ones_like(x), x / link["half_width"], y / link["half_width"]])
    found, spread = [], np.array(link["covariance"]) / 15.94**2
    for k, axis in enumerate(("pmra", "pmdec")):
        d = (table[axis] - stars[axis]).to_numpy()
        weight = 1 / table[f"{axis}_error"].to_numpy()
        found.append(np.linalg.lstsq(design * weight[:, None], d * weight)[0][1:])
        spread[3 * k : 3 * k + 3, 3 * k : 3 * k + 3] += np.linalg.inv((design.T * weight**2) @ design)
    some = np.ix_([1, 2, 4, 5], [1, 2, 4, 5])
    gradients = np.concatenate(found)
    assert gradients @ np.linalg.solve(spread[some], gradients) < 18.5  # 4 degrees of freedom: once in 1000


def test_members__are_those_that_move_together(relative, stars):
    field, table = relative
    members = table["aligning"]
    assert members[~stars["strange"]].mean() > 0.97
    assert members[stars["strange"]].mean() < 0.15  # some have the others' motion by chance
    assert field.numbers["dispersion"] == pytest.approx(DISPERSION, rel=0.05)
    (row,) = field.zero_points.to_dict("records")
    assert (row["how"], row["n"], row["used"]) == ("mean", members.sum(), True)
    expected = np.sqrt((DISPERSION**2 + np.median(table["pmra_error"]) ** 2) / members.sum())
    assert row["pmra_error"] == pytest.approx(expected, rel=0.2)
    mean = np.average(table.loc[members, "pmra"])
    assert abs(mean) < 4 * row["pmra_error"]


def test_flagged_stars__align_nothing_and_keep_their_flags(two, stars):
    masters = {key: rows.copy() for key, rows in two.items()}
    masters[LAST].loc[:99, "flags"] = np.uint32(Flag.SATURATED)
    masters[LAST].loc[:99, "x"] += 2.0  # a motion of 6 mas/yr that none of them has
    field, table = make(masters)
    assert not table.loc[:99, "aligning"].any()
    assert (table["flags"] == np.where(table.index < 100, int(Flag.SATURATED), 0)).all()
    assert field.numbers["aligning"] == table["aligning"].sum()


def test_filters_of_one_epoch__are_no_two_epochs(two, stars):
    other = FrameKey("NIRISS", "F150W", LAST.epoch)
    later = master(stars, LAST, seed=5).assign(mean_epoch=LAST.epoch + 1e-4)
    field, table = make({FIRST: two[FIRST][100:], LAST: two[LAST], other: later})
    assert table.index.tolist() == list(range(100, 4000))
    assert (table[["n_epochs", "n_used"]] == [2, 24]).all(axis=None)
    assert (table["chi2"] > 0).all()
    assert table["chi2"].mean() == pytest.approx(2.0, abs=0.15)  # 3900 stars: 0.03, and links of some 20 numbers
    assert sum("covariance" in row for row in field.numbers["epochs"]) == 2


def test_reference__is_the_first_epoch_and_gives_its_numbers(stars, two):
    known = catalog(stars, "hst", 2006.39)
    field, table = make({LAST: two[LAST]}, known)
    left, right = off(table, stars), table["source_id"] - IDS == table.index
    for axis in ("pmra", "pmdec"):  # 4000 stars: 1.1 percent
        assert np.std((left[axis] / table[f"{axis}_error"])[right]) == pytest.approx(1.0, abs=0.045)
    assert table["source_id"].dtype == "Int64"
    assert right.mean() > 0.995  # a few are nearer to another star than to themselves
    assert (table["n_used"] == 9).all()
    assert table["ref_epoch"].eq(2006.39).all()
    assert [row["name"] for row in field.numbers["epochs"]] == ["hst", "NIRISS F090W 2022.33"]
    bright = table["ra_error"] < 0.16
    assert table.loc[bright, "pmra_error"].median() < 0.015


def test_colour_and_magnitude__choose_who_stands_still(two, stars):
    limits = {"colour": "F606W-F090W", "blue": 0.8, "magnitude": "F090W", "faint": 22.0, "least": 10}
    field, table = make(two, sigmas=5.0, **limits)
    chosen = stars[table["aligning"].to_numpy()]
    assert chosen["strange"].mean() > 0.9
    assert chosen["mag"].max() < 22.0
    assert table["pmra"].median() == pytest.approx(MEAN[0] - 1.0, abs=1.5)  # 4 mas/yr over 150 stars, three times


def test_absolute__zero_point_of_a_catalog_with_the_error_its_motions_share(two, stars):
    gaia = catalog(stars[stars["mag"] < 20], "gaia", 2016.0, best=0.3, motion_error=0.15, systematic=0.026)
    field, table = make(two, zero=gaia)
    mean, row = field.zero_points.to_dict("records")
    assert (mean["used"], row["used"], row["how"], row["against"]) == (False, True, "catalog", "gaia")
    statistical = 0.15 / np.sqrt(row["n"])
    assert row["pmra_error"] == pytest.approx(np.hypot(0.026, statistical), rel=0.05)
    assert [row["pmra"], row["pmdec"]] == pytest.approx(MEAN, abs=4 * np.hypot(statistical, mean["pmra_error"]))
    plain = make(two)[1]
    np.testing.assert_allclose(table["pmra"] - plain["pmra"], row["pmra"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(table["pmra_error"], plain["pmra_error"])
    assert table["absolute"].all()


def test_zero_point__errors_from_resamples_are_those_of_the_scatter(two, stars):
    gaia = catalog(stars[stars["mag"] < 20], "gaia", 2016.0, best=0.3, motion_error=0.15)
    rows = {n: make(two, zero=gaia, bootstrap=n)[0].zero_points for n in (0, 4000, 10_000)}
    errors = ["pmra_error", "pmdec_error"]
    # Errors of the stars are right here. Some 800 and 3800 stars tell their scatter to 2.5 and 1.1 percent.
    np.testing.assert_allclose(rows[10_000][errors], rows[0][errors], rtol=0.09)
    np.testing.assert_allclose(rows[10_000][errors], rows[4000][errors], rtol=0.05)  # 4000 resamples: 1.1 percent
    assert (rows[10_000][errors].to_numpy() != rows[0][errors].to_numpy()).all()
    pd.testing.assert_frame_equal(rows[10_000].drop(columns=[*errors, "pmra_pmdec_corr"]),
                                  rows[0].drop(columns=[*errors, "pmra_pmdec_corr"]))  # fmt: skip
    pd.testing.assert_frame_equal(make(two, zero=gaia)[0].zero_points, rows[10_000], check_exact=True)


def test_zero_point__many_stars_are_drawn_in_groups(two, monkeypatch):
    single = make(two)[0].zero_points
    monkeypatch.setattr("compute.stages.motion.zero._MOST", 1000)
    grouped = make(two)[0].zero_points
    errors = ["pmra_error", "pmdec_error"]
    np.testing.assert_allclose(grouped[errors], single[errors], rtol=0.1)  # 950 groups: 2.3 percent
    assert (grouped[errors].to_numpy() != single[errors].to_numpy()).all()


def test_settled__rounds_are_told(two):
    numbers = make(two)[0].numbers
    assert numbers["settled"]
    assert 1 < numbers["rounds"] < 20
    few = make(two, rounds=1)[0].numbers
    assert (few["rounds"], few["settled"]) == (1, False)


def test_magnitude__is_one_filter_for_limits_and_neighbours(two, stars):
    other = FrameKey("NIRISS", "F150W", LAST.epoch)  # of most stars, but not of most of those that have a motion
    masters = {FIRST: two[FIRST][:2000], LAST: two[LAST][:2000], other: master(stars, LAST, seed=5)[1000:]}
    field, table = make(masters, faint=30.0)
    assert field.common.magnitude != "F150W"
    assert table["aligning"].sum() > 1800


def test_catalogs__of_equal_names_are_two(two, stars):
    zero = {"best": 0.3, "motion_error": 0.15, "seed": 11}
    known = catalog(stars, "known", 2006.39)
    alike, apart = (
        make({LAST: two[LAST]}, known, zero=catalog(stars, name, 2016.0, **zero)) for name in ("known", "gaia")
    )
    pd.testing.assert_frame_equal(alike[1], apart[1])
    assert [field.zero_points["against"].tolist()[1] for field, _ in (alike, apart)] == ["known", "gaia"]
    assert alike[0].zero_points["pmra"].iloc[1] == apart[0].zero_points["pmra"].iloc[1]


def test_absolute__places_go_with_the_motions(two, stars):
    gaia = catalog(stars, "gaia", 2016.0, best=0.3, motion_error=0.15)
    plain, absolute = (make(two, zero=zero, ref_epoch=2022.33) for zero in (None, gaia))
    step = absolute[0].zero_points["pmra"].iloc[1] * 15.94
    x = [project(found[1]["ra"], found[1]["dec"], PLANE.ra, PLANE.dec)[0] for found in (plain, absolute)]
    np.testing.assert_allclose(x[1] - x[0], step, rtol=1e-3)


def test_three_epochs_and_parallax__of_near_stars():
    stars = sky(1500, parallax=5.0)
    keys = [FrameKey("NIRISS", "F150W", time) for time in (2022.10, 2022.60, 2024.35, 2025.85)]
    places = {key: observer(key.epoch) for key in keys}
    masters = {key: master(stars, key, best=0.05, seen=places[key]) for key in keys}
    _, table = make(masters, observers=places, parallax=True)
    strange = stars["strange"].to_numpy()
    pull = (table["parallax"] - stars["parallax"]) / table["parallax_error"]
    assert np.std(pull) == pytest.approx(1.0, abs=0.08)  # 1500 stars: 1.8 percent; outliers are not cut
    assert table.loc[strange, "parallax"].median() == pytest.approx(5.0, abs=0.2)
    assert table["chi2"].mean() == pytest.approx(3.0, abs=0.4)  # 8 coordinates less 5
    without = make(masters)[1]
    assert without["chi2"][strange].median() > 20.0
    with pytest.raises(UnusableError, match="NIRISS F150W 2022.10 observer: found unknown"):
        make(masters, parallax=True)


def test_local_means__take_off_what_neighbours_share(stars):
    moved = master(stars, LAST)
    wave = 0.1 * np.sin((moved["x"] - 1e4) / 300.0)  # 5 mas, 0.3 mas/yr
    moved["x"] += wave
    masters = {FIRST: master(stars, FIRST), LAST: moved}
    quiet = ~stars["strange"].to_numpy()
    plain, local = make(masters)[1], make(masters, local_radius=6.0, local_magnitudes=9.0, local_most=200)[1]
    shares = [np.polyfit(wave[quiet], (found["pmra"] - stars["pmra"])[quiet], 1)[0] for found in (plain, local)]
    assert shares[0] * 15.94 / PLANE.scale < -0.5  # links take off what is linear
    assert abs(shares[1]) < 0.15 * abs(shares[0])  # disks of 6 arcsec, cut at the edge of the field
    assert (local["pmra_error"] > plain["pmra_error"]).mean() > 0.99


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"filters": ("F606W",)}, "found one epoch, ACS F606W 2006.39, expected two"),
        ({"filters": ("F814W",)}, "found F814W, expected some of F090W, F606W"),
        ({"faint": 0.0}, "found 0 aligning stars, expected 20 at least"),
        ({"magnitude": "F999W", "faint": 20.0}, "magnitudes in F999W: found none, expected one of"),
        ({"colour": "F606W-reference", "red": 1.0}, "magnitudes in reference: found none"),
    ],
)
def test_unusable__one_line_with_the_numbers(two, settings, said):
    with pytest.raises(UnusableError, match=said) as caught:
        make(two, **settings)
    assert "\n" not in str(caught.value)


def test_absolute__a_catalog_without_motions_is_refused(two, stars):
    said = r"^motion: hst columns pmra, pmdec: found no motion with errors of the \d+ sources that are stars, expected "
    with pytest.raises(UnusableError, match=said):
        make(two, zero=catalog(stars, "hst", 2006.39))


def test_links__that_stars_do_not_determine_are_told_once(two):
    few = {key: rows[:8] for key, rows in two.items()}
    said = r"^motion: link of NIRISS F090W 2022.33: transform poly3: found \d stars, expected at least 10$"
    with pytest.raises(PiazziError, match=said):
        make(few, link="poly3", least=4)


def test_settings__limits_in_order_and_resamples_enough():
    for given, said in (
        ({"bootstrap": 2}, "bootstrap is 2, expected 0 or 100 and more"),
        ({"bright": 20.0, "faint": 18.0}, "bright is 20.0, expected less than faint, 18.0"),
        ({"colour": "F606W-F090W", "blue": 1.0, "red": 1.0}, "blue is 1.0, expected less than red, 1.0"),
    ):
        with pytest.raises(ValueError, match=said):
            MotionSettings(**given)
    assert [MotionSettings(bootstrap=n).bootstrap for n in (0, 100)] == [0, 100]


def test_no_star_in_common__is_told_and_a_tile_without_any_is_empty(two, stars):
    with pytest.raises(UnusableError, match="found no star seen at two times"):
        make({FIRST: two[FIRST][:2000], LAST: two[LAST][2000:]})
    settings = MotionSettings()
    epochs = epochs_of(dict.fromkeys(two), None, settings)
    field = solve_field(epochs, two, None, None, PLANE, settings)
    tile = {FIRST: two[FIRST][:10], LAST: two[LAST][10:20]}
    positions = star_positions(epochs, tile, field.sources, PLANE)
    ids = field.sources.set_index("star_id")["id"]
    table = motions_table(positions, epochs, field.common, field.members, magnitudes(tile), ids, PLANE, settings)
    assert table.empty
