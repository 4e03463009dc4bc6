"""A simulated field measured with its true ePSF and distortion: corrected positions err as measured ones do."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from catalogs import open_catalog
from compute.campaign import read_campaign
from compute.graph import pipeline
from compute.graph.run import writing
from compute.graph.simulate import simulate
from compute.settings import MeasureSettings
from compute.stages.simulate import truth


@pytest.fixture(scope="module")
def tiny(client, tmp_path_factory):
    """The packaged campaign `tiny`, and its catalog."""
    folder = tmp_path_factory.mktemp("campaign")
    simulate(read_campaign("tiny"), str(folder), client)
    name = "NIRISS_NIS_F150W.zarr"
    files = [str(path) for path in sorted((folder / "frames").glob("*_cal.fits"))]
    settings = MeasureSettings(searches=1, rounds=2)
    cubes = {"epsf": [str(folder / "truth/epsf" / name)], "distortion": [str(folder / "truth/distortion" / name)]}
    with writing(str(folder / "lmc")) as catalog:
        pipeline.ingest(catalog, client, files)
        pipeline.measure(catalog, client, settings, **cubes)
    return folder


def test_campaign__corrected_positions_are_as_good_as_measured_ones(tiny):
    stars = open_catalog(tiny / "lmc").measurements.compute()
    known = pd.read_parquet(tiny / truth.positions_file(stars["exposure"].iloc[0], "NIS"))
    stars = stars[(stars["flags"] == 0) & (stars["flux"] > 30 * stars["flux_error"])]
    distance, where = cKDTree(known[["x", "y"]]).query(stars[["x", "y"]])
    near = distance < 0.3
    assert near.sum() > 25
    stars, known = stars[near].reset_index(drop=True), known.iloc[where[near]].reset_index(drop=True)
    raw, corrected = (np.array([stars[f"{axis}{kind}"] - known[f"{axis}{kind}"] for axis in "xy"])
                      for kind in ("", "_gdc"))  # fmt: skip
    shift = np.hypot(stars["x_gdc"] - stars["x"], stars["y_gdc"] - stars["y"])
    assert shift.max() > 0.02
    assert 1e-4 < np.hypot(*raw).std() < 0.05
    # The same errors, but for the slope of the distortion, less than 1 % in the middle of this detector.
    assert np.abs(corrected - raw).max() < 0.01 * np.abs(raw).max()
    # Pixels that frames call larger are larger in the cube: AREA stays what mag_area is from.
    assert not open_catalog(tiny / "lmc").exposures["corrected_with"].str.endswith("+area").any()
    assert (stars["mag_area"] != stars["mag"]).all()
