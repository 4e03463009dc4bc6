"""HATS catalogs that we write: ours and others' readers find every row, in the right pixel."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import PiazziError
from catalogs.exchange.hats import DEEPEST, hats_pixels, write_hats
from catalogs.motions import MOTIONS
from catalogs.references.hats import open_hats
from catalogs.store import Store

healpy = pytest.importorskip("astropy_healpix.healpy")

N = 900


@pytest.fixture(scope="module")
def parts():
    """Stars about a corner where many pixels meet, and a few on the other side of the sky, in three parts."""
    rng = np.random.default_rng(7)
    ra, dec = (
        np.append(rng.normal(45, 2, N - 4), [225, 226, 0, 360]),
        np.append(rng.normal(0, 2, N - 4), [-40, 89, 0, 0]),
    )
    rows = MOTIONS.conform(
        pd.DataFrame({"star_id": np.arange(N), "source_id": np.int64(2**62) + np.arange(N), "ra": ra, "dec": dec,
                      "ref_epoch": 2016.0, "n_epochs": 2, "n_used": 2, "baseline": 5.0, "chi2": 0.0, "flags": 0,
                      "absolute": True, "aligning": False, **dict.fromkeys(
                          ["ra_error", "dec_error", "pmra", "pmdec", "pmra_error", "pmdec_error"], 0.5)})
    ).assign(field="far")  # fmt: skip
    return [lambda part=rows.iloc[k::3]: part for k in range(3)]


def test_every_row__is_in_its_pixel_once_and_in_order(parts, tmp_path):
    files = write_hats(parts, MOTIONS, "stars", tmp_path / "out", max_rows=100)
    assert len(files) > 9
    ids = []
    for path in files:
        table = pq.read_table(path, partitioning=None)
        order, number = (
            int(path.as_posix().split(f"{key}=")[1].split("/")[0].split(".")[0]) for key in ("Norder", "Npix")
        )
        assert table.num_rows <= 100
        assert path.parent.name == f"Dir={number // 10_000 * 10_000}"
        index = table["_healpix_29"].to_numpy()
        assert (np.diff(index) >= 0).all()
        assert (
            healpy.ang2pix(1 << order, table["ra"].to_numpy(), table["dec"].to_numpy(), nest=True, lonlat=True)
            == number
        ).all()
        assert (index >> 2 * (29 - order) == number).all()
        assert table.schema.field("pmra").metadata[b"unit"] == b"mas/yr"
        ids += table["source_id"].to_pylist()
    assert sorted(ids) == [2**62 + k for k in range(N)]


def test_our_reader__finds_all(parts, tmp_path):
    write_hats(parts, MOTIONS, "stars", tmp_path / "out", max_rows=100)
    hats = open_hats(Store(tmp_path / "out"), "out")
    assert hats.n_rows == N
    assert hats.columns == {"ra": "ra", "dec": "dec"}
    assert sum(pq.read_metadata(tmp_path / "out" / path).num_rows for path in hats.leaves("out")) == N


def test_the_hats_library__calls_it_valid(parts, tmp_path):
    hats = pytest.importorskip("hats")
    from hats.io.validation import is_valid_catalog

    write_hats(parts, MOTIONS, "stars", tmp_path / "out", max_rows=100)
    assert is_valid_catalog(tmp_path / "out", strict=True)
    assert hats.read_hats(tmp_path / "out").catalog_info.total_rows == N


def test_a_folder_with_something_in_it__is_left_alone(parts, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(PiazziError, match="new or empty folder"):
        write_hats(parts, MOTIONS, "stars", tmp_path)


@given(st.dictionaries(st.integers(0, 12 * 4**DEEPEST - 1), st.integers(1, 50), min_size=1, max_size=40))
def test_pixels__cover_each_row_once_and_cannot_be_coarser(counts):
    pixels = hats_pixels(counts, 60)
    sums = {}
    for number, n in counts.items():
        holders = [(k, p) for k, p in pixels if number >> 2 * (DEEPEST - k) == p]
        assert len(holders) == 1
        sums[holders[0]] = sums.get(holders[0], 0) + n
    assert set(sums) == set(pixels)
    for order, number in pixels:
        assert sums[order, number] <= 60 or order == DEEPEST
        if order:
            parent = sum(n for p, n in counts.items() if p >> 2 * (DEEPEST - order + 1) == number >> 2)
            assert parent > 60
