"""``piazzi combine``: what it prints, and how it refuses."""

import json
import subprocess
import sys

import pytest

from tests.m31 import CHI2, DOF, TABLE_3, UNIT, table_2

MEANS = ["-0.0422", "-0.0309", "0.0123", "0.0118"]  # of all fields


@pytest.fixture
def published(tmp_path):
    """The published exposures as CSV."""
    path = tmp_path / "m31.csv"
    table_2().to_csv(path, index=False)
    return path


def test_combine__json(piazzi, published):
    ended = piazzi("combine", published, "--json")
    assert (ended.code, ended.err) == (0, "")
    said = json.loads(ended.out)
    found = said["fields"] | {"all": said["all"]}
    assert list(found) == list(TABLE_3)
    for name, numbers in TABLE_3.items():
        assert list(found[name]) == ["mu_w", "mu_n", "sigma_w", "sigma_n"]
        assert [round(value, 4) for value in found[name].values()] == pytest.approx(numbers, abs=1.001 * UNIT)
    assert ([round(one, 1) for one in said["chi2"]], said["dof"]) == (list(CHI2), list(DOF))
    assert "velocities" not in said


def test_combine__text(piazzi, published):
    ended = piazzi("combine", published)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "error-weighted proper motions towards west and north [mas/yr]",
        "      field  n    mu_w    mu_n sigma_w sigma_n",
        "   SPHEROID  6 -0.0458 -0.0376  0.0165  0.0154",
        "  OUTERDISK  6 -0.0533 -0.0105  0.0246  0.0244",
        "TIDALSTREAM  6 -0.0179 -0.0357  0.0278  0.0272",
        "        all 18 -0.0422 -0.0309  0.0123  0.0118",
        "",
        "do they agree?",
        "                           compared chi2  dof     p",
        "exposures of a field and instrument 26.2   24 0.343",
        "             instruments of a field  8.5    6 0.203",
        "                             fields  1.9    4 0.747",
    ]


def test_combine__velocities_are_heliocentric(piazzi, published):
    ended = piazzi("combine", published, "--distance", 770, "--distance-error", 40)
    lines = ended.out.splitlines()
    assert lines[1] == "v [km/s] at 770 +- 40 kpc, heliocentric: not corrected for the motion of the Sun"
    assert lines[2].split()[-4:] == ["v_w", "v_n", "sigma_v_w", "sigma_v_n"]
    assert lines[6].split() == ["all", "18", *MEANS, "-154.0", "-112.8", "45.6", "43.3"]
    said = json.loads(piazzi("combine", published, "--distance", 770, "--json").out)["velocities"]
    assert said["frame"] == "heliocentric"
    assert said["all"]["sigma_v_w"] == pytest.approx(4.74047 * 770 * 0.0123, rel=0.005)  # of the rounded error


def test_combine__small_errors_keep_two_digits(piazzi, tmp_path):
    table_2()[:2].assign(sigma_w=3.2e-6, mu_w=1.234567e-3).to_csv(tmp_path / "t.csv", index=False)
    last = piazzi("combine", tmp_path / "t.csv").out.splitlines()[3].split()
    assert (last[2], last[4]) == ("0.0012346", "0.0000023")


def test_combine__one_exposure_has_nothing_to_compare(piazzi, tmp_path):
    table_2()[:1].to_csv(tmp_path / "t.csv", index=False)
    ended = piazzi("combine", tmp_path / "t.csv")
    assert ended.code == 0
    assert [line.split()[-3:] for line in ended.out.splitlines()[-3:]] == [["0.0", "0", "-"]] * 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--distance-error", 40), "piazzi: --distance-error is 40.0 without --distance, expected both or neither"),
        (("--distance", 0), "piazzi: --distance: "),
        (("--distance", "nan"), "piazzi: --distance: "),
        (("--distance", 770, "--distance-error", -1), "piazzi: --distance-error: "),
    ],
)
def test_combine__refuses_settings_in_one_line(piazzi, published, words, message):
    ended = piazzi("combine", published, *words, "--json")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(message)
    assert len(ended.err.splitlines()) == 1


def test_combine__refuses_tables_in_one_line(piazzi, published, tmp_path):
    published.write_text(published.read_text().replace("0.0512", "0"))
    ended = piazzi("combine", published)
    expected = "expected a number, 1e-09 to 1e+06 mas/yr"
    assert ended == (2, "", f"piazzi: m31.csv row 1 column sigma_w: found '0', {expected}\n")
    ended = piazzi("combine", tmp_path / "none.csv", "--json")
    assert ended == (2, "", "piazzi: none.csv: found nothing there, expected a CSV, ECSV or Parquet file\n")


def test_combine__starts_no_engine(published):
    code = (
        "import sys; from cli.main import piazzi; "
        f"piazzi(['combine', {str(published)!r}], standalone_mode=False); "
        "print([name for name in ('dask', 'distributed', 'numba') if name in sys.modules])"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.splitlines()[-1] == "[]"
