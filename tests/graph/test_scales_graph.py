"""Pixel scales that come with a match: true ones, beside the catalog they were measured by, and never stale."""

import shutil

import pandas as pd
import pytest
from distributed import Client

from catalogs import open_catalog
from catalogs.errors import CatalogError
from catalogs.scales import SCALE_DIFFERENCES, SCALE_MEANS, SCALES
from compute.graph.frame import frame
from compute.graph.match import match
from compute.graph.run import writing
from compute.graph.scales import read_folder
from compute.settings import FrameSettings, MatchSettings, ReferenceSettings
from tests.graph.running import tree
from tests.stages.fields import dithered, reference, sky, write_catalog

FIELD, SETTINGS = "patch", FrameSettings(link_stars=300)
TRUE = {"F090W": 65.600, "F150W": 65.610}


@pytest.fixture(scope="module")
def framed(tmp_path_factory, client):
    """Four exposures through each of two filters of different scales, on frames; and two catalogs of the same sky."""
    folder, stars = tmp_path_factory.mktemp("scales"), sky(500)
    parts = [dithered(stars, n=4, seed=k, filter=name, scale=TRUE[name]) for k, name in enumerate(TRUE)]
    rows = [part.assign(corrected_with="c", va_scale=1.0) for part, _ in parts]
    for row in range(4):
        name = f"jw01086001001_02101_{row + 11:05d}_nis"
        rows[1].loc[row, "exposure"], parts[1][1][row]["exposure"] = name, name
    write_catalog(folder / "lmc", pd.concat(rows), [one for _, measured in parts for one in measured])
    for k, name in enumerate(("gaia", "hst")):
        sources = reference(stars, seed=k).drop(columns=["row", "ra_dec_corr"]).assign(ref_epoch=2022.33)
        sources.to_parquet(folder / name, index=False)
    with writing(str(folder / "lmc")) as catalog:
        assert frame(catalog, client, FIELD, SETTINGS, known(folder, "gaia")).done == 8
    return folder


def known(folder, name):
    return ReferenceSettings(file=str(folder / name))


@pytest.fixture(scope="module")
def matched(framed, client, tmp_path_factory):
    """That catalog matched with both."""
    folder = shutil.copytree(framed / "lmc", tmp_path_factory.mktemp("matched") / "lmc")
    with writing(str(folder)) as catalog:
        for name in ("gaia", "hst"):
            match(catalog, client, FIELD, MatchSettings(), known(framed, name))
    return folder


def test_match__every_exposure_has_its_scale_against_each_catalog(matched):
    table = pd.read_parquet(matched / "scales")
    pd.testing.assert_frame_equal(
        open_catalog(matched).scales.compute().drop(columns="field").reset_index(drop=True),
        table.drop(columns="field"), check_dtype=False,
    )  # fmt: skip
    assert table.groupby("against").size().to_dict() == {"gaia": 8, "hst": 8, "central:gaia": 6, "central:hst": 6}
    assert (table["status"] == "ok").all()
    off = table["scale"] - table["filter"].map(TRUE).astype(float)
    # About 200 stars of 2 mas each over 50 arcsec: 1e-5 of the scale.
    assert off.abs().max() < 4 * 1e-5 * 65.6
    errors = (table["scale_error"] ** 2 + table["common_error"] ** 2) ** 0.5
    assert 0.3 < ((off / errors) ** 2).mean() < 3


def test_match__means_and_differences_stand_beside(matched):
    store = open_catalog(matched).store
    means = read_folder(store, f"scale_means/field={FIELD}", SCALE_MEANS)
    assert sorted(means["filter"]) == ["F090W"] * 4 + ["F150W"] * 4
    differences = read_folder(store, f"scale_differences/field={FIELD}", SCALE_DIFFERENCES)
    gaia = differences[differences["against"] == "gaia"].iloc[0]
    assert gaia["difference"] == pytest.approx(0.01, abs=4 * gaia["error"])
    # What both filters share by the catalog cancels: the difference is known better than either.
    assert gaia["error"] < means[means["against"] == "gaia"]["common_error"].max()


def test_match__scales_are_the_same_bytes_with_one_worker(framed, matched, tmp_path):
    folder = shutil.copytree(framed / "lmc", tmp_path / "lmc")
    with (
        Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0") as alone,
        writing(str(folder)) as catalog,
    ):
        for name in ("gaia", "hst"):
            match(catalog, alone, FIELD, MatchSettings(), known(framed, name))
    assert tree(folder) == tree(matched)


def test_match__another_correction_is_measured_anew_and_none_leaves_no_scale(framed, matched, client, tmp_path):
    folder = shutil.copytree(matched, tmp_path / "lmc")
    with writing(str(folder)) as catalog:
        rows = catalog.exposures
        assert match(catalog, client, FIELD, MatchSettings(), known(framed, "gaia")).done == 0
        catalog.write_exposures(rows.assign(corrected_with="d"))
        assert match(catalog, client, FIELD, MatchSettings(), known(framed, "gaia")).skipped == 0
        catalog.write_exposures(rows.assign(corrected_with=None))
        match(catalog, client, FIELD, MatchSettings(), known(framed, "gaia"))
    assert {"hst.parquet"} == {path.name for path in folder.glob(f"scale*/field={FIELD}/*")}


def test_frame__made_anew_takes_the_scales_along(framed, matched, client, tmp_path):
    folder = shutil.copytree(matched, tmp_path / "lmc")
    with writing(str(folder)) as catalog:
        frame(catalog, client, FIELD, FrameSettings(link_stars=300, clip=3.0), known(framed, "gaia"))
        with pytest.raises(CatalogError, match="no pixel scales yet"):
            _ = catalog.scales
    assert not read_folder(open_catalog(folder).store, "scales", SCALES).size
