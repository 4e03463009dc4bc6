"""Gaia DR3 is known by its columns: poor solutions go, errors grow, shared errors stay apart."""

import numpy as np
import pytest
import reference_files as files

from catalogs.errors import UnusableError
from catalogs.parquet import write_table
from catalogs.references import read_reference
from catalogs.references.columns import CORRELATIONS
from catalogs.references.gaia import DR3, Systematics
from catalogs.truth import GAIA

POOR = {
    "ruwe": 1.41,
    "ipd_gof_harmonic_amplitude": 0.21,
    "visibility_periods_used": 8,
    "astrometric_excess_noise_sig": 2.1,
    "duplicated_source": True,
}


@pytest.fixture
def read(tmp_path):
    def through_parquet(frame, **how):
        write_table(GAIA.conform(frame), GAIA, tmp_path / "gaia.parquet")
        return read_reference(tmp_path / "gaia.parquet", **how)

    return through_parquet


@pytest.mark.parametrize("name", POOR)
def test_gaia__each_rule_removes_its_rows_and_tells_how_many(read, name):
    frame = files.make_gaia()
    frame.loc[[4, 9], name] = POOR[name]
    found = read(frame)
    assert found.removed == {rule: 2 if rule == name else 0 for rule in POOR}
    assert found.n_read == 60
    assert set(frame["source_id"]) - set(found.sources["id"]) == set(frame["source_id"][[4, 9]])


@pytest.mark.parametrize("name", POOR)
def test_gaia__each_rule_can_be_loosened(read, name):
    frame = files.make_gaia()
    frame.loc[[4, 9], name] = POOR[name]
    assert len(read(frame, gaia=DR3._replace(**{name: POOR[name]})).sources) == 60


def test_gaia__a_row_may_fail_several_rules(read):
    frame = files.make_gaia()
    for name, value in POOR.items():
        frame.loc[4, name] = value
    found = read(frame)
    assert set(found.removed.values()) == {1}
    assert len(found.sources) == 59


def test_gaia__rules_without_their_column_are_left_out(tmp_path):
    frame = files.make_gaia().drop(columns=["visibility_periods_used", "astrometric_params_solved"])
    files.write_fits(frame, tmp_path / "a.fits")
    found = read_reference(tmp_path / "a.fits")
    assert set(found.removed) == set(POOR) - {"visibility_periods_used"}
    assert found.sources["pmra_error"][1] == pytest.approx(frame["pmra_error"][1] * 1.05**0.5)


def test_gaia__nothing_left_tells_the_numbers(read):
    with pytest.raises(UnusableError, match=r"no source of 60 left by the cuts \(ruwe 60, ipd.* 0, .*at least one"):
        read(files.make_gaia().assign(ruwe=2.0))


def test_gaia__covariances_grow_by_kind_of_solution(read):
    frame = files.make_gaia()
    frame.loc[7, "astrometric_params_solved"] = 95
    found = read(frame).sources
    grown = found["parallax_error"] / frame["parallax_error"]
    assert np.isnan(grown[0])
    assert found["ra_error"][0] == frame["ra_error"][0]
    assert grown[7] == pytest.approx(np.sqrt(1.22))
    assert grown[[1, 2, 59]].tolist() == pytest.approx([np.sqrt(1.05)] * 3)
    np.testing.assert_array_equal(found["pmra_pmdec_corr"][1:], frame["pmra_pmdec_corr"][1:])
    assert not found[list(CORRELATIONS)].isna().any(axis=None)
    same = read(frame, gaia=DR3._replace(inflation=(1.0, 1.0))).sources
    np.testing.assert_array_equal(same["pmdec_error"], frame["pmdec_error"])


def test_gaia__shared_errors_are_no_part_of_a_stars_own(read):
    assert read(files.make_gaia()).systematics == Systematics(pm=0.026, parallax=0.011)


def test_gaia__other_catalogs_have_no_rules(tmp_path):
    files.write_fits(files.make_sources(), tmp_path / "a.fits")
    found = read_reference(tmp_path / "a.fits")
    assert found.systematics == Systematics(0.0, 0.0)
    assert found.removed == {}


def test_gaia__magnitudes_come_along(read):
    frame = files.make_gaia()
    found = read(frame).sources
    np.testing.assert_array_equal(found["mag"], frame["phot_g_mean_mag"])
    np.testing.assert_array_equal(found["phot_bp_mean_mag"], frame["phot_bp_mean_mag"])
    assert list(found.columns[-2:]) == ["phot_bp_mean_mag", "phot_rp_mean_mag"]
    assert found.attrs["units"]["phot_bp_mean_mag"] == "mag"


def test_gaia__two_parameter_solutions_are_kept_or_not_as_told(read):
    frame = files.make_gaia()
    assert np.isnan(read(frame).sources["pmra"][0])
    dropped = read(frame, without_motion="drop")
    assert len(dropped.sources) == 59
    assert dropped.removed["without_motion"] == 1
    with pytest.raises(UnusableError, match="no motion in 1 of 60 rows"):
        read(frame, without_motion="refuse")


def test_gaia__epoch_is_2016_where_the_extract_left_it_out(tmp_path):
    files.write_votable(files.make_gaia().drop(columns="ref_epoch"), tmp_path / "a.vot")
    found = read_reference(tmp_path / "a.vot")
    assert (found.sources["ref_epoch"] == 2016.0).all()
    assert found.notes == ("no ref_epoch, taken as that of Gaia DR3, 2016",)
