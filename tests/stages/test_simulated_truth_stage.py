"""The distortion cube: its inverse leads back from anywhere on a chip."""

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from compute.kernels.simulate.distortion import forward
from compute.stages.simulate.geometry import distortion
from compute.stages.simulate.instruments import INSTRUMENTS
from compute.stages.simulate.truth import distortion_dataset, read_distortion


@pytest.mark.parametrize(("name", "filter_name"), [("NIRISS", "F090W"), ("ACS", "F606W"), ("WFPC2", "F814W")])
def test_distortion_cube__inverse_is_a_guess_that_five_rounds_make_exact(name, filter_name):
    instrument = INSTRUMENTS[name]
    detector = instrument.detector("")[0]
    cube = distortion_dataset(distortion(instrument, detector, filter_name), detector.height)
    truth, rng = read_distortion(cube), np.random.default_rng(1)
    for chip, (first, end) in enumerate(truth.chips):
        x, y = rng.uniform(-0.5, detector.width - 0.5, 50_000), rng.uniform(first - 0.5, end - 0.5, 50_000)
        corrected = np.array(forward(truth, x, y, chip))
        grid = cube["inverse_y"].values, cube["inverse_x"].values
        tables = [RegularGridInterpolator(grid, each) for each in cube["inverse"].values[chip]]  # none may lie outside
        raw = corrected + [table(corrected[::-1].T) for table in tables]
        assert np.hypot(*(raw - [x, y])).max() < 0.1  # a step between amplifiers within eight pixels
        for _ in range(5):
            raw = raw + corrected - forward(truth, *raw, chip)
        assert np.hypot(*(raw - [x, y])).max() < 2e-6
