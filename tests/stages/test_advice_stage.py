"""What is told of a library ePSF before it is built, against stars and patterns that are known."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from catalogs.errors import UnusableError
from catalogs.flags import Flag
from compute.kernels.calibrate.phases import damping
from compute.settings import CalibrateSettings, StampSettings
from compute.stages.advice import Supply, advise, dithering, expected_accuracy, supply
from compute.stages.linking.align import header_guess
from compute.stages.plane import Plane
from compute.stages.proposal import propose
from tests.dithers import Dithered, dithered, rows_of

MANY = Supply(100_000, 60_000)


def moved(offset):
    """EXPOSURES of 2 000-pixel arrays at given offsets [pix]."""
    offset = np.array(offset, float)
    return rows_of(Dithered(2000, np.empty(0), np.empty(0), np.empty(0), offset))


def stars(n=300, size=1000, seed=1, **changes):
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(n)) + 1
    x, y = (axis.ravel()[:n] * (size - 80) / side + 40 for axis in np.meshgrid(np.arange(side), np.arange(side)))
    columns = {"x": x + rng.uniform(-1, 1, n), "y": y, "flux": 1e4, "flux_error": 100.0, "flags": np.uint32(0)}
    return pd.DataFrame(columns | changes)


def row(size=1000):
    return {"x_start": 0, "y_start": 0, "n_x": size, "n_y": size}


def test_dithering__is_what_stars_see():
    scene = dithered(n=6, size=1000, stars=600, step=3.0)
    found = dithering(rows_of(scene))
    start = np.arange(scene.flux.size + 1) * 6
    seen = [[damping(axis.T.ravel(), start, k) for k in (1, 2)] for axis in (scene.x, scene.y)]
    # Steps of 3 pix, 0.5 % of which make 0.015 pix for harmonics of 1 and 0.5 pix; the rest is the warp of 0.3 pix.
    assert found.damping == pytest.approx(np.array(seen), abs=0.05)
    assert (found.visits, found.overlap, found.shared) == (1, 6, 1.0)
    assert (found.worst >= found.damping - 1e-12).all()


def test_dithering__pointings_are_those_of_frames():
    rows = moved([(0.0, 0.0), (3.25, -1.5)])
    plane = Plane(80.5, -69.5)
    first, second = (header_guess(each, plane) for each in rows.to_dict("records"))
    x, y = second.invert(*first.apply(np.array([900.0]), np.array([300.0])))
    found = dithering(rows)
    # Two phases a quarter apart leave cos(pi/4), half a pixel apart nothing; 0.02: looseness over 3 pix.
    assert (x[0] - 900.0, y[0] - 300.0) == pytest.approx((-3.25, 1.5), abs=0.01)
    assert found.damping[:, 0] == pytest.approx([np.cos(np.pi / 4), 0.0], abs=0.06)
    assert found.gap == pytest.approx([0.75, 0.5], abs=0.01)


def test_dithering__visits_have_phases_of_their_own():
    rows = moved([(0, 0)] * 4)
    assert dithering(rows).damping == pytest.approx(np.ones((2, 2)))
    found = dithering(rows.assign(visit=["001", "001", "002", "002"]))
    assert found.damping == pytest.approx(np.full((2, 2), np.sqrt(0.5)))
    assert found.visits == 2


def test_dithering__a_far_field_does_not_count():
    near = moved([(0, 0), (0.5, 0.5), (0.25, 0.75)])
    far = near.assign(ra=near["ra"] + 160.0, dec=-near["dec"])
    found = dithering(pd.concat([near, near, far], ignore_index=True))
    assert (found.overlap, found.shared) == (6, 1.0)
    assert np.isfinite(found.damping).all()


@pytest.mark.parametrize(
    ("offset", "found", "said"),
    [
        ([(0, 0), (0.5, 0.25), (0.25, 0.5), (0.75, 0.75)], MANY, "good"),
        ([(0, 0), (0.5, 0.25), (0.25, 0.5), (0.75, 0.75)], None, "good dithers, stars not measured yet"),
        ([(0, 0), (0.5, 3), (0.25, -2), (0.75, 1)], MANY, "undithered in y: 1.00 of a pixel-phase bias stays"),
        ([(0, 0), (2, 3), (4, -2)], None, "undithered in x and y"),
        ([(0, 0), (0.25, 0.5), (0.5, 0.25), (0.75, 0.75)], Supply(60, 50), "too few stars: 54 images in 4 exposures"),
        ([(0, 0), (0.5, 0.5)], MANY, "too few exposures: stars are seen by 2 of 2 exposures, 3 needed"),
        ([(0, 0)], None, "too few exposures: stars are seen by 1 of 1 exposure,"),
        ([(0, 0), (0.2, 0.3), (0.1, 0.6)], MANY, "poorly dithered in x: 0.8"),
    ],
)
def test_verdict(offset, found, said):
    settings = CalibrateSettings(reserve=0.1)
    assert advise(moved(offset), "2022.33", found, settings).verdict.startswith(said)


def test_advice__grid_follows_the_stars():
    rows = moved([(0, 0), (0.5, 0.25), (0.25, 0.5), (0.75, 0.75)])
    settings = CalibrateSettings(grid=5, per_fiducial=150, reserve=0.0)
    assert advise(rows, "", Supply(1400, 900), settings).grid == 3  # 3 x 3 x 150 = 1 350
    told = advise(rows, "2022.33", MANY, settings).as_dict()
    assert (told["grid"], told["images"], told["per_fiducial"], told["epoch"]) == (5, 100_000, 2400, "2022.33")
    assert told["damping"]["x"][0] < 0.05
    assert advise(rows, "", None, settings).as_dict()["core"] is None


def test_expected_accuracy__meets_what_it_was_made_from():
    for images, core in ((450, 0.14), (110, 0.30), (45, 0.78)):
        assert expected_accuracy(images, 0.3, 6)[0] == pytest.approx(core, rel=0.05)
    assert expected_accuracy(450, 0.39, 6)[1] == pytest.approx(0.8, abs=0.1)
    assert expected_accuracy(450, 1.0, 6)[1] == pytest.approx(85.0, abs=0.1)  # never falls
    assert expected_accuracy(0, 0.3, 6) == (None, None)
    worse = [expected_accuracy(450, left, 6)[1] for left in (0.1, 0.5, 0.7, 0.9)]
    assert all(b > a for a, b in pairwise(worse))


def test_supply__counts_bright_whole_and_lonely_stars():
    settings = StampSettings(stars=1000)
    assert supply(stars(), row(), settings) == (300, 0)  # S/N of 100 is not above
    assert supply(stars(flux_error=50.0), row(), settings) == (300, 300)
    assert supply(stars(flux_error=200.0), row(), settings) == (0, 0)
    assert supply(stars(), row(), StampSettings(stars=50)).images == 50
    spoilt = stars()
    spoilt.loc[:4, "flags"] = np.uint32(Flag.COSMIC_RAY)
    spoilt.loc[5:6, "flux"] = np.nan
    spoilt.loc[7:9, "x"] = 5.0
    assert supply(spoilt, row(), settings).images == 290
    assert supply(stars(flags=np.uint32(Flag.GROUP_FIT)), row(), settings).images == 300


def test_supply__neighbours_and_saturated_stars():
    settings, base = StampSettings(), stars()
    fainter = base.iloc[[0]].assign(x=base["x"][0] + 3.0, flux=6e3, flux_error=90.0)
    assert supply(pd.concat([base, fainter]), row(), settings).images == 300  # it has a brighter one, the other has not
    full = base.iloc[[1]].assign(x=base["x"][1] + 8.0, flags=np.uint32(Flag.SATURATED))
    assert supply(pd.concat([base, full]), row(), settings).images == 299


def test_propose__phases_and_plain_patterns():
    found = propose(4, [0.0656, 0.0656])
    assert found.scales == (0.0656,)
    assert found.reach == pytest.approx(0.2624)
    assert np.sort(found.phases(0.0656), 0) == pytest.approx(np.repeat([[0], [0.25], [0.5], [0.75]], 2, 1), abs=0.01)
    told = found.as_dict()
    assert list(told["patterns"]) == ["plan", "line", "box"]
    assert told["patterns"]["plan"]["rms"] < 0.02 < told["patterns"]["line"]["rms"]
    assert told["patterns"]["plan"]["scales"]["0.0656"]["gap"]["x"] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((1, [0.06]), "found 1, expected 2 to 25 pointings"),
        ((26, [0.06]), "found 26"),
        ((4, [0.06, -0.1]), "--scale: found -0.1"),
        ((4, [float("nan")]), "--scale: found nan"),
        ((4, [0.06], 0.0), "--reach: found 0.0"),
        ((4, [0.06], float("inf")), "--reach: found inf"),
    ],
)
def test_propose__bad_numbers(words, said):
    with pytest.raises(UnusableError, match=said):
        propose(*words)
