"""The command itself: verbs, help, and what asking for help costs."""

import resource
import subprocess
import sys

import pytest

from cli.main import VERBS

HEAVY = (
    "numpy",
    "pandas",
    "scipy",
    "pyarrow",
    "dask",
    "distributed",
    "numba",
    "astropy",
    "xarray",
    "pydantic",
    "fsspec",
)
HELP = "import sys; from cli.main import piazzi; piazzi(['--help'], prog_name='piazzi', standalone_mode=False); "


def test_help__names_every_verb_in_order(piazzi):
    ended = piazzi("--help")
    assert (ended.code, ended.err) == (0, "")
    listed = [line.split()[0] for line in ended.out.split("Commands:")[1].splitlines() if line]
    assert listed == list(VERBS)


def test_help__imports_nothing_heavy():
    code = HELP + f"print([name for name in {HEAVY} if name in sys.modules])"
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.splitlines()[-1] == "[]"


def test_help__costs_less_than_three_tenths_of_a_second_of_cpu():
    def cost() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.check_call([sys.executable, "-m", "cli.main", "--help"], stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cost() for _ in range(3)) < 0.3


@pytest.mark.parametrize("verb", VERBS)
def test_verb__has_help_that_starts_as_the_table_says(piazzi, verb):
    ended = piazzi(verb, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: piazzi {verb} ")
    assert "--" in ended.out


def test_verb__help_starts_no_engine():
    code = (
        "import sys; from cli.main import piazzi; piazzi(['measure', '--help'], standalone_mode=False); "
        "print([name for name in ('dask', 'distributed', 'numba', 'astropy', 'pandas') if name in sys.modules])"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.splitlines()[-1] == "[]"


def test_version(piazzi):
    ended = piazzi("--version")
    assert (ended.code, ended.out.split()[0]) == (0, "piazzi,")


@pytest.mark.parametrize("words", [["mesure"], ["--fast"], ["measure"], ["run"], ["export", "lmc", "out"]])
def test_usage__mistakes_end_with_2_and_a_word(piazzi, words):
    ended = piazzi(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: piazzi" in ended.err
    assert "Error: " in ended.err
