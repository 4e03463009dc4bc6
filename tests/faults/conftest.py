"""Frames, catalogs and undisturbed runs of them that tests of faults compare with."""

from pathlib import Path

import pytest

from tests.faults.processes import N, Scheduler, start
from tests.graph.running import FAST, client, enter, tables, write_fields

__all__ = ["client", "start"]


@pytest.fixture(scope="session")
def fields(tmp_path_factory):
    """Frames of one star field each."""
    return write_fields(tmp_path_factory.mktemp("fields"), N)


@pytest.fixture(scope="session")
def undisturbed(client, fields, tmp_path_factory):
    """Digests of the tables that these frames give."""
    folder = tmp_path_factory.mktemp("undisturbed") / "lmc"
    enter(folder, client, fields, FAST)
    return tables(folder)


@pytest.fixture
def recipe(fields, tmp_path):
    """What makes them, as quickly as may be: workers are made slow where a kill shall land in the middle."""
    path = tmp_path / "RECIPE.toml"
    path.write_text(
        f'catalog = "lmc"\n[exposures]\nfiles = ["{Path(fields[0]).parent}/*_cal.fits"]\n'
        "[measure]\nrounds = 1\n[measure.own_epsf]\ngrid = 1\npasses = 1\n"
    )
    return path


@pytest.fixture
def scheduler(start, tmp_path):
    """A scheduler without workers."""
    return Scheduler(start, tmp_path)
