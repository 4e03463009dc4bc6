"""Exposures that see a star on the same pixels, and epochs in which a star is another one."""

import numpy as np
import pandas as pd
import pytest

from compute.kernels.frame.transforms import Transform
from compute.settings import FrameSettings
from compute.stages.linking.detections import Detections
from compute.stages.linking.epochs import epochs_of
from compute.stages.linking.placements import placements
from compute.stages.linking.sample import Sample


def pointing(x: float, y: float, angle: float = 94.0) -> Transform:
    """From a detector to a frame whose pixels are 1.3 times as small."""
    transform = Transform.similar(1.3, angle, (x, y), -1)
    return Transform("similar", transform.coefficients, transform.covariance, (0.0, 0.0), 1.0)


def wide(transform: Transform) -> Transform:
    """The same with 1 000 pix as the unit of coordinates, as fits have it."""
    scaled = transform.coefficients * [1.0, 1000.0, 1000.0]
    return Transform(transform.kind, scaled, transform.covariance, (0.0, 0.0), 1000.0)


def test_placements__the_same_pixels_within_a_third_of_one():
    places = [(0, 0), (100, 0), (0.2, -0.2), (100.6, 0), (0.1, 0.1)]
    lying = [wide(pointing(*place)) for place in places]
    np.testing.assert_array_equal(placements(lying), [0, 1, 0, 3, 0])  # 0.6 pix of the frame are 0.46 of the detector


def test_placements__another_roll_is_another_place():
    lying = [wide(pointing(0, 0)), wide(pointing(0, 0, 94.005)), wide(pointing(0, 0, 94.1))]
    np.testing.assert_array_equal(placements(lying), [0, 0, 2])  # 0.087 and 1.7 pix at the edge


def test_placements__exposures_that_lie_nowhere_are_alone():
    np.testing.assert_array_equal(placements([None, wide(pointing(0, 0)), None, wide(pointing(0, 0))]), [0, 1, 2, 1])
    np.testing.assert_array_equal(placements([None, None]), [0, 1])


def test_epochs_of__end_where_none_follows():
    rows = pd.DataFrame({"epoch": [2027.3, 2022.3, 2022.5, 2022.7, 2027.31]})
    np.testing.assert_array_equal(epochs_of(rows, 0.25), [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(epochs_of(rows, 10.0), 0)


@pytest.mark.parametrize(
    ("corrected", "raw", "expected"),
    [((True, True), "poly4", "affine"), ((False, False), "poly4", "poly4"), ((True, False), "poly4", "affine")],
)
def test_gauge__is_what_all_exposures_are_free_to_do(corrected, raw, expected):
    x, y = np.random.default_rng(3).uniform(0, 1000, (2, 50))
    one, no = np.full(50, 1e-4), np.zeros(50)
    samples = [Sample(np.arange(50), x, y, one, one, no, no, one, each) for each in corrected]
    starts = [Transform.linear(np.eye(2), np.zeros(2))] * 2
    settings = FrameSettings(transform="affine", raw_transform=raw)
    assert Detections(samples, starts, ["ok"] * 2, settings, 2).gauge == expected
    assert Detections(samples, [None, None], ["lost"] * 2, settings, 2).gauge == "affine"


def test_detections__a_star_is_another_one_in_each_epoch():
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, 1000, (2, 50))
    one, no = np.full(50, 1e-4), np.zeros(50)
    samples = [Sample(np.arange(50), x + 0.3 * (k > 1), y, one, one, no, no, one, True) for k in range(4)]
    starts = [Transform.linear(np.eye(2), np.zeros(2))] * 4
    told = samples, starts, ["ok"] * 4, FrameSettings(), 2
    found = Detections(*told, np.array([0, 0, 1, 1]))
    found.group()
    assert found.founder.size == 100
    means = found.average()
    # Each epoch's stars stand where that epoch saw them
    np.testing.assert_allclose(np.sort(means.x), np.sort([*x, *(x + 0.3)]), atol=1e-9)
    together = Detections(*told)
    together.group()
    assert together.founder.size == 50
