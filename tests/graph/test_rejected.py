"""Bad exposures among good ones: each gets its row and its reason, and the good ones are measured."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from compute.graph import tasks
from tests.analytic import AnalyticEpsf, render, scatter
from tests.frames import write_wfpc2
from tests.graph.running import enter, name_of, tables, write_field

SHAPE = (100, 100)
FLAT = np.random.default_rng(5).normal(0.05, 0.001, SHAPE)


def truncated(path):
    whole = Path(write_field(path, seed=9)).read_bytes()
    path.write_bytes(whole[: len(whole) // 3])


BAD = {
    "truncated": (truncated, ["(truncated)", "expected at least"]),
    "text": (lambda path: path.write_text("no frame\n"), ["expected a FITS file"]),
    "empty": (lambda path: path.touch(), ["expected a FITS file"]),
    "missing": (lambda path: None, ["found No such file", "expected a readable file"]),
    "grism": (lambda path: write_field(path, 1, primary={"EXP_TYPE": "NIS_WFSS"}), ["EXP_TYPE", "NIS_WFSS"]),
    "unit": (lambda path: write_field(path, 1, sci={"BUNIT": "DN/s"}), ["[SCI] BUNIT", "DN/s", "MJY/SR"]),
    "nan": (lambda path: write_field(path, 1, arrays={"SCI": np.full(SHAPE, np.nan)}), ["[SCI]", "no finite pixel"]),
    "zero_error": (lambda path: write_field(path, 1, arrays={"ERR": np.zeros(SHAPE)}), ["[ERR]", "positive error"]),
    "no_wcs": (lambda path: write_field(path, 1, sci={"CRVAL1": None}), ["[SCI] CRVAL1", "no such keyword"]),
    "nan_wcs": (lambda path: write_field(path, 1, sci={"CD1_1": 0.0, "CD1_2": 0.0}), ["WCS scale"]),
    "starless": (lambda path: write_field(path, 1, arrays={"SCI": FLAT}), ["NIS", "expected stars above 10 sigma"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def mixed(client, tmp_path_factory, frames):
    """Two good frames among the bad ones, in one run."""
    folder, files = tmp_path_factory.mktemp("mixed"), list(frames[:2])
    for name, (spoil, _) in BAD.items():
        path = folder / f"{name}_cal.fits"
        spoil(path)
        files.append(str(path))
    return enter(folder / "lmc", client, files)


@pytest.mark.parametrize("name", BAD)
def test_bad__is_a_row_with_its_reason(mixed, name):
    catalog, entered, measured = mixed
    (row,) = (row for row in catalog.exposures.itertuples() if row.exposure == name)
    assert row.status == "rejected"
    for text in BAD[name][1]:
        assert text in row.reason
    assert name in row.reason
    assert "found" in row.reason
    assert "expected" in row.reason
    assert "\n" not in row.reason
    (told,) = (item for item in entered.rejected + measured.rejected if item["exposure"] == name)
    assert (told["path"], told["reason"]) == (row.path, row.reason)


def test_bad__never_stops_the_good(mixed, whole):
    catalog, entered, measured = mixed
    assert (entered.done, measured.done) == (3, 2)  # the one without stars is read in before it is refused
    assert len(entered.rejected) + len(measured.rejected) == len(BAD)
    good = {path: digest for path, digest in tables(whole, "measurements").items() if name_of(3) not in path}
    assert tables(catalog.store.root, "measurements") == good


def test_bad__measurements_hold_the_good_alone(mixed):
    assert set(mixed[0].measurements["exposure"].compute()) == {name_of(1), name_of(2)}


@pytest.mark.parametrize("stage", ["ingest", "measure"])
def test_unexpected__an_exception_rejects_one_exposure_and_the_next_run_mends_it(
    client, frames, whole, tmp_path, monkeypatch, stage
):
    function = getattr(tasks, stage)

    def fail(first, *more):
        if name_of(2) in (first if isinstance(first, str) else first.header.exposure):
            raise ZeroDivisionError("a bug")
        return function(first, *more)

    with monkeypatch.context() as patch:
        patch.setattr(tasks, stage, fail)
        catalog, entered, measured = enter(tmp_path / "lmc", client, frames)
    (found,) = entered.rejected + measured.rejected
    assert found == {
        "exposure": name_of(2),
        "path": frames[1],
        "reason": f"{stage}: found ZeroDivisionError: a bug, expected no error",
    }
    assert measured.done == 2
    _, _, mended = enter(tmp_path / "lmc", client, frames)
    assert (mended.done, mended.skipped, mended.rejected) == (1, 2, [])
    assert tables(tmp_path / "lmc") == tables(whole)


def test_wfpc2__four_detectors_of_one_file_each_for_itself(client, tmp_path):
    path, rng = write_wfpc2(tmp_path), np.random.default_rng(3)
    with fits.open(path, mode="update") as file:
        for chip in (1, 2, 4):  # WF3 stays flat
            x, y = scatter(30, (800, 800), 20.0, rng, border=80.0)
            file["SCI", chip].data += render((800, 800), x, y, np.full(x.size, 4000.0), AnalyticEpsf())
    catalog, entered, measured = enter(tmp_path / "lmc", client, [path])
    assert (entered.done, measured.done) == (4, 3)
    assert [item["reason"].split(": found")[0] for item in measured.rejected] == ["epsf: u2g40102t WF3"]
    rows = catalog.exposures.set_index("detector")
    assert dict(rows["status"]) == {"PC1": "ok", "WF2": "ok", "WF3": "rejected", "WF4": "ok"}
    stars = catalog.measurements[["detector", "flux"]].compute()
    counts = stars[stars["flux"] > 3000.0].groupby("detector").size()
    assert dict(counts) == {"PC1": 30, "WF2": 30, "WF4": 30}
