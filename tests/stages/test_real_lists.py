"""Four real star lists against the averaged list and the transformations that their own author's programs gave."""

import numpy as np
import pandas as pd
import pytest

from compute.kernels.frame.align import align
from compute.kernels.frame.planefit import fit
from compute.kernels.match.crossmatch import match
from compute.settings import FrameSettings
from compute.stages.frame.groups import FrameKey
from compute.stages.frame.place import margin, place, tiles
from compute.stages.frame.stars import tile_stars
from compute.stages.frame.ties import read_transform, shared, transforms
from compute.stages.plane import Plane

PLANE = Plane(270.0, -29.0, 39.77)
# As generous in saying that two detections are one star as the programs that made the averaged list
SETTINGS = FrameSettings(scale=39.77, radius=2.5, reserve=0.0)
NAMES = ("l", "m", "n", "o")


def measurements(path, name):
    """A text list as MEASUREMENTS; errors are what lists of this program scatter by at each magnitude."""
    u, v, w, x, y, m, p, q = np.loadtxt(path).T
    error = np.hypot(0.004, 0.004 * 10 ** (0.3 * (m + 12.0)))
    bad = (q <= 0) | (m < -13.8)  # saturated, or found only by their peaks
    return pd.DataFrame({
        "exposure": name, "star": np.arange(1, len(u) + 1), "x": x - 1, "y": y - 1, "x_gdc": u - 1, "y_gdc": v - 1,
        "x_error": error, "y_error": error, "xy_corr": 0.0, "mag": m, "mag_area": w, "mag_error": error,
        "flux": 10 ** (-0.4 * m), "flux_error": 10 ** (-0.4 * m) * error, "qfit": q, "radxs": 0.0, "mjd": 58600.0,
        "flags": np.where(bad, np.uint32(1), np.uint32(0)),
    })  # fmt: skip


@pytest.fixture(scope="module")
def solved(shared_data):
    folder = shared_data / "hst1pass_lists"
    lists = [measurements(folder / f"ie8j01x{name}q_flt.uvwXYMpq", name) for name in NAMES]
    rows = pd.DataFrame({
        "exposure": NAMES, "detector": "UVIS", "ra": 270.0, "dec": -29.0, "position_angle": 0.0, "va_scale": 1.0,
        "n_x": 1024, "n_y": 1024, "x_start": 1536, "y_start": 1536,
    })  # fmt: skip
    key = FrameKey("WFC3", "F814W", 2019.3)
    return folder, lists, rows, transforms(rows, lists, None, key, PLANE, SETTINGS)


def master_of(lists, rows, solved):
    placed = pd.concat([
        place(one, 0, k, read_transform(tie), (tie["floor"], tie["floor_mag"]), tie["zero_point"])
        for k, (one, tie) in enumerate(zip(lists, solved.to_dict("records"), strict=True))
    ])  # fmt: skip
    parts = [
        tile_stars(part, tile, np.zeros(1, int), np.array([3]), shared(rows, solved), PLANE, SETTINGS).masters.get(0)
        for tile, part in tiles(placed, margin(SETTINGS, 1))
    ]
    return pd.concat([part for part in parts if part is not None], ignore_index=True)


def test_frame__agrees_with_the_averaged_list(solved):
    folder, lists, rows, ties = solved
    master = master_of(lists, rows, ties)
    theirs = np.loadtxt(folder / "MATCHUP_XYMEEE_final", usecols=(0, 1, 2, 3, 4, 7))
    ours = master[master["n_used"] == 4]
    found = align(theirs[:, 0], theirs[:, 1], theirs[:, 2], ours["x"], ours["y"], ours["mag"], parity=1)
    bright = theirs[(theirs[:, 2] < -10.0) & (theirs[:, 2] > -13.5)]
    pairs = match(*found.refined.apply(bright[:, 0], bright[:, 1]), ours["x"], ours["y"], 0.5)
    x, y = ours["x"].to_numpy()[pairs.second], ours["y"].to_numpy()[pairs.second]
    link = fit("affine", bright[pairs.first, 0], bright[pairs.first, 1], x, y)
    assert len(pairs.first) > 200
    assert max(link.rms_x, link.rms_y) < 0.01
    off = np.subtract(link.transform.apply(bright[pairs.first, 0], bright[pairs.first, 1]), (x, y))
    assert np.mean(np.hypot(*off) < 0.03) > 0.97


def test_frame__has_at_least_as_many_stars_found_four_times(solved):
    folder, lists, rows, ties = solved
    master = master_of(lists, rows, ties)
    found = np.loadtxt(folder / "MATCHUP_XYMEEE_final", usecols=7)
    assert (master["n_found"] == 4).sum() >= (found == 4).sum()


def test_transforms__agree_with_theirs(solved):
    folder, _, _, ties = solved
    told = (folder / "TRANS.xym2mat.final").read_text().splitlines()
    theirs = np.array([line.split()[1:5] for line in told if line[:1] == "0"], float)
    ours = np.array([read_transform(tie).matrix for tie in ties.to_dict("records")])
    # The common matrix is each frame's own; what differs between exposures is not
    relative = ours @ np.linalg.inv(ours[0])
    expected = theirs.reshape(-1, 2, 2) @ np.linalg.inv(theirs[0].reshape(2, 2))
    # 250 stars of 0.01 pix spread over 1 000 determine an element to 2e-6, and here are four: three times 4e-6
    np.testing.assert_allclose(relative, expected, atol=1.2e-5)
