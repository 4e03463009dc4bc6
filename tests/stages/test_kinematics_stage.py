"""Stage `kinematics`: populations of a simulated LMC, members of a cluster, and Gaia beside them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from catalogs.errors import PiazziError
from catalogs.flags import Flag
from catalogs.kinematics import KINEMATICS
from compute.settings import KinematicsSettings, PopulationSettings
from compute.stages.kinematics.choose import choose, usable
from compute.stages.kinematics.compare import compare, pair_by_id, pair_by_place
from compute.stages.kinematics.measure import measure, on_zero_point
from tests.kinematic import CLUSTER, OLD, YOUNG, draw

BLUE, RED = [[-0.6, 16], [0.3, 16], [0.3, 21], [-0.6, 21]], [[0.3, 16], [1.2, 16], [1.2, 21], [0.3, 21]]
CMD = {"magnitude": "F090W", "colour": "F090W-F150W"}
PLACE = {"circle": (*CLUSTER, 25.0)}
SETTINGS = KinematicsSettings(
    distance=49.5,
    distance_error=0.5,
    starts=6,
    populations={
        "old": PopulationSettings(**CMD, cmd=RED),
        "young": PopulationSettings(**CMD, cmd=BLUE, components=3, axis=45.0),
        "cluster": PopulationSettings(
            **CMD, **PLACE, cmd=BLUE, motion=YOUNG[1].motion, radii=((17.0, 0.09), (20.0, 0.20)), components=3
        ),
    },
)


def measured(motions, name, settings=SETTINGS):
    return measure(motions, name, settings.populations[name], settings)


@pytest.fixture(scope="module")
def lmc():
    return draw(1)


@pytest.fixture(scope="module")
def found(lmc):
    return {name: measured(lmc.motions, name) for name in SETTINGS.populations}


def rows(found, name, method):
    table = found[name].rows
    return table[table["method"] == method]


def test_groups__over_ten_fields_means_fractions_and_dispersions_are_the_true_ones():
    pulls, shares, old, cluster = [], [], [], []
    settings = SETTINGS.model_copy(update={"samplings": 0, "starts": 3})
    for seed in range(10):
        motions = draw(100 + seed, n_young=6000).motions
        young = measured(motions, "young", settings).rows.iloc[1:]
        for row, group in zip(young.itertuples(), YOUNG, strict=True):
            pulls += [(row.pmra - group.motion[0]) / row.pmra_error, (row.pmdec - group.motion[1]) / row.pmdec_error]
        shares.append(young["fraction"] - [group.share for group in YOUNG])
        cluster.append((young["sigma"].iloc[1] - YOUNG[1].sigma) / young["sigma_error"].iloc[1])
        old.append(measured(motions, "old", settings).rows["sigma"].to_numpy() / OLD.sigma - 1)
    assert 0.01 < chi2.sf(np.square(pulls).sum(), len(pulls)) < 0.99
    assert np.abs(pulls).max() < 4
    # 6000 stars tell the overlapping shares to 0.01 each: 0.03 is three errors.
    assert np.abs(shares).max() < 0.03
    # 2000 stars tell a dispersion to 1.1 per cent.
    assert np.abs(old).max() < 0.05
    assert 0.01 < chi2.sf(np.square(cluster).sum(), len(cluster)) < 0.999


def test_rows__fit_the_table_and_say_what_they_are(found):
    for name, (table, numbers) in found.items():
        KINEMATICS.check(table, name)
        assert set(table["population"]) == {name}
        assert numbers["stars"] <= numbers["usable"] == 5000
    assert rows(found, "young", "mixture")["component"].tolist() == [1, 2, 3]
    assert list(found["old"].rows["method"]) == ["median", "mixture"]
    assert list(found["cluster"].rows["method"]) == ["median", "members", *3 * ["mixture"]]


def test_background__has_a_row_and_leaves_the_others_alone(lmc):
    rng, motions = np.random.default_rng(1), lmc.motions.copy()
    stray = rng.choice(len(motions), 40, replace=False)
    motions.loc[stray, ["pmra", "pmdec"]] = rng.uniform(-6, 8, (40, 2))
    one = PopulationSettings(background=True)
    table, numbers = measure(motions, "all", one, SETTINGS)
    *_, spare = table.to_dict("records")
    assert spare["method"] == "background"
    KINEMATICS.check(table, "all")
    (mixture,) = table[table["method"] == "mixture"].to_dict("records")
    assert mixture["fraction"] + spare["fraction"] == pytest.approx(1.0, abs=1e-12)
    # Motions of the LMC's stars are within some 1.5 mas/yr of each other: a fiftieth of the square is theirs.
    assert spare["fraction"] == pytest.approx(40 / len(motions), abs=4 * spare["fraction_error"])
    wide = measure(motions, "all", PopulationSettings(), SETTINGS).rows.iloc[1]
    clean = measure(lmc.motions, "all", PopulationSettings(), SETTINGS).rows.iloc[1]
    assert mixture["sigma"] == pytest.approx(clean["sigma"], rel=0.03)
    assert wide["sigma"] > 1.5 * clean["sigma"]
    assert len(numbers["mixture"]["parameters"]) == len(numbers["mixture"]["covariance"]) == 6


def test_velocities__with_the_distance_and_its_error(found):
    (old,) = rows(found, "old", "mixture").to_dict("records")
    assert old["sigma_v"] == pytest.approx(4.74047 * 49.5 * old["sigma"], rel=1e-12)
    relative = np.hypot(old["sigma_error"] / old["sigma"], 0.5 / 49.5)
    assert old["sigma_v_error"] == pytest.approx(old["sigma_v"] * relative, rel=1e-12)
    assert old["sigma_v"] == pytest.approx(33.8, abs=4 * old["sigma_v_error"])


def test_velocities__none_without_a_distance(lmc):
    table = measured(lmc.motions, "old", SETTINGS.model_copy(update={"distance": None})).rows
    assert table[["v_ra", "v_dec", "sigma_v", "sigma_v_error"]].isna().all(axis=None)
    KINEMATICS.check(table, "kinematics")


def test_cluster__members_and_mixture_find_its_dispersion(found):
    members = rows(found, "cluster", "members").iloc[0]
    assert abs(members["sigma"] - YOUNG[1].sigma) < 3 * members["sigma_error"]
    assert members["fraction"] < 1
    mixture = rows(found, "cluster", "mixture")
    off = mixture[["pmra", "pmdec"]].to_numpy() - YOUNG[1].motion
    nearest = mixture.iloc[np.argmin(np.hypot(*off.T))]
    assert abs(nearest["sigma"] - YOUNG[1].sigma) < 3 * nearest["sigma_error"]
    for axis, true in zip(("pmra", "pmdec"), YOUNG[1].motion, strict=True):
        assert abs(nearest[axis] - true) < 3.5 * nearest[f"{axis}_error"]


def test_histogram__is_that_of_the_stars_along_the_line(lmc, found):
    numbers = found["young"].numbers
    told = numbers["histogram"]
    assert numbers["axis"] == 45.0
    assert sum(told["counts"]) == pytest.approx(numbers["stars"], rel=1e-3)
    assert sum(told["fractions"]) == pytest.approx(1.0)
    along = (np.array([group.motion for group in YOUNG]) @ [1, 1]) / np.sqrt(2)
    # Neighbouring groups overlap along the line, where only the first stands apart.
    assert told["means"][0] == pytest.approx(along[0], abs=4 * told["mean_errors"][0])
    assert told["fractions"][0] == pytest.approx(YOUNG[0].share, abs=0.03)
    covariance = np.array(numbers["mixture"]["covariance"])
    assert covariance.shape == (len(numbers["mixture"]["parameters"]),) * 2 == (18, 18)


def test_choose__cmd_magnitude_and_place(lmc):
    motions, group = lmc.motions, lmc.group
    blue = choose(motions, PopulationSettings(**CMD, cmd=BLUE))
    np.testing.assert_array_equal(blue, group > 0)  # colours are ten deviations apart
    bright = choose(motions, PopulationSettings(magnitude="F090W", bright=17.5, faint=18.5))
    np.testing.assert_array_equal(bright, motions["mag_F090W"].between(17.5, 18.5, inclusive="neither"))
    near = choose(motions, PopulationSettings(**PLACE))
    assert near[group == 2].mean() > 0.95  # of a Gaussian of 8 arcsec, within 25
    assert near[group != 2].mean() < 0.2
    with pytest.raises(PiazziError, match="found F480M, expected one that stars have magnitudes in: F090W, F150W"):
        choose(motions, PopulationSettings(magnitude="F480M", faint=20.0))


def test_choose__spaces_around_filters_do_not_matter(lmc):
    spaced = PopulationSettings(magnitude=" F090W", colour="F090W - F150W ", cmd=BLUE)
    assert spaced == PopulationSettings(**CMD, cmd=BLUE)
    np.testing.assert_array_equal(choose(lmc.motions, spaced), lmc.group > 0)


def test_usable__flags_errors_and_gaps_are_left_out(lmc):
    motions = lmc.motions.head(6).copy()
    motions.loc[0, "pmra"] = np.nan
    motions.loc[1, "flags"] = int(Flag.EDGE)
    motions.loc[2, "flags"] = int(Flag.GROUP_FIT)
    motions.loc[3, "pmdec_error"] = 0.5
    assert usable(motions, KinematicsSettings(max_error=0.1)).tolist() == [False, False, True, False, True, True]


def test_order_of_rows__does_not_matter(lmc, found):
    shuffled = lmc.motions.sample(frac=1.0, random_state=1)
    again = measured(shuffled, "young")
    pd.testing.assert_frame_equal(again.rows, found["young"].rows, check_exact=True)
    assert again.numbers == found["young"].numbers


def test_too_few_stars__one_line_with_the_population_and_the_number(lmc):
    few = lmc.motions[lmc.group == 2].head(12)
    with pytest.raises(PiazziError, match="population young: mixture: found 12 stars for 3 components"):
        measured(few, "young")
    with pytest.raises(PiazziError, match="population young filter: .* magnitudes in: none"):
        measured(few.head(0), "young")
    with pytest.raises(PiazziError, match="population old: found 0 of 12 usable stars in its regions"):
        measured(few, "old")
    still = SETTINGS.populations["cluster"].model_copy(update={"motion": (0.0, 0.0)})
    with pytest.raises(PiazziError, match="found 0 of the 12 stars in its regions within the radii of its motion"):
        measure(few, "still", still, SETTINGS)


@pytest.fixture(scope="module")
def gaia(lmc):
    """Motions of every third star with Gaia's errors, at its epoch."""
    rng, stars = np.random.default_rng(9), lmc.motions.iloc[::3].reset_index(drop=True)
    errors = 0.05 * 10 ** (0.2 * (stars["mag_F090W"] - 17.0))
    years = (2016.0 - stars["ref_epoch"]) / 3.6e6
    moved = {
        "id": 10**12 + stars["star_id"], "ref_epoch": 2016.0, "mag": stars["mag_F090W"],
        "ra": stars["ra"] + stars["pmra"] * years / np.cos(np.radians(stars["dec"])),
        "dec": stars["dec"] + stars["pmdec"] * years, "pmra_error": errors, "pmdec_error": errors,
        "pmra_pmdec_corr": 0.0,
    }  # fmt: skip
    noise = {name: stars[name] + 0.02 + errors * rng.standard_normal(len(stars)) for name in ("pmra", "pmdec")}
    return pd.DataFrame(moved | noise)


def test_gaia__paired_by_place_at_its_epoch_and_by_id(lmc, gaia):
    ours = lmc.motions.assign(source_id=(10**12 + lmc.motions["star_id"]).astype("Int64"))
    for first, second in (pair_by_place(ours, gaia, 20.0), pair_by_id(ours, gaia)):
        np.testing.assert_array_equal(ours["star_id"].iloc[first] + 10**12, gaia["id"].iloc[second])
        assert len(first) > 0.99 * len(gaia)


def test_gaia__compared_by_magnitude(lmc, gaia):
    first, second = pair_by_place(lmc.motions, gaia, 20.0)
    bins = compare(lmc.motions.iloc[first], gaia.iloc[second], [17.0, 18.0, 19.0, 20.0, 21.0])
    assert bins["faint"].tolist() == [18.0, 19.0, 20.0]  # nothing in the last
    assert (abs(bins["d_pmra"] + 0.02) < 4 * bins["d_pmra_error"]).all()
    # Differences have Gaia's errors here, for its motions are drawn about ours: ours count too, which lowers chi2.
    assert (bins["chi2"] / bins["dof"]).between(0.5, 1.1).all()
    assert bins["theirs_observed"].is_monotonic_increasing
    assert (bins["theirs_observed"] > bins["ours_observed"]).all()
    assert np.allclose(bins["theirs_sigma"], bins["ours_sigma"], atol=0.03)


def test_gaia__bins_of_too_few_stars_after_clipping_are_left_out(lmc, gaia):
    first, second = pair_by_place(lmc.motions, gaia, 20.0)
    ours, theirs = lmc.motions.iloc[first], gaia.iloc[second].copy()
    assert compare(ours.iloc[28:48], theirs.iloc[28:48], [17.0, 20.0], 2.2).empty  # twenty stars, two after clipping
    theirs.iloc[::2, theirs.columns.get_loc("pmra_error")] = 0.0
    theirs.iloc[1::4, theirs.columns.get_loc("pmdec_error")] = np.nan
    kept = compare(ours, theirs, [17.0, 20.0])
    assert kept["n"].item() <= -(-len(theirs) // 4)
    assert np.isfinite(kept.to_numpy(float)).all()


def test_zero_point__is_told_beside_the_rows(found):
    zero = pd.DataFrame({"used": [False, True], "pmra_error": [0.5, 0.03], "pmdec_error": [0.6, 0.04]})
    table = on_zero_point(found["old"].rows, pd.Series([True, True]), zero)
    KINEMATICS.check(table, "kinematics")
    assert table["absolute"].all()
    assert (table[["zero_ra_error", "zero_dec_error"]] == [0.03, 0.04]).all(axis=None)
    without = on_zero_point(found["old"].rows, pd.Series([False, False]), zero[:0])
    assert not without["absolute"].any()
    assert without[["zero_ra_error", "zero_dec_error"]].isna().all(axis=None)


@pytest.mark.parametrize("name", ["", "../../x", "all stars", "a/b", "<b>"])
def test_populations__are_named_by_letters_digits_and_a_few_signs(name):
    with pytest.raises(ValueError, match="expected names of letters, digits and _ . +"):
        KinematicsSettings(populations={name: {}})
    assert list(KinematicsSettings(populations={"NGC_1850.a+b-1": {}}).populations) == ["NGC_1850.a+b-1"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cmd": [(0, 1), (1, 1)], **CMD}, "cmd has 2 vertices"),
        ({"cmd": [(0, 1), (1, 1), (1, 2)], "magnitude": "F090W"}, "colour is '' and cmd is set"),
        (CMD, "colour is 'F090W-F150W' without cmd"),
        (CMD | {"colour": "F090W-"}, "colour is 'F090W-', expected two filters"),
        ({"magnitude": "F090W", "bright": 19.0, "faint": 19.0}, "bright is 19.0, expected less than faint, 19.0"),
        ({"circle": (80.0, -69.0, 0.0)}, "radius 0.0, expected more than 0"),
        ({"circle": (360.0, -69.0, 10.0)}, r"circle or sky has \(360.0, -69.0\), expected ra, dec"),
        ({"sky": [(0, 0), (1, 0), (1, 91)]}, r"sky has \(1.0, 91.0\)"),
        ({"faint": 19.0}, "magnitude is not set"),
        ({"motion": (1.0, 2.0)}, "only one of motion and radii"),
        ({"motion": (1.0, 2.0), "radii": [(18.0, 0.1), (17.0, 0.1)], "magnitude": "F090W"}, "rising magnitudes"),
    ],
)
def test_settings__that_contradict_themselves(given, said):
    with pytest.raises(ValueError, match=said):
        PopulationSettings(**given)
