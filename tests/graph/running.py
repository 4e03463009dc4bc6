"""Small star fields, an in-process cluster, and catalogs compared byte for byte."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

from compute.graph import pipeline
from compute.graph.run import writing
from compute.settings import EpsfSettings, MeasureSettings
from tests.analytic import AnalyticEpsf, expose, render, scatter
from tests.frames import write_jwst

# One round of everything: these tests ask what becomes of exposures, not how well their stars are fitted.
FAST = MeasureSettings(rounds=1, own_epsf=EpsfSettings(grid=1, passes=1))
OTHER = MeasureSettings(rounds=1, own_epsf=EpsfSettings(grid=1, passes=2))
GAIN = 1000.0  # electrons for one MJy/sr


def write_field(path: Path, seed: int, stars: int = 30, size: int = 100, **changes) -> str:
    """Write a NIRISS frame of `stars` stars well apart, all far above the noise."""
    rng, shape = np.random.default_rng(seed), (size, size)
    x, y = scatter(stars, shape, 10.0, rng)
    light = render(shape, x, y, 10 ** rng.uniform(4.0, 5.3, x.size), AnalyticEpsf())
    data, error = expose(light, sky=50.0, read_noise=5.0, rng=rng)
    planes = {"SCI": data / GAIN, "ERR": error / GAIN, "VAR_POISSON": (error**2 - 25.0) / GAIN**2}
    planes |= {"VAR_RNOISE": np.full(shape, 25.0 / GAIN**2), "DQ": np.zeros(shape, np.uint32)}
    return write_jwst(path, shape=shape, **({"arrays": planes} | changes))


def name_of(i: int) -> str:
    """Root of the i-th frame."""
    return f"jw01086001001_{i:05d}_00001_nis"


def write_fields(folder: Path, n: int, **options) -> list[str]:
    """Write `n` different frames."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write_field(folder / f"{name_of(i)}_cal.fits", seed=i, **options) for i in range(1, n + 1)]


def tree(folder: Path, pattern: str = "*") -> dict[str, str]:
    """Digest of every file below a folder, but for leases and the times at which source files were changed."""
    private = ".lease", ".sources"
    files = (path for path in Path(folder).rglob(pattern) if path.is_file() and not path.name.startswith(private))
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def tables(folder: Path, of: str = "") -> dict[str, str]:
    """Digest of every table of a catalog, or of one kind of them; not of those that are only staged."""
    return {
        path: digest for path, digest in tree(folder, "*.parquet").items() if path[0] != "." and path.startswith(of)
    }


def enter(url, client: Client, files, settings=FAST, **options):
    """Ingest and measure as the command line does; returns the catalog and both reports."""
    replace, epsf = options.pop("replace", False), options.pop("epsf", ())
    with writing(str(url)) as catalog:
        entered = pipeline.ingest(catalog, client, files, replace=replace, **options)
        measured = pipeline.measure(catalog, client, settings, files=files, epsf=epsf, **options)
    return catalog, entered, measured


@pytest.fixture(scope="session")
def client():
    """Two workers in this process."""
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:
        yield client


@pytest.fixture(scope="session")
def frames(tmp_path_factory):
    """Three good frames that no test changes."""
    return write_fields(tmp_path_factory.mktemp("frames"), 3)


@pytest.fixture(scope="session")
def whole(client, frames, tmp_path_factory):
    """A catalog of the good frames, measured with FAST, that no test changes."""
    folder = tmp_path_factory.mktemp("whole") / "lmc"
    enter(folder, client, frames)
    return folder


@pytest.fixture
def measured(whole, tmp_path):
    """A copy of that catalog."""
    return Path(shutil.copytree(whole, tmp_path / "lmc"))


@pytest.fixture(scope="session")
def own_frames(frames):
    """A maker of copies that a test may spoil."""

    def copy(folder: Path, n: int = 2) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        copies = [folder / Path(frame).name for frame in frames[:n]]
        for frame, target in zip(frames, copies, strict=False):
            target.write_bytes(Path(frame).read_bytes())
        return [str(target) for target in copies]

    return copy
