"""Skies as drawn: counts, places, motions, blends and galaxies are what the campaign says, and streams keep apart."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io.votable.ucd import check_ucd
from scipy import stats

from catalogs import truth
from catalogs.errors import PiazziError
from catalogs.parquet import read_table, write_table
from compute.campaign import Cluster, Galaxies, Population, SkyField
from compute.stages.simulate.observer import AU, observer
from compute.stages.simulate.sky import FIRST_GALAXY, IDS_PER_FIELD, draw_sky

OLD = Population(name="old", density=600, spread=0.05, pmra=1.9, pmdec=0.38, dispersion=0.144)
YOUNG = Population(name="young", kind="young", density=200, pmra=1.8, pmdec=0.3, dispersion=0.05)
CLUSTER = Cluster(name="knot", kind="young", stars=800, dx=30, dy=-20, radius=8, pmra=1.8, pmdec=0.3, dispersion=0.01)
FIELD = SkyField(
    name="lmc", ra=80.5, dec=-69.5, populations=(OLD, YOUNG), clusters=(CLUSTER,), galaxies=Galaxies(density=80),
    blends=0.1,
)  # fmt: skip
HALF_WIDTH = 90.0  # 9 square arcminutes


@pytest.fixture(scope="module")
def sky():
    return draw_sky(FIELD, 2, HALF_WIDTH, 1801)


def tangent_plane(rows):
    """Offsets east and north from the field's centre [arcsec], through astropy."""
    frame = SkyCoord(FIELD.ra * u.deg, FIELD.dec * u.deg).skyoffset_frame()
    seen = SkyCoord(rows["ra"].to_numpy() * u.deg, rows["dec"].to_numpy() * u.deg).transform_to(frame)
    return np.degrees(np.tan(seen.lon.rad)) * 3600, np.degrees(np.tan(seen.lat.rad) / np.cos(seen.lon.rad)) * 3600


def members(sky, name, companions=False):
    stars = sky.stars[sky.stars["population"] == name]
    return stars if companions else stars[stars["companion_of"] < 0]


def test_tables__units_and_ucds_are_words_of_their_lists():
    for name in truth.__all__:
        for column in getattr(truth, name).columns:
            assert check_ucd(column.ucd, check_controlled_vocabulary=True), (name, column.name)
            u.Unit(column.unit)


def test_sky__rows_fit_their_tables_and_survive_a_file(sky, tmp_path):
    for rows, table in ((sky.stars, truth.STARS), (sky.galaxies, truth.GALAXIES)):
        write_table(rows, table, tmp_path / "rows.parquet")
        pd.testing.assert_frame_equal(read_table(tmp_path / "rows.parquet", table), rows)


def test_sky__numbers_are_the_fields_and_rise(sky):
    stars, galaxies = sky.stars["star_id"], sky.galaxies["galaxy_id"]
    assert stars.tolist() == list(range(2 * IDS_PER_FIELD, 2 * IDS_PER_FIELD + len(stars)))
    assert galaxies.iloc[0] == 2 * IDS_PER_FIELD + FIRST_GALAXY


@pytest.mark.parametrize("population", [OLD, YOUNG])
def test_sky__counts_follow_the_density(sky, population):
    expected = population.density * 9
    assert len(members(sky, population.name)) == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_sky__populations_fill_the_square_evenly(sky):
    xi, eta = tangent_plane(members(sky, "old"))
    assert stats.kstest((xi / HALF_WIDTH + 1) / 2, "uniform").pvalue > 1e-3
    assert stats.kstest((eta / HALF_WIDTH + 1) / 2, "uniform").pvalue > 1e-3
    assert np.abs(xi).max() <= HALF_WIDTH * (1 + 1e-9)


def test_sky__clusters_are_whole_and_in_their_place(sky):
    stars = members(sky, "knot")
    xi, eta = tangent_plane(stars)
    assert len(stars) == CLUSTER.stars
    # Error of a median of the Plummer profile: 1 / (2 f sqrt(N)), with f = 1 / (2 radius) at the centre.
    assert np.median(xi) == pytest.approx(CLUSTER.dx, abs=5 * CLUSTER.radius / np.sqrt(CLUSTER.stars))
    assert np.median(eta) == pytest.approx(CLUSTER.dy, abs=5 * CLUSTER.radius / np.sqrt(CLUSTER.stars))


@pytest.mark.parametrize("population", [OLD, YOUNG, CLUSTER])
def test_sky__motions_have_the_mean_and_dispersion_asked_for(sky, population):
    stars = members(sky, population.name)
    for name in ("pmra", "pmdec"):
        error = population.dispersion / np.sqrt(len(stars))
        assert stars[name].mean() == pytest.approx(getattr(population, name), abs=5 * error)
        assert stars[name].std() == pytest.approx(population.dispersion, abs=5 * error / np.sqrt(2))


def test_sky__parallaxes_are_those_of_the_modulus(sky):
    assert members(sky, "young")["parallax"].to_numpy() == pytest.approx(1000 / 10 ** (18.5 / 5 + 1), rel=1e-12)
    modulus = 5 * np.log10(100 / members(sky, "old")["parallax"])
    assert modulus.std() == pytest.approx(OLD.spread, rel=5 / np.sqrt(2 * len(modulus)))


def test_sky__blends_move_together_and_lie_close(sky):
    stars = sky.stars.set_index("star_id")
    second = stars[stars["companion_of"] >= 0]
    first = stars.loc[second["companion_of"]]
    share = len(second) / (len(stars) - len(second))
    assert share == pytest.approx(FIELD.blends, abs=5 * np.sqrt(0.09 / len(stars)))
    assert (first["companion_of"] == -1).all()
    for name in ("pmra", "pmdec", "parallax", "population"):
        assert first[name].tolist() == second[name].tolist()
    fainter = second["mag_ref"].to_numpy() - first["mag_ref"].to_numpy()
    assert stats.kstest(fainter / 3, "uniform").pvalue > 1e-3
    (xi_1, eta_1), (xi_2, eta_2) = tangent_plane(first), tangent_plane(second)
    apart = np.hypot(xi_2 - xi_1, eta_2 - eta_1)
    assert stats.kstest((apart - 0.02) / 0.18, "uniform").pvalue > 1e-3


def test_sky__same_seed_same_rows_other_seed_others(sky):
    again, other = draw_sky(FIELD, 2, HALF_WIDTH, 1801), draw_sky(FIELD, 2, HALF_WIDTH, 1802)
    pd.testing.assert_frame_equal(again.stars, sky.stars, check_exact=True)
    pd.testing.assert_frame_equal(again.galaxies, sky.galaxies, check_exact=True)
    assert not np.isin(other.stars["ra"], sky.stars["ra"]).any()
    assert not np.isin(other.galaxies["ra"], sky.galaxies["ra"]).any()


def test_sky__another_population_changes_no_star_but_its_number(sky):
    more = FIELD.model_copy(update={"populations": (OLD, YOUNG, Population(name="disc", kind="dwarfs", density=9))})
    found = draw_sky(more, 2, HALF_WIDTH, 1801)
    assert len(members(found, "disc")) > 0
    for name in ("old", "young", "knot"):
        rest = {"axis": "columns", "labels": ["star_id", "companion_of"]}
        old, new = (members(each, name, companions=True).drop(**rest).reset_index(drop=True) for each in (sky, found))
        pd.testing.assert_frame_equal(old, new, check_exact=True)
    pd.testing.assert_frame_equal(found.galaxies, sky.galaxies, check_exact=True)


def test_sky__galaxies_are_as_many_and_as_large_as_asked_for(sky):
    galaxies = sky.galaxies
    assert len(galaxies) == pytest.approx(720, abs=5 * np.sqrt(720))
    assert galaxies["mag_ref"].between(19, 25).all()
    size = np.log(galaxies["radius"] / 0.05) / np.log(0.8 / 0.05)
    assert stats.kstest(size, "uniform").pvalue > 1e-3
    # Brighter is larger: 0.4 by construction, and 5 errors of 1/sqrt(720).
    assert stats.spearmanr(galaxies["mag_ref"], size)[0] == pytest.approx(-0.4, abs=5 / np.sqrt(720))
    assert galaxies["sersic"].between(0.8, 4).all()
    assert galaxies["axis_ratio"].between(0.3, 1).all()


def test_sky__an_empty_field_is_two_empty_tables():
    empty = draw_sky(SkyField(name="void", ra=0, dec=90), 1, 60.0, 3)
    truth.STARS.check(empty.stars, "test")
    truth.GALAXIES.check(empty.galaxies, "test")
    assert len(empty.stars) == len(empty.galaxies) == 0


def test_sky__a_faint_limit_without_stars_names_the_population():
    field = FIELD.model_copy(update={"populations": (Population(name="odd", density=10, faint=12.0),)})
    with pytest.raises(PiazziError, match="population odd: faint limit is 12"):
        draw_sky(field, 1, HALF_WIDTH, 1)


def test_observer__jwst_is_beyond_the_earth_seen_from_the_sun():
    mjd = 59700.3
    earth, jwst = observer("HST", mjd)[0], observer("JWST", mjd)[0]
    assert np.linalg.norm(jwst - earth) == pytest.approx(1.5e6, rel=0.03)  # L2, with the ellipse of the orbit
    assert np.linalg.norm(jwst) > np.linalg.norm(earth)
    assert np.linalg.norm(earth) == pytest.approx(AU, rel=0.03)  # from the barycentre, up to 1.5e6 km from the Sun


@pytest.mark.parametrize("telescope", ["HST", "JWST"])
def test_observer__velocity_is_the_change_of_position(telescope):
    step = 0.05
    before, after = (observer(telescope, 59700.3 + side * step)[0] for side in (-1, 1))
    change = (after - before) / (2 * step * 86400)
    assert observer(telescope, 59700.3)[1] == pytest.approx(change, abs=1e-3)  # curvature over 0.1 d: 1e-5 km/s


def test_observer__asks_no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("no network is wanted")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert np.isfinite(observer("JWST", 66000.0)).all()  # beyond any table of the Earth's rotation
