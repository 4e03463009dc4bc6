"""Motions of exposures to those of fields: the published case, any number of instruments, any format of table."""

import json

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from catalogs.errors import UnusableError
from catalogs.exposure_motions import read_exposure_motions
from compute.settings import CombineSettings
from compute.stages.combine import combine
from tests.m31 import CHI2, DOF, TABLE_3, UNIT, table_2

MOTIONS = ["mu_w", "mu_n", "sigma_w", "sigma_n"]
NOWHERE, M31 = CombineSettings(), CombineSettings(distance=770.0, distance_error=40.0)


def simulated(rng, fields=40, instruments=3, exposures=4, truth=(-0.04, 0.1)):
    """Exposures of fields that all move alike, in no order."""
    n = fields * instruments * exposures
    field, instrument, _ = np.unravel_index(rng.permutation(n), (fields, instruments, exposures))
    error = rng.uniform(0.02, 0.08, (n, 2))
    value = np.array(truth) + rng.normal(0.0, error)
    names = {"field": [f"F{k}" for k in field], "instrument": [f"I{k}" for k in instrument]}
    return pd.DataFrame(names | dict(zip(MOTIONS, np.hstack([value, error]).T, strict=True)))


def test_combine__published_exposures_give_the_published_fields():
    told = combine(table_2(), NOWHERE).as_dict()
    found = told["fields"] | {"all": told["all"]}
    assert list(found) == list(TABLE_3)
    for name, numbers in TABLE_3.items():
        assert list(found[name]) == MOTIONS
        assert [round(found[name][key], 4) for key in MOTIONS] == pytest.approx(numbers, abs=1.001 * UNIT)
    assert [round(one, 1) for one in told["chi2"]] == list(CHI2)
    assert told["dof"] == list(DOF)


def test_combine__published_velocity():
    """0.1 mas/yr are 365 km/s at 770 kpc (section 4.1)."""
    motions = table_2()[:1].assign(mu_w=0.1)
    found = combine(motions, CombineSettings(distance=770.0)).overall.iloc[0]
    assert round(found["v_w"]) == 365


def test_combine__velocities_with_the_error_of_the_distance():
    found = combine(table_2(), M31)
    for table in (found.instruments, found.fields, found.overall):
        for axis in "wn":
            v, sigma = 4.74047 * 770 * table[f"mu_{axis}"], 4.74047 * 770 * table[f"sigma_{axis}"]
            np.testing.assert_allclose(table[f"v_{axis}"], v, rtol=1e-12)
            np.testing.assert_allclose(table[f"sigma_v_{axis}"], np.hypot(sigma, v * 40 / 770), rtol=1e-12)
    velocities = found.as_dict()["velocities"]
    assert velocities["frame"] == "heliocentric"
    assert (velocities["distance_kpc"], velocities["distance_error_kpc"]) == (770.0, 40.0)
    assert velocities["fields"].keys() == found.as_dict()["fields"].keys()
    assert velocities["all"]["v_w"] == found.overall["v_w"][0]
    assert "velocities" not in combine(table_2(), NOWHERE).as_dict()


def test_combine__instruments_are_means_of_their_exposures():
    found = combine(table_2(), NOWHERE)
    assert list(found.instruments["n"]) == [2, 4] * 3
    assert list(found.fields["n"]) == [6] * 3
    assert list(found.overall["n"]) == [18]
    told = found.as_dict()
    assert told["n"]["fields"] == dict.fromkeys(told["fields"], 6)
    assert told["n"]["all"] == 18
    for field, cameras in told["instruments"].items():
        assert list(told["n"]["instruments"][field].values()) == [2, 4]
        assert {tuple(row) for row in cameras.values()} == {tuple(MOTIONS)}
    for row in found.instruments.itertuples():
        mine = table_2().query("field == @row.field and instrument == @row.instrument")
        assert row.mu_n == pytest.approx(np.average(mine["mu_n"], weights=mine["sigma_n"] ** -2), rel=1e-12)
        assert row.sigma_n == pytest.approx(np.sum(mine["sigma_n"] ** -2) ** -0.5, rel=1e-12)


def test_combine__three_instruments_of_a_simulated_campaign():
    motions = simulated(np.random.default_rng(1))
    found = combine(motions, NOWHERE)
    assert [one.dof for one in found.agreement] == [2 * 40 * 3 * 3, 2 * 40 * 2, 2 * 39]
    assert all(0.001 < one.p < 0.999 for one in found.agreement)
    pulls = (found.overall[["mu_w", "mu_n"]] - [-0.04, 0.1]).to_numpy() / found.overall[["sigma_w", "sigma_n"]]
    assert abs(pulls.to_numpy()).max() < 4
    pulls = (found.fields[["mu_w", "mu_n"]].to_numpy() - [-0.04, 0.1]) / found.fields[["sigma_w", "sigma_n"]]
    assert abs(pulls.to_numpy().std() - 1) < 0.3  # 80 tell it to 0.08


def test_combine__order_of_rows_is_that_of_fields_and_of_nothing_else():
    motions = simulated(np.random.default_rng(2), fields=5)
    one, other = combine(motions, NOWHERE), combine(motions[::-1], NOWHERE)
    assert list(other.fields["field"]) == list(motions["field"][::-1].unique())
    pd.testing.assert_frame_equal(
        one.fields.sort_values("field", ignore_index=True), other.fields.sort_values("field", ignore_index=True)
    )
    for a, b in zip(one.agreement, other.agreement, strict=True):
        assert a == pytest.approx(b, rel=1e-9)


def test_combine__a_discrepant_instrument_or_field_is_told_by_its_own_chi2():
    motions = simulated(np.random.default_rng(3), fields=4)
    off = motions.assign(mu_w=motions["mu_w"] + 0.2 * ((motions["field"] == "F1") & (motions["instrument"] == "I2")))
    exposures, instruments, _ = combine(off, NOWHERE).agreement
    assert exposures.chi2 == pytest.approx(combine(motions, NOWHERE).agreement[0].chi2, rel=1e-9)
    assert instruments.p < 1e-4
    off = motions.assign(mu_n=motions["mu_n"] + 0.2 * (motions["field"] == "F1"))
    exposures, instruments, fields = combine(off, NOWHERE).agreement
    assert min(exposures.p, instruments.p) > 0.001
    assert fields.p < 1e-6


def test_combine__one_exposure_agrees_with_nothing():
    motions = table_2()[:1]
    found = combine(motions, NOWHERE)
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert (told["dof"], told["p"]) == ([0] * 3, [None] * 3)
    assert told["chi2"] == pytest.approx([0.0] * 3, abs=1e-25)  # rounding, squared
    assert told["all"] == pytest.approx(motions[MOTIONS].iloc[0].to_dict(), rel=1e-12)


def test_combine__exposures_of_a_field_may_share_nothing_but_its_name():
    """The same instrument in two fields, and the same name for field and instrument, are kept apart."""
    motions = table_2()[:4].assign(field=["A", "A", "B", "B"], instrument=["A", "B", "A", "A"])
    found = combine(motions, NOWHERE)
    assert list(zip(found.instruments["field"], found.instruments["instrument"], found.instruments["n"], strict=True)) \
        == [("A", "A", 1), ("A", "B", 1), ("B", "A", 2)]  # fmt: skip


def spelled(name):
    return {"field": "Field", "mu_w": "MU_W", "sigma_n": "Sigma_N"}.get(name, name)


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "parquet", "fits", "vot", "csv.gz"])
def test_read__same_rows_from_every_format(tmp_path, suffix):
    path, table = tmp_path / f"motions.{suffix}", table_2().rename(columns=spelled).iloc[:, ::-1]
    if "csv" in suffix and suffix != "ecsv":
        table.to_csv(path, index=False)
    elif suffix == "parquet":
        table.to_parquet(path)
    else:
        Table.from_pandas(table).write(path, **({"format": "votable"} if suffix == "vot" else {}))
    found = read_exposure_motions(path)
    pd.testing.assert_frame_equal(found, table_2()[["field", "instrument", *MOTIONS]])
    assert found.attrs["units"]["mu_w"] == "mas/yr"


def test_read__a_folder_of_parquet_files(tmp_path):
    for k in range(3):
        table_2()[6 * k : 6 * k + 6].to_parquet(tmp_path / f"part-{k}.parquet")
    pd.testing.assert_frame_equal(read_exposure_motions(tmp_path), table_2()[["field", "instrument", *MOTIONS]])


def test_read__units_of_ecsv_are_converted(tmp_path):
    table = Table.from_pandas(table_2())
    table["mu_w"] *= 1000.0
    table["mu_w"].unit, table["sigma_n"].unit, table["mu_n"].unit = "uas / yr", "deg / Myr", "mas / yr"
    table["sigma_n"] /= 3.6
    table.write(tmp_path / "motions.ecsv")
    found = read_exposure_motions(tmp_path / "motions.ecsv")
    np.testing.assert_allclose(found[MOTIONS], table_2()[MOTIONS], rtol=1e-14)


def test_read__csv_as_people_write_it(tmp_path):
    text = """\ufeff# by hand

field, Instrument ,mu_w,mu_n,SIGMA_W,sigma_n
# the first
 "M31, halo" ,ACS,-.1,2e-2,1,.5
"""
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    assert read_exposure_motions(tmp_path / "t.txt").to_numpy().tolist() == [["M31, halo", "ACS", -0.1, 0.02, 1.0, 0.5]]


HEAD, ROW = "field,instrument,mu_w,mu_n,sigma_w,sigma_n\n", "A,ACS,-0.1,0.1,0.05,0.05\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "t.csv: found no line, expected columns with commas between them, and their names in the first line"),
        ("# nothing\n\n", "t.csv: found no line, expected columns with commas between them"),
        (HEAD, "t.csv: found no rows, expected a row for each exposure"),
        ("field;instrument\nA;ACS\n", "t.csv: found one column, 'field;instrument', expected columns with commas"),
        (HEAD + ROW + ROW.replace("A,", "all,"), "t.csv row 2 column field: found 'all', which is the mean"),
        (HEAD.replace("mu_n", "pm_n") + ROW, "t.csv columns: found no mu_n among field, instrument, mu_w, pm_n, sigma"),
        (HEAD.replace("mu_n", "MU_W") + ROW, "t.csv columns: found mu_w, MU_W for mu_w, expected one"),
        (HEAD.replace("mu_n", "mu_w") + ROW, "t.csv columns: found mu_w 2 times, expected each once"),
        (HEAD + ROW + "A,ACS,0.1,0.1,0.05\n", "t.csv row 2: found 5 values, expected 6, one for each column"),
        (HEAD + ROW + ROW.replace("-0.1", "east"), "t.csv row 2 column mu_w: found 'east', expected a number"),
        (HEAD + ROW.replace("-0.1", ""), "t.csv row 1 column mu_w: found nothing, expected a number"),
        (HEAD + ROW.replace("-0.1", "nan"), "t.csv row 1 column mu_w: found 'nan', expected a number"),
        (HEAD + ROW.replace("-0.1", "-inf"), "t.csv row 1 column mu_w: found '-inf', expected a number"),
        (HEAD + ROW * 2 + "A,ACS,0,0,0.05,0\n", "t.csv row 3 column sigma_n: found '0', expected a number, 1e-09"),
        (HEAD + "A,ACS,0,0,-0.05,0.05\n", "t.csv row 1 column sigma_w: found '-0.05', expected a number, 1e-09 to"),
        (HEAD + ROW.replace("ACS", " "), "t.csv row 1 column instrument: found nothing, expected a name"),
        (HEAD + '"A,ACS,0,0\n', "t.csv row 1: found 1 values, expected 6, one for each column"),
    ],
)  # fmt: skip
def test_read__refuses_csv_in_one_line(tmp_path, text, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UnusableError) as error:
        read_exposure_motions(tmp_path / "t.csv")
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def as_arrow(**columns):
    return table_2().assign(**columns)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (as_arrow(mu_w=["x"] * 18), "row 1 column mu_w: found 'x', expected a number"),
        (as_arrow(mu_w=[None, *range(17)]), "row 1 column mu_w: found "),
        (as_arrow(sigma_w=[1.0, 2.0, np.inf] + [1.0] * 15), "row 3 column sigma_w: found inf, expected"),
        (as_arrow(field=["A", None] * 9), "row 2 column field: found nothing, expected a name"),
        (as_arrow(mu_n=[True, False] * 9), "row 1 column mu_n: found True, expected a number"),
        (table_2().drop(columns="sigma_n"), "columns: found no sigma_n among field, instrument, exposure, mu_w"),
        (table_2()[:0], "no rows, expected a row for each exposure"),
    ],
)
def test_read__refuses_parquet_in_one_line(tmp_path, table, said):
    table.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UnusableError) as error:
        read_exposure_motions(tmp_path / "t.parquet")
    assert str(error.value).removeprefix("t.parquet").removeprefix(": found").lstrip().startswith(said)
    assert "\n" not in str(error.value)


def test_read__refuses_units_that_are_no_motions(tmp_path):
    table = Table.from_pandas(table_2())
    table["mu_n"].unit = "km / s"
    table.write(tmp_path / "t.ecsv")
    said = r"^t.ecsv column mu_n: found unit 'km / s', expected one that converts to mas/yr$"
    with pytest.raises(UnusableError, match=said):
        read_exposure_motions(tmp_path / "t.ecsv")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\xff\xfe", b"PAR1 and no more", b"# %ECSV 1.0\n# nothing"])
def test_read__refuses_files_that_are_something_else(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UnusableError, match=r"^t.csv: found [^\n]*, expected [^\n]*$"):
        read_exposure_motions(tmp_path / "t.csv")


def test_read__refuses_a_folder_without_tables(tmp_path):
    table_2().to_csv(tmp_path / "t.csv")
    with pytest.raises(
        UnusableError, match="found a folder without Parquet files, expected a CSV, ECSV or Parquet file$"
    ):
        read_exposure_motions(tmp_path)


def test_read__refuses_what_is_not_there(tmp_path):
    with pytest.raises(UnusableError, match=r"^t.csv: found nothing there, expected a CSV, ECSV or Parquet file$"):
        read_exposure_motions(tmp_path / "t.csv")
