"""Names, units and what is wrong with rows: found, or refused in one line with the numbers."""

import numpy as np
import pandas as pd
import pytest
import reference_files as files

from catalogs.errors import UnusableError
from catalogs.references import read_reference


def read(tmp_path, frame, units=None, **how):
    """Through an ECSV file that tells `units`."""
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.ecsv"
    files.as_table(frame, files.UNITS | (units or {})).write(path)
    return read_reference(path, **how)


def refused(tmp_path, frame, units=None, **how):
    """The message, less the file's name."""
    with pytest.raises(UnusableError) as error:
        read(tmp_path, frame, units, **how)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith("0.ecsv")
    return text.removeprefix("0.ecsv").lstrip()


def spoilt(name, rows, value):
    frame = files.make_sources()
    frame.loc[rows, name] = value
    return frame


@pytest.mark.parametrize(
    ("name", "unit", "per"),
    [
        ("ra", "rad", np.pi / 180),
        ("dec", "arcsec", 3600.0),
        ("ra_error", "deg", 1 / 3.6e6),
        ("dec_error", "uas", 1000.0),
        ("pmra", "arcsec / yr", 1e-3),
        ("pmra_error", "deg / yr", 1 / 3.6e6),
    ],
)
def test_read_reference__converts_units(tmp_path, name, unit, per):
    frame = files.make_sources()
    found = read(tmp_path, frame.assign(**{name: frame[name] * per}), {name: unit}).sources
    assert found[name].to_numpy() == pytest.approx(frame[name].to_numpy(), rel=4e-16)  # two roundings


@pytest.mark.parametrize(
    ("name", "unit"), [("ra", "km"), ("ra_error", "mas / yr"), ("pmra", "km / s"), ("mag", "Jy"), ("ref_epoch", "d")]
)
def test_read_reference__unit_that_does_not_convert(tmp_path, name, unit):
    text = refused(tmp_path, files.make_sources(), {name: unit})
    assert text.startswith(f"column {name}: found unit '{unit}', expected ")


def test_read_reference__ab_magnitudes_are_magnitudes(tmp_path):
    assert read(tmp_path, files.make_sources(), {"mag": "mag(AB)"}).sources["mag"].max() > 20


def test_read_reference__columns_without_units_are_taken_as_ours_and_noted(tmp_path):
    found = read(tmp_path, files.make_sources(), {"ra_error": "", "mag": ""})
    assert found.notes == ("column ra_error has no unit, taken as mas", "column mag has no unit, taken as mag")


def test_read_reference__knows_other_names_without_regard_to_case(tmp_path):
    ours = ["source_id", "ra", "dec", "ra_error", "dec_error", "pmra", "pmdec", "pmra_error", "pmdec_error", "mag"]
    theirs = ["Source", "RA_ICRS", "DE_ICRS", "e_RA_ICRS", "e_DE_ICRS", "pmRA", "pmDE", "e_pmRA", "e_pmDE", "Gmag"]
    frame, names = files.make_sources(), dict(zip(ours, theirs, strict=True))
    units = {names[name]: files.UNITS[name] for name in ours}
    found = read(tmp_path, frame.rename(columns=names), units).sources
    pd.testing.assert_frame_equal(found, read(tmp_path, frame).sources)


def test_read_reference__mapping_goes_before_names(tmp_path):
    frame = files.make_sources()
    frame["F606W"], frame["F814W"], frame["mag_f110w"] = frame["mag"] - 1, frame["mag"] - 2, frame["mag"] - 3
    found = read(tmp_path, frame, columns={"mag": "F606W", "mag_f814w": "F814W", "pmra": "", "pmdec": ""}).sources
    assert found["mag"].tolist() == frame["F606W"].tolist()
    assert found["mag_f814w"].tolist() == frame["F814W"].tolist()
    assert found["mag_f110w"].tolist() == frame["mag_f110w"].tolist()
    assert found["pmra"].isna().all()


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"mag": "F475W"}, "columns: found no F475W for mag, expected one of source_id, ra, dec"),
        ({"magnitude": "mag"}, "columns: found magnitude, expected one of id, ra, dec"),
        ({"pmra_error": ""}, "columns: found pmra without pmra_error, expected both, or columns.pmra = ''"),
        ({"pmra": ""}, "columns: found one of pmra and pmdec, expected both or neither"),
        ({"ra_error": "", "mag": ""}, "columns: found no ra_error, mag among source_id, ra, dec"),
    ],
)
def test_read_reference__mapping_that_leads_nowhere(tmp_path, columns, text):
    assert refused(tmp_path, files.make_sources(), columns=columns).startswith(text)


def test_read_reference__missing_columns_are_named(tmp_path):
    text = refused(tmp_path, files.make_sources().drop(columns=["ra_error", "dec"]))
    assert text.startswith("columns: found no dec, ra_error among source_id, ra, dec_error, ref_epoch,")
    assert text.endswith("expected ra, dec, ra_error, dec_error, mag")


def test_read_reference__two_candidates(tmp_path):
    frame = files.make_sources()
    text = refused(tmp_path, frame.assign(RA=frame["ra"]))
    assert text == "columns: found ra, RA for ra, expected one, or columns.ra to tell"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("ra", np.nan, "0 to 360 deg"),
        ("ra", -10.0, "0 to 360 deg"),
        ("dec", 95.0, "-90 to 90 deg"),
        ("dec_error", 0.0, "more than 0 mas"),
        ("ra_error", -1.0, "at least 0 mas"),
        ("ra_error", np.inf, "at least 0 mas"),
        ("ref_epoch", 53876.0, "1900 to 2150 yr"),
        ("pmra", np.nan, "a motion along both axes, or along neither"),
        ("pmdec_error", np.nan, "more than 0 mas/yr wherever there is a motion"),
        ("pmdec_error", 0.0, "more than 0 mas/yr wherever there is a motion"),
    ],
)
def test_read_reference__values_that_cannot_be(tmp_path, name, value, wanted):
    found = f"{value:g} for id {2**62 + 3}, first of 2 such among 60 rows"
    assert refused(tmp_path, spoilt(name, [3, 40], value)) == f"column {name}: found {found}, expected {wanted}"


def test_read_reference__rows_without_epoch_or_motion(tmp_path):
    text = refused(tmp_path / "one", spoilt("ref_epoch", [3, 40], np.nan))
    assert text.startswith("column ref_epoch: found no epoch in 2 of 60 rows, expected a Julian year in each")
    text = refused(tmp_path / "other", spoilt(["pmra", "pmdec"], [3, 40], np.nan))
    assert text.startswith(f"columns pmra, pmdec: found no motion in 2 of 60 rows, first id {2**62 + 3}, expected one")


def test_read_reference__sources_twice(tmp_path):
    frame = files.make_sources()
    first = frame["source_id"][5]
    text = refused(tmp_path, pd.concat([frame, frame.iloc[[5, 9]].assign(ra=80.0)]))
    assert text == f"column id: found 2 of 62 rows with the id of another, first {first}, expected each source once"


def test_read_reference__two_sources_in_one_place(tmp_path):
    frame = files.make_sources()
    near = frame.iloc[[5]].assign(source_id=7, dec=frame["dec"][5] + 0.9 / 3.6e6)
    far = frame.iloc[[8]].assign(source_id=8, dec=frame["dec"][8] + 1.1 / 3.6e6)
    assert len(read(tmp_path / "..", pd.concat([frame, far])).sources) == 61
    text = refused(tmp_path, pd.concat([frame, near, far]))
    assert text.startswith("columns ra, dec: found 1 pairs within 1 mas among 62 rows, first 7 and 46116860184273")


def test_read_reference__ids_that_floats_have_spoilt(tmp_path):
    frame = files.make_sources()
    text = refused(tmp_path, frame.assign(source_id=frame["source_id"].astype(float)))
    assert text == "column source_id: found values of type double, expected whole numbers or text"


def test_read_reference__words_for_numbers(tmp_path):
    text = refused(tmp_path, files.make_sources().assign(ra="05:22:00"))
    assert text == "column ra: found values of type string, expected numbers"


def test_read_reference__no_rows(tmp_path):
    assert refused(tmp_path, files.make_sources().iloc[:0]) == ": found no source, expected at least one"


def test_read_reference__epoch_of_the_settings_serves_where_there_is_none(tmp_path):
    bare = files.make_sources().drop(columns="ref_epoch")
    text = "column ref_epoch: found no epoch in 60 of 60 rows, expected a Julian year in each, or epoch in the settings"
    assert refused(tmp_path, bare) == text
    assert (read(tmp_path, bare, epoch=2002.5).sources["ref_epoch"] == 2002.5).all()
    assert (read(tmp_path, files.make_sources(), epoch=2002.5).sources["ref_epoch"] == 2006.39).all()
    mixed = read(tmp_path, spoilt("ref_epoch", [3, 40], np.nan), epoch=2002.5).sources["ref_epoch"]
    assert mixed.value_counts().to_dict() == {2006.39: 58, 2002.5: 2}


@pytest.mark.parametrize(("policy", "left"), [("keep", 60), ("drop", 58)])
def test_read_reference__rows_without_motion_as_told(tmp_path, policy, left):
    found = read(
        tmp_path, spoilt(["pmra", "pmdec", "pmra_error", "pmdec_error"], [3, 40], np.nan), without_motion=policy
    )
    assert len(found.sources) == left
    assert found.removed == ({"without_motion": 2} if policy == "drop" else {})


def test_read_reference__motions_missing_everywhere_are_no_fault(tmp_path):
    frame = files.make_sources()
    frame[["pmra", "pmdec", "pmra_error", "pmdec_error"]] = np.nan
    assert read(tmp_path, frame).sources["pmra"].isna().all()
