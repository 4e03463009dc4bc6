"""Motions against place on the detector and magnitude: what charge left behind in columns would show."""

import numpy as np
import pandas as pd
import pytest

from compute.kernels.frame.transforms import Transform
from compute.kernels.motion.surroundings import Stars
from compute.stages.motion.judged import Exposure, trends
from tests.stages.epochs import PLANE


def placed(rolls):
    """Exposures of 2000 pixels on the frame's middle, y along its north turned by each roll [deg]."""
    found = []
    for roll in np.radians(rolls):
        matrix = 1.2 * np.array([[-np.cos(roll), np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        transform = Transform.linear(matrix, 10_000.0 - matrix @ [1000.0, 1000.0])
        found.append(Exposure("NIS", transform, (2000.0, 2000.0)))
    return found


@pytest.mark.parametrize(("slope", "low", "high"), [(0.0, 1e-3, 1.0), (2e-5, 0.0, 1e-8)])
def test_trends__charge_left_behind_shows_along_y(slope, low, high):
    rng = np.random.default_rng(4)
    radius, angle = 50_000 * np.sqrt(rng.random(3000)), rng.uniform(0, 2 * np.pi, 3000)
    x, y = radius * np.cos(angle), radius * np.sin(angle)  # a disk, in which y does not go with x
    along = np.array([-np.sin(np.radians(30.0)), np.cos(np.radians(30.0))])  # of +y, in east and north
    pixel_y = 1000.0 + along @ np.stack([x, y]) / PLANE.scale / 1.2
    motion = rng.normal(0, 0.02, (2, 3000)) + along[:, None] * slope * (pixel_y - 1000.0)
    error = np.full(3000, 0.02**2)
    stars = Stars(x, y, rng.uniform(17, 23, 3000), *motion, error, error)
    found = trends(stars, placed([30.0, 30.0]), PLANE)
    p = {(row["motion"], row["against"]): row["p"] for row in found}
    assert low <= p.pop(("y", "y")) <= high
    assert min(p.values()) > 1e-3
    (row,) = (row for row in found if row["motion"] == row["against"] == "y")
    assert row["mean"][-1] - row["mean"][0] == pytest.approx(slope * 1330, abs=0.008)  # bins 1330 pix apart, 375 stars


def test_trends__are_told_by_detector_and_roll():
    rng = np.random.default_rng(5)
    stars = Stars(*rng.uniform(-4e4, 4e4, (2, 500)), rng.uniform(17, 23, 500), *rng.normal(0, 0.02, (2, 500)),
                  *np.full((2, 500), 0.02**2))  # fmt: skip
    other = [one._replace(detector="A1") for one in placed([90.0])]
    exposures = [*placed([2.0, -179.0, -2.0, 8.0, 180.0]), *other]
    found = pd.DataFrame(trends(stars, exposures, PLANE))
    groups = found[["detector", "roll", "exposures"]].drop_duplicates().round(6)
    # Position angles are those of y, which a roll turns from north to west.
    assert sorted(groups.itertuples(index=False, name=None)) == [
        ("A1", 270.0, 1), ("NIS", 179.0, 2), ("NIS", 352.0, 1), ("NIS", 358.0, 2),
    ]  # fmt: skip
    assert (found.groupby(["detector", "roll"]).size() == 6).all()
    alone = pd.DataFrame(trends(stars, placed([-2.0, 2.0]), PLANE))
    np.testing.assert_allclose(found.loc[found["roll"].round() == 358, "chi2"], alone["chi2"], rtol=1e-9)
