"""Reference catalogs at other epochs: the simulator's truth is where they say, within the errors they say."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from catalogs.errors import UnusableError
from catalogs.parquet import write_table
from catalogs.truth import GAIA, REFERENCE
from compute.campaign import Gaia, Population, Reference, SkyField
from compute.kernels.motion.celestial import AU, project
from compute.kernels.simulate.motion import apparent
from compute.settings import ReferenceSettings
from compute.stages.reference import MOVED, load, propagated
from compute.stages.simulate.references import gaia_extract, reference_catalog
from compute.stages.simulate.sky import draw_sky

SEED, EPOCH = 1801, 2022.4
OLD = Population(name="old", density=2500, pmra=1.9, pmdec=0.4, dispersion=0.14)
DISC = Population(name="disc", kind="dwarfs", density=400, distance_modulus=10, faint=22, dispersion=8)
FIELD = SkyField(name="lmc", ra=80.5, dec=-69.5, populations=(OLD, DISC))
OBSERVER = np.array([-0.7, 0.65, 0.28]) * AU


@pytest.fixture(scope="module")
def stars():
    return draw_sky(FIELD, 1, 90.0, SEED).stars


@pytest.fixture(scope="module")
def folder(tmp_path_factory, stars):
    folder = tmp_path_factory.mktemp("references")
    reference = reference_catalog(stars, Reference(motions=True), SEED)
    write_table(reference, REFERENCE, folder / "reference.parquet")
    motions = ["pmra", "pmdec", "pmra_error", "pmdec_error"]
    write_table(reference.assign(**dict.fromkeys(motions, np.nan)), REFERENCE, folder / "still.parquet")
    write_table(gaia_extract(stars, Gaia(), SEED), GAIA, folder / "gaia.parquet")
    return folder


def pulls(found, stars, ids, observer):
    """Offsets from the truth at EPOCH (2, N) [mas], and in units of their errors, made independent."""
    true = stars.set_index("star_id").loc[ids]
    values = (true[name].to_numpy() for name in ("ra", "dec", "pmra", "pmdec", "parallax"))
    ra, dec = apparent(*values, EPOCH - true["ref_epoch"].to_numpy(), observer / AU)
    offset = np.array(project(found["ra"].to_numpy(), found["dec"].to_numpy(), ra, dec))
    east, north = offset / found[["ra_error", "dec_error"]].to_numpy().T
    corr = found["ra_dec_corr"].to_numpy()
    return offset, np.array([east, (north - corr * east) / np.sqrt(1 - corr**2)])


def test_propagated__reference_has_errors_that_hold_at_the_new_epoch(folder, stars):
    settings = ReferenceSettings(file=str(folder / "reference.parquet"))
    sources = load(settings).sources
    found = propagated(sources, EPOCH, settings)
    _, pull = pulls(found, stars, sources["id"], np.zeros(3))
    # rms of some 15 000 unit normals is good to 0.6 %; five times that.
    assert np.sqrt((pull**2).mean(axis=1)) == pytest.approx([1.0, 1.0], abs=0.03)
    years = EPOCH - 2006.39
    grown = np.sqrt(sources["ra_error"] ** 2 + (years * sources["pmra_error"]) ** 2)
    np.testing.assert_allclose(found["ra_error"], grown, rtol=1e-14)
    assert (found["ra_dec_corr"] == 0).all()
    assert (found["ref_epoch"] == EPOCH).all()
    same = ["id", "mag", "mag_error"]
    pd.testing.assert_frame_equal(found[same], sources[same])
    assert set(found) == {*same, *MOVED}


def test_propagated__gaia_with_all_correlations_and_parallax(folder, stars):
    settings = ReferenceSettings(file=str(folder / "gaia.parquet"), gaia={"inflation": (1.0, 1.0)})
    sources = load(settings).sources
    sources = sources[sources["pmra"].notna()]
    found = propagated(sources, EPOCH, settings, OBSERVER)
    _, pull = pulls(found, stars, sources["id"] - 2**62, OBSERVER)
    n = len(sources)
    assert n > 300
    assert np.sqrt((pull**2).mean(axis=1)) == pytest.approx([1.0, 1.0], abs=5 / np.sqrt(2 * n))
    assert pull.mean(axis=1) == pytest.approx([0.0, 0.0], abs=5 / np.sqrt(n))
    assert abs((pull[0] * pull[1]).mean()) < 5 / np.sqrt(n)


def test_propagated__without_the_observer_stars_are_where_the_barycentre_sees_them(folder, stars):
    settings = ReferenceSettings(file=str(folder / "gaia.parquet"))
    sources = load(settings).sources
    offset = np.subtract(
        propagated(sources, EPOCH, settings, OBSERVER)[["ra", "dec"]],
        propagated(sources, EPOCH, settings)[["ra", "dec"]],
    )
    moved = np.hypot(offset["ra"] * np.cos(np.radians(-69.5)), offset["dec"]) * 3.6e6
    near = np.abs(sources["parallax"].fillna(0))
    assert (moved <= near * 1.02).all()  # nobody is farther from the barycentre than 1 au here
    assert moved.max() > 0.5 * near.max()
    assert (moved[sources["parallax"].isna()] == 0).all()


def test_propagated__still_sources_stay_and_their_errors_grow_by_the_dispersion(folder, stars):
    settings = ReferenceSettings(file=str(folder / "still.parquet"), dispersion=0.14)
    sources = load(settings).sources
    found = propagated(sources, EPOCH, settings, OBSERVER)
    np.testing.assert_allclose(found[["ra", "dec"]], sources[["ra", "dec"]], rtol=4e-16)
    grown = np.hypot(sources["dec_error"], 0.14 * (EPOCH - 2006.39))
    np.testing.assert_allclose(found["dec_error"], grown, rtol=1e-14)
    # They are all behind by their mean motion; about it, those of the cluster scatter by what the errors say.
    old = stars.set_index("star_id").loc[sources["id"]]["population"].to_numpy() == "old"
    offset, _ = pulls(found[old], stars, sources["id"][old], np.zeros(3))
    scatter = (offset - offset.mean(axis=1, keepdims=True)) / found[["ra_error", "dec_error"]][old].to_numpy().T
    assert np.sqrt((scatter**2).mean(axis=1)) == pytest.approx([1.0, 1.0], abs=0.03)


def test_propagated__motions_switched_off_are_motions_not_there(folder):
    switched, still = (
        ReferenceSettings(file=str(folder / name), motions=motions)
        for name, motions in (("reference.parquet", False), ("still.parquet", True))
    )
    pd.testing.assert_frame_equal(*(propagated(load(each).sources, EPOCH, each) for each in (switched, still)))


def test_propagated__gaias_lone_positions_stay_in_place(folder):
    settings = ReferenceSettings(file=str(folder / "gaia.parquet"), dispersion=5.0)
    sources = load(settings).sources
    lone = sources["pmra"].isna()
    assert lone.any()
    found = propagated(sources, EPOCH, settings)
    np.testing.assert_allclose(found["ra_error"][lone], np.hypot(sources["ra_error"][lone], 32.0), rtol=1e-12)
    assert (found["ra_error"][~lone] < 10).all()
    assert "phot_bp_mean_mag" in found


def test_load__reads_around_the_centre(folder):
    settings = ReferenceSettings(file=str(folder / "reference.parquet"), radius=0.01)
    near = load(settings, centre=(80.5, -69.5)).sources
    assert 0 < len(near) < len(load(settings).sources)
    assert np.hypot(*project(near["ra"], near["dec"], 80.5, -69.5)).max() <= 36_000
    with pytest.raises(UnusableError, match=r"found no source within 0\.01 deg of 10, 20, expected at least one"):
        load(settings, centre=(10.0, 20.0))


def test_load__passes_settings_on(folder):
    file = str(folder / "gaia.parquet")
    assert (
        load(ReferenceSettings(file=file, gaia={"ruwe": 0.9})).removed["ruwe"]
        > load(ReferenceSettings(file=file)).removed["ruwe"]
    )
    assert load(ReferenceSettings(file=file, without_motion="drop")).removed["without_motion"] > 0
    assert load(ReferenceSettings(file=file, gaia={"systematics": (0.0, 0.0)})).systematics == (0, 0)
    assert load(ReferenceSettings(file=file, columns={"mag": "phot_rp_mean_mag"})).sources["mag"].min() > 5


def test_settings__faults_are_found_before_anything_is_read():
    for wrong in ({"epoch": 53876.0}, {"radius": 0}, {"without_motion": "maybe"}, {"gaia": {"ruw": 1}}):
        with pytest.raises(ValidationError):
            ReferenceSettings(file="a.parquet", **wrong)
