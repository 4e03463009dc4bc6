"""Fixtures every floor of the house shares."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real frames; absent on most machines."""
    if not SHARED.is_dir():
        pytest.skip(f"real frames are not on this machine (looked for {SHARED.name} beside the project)")
    return SHARED
